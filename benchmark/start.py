"""Interruptions while a command starts, which is mostly importing."""

import os
import signal
import threading
from types import FrameType

INTERRUPTED = "\nInterrupted; the same command continues where it stopped."
_IMPORTING = "<frozen importlib._bootstrap>"


def stop_while_importing() -> None:
    """Have an interruption end the process at once while a module is imported.

    Raised there, a KeyboardInterrupt may be lost: the interpreter drops what is raised in its own
    call-backs, and some packages take whatever happens in an import for a missing package. Nothing
    of ours is being written then. Where the process was started to ignore interruptions, as a shell
    starts what it runs in the background, it goes on ignoring them.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - as signals are told
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            os.write(2, f"{INTERRUPTED}\n".encode())
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt

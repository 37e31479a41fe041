"""Copies of this process: what they run need not import anything again."""

import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LONGEST = 3600.0
"""Seconds that a process may take on a busy machine."""


@dataclass
class Begun:
    """A command that was begun in a session of its own."""

    pid: int
    said_to: Path
    code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def end(self, seconds: float = LONGEST) -> tuple[int, str]:
        """Its exit code and all that it said, once every process of it is gone.

        Raises:
            TimeoutError: If it does not end; it is killed.
        """
        until = time.monotonic() + seconds
        while self.poll() is None or self._left():
            if time.monotonic() > until:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(self.said_to.read_text())
            time.sleep(0.02)
        assert self.code is not None
        return self.code, self.said_to.read_text()

    def _left(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, 0)
            return True
        return False


def forked(run: Callable[[], int], said_to: Path) -> Begun:
    """Begin something in a copy of this process, in a session of its own.

    Args:
        run: Called there; its exit code.
        said_to: File that gets all that it says.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other threads are pyarrow's, which knows of forks
        pid = os.fork()
    if pid:
        return Begun(pid, said_to)
    code = 1
    try:
        os.setsid()
        to = os.open(said_to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(to, 1)
        os.dup2(to, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
        warnings.resetwarnings()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code = run()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)

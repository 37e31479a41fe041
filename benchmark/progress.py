"""Progress bars, also of several processes on one terminal."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

_CLEAR_BELOW = "\x1b[J"
_lines: list[int] = []  # holds the line of a process that shares its terminal


def share_terminal(line: int, lock: Any) -> None:
    """Draw all bars of this process at one line below the cursor, taking turns with others.

    Args:
        line: Counted from 0.
        lock: A lock of `multiprocessing` that all processes on the terminal hold while they draw.
    """
    tqdm.set_lock(lock)
    _lines[:] = [line]


def progress_bar(total: int, what: str, unit: str, done: int = 0) -> tqdm[Any]:
    """A bar with an estimate of the time left.

    Args:
        total: Units in all.
        what: Is done.
        unit: That is counted.
        done: Units done before.
    """
    bar: tqdm[Any] = tqdm(
        total=total,
        desc=what,
        unit=unit,
        initial=done,
        leave=False,
        mininterval=0.5,
        position=_lines[0] if _lines else None,
    )
    return bar


def say(text: str) -> None:
    """Print above the bars of other processes, which draw themselves anew below."""
    with tqdm.get_lock():  # type: ignore[no-untyped-call]
        print(f"{_CLEAR_BELOW if sys.stdout.isatty() else ''}{text}", flush=True)

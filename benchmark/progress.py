"""Progress of what takes long: bars on a terminal, also of several processes on one, else lines."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from tqdm import tqdm

_CLEAR_BELOW = "\x1b[J"
_LINE_SECONDS = 60.0
_lines: list[int] = []  # holds the line of a process that shares its terminal


class _Lines(tqdm):  # type: ignore[type-arg]
    """Without a terminal: a plain line a minute in place of a bar."""

    said = float("nan")  # when the last line was written; before the first, when it began

    def display(self, msg: str | None = None, pos: int | None = None) -> None:  # noqa: ARG002
        """Print where things stand, if the last line is old enough and this is not the end."""
        now = time.monotonic()
        if math.isnan(self.said):
            self.said = now
        if msg is None and self.n < (self.total or 0) and now - self.said >= _LINE_SECONDS:
            self.said = now
            say(f"  {self}")


def is_terminal() -> bool:
    """Whether somebody watches, who can be shown what changes in place."""
    return sys.stdout.isatty() and sys.stderr.isatty()


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
    if not is_terminal():
        lines: tqdm[Any] = _Lines(
            total=total,
            desc=what,
            unit=unit,
            initial=done,
            disable=False,
            leave=False,
            mininterval=_LINE_SECONDS,
            maxinterval=_LINE_SECONDS,
            bar_format="{desc}: {n_fmt} of {total_fmt} {unit}s, {remaining} left{postfix}",
        )
        return lines
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


def minutes(seconds: float) -> str:
    """A time to wait, in words that promise no more than is known."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

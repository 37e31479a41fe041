"""What a long command does: a picture that changes in place on a terminal, else lines.

The process that was started owns the terminal. Its workers tell it how far they are, and it shows
a row for each, the whole with the time left, and the latest table. Without a terminal it says all
that in a line whenever it has said nothing for a minute.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import RLock, get_ident
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from envs.progress import show_bars_as

if TYPE_CHECKING:  # --help must not wait for rich
    from rich.console import Group
    from rich.live import Live

_LINE_SECONDS = 60.0
_BAR_WIDTH = 20
_WIDE_ENOUGH_FOR_BARS = 72


@dataclass(frozen=True)
class Step:
    """How far a process is with what it does just now."""

    what: str
    done: float
    total: float
    unit: str
    left: float | None
    """Seconds; None where nothing tells yet."""
    note: str
    """What is known of it, such as its loss."""

    def __str__(self) -> str:
        how_far = f"{self.what}: {self.done:g} of {self.total:g} {self.unit}s"
        return f"{how_far}, {self.note}" if self.note else how_far


class Screen:
    """Where progress is shown: `_screen` of this module is the one of its process."""

    def __init__(self) -> None:
        self.steps: dict[int, Step] = {}
        """What is under way, by the line of a worker or the thread of this process."""
        self.whole: Whole | None = None
        self._live: Live | None = None
        self._said = time.monotonic()

    def show(self, step: Step | None, line: int) -> None:
        """Show what a worker or thread does; None where it has ended that."""
        if step is None:
            self.steps.pop(line, None)
        else:
            self.steps[line] = step
        self.refresh()

    def refresh(self) -> None:
        """Bring what is shown up to date; begin or end the picture where that is due."""
        if not is_terminal():
            self._say_where_things_stand()
        elif not self.steps and self.whole is None:
            self.clear()
        elif self._live is None:
            self._live = _live(self)
            self._live.start()

    def clear(self) -> None:
        """Take the picture off the terminal."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print above the picture."""
        self._said = time.monotonic()
        if self._live is None:
            print(text, flush=True)
        else:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def picture(self, width: int) -> Group:
        """A row a process, the whole, and the table, in so many columns.

        The table comes last: where the terminal is low, it is cut.
        """
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        has_bars = width >= _WIDE_ENOUGH_FOR_BARS
        if has_bars:
            rows.add_column(width=_BAR_WIDTH)
        rows.add_column(justify="right", no_wrap=True)
        rows.add_column(justify="right", no_wrap=True)
        shown = [step for _, step in sorted(self.steps.items())]
        for step in [*shown, *([self.whole.step()] if self.whole else [])]:
            bar = [ProgressBar(step.total, step.done, _BAR_WIDTH)] if has_bars else []
            share = f"{step.done / step.total:.0%}" if step.total else ""
            rows.add_row(Text(str(step)), *bar, share, _left(step))
        table = self.whole.table if self.whole else ""
        return Group(rows, Text(table, no_wrap=True, overflow="crop"))

    def _say_where_things_stand(self) -> None:
        now = time.monotonic()
        if now - self._said >= _LINE_SECONDS:
            self._said = now
            steps = [*([self.whole.step()] if self.whole else []), *self.steps.values()]
            texts = [", ".join(filter(None, (str(step), _left(step)))) for step in steps]
            print(f"  {'; '.join(texts)}", flush=True)


class Whole:
    """All that a command has to do, while it does it.

    Args:
        total: How many there are.
        done: How many were done before.
        left: Seconds that the rest takes; None where nothing tells.
        unit: What one is.
    """

    def __init__(self, total: int, done: int, left: float | None, unit: str) -> None:
        self.total, self.done, self._unit = total, done, unit
        self.table = ""
        """The latest, shown below on a terminal."""
        self._expect(left)

    def ended(self, text: str, left: float | None = None) -> None:
        """One more has ended, which is said.

        Args:
            text: What came of it.
            left: Seconds that the rest takes; None where nothing tells.
        """
        self.done += 1
        self._expect(left)
        about = f"; about {minutes(left)} left" if left is not None else ""
        say(f"[{self.done}/{self.total}] {text}{about}")

    def _expect(self, left: float | None) -> None:
        self._ends = None if left is None else time.monotonic() + left

    def step(self) -> Step:
        """As a row of the picture."""
        left = None if self._ends is None else max(self._ends - time.monotonic(), 1.0)
        return Step("all", self.done, self.total, self._unit, left, "")


class Remote:
    """The screen of a worker: what it is told goes to the process that owns the terminal."""

    def __init__(self, owner: Connection) -> None:
        self._owner = owner

    def show(self, step: Step | None, line: int) -> None:  # noqa: ARG002 - the owner knows it
        """See `Screen.show`."""
        self._send(step)

    def say(self, text: str) -> None:
        """See `Screen.say`."""
        self._send(text)

    def _send(self, message: Step | str | None) -> None:
        with suppress(BrokenPipeError):  # the owner is gone, and ends this process with it
            self._owner.send(message)


class _Bar(tqdm):  # type: ignore[type-arg]
    """Counts as tqdm does, and tells the screen in place of drawing itself."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, gui=True)  # draws nothing itself
        self.display()

    def display(self, *_: object, **__: object) -> None:
        """Tell the screen how far it is."""
        rate, total = self.format_dict["rate"], self.total or 0
        left = (total - self.n) / rate if rate and self.n > self.initial else None
        note = str(self.postfix or "")
        step = Step(self.desc.rstrip(": "), self.n, total, self.unit, left, note)
        _screen.show(step, get_ident())

    def close(self) -> None:
        """Take it off the screen."""
        if not self.disable:
            super().close()
            _screen.show(None, get_ident())


_Bar.set_lock(
    RLock()
)  # its own is one between processes, which workers that are ended leave behind
_screen: Screen | Remote = Screen()
show_bars_as(_Bar)


def is_terminal() -> bool:
    """Whether somebody watches, who can be shown what changes in place."""
    watched = sys.stdout.isatty() and sys.stderr.isatty()
    return watched and os.environ.get("TERM") != "dumb"


@contextmanager
def whole(
    total: int, done: int = 0, left: float | None = None, unit: str = "cell"
) -> Iterator[Whole]:
    """Show how much of all is done, the time left and the latest table while this goes on.

    See `Whole` for the arguments.
    """
    found = Whole(total, done, left, unit)
    if isinstance(_screen, Remote):
        yield found
        return
    _screen.whole = found
    _screen.refresh()
    try:
        yield found
    finally:
        _screen.whole = None
        _screen.steps.clear()
        _screen.refresh()


def tell(owner: Connection) -> None:
    """Let another process show what this one does; it must `hear` the other end."""
    global _screen
    _screen = Remote(owner)


def hear(worker: Connection, line: int) -> None:
    """Show what a worker has told since the last call, at its line."""
    assert isinstance(_screen, Screen)
    try:
        while worker.poll():
            message = worker.recv()
            if isinstance(message, str):
                _screen.say(message)
            else:
                _screen.show(message, line)
    except EOFError:  # it has ended
        _screen.show(None, line)


def say(text: str) -> None:
    """Print above what is shown of all processes."""
    _screen.say(text)


def minutes(seconds: float) -> str:
    """A time to wait, in words that promise no more than is known."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _left(step: Step) -> str:
    return "" if step.left is None else f"{minutes(step.left)} left"


def _live(screen: Screen) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout)
    return Live(
        get_renderable=lambda: screen.picture(console.width),
        console=console,
        refresh_per_second=4,
        transient=True,
    )

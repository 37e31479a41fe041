"""What is shown of long steps: a picture on a terminal, and few lines where nobody watches."""

import fcntl
import multiprocessing
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pyte
import pytest

from benchmark import progress
from benchmark.progress import Screen, Step, hear, minutes, whole
from envs.progress import progress_bar

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The time, s, which passes when it is set."""
    clock = [0.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(progress, "_screen", Screen())
    return clock


def test_without_a_terminal_a_minute_of_silence_ends_with_a_line(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(300, "bet position, training", "update") as bar:
        for update in range(300):
            now[0] = float(update)
            bar.update()
            bar.set_postfix({"loss": "0.5"})
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == 4  # after 60, 120, 180 and 240 seconds
    assert lines[0].startswith("  bet position, training: 61 of 300 updates")
    assert "loss=0.5" in lines[-1]
    assert printed.err == ""


def test_the_line_of_a_minute_tells_the_whole_and_what_each_worker_does(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    ends = [multiprocessing.Pipe(duplex=False) for _ in range(2)]
    with whole(16, done=3, left=600.0):
        now[0] = 59.0
        ends[0][1].send(Step("bet position, training", 10, 40, "update", None, "loss=0.5"))
        hear(ends[0][0], 0)
        now[0] = 120.0
        ends[1][1].send(Step("ibc velocity, training", 20, 40, "update", 30.0, ""))
        hear(ends[1][0], 1)
        assert capsys.readouterr().out.splitlines() == [
            "  all: 3 of 16 cells, 8 min left; "
            "bet position, training: 10 of 40 updates, loss=0.5; "
            "ibc velocity, training: 20 of 40 updates, 30 s left"
        ]


def test_the_end_of_a_cell_is_said_at_once_with_the_time_left(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with whole(3) as all_of_it:
        all_of_it.ended("bet-42: score 0.5", 240.0)
        all_of_it.ended("bet-43: failed: ValueError: no")
    assert capsys.readouterr().out.splitlines() == [
        "[1/3] bet-42: score 0.5; about 4 min left",
        "[2/3] bet-43: failed: ValueError: no",
    ]


def test_a_minute_in_which_a_cell_ended_needs_no_line(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    out, end = multiprocessing.Pipe(duplex=False)
    step = Step("ibc velocity, training", 20, 40, "update", 30.0, "")
    with whole(3) as all_of_it:
        now[0] = 50.0
        all_of_it.ended("bet-42: score 0.5")
        now[0] = 109.0
        end.send(step)
        hear(out, 0)
        assert capsys.readouterr().out.splitlines() == ["[1/3] bet-42: score 0.5"]
        now[0] = 110.0
        end.send(step)
        hear(out, 0)
        assert capsys.readouterr().out.startswith("  all: 1 of 3 cells")


def test_what_is_short_is_not_spoken_of(
    now: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar(3, "playing", "step") as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (89.0, "89 s"), (90.0, "2 min"), (9000.0, "2.5 h")]
)
def test_times_are_rounded_to_what_is_known(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


# ---- on a terminal ----

COMMAND = """
import sys
from benchmark.progress import whole
from envs.progress import progress_bar

with whole(16, done=3, left=600.0) as all_of_it:
    with progress_bar(300, "bet position, training", "update") as bar:
        bar.update(150)
        bar.set_postfix_str("loss=0.5")
        all_of_it.table = "Results on pusht\\n\\nmethod  score\\nbet     0.5"
        all_of_it.ended("bet-42: score 0.5", 240.0)
        try:
            sys.stdin.readline()
        except KeyboardInterrupt:
            print("Interrupted", flush=True)
"""


class Terminal:
    """A program on a terminal of its own, and what one would see there."""

    def __init__(self, command: list[str], columns: int, **variables: str) -> None:
        self.screen = pyte.Screen(columns, 24)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self._ours, theirs = pty.openpty()
        settings = termios.tcgetattr(theirs)
        settings[3] &= ~termios.ECHO  # keys would move what is shown
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")}
        self.process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment | {"TERM": "xterm-256color", **variables},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def wait_for(self, seen: Callable[[list[str]], bool], seconds: float = 240.0) -> list[str]:
        end = time.monotonic() + seconds
        while not seen(self.lines):
            assert time.monotonic() < end, self.lines
            self._read()
        return self.lines

    def finish(self) -> list[str]:
        while self._read():
            pass
        os.close(self._ours)
        self.process.wait(60)
        return self.lines

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # its other end is closed
            return False
        self.written += data
        self._stream.feed(data)
        return bool(data)


def has(text: str) -> Callable[[list[str]], bool]:
    return lambda lines: any(text in line for line in lines)


COLOUR = re.compile(rb"\x1b\[[0-9;]*[34][0-9][0-9;]*m")


def test_a_terminal_shows_workers_and_the_whole_and_the_table_and_then_only_what_was_said() -> None:
    terminal = Terminal([sys.executable, "-c", COMMAND], 100)
    lines = terminal.wait_for(has("bet     0.5"))
    said, worker, all_of_it, *table = lines
    assert said == "[4/16] bet-42: score 0.5; about 4 min left"
    assert re.fullmatch(
        r"bet position, training: 150 of 300 updates, loss=0.5 +[━╺╸]+ 50%( \d+ s left)?", worker
    )
    assert re.fullmatch(r"all: 4 of 16 cells +[━╺╸]+ 25% 4 min left", all_of_it)
    assert table == ["Results on pusht", "method  score", "bet     0.5"]
    assert COLOUR.search(terminal.written)
    terminal.press(b"\n")
    assert terminal.finish() == [said]
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")


def test_a_narrow_terminal_loses_bars_and_no_line_wraps() -> None:
    terminal = Terminal([sys.executable, "-c", COMMAND], 40)
    lines = terminal.wait_for(has("bet     0.5"))
    assert next(line for line in lines if "50%" in line).startswith("bet position, train")
    assert "━" not in "".join(lines)
    assert has("all: 4 of 16 cells")(lines)
    terminal.press(b"\n")
    assert "bet position" not in "".join(terminal.finish())


def test_no_colour_is_written_where_none_is_wanted() -> None:
    terminal = Terminal([sys.executable, "-c", COMMAND], 100, NO_COLOR="1")
    terminal.wait_for(has("bet     0.5"))
    terminal.press(b"\n")
    terminal.finish()
    assert not COLOUR.search(terminal.written)


def test_an_interrupted_bench_clears_its_picture_and_says_how_to_go_on(
    demos_file: Path, tmp_path: Path
) -> None:
    command = "-m benchmark bench --preset smoke --methods bc-mlp --data human --data-path"
    endless = ["--set", "train.updates=10000000", "agent.width=8", "--workers", "2"]
    terminal = Terminal(
        [sys.executable, *command.split(), str(demos_file), *endless],
        100,
        DPBENCH_RUNS=str(tmp_path),
    )
    terminal.wait_for(has("bc-mlp velocity, training"))
    lines = terminal.wait_for(has("bc-mlp position, training"))
    assert has("bc-mlp velocity, training")(lines)  # a row for each worker
    assert has("all: 0 of 2 cells")(lines)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.finish()[-1] == "Interrupted; the same command continues where it stopped."
    assert terminal.process.returncode == 130
    assert terminal.written.rindex(b"\x1b[?25h") > terminal.written.rindex(b"\x1b[?25l")

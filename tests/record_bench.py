"""Records docs/assets/bench.gif: what `make bench TASK=pusht PRESET=smoke` shows in a terminal.

python -m tests.record_bench docs/assets/bench.gif [COMMAND ...]

The command runs in a pseudo-terminal, whatever it takes, and its screen is drawn from time to time.
"""

import os
import pty
import select
import shlex
import sys
import termios
import time
from pathlib import Path

import matplotlib
import numpy as np
import pyte
from PIL import Image, ImageDraw, ImageFont

from benchmark.play.film import write_film

COMMAND = ("make", "bench", "TASK=pusht", "PRESET=smoke")
COLUMNS, ROWS = 128, 30
SECONDS, HZ, STILL_SECONDS = 20, 6, 6  # of the film; its last picture stays
LOOK_SECONDS = 0.25  # from one look at the screen to the next
CELL = 7, 15  # px of a character
MARGIN, HEAD = 8, 24  # px
GROUND, INK, PALE = "#16181d", "#d8dade", "#8b919c"
FONT = ImageFont.truetype(
    str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"), 12
)
COLOURS = {
    "default": INK,
    "red": "#f0716d",
    "green": "#7cc77a",
    "brown": "#d9b45b",
    "blue": "#6ea8f7",
    "magenta": "#e06ca5",
    "cyan": "#5cc4cf",
    "brightblack": PALE,
}

Look = tuple[float, list[list[tuple[str, str]]]]
"""Seconds since the command began, and rows of characters with their colours."""


def record(command: tuple[str, ...]) -> list[Look]:
    """Run a command in a terminal and look at its screen until it ends."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    began, looks = time.monotonic(), list[Look]()
    process, terminal = pty.fork()
    if not process:
        termios.tcsetwinsize(0, (ROWS, COLUMNS))
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], command)
    while True:
        if select.select([terminal], [], [], LOOK_SECONDS)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:  # Linux tells by it that the command has ended
                break
        if not looks or time.monotonic() - began > looks[-1][0] + LOOK_SECONDS:
            looks.append((time.monotonic() - began, seen(screen)))
    if code := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise SystemExit(f"{shlex.join(command)} failed: exit code {code}")
    return [*looks, (time.monotonic() - began, seen(screen))]


def seen(screen: pyte.Screen) -> list[list[tuple[str, str]]]:
    """What stands on a screen."""
    cells = [[screen.buffer[row][column] for column in range(COLUMNS)] for row in range(ROWS)]
    return [[(cell.data, cell.fg) for cell in row] for row in cells]


def drawn(command: tuple[str, ...], look: Look) -> np.ndarray:
    """A look as a picture (H, W, 3), with the command and the time above it."""
    width, height = CELL
    size = 2 * MARGIN + COLUMNS * width, HEAD + 2 * MARGIN + ROWS * height
    picture = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(picture)
    seconds, rows = look
    clock = f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"
    draw.text((MARGIN, MARGIN), f"$ {shlex.join(command)}", INK, FONT)
    draw.text((size[0] - MARGIN - len(clock) * width, MARGIN), clock, PALE, FONT)
    for row, cells in enumerate(rows):
        for column, (character, colour) in enumerate(cells):
            if character.strip():
                at = MARGIN + column * width, HEAD + MARGIN + row * height
                ink = COLOURS.get(colour) or f"#{colour}"
                draw.text(at, character, ink, FONT)
    return np.asarray(picture)


def main(path: Path, command: tuple[str, ...]) -> None:
    """Record, and write the film."""
    looks = record(command)
    times = np.array([seconds for seconds, _ in looks])
    chosen = np.searchsorted(times, np.linspace(0, times[-1], SECONDS * HZ))
    frames = [drawn(command, looks[index]) for index in chosen]
    write_film(np.stack([*frames, *[frames[-1]] * (STILL_SECONDS * HZ)]), path, HZ)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB of {times[-1]:.0f} s")


if __name__ == "__main__":
    main(Path(sys.argv[1]), tuple(sys.argv[2:]) or COMMAND)

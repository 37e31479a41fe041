"""The window of a session: mouse and keys become its calls, and what it holds is drawn."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from benchmark.errors import UsageError
from benchmark.play.session import Session
from benchmark.play.table import FOLLOWED, INK, OTHER, PALE, Plan, draw_table, write
from envs.pusht.env import CONTROL_HZ
from envs.pusht.geometry import SUCCESS_COVERAGE, WORLD_SIZE
from envs.pusht.render import GOAL, GROUND, WALL, pygame

FRAME_HZ = 30
TABLE = 640  # px shown of the table
STRIP = 124  # px below it
MARGIN = 12
TURN = math.pi / 18  # of a notch of the mouse wheel, rad
TEXT, SMALL = 24, 19  # px of letters
HELP_BY_HAND = (
    "click: take the disc, it follows the mouse | N: next | R: again | Backspace: forget last",
    "right drag: move the block, wheel turns it | Tab: next driver | Space: pause | Esc: quit",
)
HELP_POLICY = (
    "drag: move the block, wheel turns it, and see it plan anew | Tab: next driver",
    "Space: pause | Right: one step | +/-: paths drawn | N: next | R: again | Esc: quit",
)


class Window:
    """Shows a session until it is closed.

    Args:
        session: What is played.

    Raises:
        UsageError: If there is no screen.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.is_open = True
        try:
            pygame.display.init()
        except pygame.error as error:
            raise _no_screen(str(error)) from error
        if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
            # SDL falls back to it by itself, and the window would be open with nobody to close it.
            raise _no_screen("SDL finds none")
        pygame.display.set_caption("dpbench: Push-T")
        self._screen = pygame.display.set_mode((TABLE, TABLE + STRIP))
        self._keys: dict[int, Callable[[], object]] = {
            pygame.K_SPACE: session.toggle_pause,
            pygame.K_RIGHT: self._single_step,
            pygame.K_TAB: session.next_driver,
            pygame.K_n: session.next,
            pygame.K_r: lambda: session.start(session.seed),
            pygame.K_BACKSPACE: self._undo,
            pygame.K_PLUS: lambda: self._draw_others(1),
            pygame.K_EQUALS: lambda: self._draw_others(1),
            pygame.K_KP_PLUS: lambda: self._draw_others(1),
            pygame.K_MINUS: lambda: self._draw_others(-1),
            pygame.K_KP_MINUS: lambda: self._draw_others(-1),
            pygame.K_ESCAPE: self.close,
            pygame.K_q: self.close,
        }

    def run(self) -> None:
        """Play until the window is closed."""
        clock = pygame.time.Clock()
        last, waited = time.perf_counter(), 0.0
        while self.is_open:
            now = time.perf_counter()
            # A long prediction makes the table late, never hasty.
            waited = min(waited + now - last, 2 / CONTROL_HZ)
            last = now
            self.handle_events()
            while waited >= 1 / CONTROL_HZ:
                self.session.tick()
                waited -= 1 / CONTROL_HZ
            self.show(waited * CONTROL_HZ)
            clock.tick(FRAME_HZ)
        pygame.display.quit()

    def close(self) -> None:
        """Leave `run`."""
        self.is_open = False

    # ---- mouse and keys ----

    def handle_events(self) -> None:
        """Do what mouse and keys asked for since the last call."""
        for event in pygame.event.get():
            self._handle(event)

    def _handle(self, event: pygame.event.Event) -> None:
        session = self.session
        if event.type == pygame.QUIT:
            self.close()
        elif event.type == pygame.KEYDOWN and event.key in self._keys:
            self._keys[event.key]()
        elif event.type == pygame.MOUSEMOTION:
            session.point(*_on_table(event.pos))
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button in (1, 3):
            if event.button == 1 and session.is_by_hand:
                session.take(*_on_table(event.pos))
            else:
                session.grab(*_on_table(event.pos))
        elif event.type == pygame.MOUSEBUTTONUP and event.button in (1, 3):
            session.release()
        elif event.type == pygame.MOUSEWHEEL:
            session.turn(TURN * event.y)

    def _single_step(self) -> None:
        self.session.is_paused = True
        self.session.step()

    def _undo(self) -> None:
        if self.session.recorder is not None:
            self.session.recorder.undo()

    def _draw_others(self, more: int) -> None:
        self.session.draw_others(max(0, self.session.others + 4 * more))

    # ---- the picture ----

    def show(self, fraction: float) -> None:
        """Draw the table on the screen, a fraction of a step after the last one, and the strip."""
        session = self.session
        before, after = session.before, session.state
        state = [a + fraction * (b - a) for a, b in zip(before, after, strict=True)]
        if session.is_paused or session.is_holding:
            state = list(after)
        plan = None
        if (planner := session.planner) is not None and len(planner.paths):
            plan = Plan(planner.paths, planner.age, planner.trained.action_horizon)
        mark = session.aim if session.is_by_hand else session.set_point
        self._screen.fill(GROUND)
        self._screen.blit(draw_table(TABLE, state, plan, mark), (0, 0))
        self._draw_strip()
        pygame.display.flip()

    def picture(self) -> pygame.Surface:
        """What was shown last."""
        return self._screen.copy()

    def _draw_strip(self) -> None:
        session, screen = self.session, self._screen
        line = TABLE + 10
        x = write(screen, f"{session.drivers[session.driver]}", (MARGIN, line), TEXT, INK)
        color, text = self._condition()
        write(screen, text, (x + 14, line), TEXT, color)
        clock = f"start {session.seed}   {session.seconds:5.1f} s"
        write(screen, clock, (TABLE - 190, line), TEXT, PALE)
        self._draw_coverage(TABLE + 38)
        for number, said in enumerate(HELP_BY_HAND if session.is_by_hand else HELP_POLICY):
            write(screen, said, (MARGIN, TABLE + 84 + 18 * number), SMALL, PALE)

    def _condition(self) -> tuple[tuple[int, int, int], str]:
        """What goes on, in a word, and its colour."""
        session = self.session
        if session.is_over:
            return ((0, 120, 60), "on the goal") if session.is_success else (FOLLOWED, "time is up")
        if session.is_holding:
            return OTHER, "you hold the block"
        if session.is_paused:
            return FOLLOWED, "paused"
        if session.is_waiting:
            return FOLLOWED, "click to take the disc"
        return INK, ""

    def _draw_coverage(self, y: int) -> None:
        """A bar with the coverage, the highest so far and what success needs."""
        session, width, height = self.session, TABLE - 2 * MARGIN, 14
        screen, left = self._screen, MARGIN
        pygame.draw.rect(screen, WALL, (left, y, width, height))
        pygame.draw.rect(screen, GOAL, (left, y, round(width * session.coverage), height))
        for value, color in ((session.max_coverage, OTHER), (SUCCESS_COVERAGE, INK)):
            at = left + round(width * value)
            pygame.draw.line(screen, color, (at, y - 3), (at, y + height + 2), 2)
        text = f"coverage {session.coverage:.0%}, highest {session.max_coverage:.0%}"
        text += f", success above {SUCCESS_COVERAGE:.0%}"
        write(screen, text, (left, y + 20), SMALL, INK)
        if session.recorder is not None:
            kept = f"{session.recorder.count} episodes in {session.recorder.path.name}"
            write(screen, kept, (TABLE - MARGIN - 7 * len(kept), y + 20), SMALL, INK)


def _no_screen(cause: str) -> UsageError:
    return UsageError(
        f"no screen to open a window on ({cause}); "
        "`python -m benchmark video` writes a film instead"
    )


def _on_table(pixel: tuple[int, int]) -> tuple[float, float]:
    """Where on the table a pixel of the window is, px of the table."""
    return pixel[0] * WORLD_SIZE / TABLE, pixel[1] * WORLD_SIZE / TABLE

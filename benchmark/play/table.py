"""Draws the table for people: smooth edges, any size, and the paths that a policy thinks of.

What a policy sees is drawn by `envs.pusht.render`, to the pixel of the original; this is not it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.play.sequences import Paths
from envs.pusht.geometry import AGENT_RADIUS, BAR, GOAL_POSE, OUTLINE, STEM, WORLD_SIZE, place
from envs.pusht.render import AGENT, BLOCK, GOAL, GROUND, MARK, WALL, Color, pygame

FOLLOWED: Color = (213, 94, 0)  # as in the figures
OTHER: Color = (0, 114, 178)
INK: Color = (34, 34, 34)
PALE: Color = (110, 110, 110)
_FINE = 2  # px drawn for each px shown: edges come out smooth
_MARK_ARM = 9.0  # px
_FARTHEST = 0.25  # strength of a path at its far end


@dataclass(frozen=True)
class Plan:
    """What a policy drew, and how much of it is past."""

    paths: Paths
    """(N, T, 2), px; the first is the one that is followed."""
    age: int
    """Steps of it that have been executed; it fades."""
    lasts: int
    """Steps after which the next is drawn, Ta."""


def draw_table(
    size: int,
    state: Sequence[float] | NDArray[np.float64],
    plan: Plan | None = None,
    set_point: Sequence[float] | None = None,
) -> pygame.Surface:
    """A picture of the table.

    Args:
        size: Its width and height, px of the picture.
        state: Agent x, y, block x, y (px of the table) and angle (rad).
        plan: Paths to draw, if any.
        set_point: Where the agent is sent, if a mark is wanted.
    """
    scale = _FINE * size / WORLD_SIZE
    surface = pygame.Surface((_FINE * size, _FINE * size))
    surface.fill(GROUND)
    for part in (BAR, STEM):
        pygame.draw.polygon(surface, GOAL, _corners(place(part, GOAL_POSE), scale))
    edge = max(1, round(3 * scale))
    pygame.draw.rect(surface, WALL, surface.get_rect(), edge)
    for part in (BAR, STEM):
        pygame.draw.polygon(surface, _lighter(BLOCK), _corners(place(part, state[2:5]), scale))
    outline = _corners(place(OUTLINE, state[2:5]), scale)
    for start, end in zip(outline, [*outline[1:], outline[0]], strict=True):
        _bar(surface, BLOCK, start, end, 1.5 * scale)
    if plan is not None:
        surface.blit(_overlay(plan, scale, surface.get_size()), (0, 0))
    centre = (state[0] * scale, state[1] * scale)
    pygame.draw.circle(surface, AGENT, centre, AGENT_RADIUS * scale)
    pygame.draw.circle(surface, _lighter(AGENT), centre, (AGENT_RADIUS - 3.5) * scale)
    if set_point is not None:
        x, y, arm = set_point[0] * scale, set_point[1] * scale, _MARK_ARM * scale
        _bar(surface, MARK, (x - arm, y), (x + arm, y), scale)
        _bar(surface, MARK, (x, y - arm), (x, y + arm), scale)
    return pygame.transform.smoothscale(surface, (size, size))


def write(
    surface: pygame.Surface, text: str, at: tuple[int, int], height: int, color: Color = INK
) -> int:
    """Write a line of text at its upper left corner; the x where it ends."""
    if not pygame.font.get_init():
        pygame.font.init()
    drawn = pygame.font.Font(None, height).render(text, True, color)
    surface.blit(drawn, at)
    return at[0] + drawn.get_width()


def _overlay(plan: Plan, scale: float, size: tuple[int, int]) -> pygame.Surface:
    """The paths, the followed one on top, what is far ahead and what is old paler."""
    surface = pygame.Surface(size, pygame.SRCALPHA)
    old = min(plan.age / max(plan.lasts, 1), 1.0)
    for number in reversed(range(len(plan.paths))):
        is_followed = number == 0
        color = FOLLOWED if is_followed else OTHER
        points = plan.paths[number, plan.age :] * scale
        strength = np.linspace(1.0, _FARTHEST, len(points))
        strength *= 1.0 if is_followed else 0.75 * (1.0 - 0.8 * old)
        width = (2.0 if is_followed else 1.1) * scale
        for start, end, alpha in zip(points[:-1], points[1:], strength, strict=False):
            _bar(surface, (*color, round(255 * alpha)), start, end, width / 2)
        for point, alpha in zip(points, strength, strict=True):
            pygame.draw.circle(surface, (*color, round(255 * alpha)), point.tolist(), width)
    return surface


def _bar(
    surface: pygame.Surface,
    color: Color | tuple[int, int, int, int],
    start: Sequence[float] | NDArray[np.float64],
    end: Sequence[float] | NDArray[np.float64],
    radius: float,
) -> None:
    """A thick line with round ends; pygame's own is thinner the more it slants."""
    a, b = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    length = float(np.hypot(*(b - a)))
    if length > 0:
        side = radius / length * np.array([a[1] - b[1], b[0] - a[0]])
        corners = np.array([a + side, b + side, b - side, a - side])
        pygame.draw.polygon(surface, color, corners.tolist())
    for point in (a, b):
        pygame.draw.circle(surface, color, point.tolist(), radius)


def _corners(points: NDArray[np.float64], scale: float) -> list[tuple[float, float]]:
    return [(x * scale, y * scale) for x, y in points.tolist()]


def _lighter(color: Color) -> Color:
    red, green, blue = (min(round(1.2 * channel), 255) for channel in color)
    return red, green, blue

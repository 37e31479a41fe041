"""Draws Push-T with pygame, as the original does, to the pixel.

Drawn are states, not spaces: a recorded state can be drawn without any physics. Surfaces live in
memory, so frames need no screen; only `Window` opens a display. Importing this module imports
pygame, so it is imported where a frame is wanted and not before.
"""

import functools
import math
import os
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.forks import refuse_forked
from envs.pusht.geometry import AGENT_RADIUS, BAR, GOAL_POSE, IMAGE_SIZE, STEM, WORLD_SIZE, place
from envs.pusht.physics import WALL_HIGH, WALL_LOW, WALL_RADIUS

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
with warnings.catch_warnings():
    # pygame 2.6 still looks for pkg_resources, which setuptools has deprecated.
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    import pygame as pygame  # as itself: who draws more takes it from here

Color = tuple[int, int, int]

GROUND: Color = (255, 255, 255)
GOAL: Color = (144, 238, 144)  # LightGreen
BLOCK: Color = (119, 136, 153)  # LightSlateGray
AGENT: Color = (65, 105, 225)  # RoyalBlue
WALL: Color = (211, 211, 211)  # LightGray
MARK: Color = (255, 0, 0)

_SIZE = int(WORLD_SIZE)
_EDGE_RADIUS = 2.0  # of the darker edge round each part of the block
_RIM = 4.0  # of the darker rim of the agent
_MARK_ARM, _MARK_WIDTH = 21, 5  # px
_INNER = round(WALL_LOW + WALL_RADIUS) + 1  # px from where on no wall is drawn
_INSIDE = pygame.Rect(_INNER, _INNER, _SIZE - 2 * _INNER, _SIZE - 2 * _INNER)

# Of the 96 x 96 image: the source pixels before and after each centre; the share of the latter.
_ONE = 1 << 11
_CENTERS = (np.arange(IMAGE_SIZE) + 0.5) * (_SIZE / IMAGE_SIZE) - 0.5
_SOURCES = np.floor(_CENTERS).astype(np.int64).repeat(2) + np.tile([0, 1], IMAGE_SIZE)
_SHARE = np.rint((_CENTERS - np.floor(_CENTERS)) * _ONE).astype(np.int32)
_ALL = slice(0, IMAGE_SIZE)


def draw(state: Sequence[float], set_point: Sequence[float] | None = None) -> pygame.Surface:
    """Draw a state.

    Args:
        state: Agent x, y, block x, block y (px) and angle (rad), (5,).
        set_point: Where to put the mark, px; None for no mark.

    Returns:
        A surface of 512 x 512 px.
    """
    surface = _empty_table().copy()
    _draw_bodies(surface, state)
    if set_point is not None:
        x, y = round(set_point[0]), round(set_point[1])
        pygame.draw.line(surface, MARK, (x - _MARK_ARM, y), (x + _MARK_ARM, y), _MARK_WIDTH)
        pygame.draw.line(surface, MARK, (x, y - _MARK_ARM), (x, y + _MARK_ARM), _MARK_WIDTH)
    return surface


def frame(state: Sequence[float], set_point: Sequence[float] | None = None) -> NDArray[np.uint8]:
    """`draw` as an array (512, 512, 3), rows first, RGB."""
    pixels = pygame.image.tobytes(draw(state, set_point), "RGB")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(_SIZE, _SIZE, 3).copy()


def observation_images(states: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What a policy sees of states (N, 5): (N, 96, 96, 3) RGB, without a mark at the set-point.

    Only what block and agent cover is drawn and shrunk again, in a quarter of the time of `draw`.
    """
    table = _empty_table()
    canvas = table.copy()
    images = np.empty((len(states), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    images[:] = _shrunk(table)
    for image, state in zip(images, states.tolist(), strict=True):
        changed = _draw_bodies(canvas, state)
        for area in changed:
            columns, rows = _covering(area.left, area.right), _covering(area.top, area.bottom)
            image[rows, columns] = _shrunk(canvas, columns, rows)
        for area in changed:
            canvas.blit(table, area, area)
    return images


class Window:
    """A window that shows surfaces at a steady rate; there may be several.

    Args:
        title: What its frame says.
        rate: Surfaces shown a second, Hz.
        size: Width and height, px.

    Raises:
        RuntimeError: If there is no screen.
    """

    _open = 0  # of all windows of this process

    def __init__(self, title: str, rate: int, size: int = _SIZE) -> None:
        # pygame's display is one window for all; those of SDL below it are as many as one likes.
        from pygame._sdl2 import video

        try:
            pygame.display.init()
            if pygame.display.get_driver() == "offscreen" and "SDL_VIDEODRIVER" not in os.environ:
                raise pygame.error("SDL only has its offscreen driver")  # it falls back by itself
            self._window = video.Window(title, (size, size))
        except pygame.error as error:
            if not Window._open:
                pygame.display.quit()
            raise RuntimeError(
                f'render_mode "human" found no screen ({error}); use "rgb_array", or set '
                "SDL_VIDEODRIVER=dummy to run without one"
            ) from error
        self._renderer = video.Renderer(self._window, accelerated=0)
        self._to_texture = video.Texture.from_surface
        self._clock, self._rate, self._owner = pygame.time.Clock(), rate, os.getpid()
        Window._open += 1

    def show(self, surface: pygame.Surface) -> None:
        """Show a surface, waiting until the last one has been seen long enough.

        Raises:
            RuntimeError: In a process that was forked from the one that has opened it.
        """
        refuse_forked(self._owner, "windows")
        self._to_texture(self._renderer, surface).draw()
        pygame.event.pump()  # or the system believes that the window hangs
        self._renderer.present()
        self._clock.tick(self._rate)

    def show_frame(self, frame: NDArray[np.uint8]) -> None:
        """Show a frame (size, size, 3) that something else has drawn, rows first, RGB."""
        self.show(pygame.surfarray.make_surface(frame.transpose(1, 0, 2)))

    def shown(self) -> NDArray[np.uint8]:
        """What is seen in it, (size, size, 3) RGB, rows first."""
        pixels = pygame.surfarray.array3d(self._renderer.to_surface())
        return pixels.transpose(1, 0, 2)

    def close(self) -> None:
        """Close the window, and with the last one the display."""
        if self._owner != os.getpid():
            return  # the parent's
        self._window.destroy()
        Window._open -= 1
        if not Window._open:
            pygame.display.quit()


@functools.cache
def _empty_table() -> pygame.Surface:
    """Ground, goal and walls."""
    surface = pygame.Surface((_SIZE, _SIZE))
    surface.fill(GROUND)
    for part in (BAR, STEM):
        pygame.draw.polygon(surface, GOAL, _rounded(place(part, GOAL_POSE)))
    _draw_walls(surface)
    return surface


def _draw_walls(surface: pygame.Surface) -> None:
    low, high = round(WALL_LOW), round(WALL_HIGH)
    _draw_border(surface, WALL, [(low, low), (high, low), (high, high), (low, high)], WALL_RADIUS)


def _draw_bodies(surface: pygame.Surface, state: Sequence[float]) -> tuple[pygame.Rect, ...]:
    """Draw block and agent of a state onto a table; the areas that each of them changed."""
    changed = []
    for part in (BAR, STEM):
        corners = _rounded(place(part, state[2:]))
        changed.append(pygame.draw.polygon(surface, _lighter(BLOCK), corners))
        changed.append(_draw_border(surface, BLOCK, corners, _EDGE_RADIUS))
    block = changed[0].unionall(changed)
    center = round(state[0]), round(state[1])
    agent = pygame.draw.circle(surface, AGENT, center, round(AGENT_RADIUS))
    pygame.draw.circle(surface, _lighter(AGENT), center, round(AGENT_RADIUS - _RIM))
    if not _INSIDE.contains(block) or not _INSIDE.contains(agent):
        _draw_walls(surface)  # which nothing covers
    return block, agent


def _rounded(points: NDArray[np.float64]) -> list[tuple[int, int]]:
    return [(round(x), round(y)) for x, y in points.tolist()]


def _lighter(color: Color) -> Color:
    red, green, blue = (min(round(1.2 * channel), 255) for channel in color)
    return red, green, blue


def _draw_border(
    surface: pygame.Surface, color: Color, corners: list[tuple[int, int]], radius: float
) -> pygame.Rect:
    """Draw a closed line of twice the radius in width through the corners, with round joints.

    Returns:
        The area that was changed.
    """
    changed = []
    for start, end in zip(corners, [*corners[1:], corners[0]], strict=True):
        changed.append(pygame.draw.line(surface, color, start, end, round(2.0 * radius)))
        # pygame cuts the ends of such a line parallel to an axis, so a proper bar is laid over it.
        scale = radius / math.dist(start, end)
        x, y = round(abs(end[1] - start[1]) * scale), round(abs(end[0] - start[0]) * scale)
        sides = [(start, -1), (start, 1), (end, 1), (end, -1)]
        bar = [(point[0] + side * x, point[1] + side * y) for point, side in sides]
        changed.append(pygame.draw.polygon(surface, color, bar))
        changed.append(pygame.draw.circle(surface, color, start, round(radius)))
        changed.append(pygame.draw.circle(surface, color, end, round(radius)))
    return changed[0].unionall(changed)


def _covering(first: int, end: int) -> slice:
    """Rows or columns of the small image that depend on those of the table from first to end."""
    begin, stop = np.searchsorted(_SOURCES, [first, end])
    return slice(int(begin) // 2, -(-int(stop) // 2))


def _shrunk(
    surface: pygame.Surface, columns: slice = _ALL, rows: slice = _ALL
) -> NDArray[np.uint8]:
    """The surface resized bilinearly to (96, 96, 3), or some rows and columns of that.

    Each output pixel mixes the two source pixels on either side of its centre, along both axes.
    Where it is cut off is OpenCV's way of doing it in integers, since the protocol's images are
    made with OpenCV: the result is the same to the last bit.
    """
    x, y = (_SOURCES[2 * part.start : 2 * part.stop] for part in (columns, rows))
    packed = pygame.surfarray.pixels2d(surface)[x[:, None], y]  # (2 columns, 2 rows)
    colors = np.stack([(packed >> shift) & 0xFF for shift in surface.get_shifts()[:3]], axis=-1)
    colors = colors.astype(np.int32)
    after = _SHARE[columns, None, None]
    mixed = (colors[::2] * (_ONE - after) + colors[1::2] * after) >> 4  # (columns, 2 rows, 3)
    after = _SHARE[rows, None]
    mixed = (mixed[:, ::2] * (_ONE - after) >> 16) + (mixed[:, 1::2] * after >> 16)
    shrunk: NDArray[np.uint8] = ((mixed + 2) >> 2).astype(np.uint8)
    return shrunk.transpose(1, 0, 2)

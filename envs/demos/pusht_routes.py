"""Ways for the agent round the Push-T block.

All points here are in the block's frame, px. Around the block runs a ring at CLEARANCE from its
outline. Of the two ways between two points outside the ring, left and right, each is the taut
string that lies against the ring. Every ray from the middle of the bar leaves the T once, and so
the ring too: it is stored as a radius for each angle.
"""

import numpy as np
from numpy.typing import NDArray

from envs.pusht.geometry import AGENT_RADIUS, BAR, STEM

Array = NDArray[np.float64]

CLEARANCE = AGENT_RADIUS + 13.0  # px from the outline to the agent's centre on its way
_SLACK = 2.0  # px by which a taut string may cut the ring, which is a polygon itself
_KERNEL = np.array([0.0, 15.0])
_NUM_ANGLES = 72
_ANGLES = np.arange(_NUM_ANGLES + 1) * (2.0 * np.pi / _NUM_ANGLES)  # the last repeats the first
_SAMPLES = np.linspace(0.0, 1.0, 25)[:, None]


def outline_distance(points: Array) -> Array:
    """Distance of points (..., 2) to the T, px; negative inside."""
    distances = []
    for box in (BAR, STEM):
        low, high = np.min(box, axis=0), np.max(box, axis=0)
        beyond = np.abs(points - (low + high) / 2.0) - (high - low) / 2.0  # (..., 2)
        outside = np.hypot(*np.moveaxis(np.maximum(beyond, 0.0), -1, 0))
        distances.append(outside + np.minimum(beyond.max(axis=-1), 0.0))
    distance: Array = np.minimum(*distances)
    return distance


def _ring_points() -> Array:
    """Points at CLEARANCE from the T, one an angle, by bisection along the ray; (A + 1, 2)."""
    directions = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    low, high = np.zeros(len(_ANGLES)), np.full(len(_ANGLES), 300.0)
    for _ in range(50):
        middle = (low + high) / 2.0
        clear = outline_distance(_KERNEL + middle[:, None] * directions) > CLEARANCE
        low, high = np.where(clear, low, middle), np.where(clear, middle, high)
    ring: Array = _KERNEL + high[:, None] * directions
    return ring


_RING = _ring_points()
_RING_ARC = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(_RING, axis=0).T))])


def _angles(points: Array) -> Array:
    offset = points - _KERNEL
    angles: Array = np.mod(np.arctan2(offset[..., 1], offset[..., 0]), 2.0 * np.pi)
    return angles


def ring_gap(a: Array, b: Array) -> Array:
    """Length of the shorter way along the ring from the angle of `a` to that of `b`, px."""
    gap = np.abs(
        np.interp(_angles(a), _ANGLES, _RING_ARC) - np.interp(_angles(b), _ANGLES, _RING_ARC)
    )
    shorter: Array = np.minimum(gap, _RING_ARC[-1] - gap)
    return shorter


def retreat(point: Array) -> Array:
    """Where the straight way off the block from `point` (2,) meets the ring; itself if outside."""
    for _ in range(8):  # the gradient turns at corners; a few steps settle
        missing = CLEARANCE - outline_distance(point)
        if missing <= 0.5:
            break
        point = point + missing * _outward(point)
    return point


def _outward(point: Array) -> Array:
    """Unit vector (2,) along which the distance to the T grows fastest."""
    steps = 0.5 * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    right, left, down, up = outline_distance(point + steps)
    gradient = np.array([right - left, down - up])
    return gradient / max(float(np.hypot(*gradient)), 1e-9)


def both_ways(start: Array, end: Array) -> tuple[Array, Array]:
    """The taut polylines (P, 2) from `start` to `end`, by growing and by falling angle."""
    from_angle, to_angle = _angles(start), _angles(end)
    ways = []
    for sign in (1.0, -1.0):
        sweep = float(np.mod(sign * (to_angle - from_angle), 2.0 * np.pi))
        between = from_angle + sign * np.arange(0.0, sweep, _ANGLES[1])[1:]
        ring = np.column_stack(
            [np.interp(np.mod(between, 2.0 * np.pi), _ANGLES, _RING[:, axis]) for axis in (0, 1)]
        )
        points = np.vstack([start, ring, end])
        ways.append(
            _pull_taut(points, np.concatenate([[0.0], sign * (between - from_angle), [sweep]]))
        )
    return ways[0], ways[1]


def _pull_taut(points: Array, swept: Array) -> Array:
    """Shortcut a polyline wherever the straight line stays clear and on the same side.

    A straight line sweeps less than pi about the kernel, so one that would cut a longer stretch
    short passes the block on its other side.
    """
    kept = [0]
    while kept[-1] < len(points) - 1:
        here = kept[-1]
        rest = points[here + 1 :]
        lines = points[here] + (rest - points[here])[:, None] * _SAMPLES  # (rest, samples, 2)
        clear = (outline_distance(lines) > CLEARANCE - _SLACK).all(axis=1)
        clear &= swept[here + 1 :] - swept[here] < 0.95 * np.pi
        reachable = np.flatnonzero(clear)
        kept.append(here + 1 + int(reachable[-1]) if reachable.size else here + 1)
    return points[kept]


def way_length(way: Array) -> float:
    """Length of a polyline (P, 2), px."""
    return float(np.hypot(*np.diff(way, axis=0).T).sum())


def resample(way: Array, spacing: float = 1.0) -> Array:
    """Points along a polyline (P, 2), `spacing` px apart, its end left out."""
    steps = np.hypot(*np.diff(way, axis=0).T)
    moving = np.concatenate([[True], steps > 1e-9])
    along = np.concatenate([[0.0], np.cumsum(steps)])[moving]
    at = np.arange(0.0, along[-1], spacing)
    return np.column_stack([np.interp(at, along, way[moving, axis]) for axis in (0, 1)])

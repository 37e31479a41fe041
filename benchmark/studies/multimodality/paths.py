"""Which way an agent goes round the Push-T block, and whether it stays with it.

    winding     angle by which the agent has gone round the block's centre of gravity, where that is
                at each step; growing is clockwise on the picture: to the left, as the agent sees
                it when it faces the block
    side        left or right if the winding ends beyond a threshold, undecided otherwise
    turned back the winding was beyond it, either way, and came back by more than that again
    parted      one of two rollouts went left and the other right: with equal shares every second
                pair, never where all go one way. A mean of pairs, unlike an entropy, so that it has
                the intervals of any share, also over trainings.

Thresholds are ours: the paper shows pictures and gives no numbers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.running.motion import jitter
from envs.pusht.geometry import CENTER_OF_GRAVITY, LOCAL_KEYPOINTS

STEPS = 40  # DP Fig. 3
WAY = 30.0
"""Winding that counts as a way round, and as turning back, degrees: 80 px to a side from 140 px."""
WAYS = (15.0, WAY, 45.0)
"""Thresholds that are tried, to show what hangs on it."""
RESOLUTION = 1 / 64
"""Paths are kept to so much, px: far below what any measure of them tells apart."""
SIDES = ("left", "right", "undecided")
_POINTS = ("agent", "centre", "set_points")

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Paths:
    """Where N rollouts of T steps led; one that ended before stays where it ended.

    Attributes:
        agent: Positions of the agent, (N, T + 1, 2), px.
        centre: The block's centre of gravity, (N, T + 1, 2), px.
        set_points: Commanded, (N, T, 2), px, up to a constant a rollout.
        lengths: Steps before each ended, (N,).
    """

    agent: Floats
    centre: Floats
    set_points: Floats
    lengths: NDArray[np.int64]

    def to_bytes(self) -> bytes:
        """As an NPZ file of whole `RESOLUTION`s: first differences, which pack well."""
        buffer = io.BytesIO()
        steps = {
            name: np.diff(np.rint(getattr(self, name) / RESOLUTION), axis=1, prepend=0.0)
            for name in _POINTS
        }
        whole = {name: taken.astype(np.int32) for name, taken in steps.items()}
        np.savez_compressed(buffer, lengths=self.lengths, **whole)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Paths:
        """Read `to_bytes` back, to the nearest `RESOLUTION`."""
        with np.load(io.BytesIO(data)) as arrays:
            points = {name: arrays[name].cumsum(axis=1) * RESOLUTION for name in _POINTS}
            return cls(lengths=arrays["lengths"], **points)


def joined(parts: Sequence[tuple[Floats, Floats, Floats]], steps: int = STEPS) -> Paths:
    """Put paths of several lengths together.

    Args:
        parts: Agent (L + 1, 2), centre (L + 1, 2) and set-points (L, 2) of each; L is 0 or more.
        steps: T; what goes beyond is cut.
    """

    def stay(points: Floats, count: int) -> Floats:
        points = points[:count]
        return np.pad(
            points, ((0, count - len(points)), (0, 0)), "edge" if len(points) else "constant"
        )

    return Paths(
        np.array([stay(agent, steps + 1) for agent, _, _ in parts]).reshape(-1, steps + 1, 2),
        np.array([stay(centre, steps + 1) for _, centre, _ in parts]).reshape(-1, steps + 1, 2),
        np.array([stay(points, steps) for _, _, points in parts]).reshape(-1, steps, 2),
        np.array([min(len(points), steps) for _, _, points in parts], dtype=np.int64),
    )


def block_centres(observations: Floats) -> Floats:
    """The block's centre of gravity (..., 2) in observations of keypoints (..., 20), px."""
    keypoints = observations[..., :18].reshape(*observations.shape[:-1], 9, 2)
    centres: Floats = np.einsum("k,...kd->...d", _CENTRE_WEIGHTS, keypoints)
    return centres


# A rigid motion keeps sums of points whose weights add up to 1.
_CENTRE_WEIGHTS: Floats = np.linalg.lstsq(
    np.vstack([LOCAL_KEYPOINTS.T, np.ones(9)]), np.array([*CENTER_OF_GRAVITY, 1.0]), rcond=None
)[0]


def winding(agent: Floats, centre: Floats) -> Floats:
    """How far an agent has gone round a centre, both (..., T + 1, 2); (..., T + 1), degrees."""
    offset = agent - centre
    angle = np.unwrap(np.arctan2(offset[..., 1], offset[..., 0]), axis=-1)
    gone: Floats = np.degrees(angle - angle[..., :1])
    return gone


def sides(windings: Floats, way: float = WAY) -> list[str]:
    """The side of each rollout with a winding (N, T + 1)."""
    return [
        "left" if end > way else "right" if end < -way else "undecided" for end in windings[:, -1]
    ]


def turned_back(windings: Floats, way: float = WAY) -> NDArray[np.bool_]:
    """Which rollouts took a way and then turned back, windings (N, T + 1) to (N,)."""
    both = np.stack([windings, -windings])  # either way as growing
    farthest = np.maximum.accumulate(both, axis=-1)
    found: NDArray[np.bool_] = np.any((farthest > way) & (farthest - both > way), axis=(0, 2))
    return found


def path_measures(paths: Paths, way: float = WAY) -> pd.DataFrame:
    """Measure every rollout.

    Returns:
        A row each: side; left, right and undecided (0 or 1), turned_back, and jitter (px², NaN
        below three steps).
    """
    windings = winding(paths.agent, paths.centre)
    found = sides(windings, way)
    return pd.DataFrame(
        {"side": found}
        | {side: np.array([own == side for own in found], dtype=float) for side in SIDES}
        | {
            "turned_back": turned_back(windings, way),
            "jitter": [
                jitter(np.diff(points[:length], axis=0))
                for points, length in zip(paths.set_points, paths.lengths, strict=True)
            ],
        }
    )


def parted(measures: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the pairs of one rollout and the next went different ways, (N // 2,)."""
    side = measures["side"].to_numpy()[: len(measures) // 2 * 2]
    one, other = side[::2], side[1::2]
    found: NDArray[np.bool_] = (one != other) & (one != "undecided") & (other != "undecided")
    return found

"""Which way an agent goes round the Push-T block, and whether it stays with it.

    winding     angle by which the agent has gone round the block's centre of gravity, where that is
                at each step; growing is clockwise on the picture: to the left, as the agent sees
                it when it faces the block
    side        left or right if the winding ends beyond WAY, undecided otherwise
    started     the winding was beyond WAY, either way, at some step
    turned back a start, and then more than WAY back from the farthest winding
    entropy     of left and right among the decided, bit: 1 if both are as common, 0 if one is all

Thresholds are ours: the paper shows pictures and gives no numbers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evidence.stats import CONFIDENCE, Interval, Share
from benchmark.running.motion import jitter
from envs.pusht.geometry import CENTER_OF_GRAVITY, LOCAL_KEYPOINTS

STEPS = 40  # DP Fig. 3
WAY = 30.0
"""Winding that counts as a way round, and as turning back, degrees. From the stored state it is as
far as 80 px to a side."""
FINE_WAY = 15.0
"""A finer one, to show what hangs on it, degrees."""
SIDES = ("left", "right", "undecided")

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
        """As an NPZ file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{f.name: getattr(self, f.name) for f in fields(self)})
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Paths:
        """Read `to_bytes` back."""
        with np.load(io.BytesIO(data)) as arrays:
            return cls(**{field.name: arrays[field.name] for field in fields(cls)})


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


def sides(windings: Floats) -> list[str]:
    """The side of each rollout with a winding (N, T + 1)."""
    return [
        "left" if end > WAY else "right" if end < -WAY else "undecided" for end in windings[:, -1]
    ]


def started(windings: Floats, way: float = WAY) -> NDArray[np.bool_]:
    """Which rollouts took either way at some step, windings (N, T + 1) to (N,)."""
    found: NDArray[np.bool_] = np.any(np.abs(windings) > way, axis=1)
    return found


def turned_back(windings: Floats, way: float = WAY) -> NDArray[np.bool_]:
    """Which rollouts took a way and then turned back, windings (N, T + 1) to (N,)."""
    both = np.stack([windings, -windings])  # either way as growing
    farthest = np.maximum.accumulate(both, axis=-1)
    found: NDArray[np.bool_] = np.any((farthest > way) & (farthest - both > way), axis=(0, 2))
    return found


def path_measures(paths: Paths) -> pd.DataFrame:
    """Measure every rollout.

    Returns:
        A row each: winding (degrees, at the end), side, started, turned_back, the same two at the
        finer threshold as fine_started and fine_turned_back, and jitter (px², NaN below three
        steps).
    """
    windings = winding(paths.agent, paths.centre)
    return pd.DataFrame(
        {
            "winding": windings[:, -1],
            "side": sides(windings),
            "started": started(windings),
            "turned_back": turned_back(windings),
            "fine_started": started(windings, FINE_WAY),
            "fine_turned_back": turned_back(windings, FINE_WAY),
            "jitter": [
                jitter(np.diff(points[:length], axis=0))
                for points, length in zip(paths.set_points, paths.lengths, strict=True)
            ],
        }
    )


def commitment(measures: pd.DataFrame, prefix: str = "") -> Interval:
    """Share of the rollouts that started which did not turn back, with its exact interval.

    Args:
        measures: Of `path_measures`.
        prefix: Of the columns: empty, or `fine_` for the finer threshold.
    """
    took = measures[measures[f"{prefix}started"]]
    if took.empty:
        return Interval(np.nan, np.nan, np.nan, CONFIDENCE, "none: no rollout took a way")
    return Share(int((~took[f"{prefix}turned_back"]).sum()), len(took)).interval()


def mode_entropy(measures: pd.DataFrame) -> Interval:
    """Entropy of left and right among the decided rollouts, bit.

    The limits are the entropies within the exact interval of the share of left. Unlike those of a
    bootstrap they keep a width where every rollout goes the same way.
    """
    left, right = (int((measures["side"] == side).sum()) for side in ("left", "right"))
    if left + right == 0:
        return Interval(np.nan, np.nan, np.nan, CONFIDENCE, "none: no rollout chose a way")
    share = Share(left, left + right).interval()
    ends = _entropy(share.low), _entropy(share.high)
    high = 1.0 if share.low <= 0.5 <= share.high else max(ends)
    return Interval(_entropy(share.estimate), min(ends), high, CONFIDENCE, "exact, as entropy")


def _entropy(share: float) -> float:
    return sum(p * math.log2(1.0 / p) for p in (share, 1.0 - share) if p > 0.0)


def combined(terms: Sequence[tuple[float, Interval]]) -> Interval:
    """A weighted sum of independent estimates, its limits from theirs.

    Zou and Donner, Statistics in Medicine 2008: the distances of estimate and limits add up as
    squares. A difference has the weights 1 and -1.
    """
    estimate = sum(weight * term.estimate for weight, term in terms)
    below = above = 0.0
    for weight, term in terms:
        down, up = term.estimate - term.low, term.high - term.estimate
        if weight < 0:
            down, up = up, down
        below += (weight * down) ** 2
        above += (weight * up) ** 2
    low, high = estimate - math.sqrt(below), estimate + math.sqrt(above)
    return Interval(estimate, low, high, terms[0][1].confidence, "combined (Zou and Donner 2008)")

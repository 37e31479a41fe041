"""How a policy moves: jitter, reversals and standing still, measured on every episode.

set-points          x_0  x_1  x_2  ...          commanded by the executed actions
moves               d_t = x_t - x_{t-1}
jitter              mean of |d_{t+1} - d_t|^2
reversal            d_t and d_{t+1} point apart by more than 90 degrees, both longer than `still`
stuck               the agent stays within `still` of one place for 3 s, without success
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

STUCK_SECONDS = 3.0

Floats = NDArray[np.float64]


def motion_measures(
    set_points: Floats,
    positions: Floats,
    rewards: Floats,
    lengths: NDArray[np.int64],
    still: float,
    stuck_steps: int,
) -> pd.DataFrame:
    """Measure the motion of N episodes.

    Args:
        set_points: Commanded at each step, (T, N, D), up to a constant an episode.
        positions: Of the agent before the first step and after each, (T + 1, N, D).
        rewards: After each step, (T, N).
        lengths: Steps of each episode, (N,); later entries of its column are not looked at.
        still: Distance that does not count as motion.
        stuck_steps: Steps without motion that make an episode stuck.

    Returns:
        A row an episode: jitter (squared distance), reversals (a step), stuck (bool), and
        stuck_score: the largest reward by then, NaN where it never was stuck.
    """
    rows = []
    for i, length in enumerate(lengths):
        moves = np.diff(set_points[:length, i], axis=0)
        rows.append(
            {"jitter": jitter(moves), "reversals": reversals(moves, still)}
            | _stuck(positions[: length + 1, i], rewards[:length, i], still, stuck_steps)
        )
    return pd.DataFrame(rows)


def jitter(moves: Floats) -> float:
    """Mean squared change of consecutive moves (M, D); NaN below two moves."""
    return float((np.diff(moves, axis=0) ** 2).sum(-1).mean()) if len(moves) > 1 else np.nan


def reversals(moves: Floats, still: float) -> float:
    """Share of consecutive pairs of moves (M, D) that turn back; NaN below two moves."""
    if len(moves) < 2:
        return np.nan
    lengths = np.linalg.norm(moves, axis=-1)
    both = (lengths[1:] > still) & (lengths[:-1] > still)
    return float((both & ((moves[1:] * moves[:-1]).sum(-1) < 0)).mean())


def _stuck(positions: Floats, rewards: Floats, still: float, steps: int) -> dict[str, float | bool]:
    """Whether an agent at `positions` (T + 1, D) stood still for `steps`, and at what reward."""
    for start in range(len(positions) - steps):
        stretch = positions[start : start + steps + 1]
        if (np.linalg.norm(stretch - stretch[0], axis=-1) <= still).all():
            return {"stuck": True, "stuck_score": float(rewards[: start + steps].max())}
    return {"stuck": False, "stuck_score": np.nan}

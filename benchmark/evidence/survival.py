"""Time to success: which share of episodes is solved by when.

An episode that runs out of time is not a failure at its last step but one whose time to success is
only known to lie beyond it. Every episode here has the same time limit, so that the Kaplan-Meier
estimate up to the limit is the share of episodes solved so far, and its band is the interval of
that share, over trainings and initial states (Greenwood's would take all episodes as independent).
"""

from dataclasses import dataclass

import numpy as np

from benchmark.evidence.crossed import Array, mean


@dataclass(frozen=True)
class Curve:
    """Share of episodes solved by a time.

    Attributes:
        steps: Times, in control steps, (T,).
        solved: Share solved by then, (T,).
        low: Lower limits, for each time by itself, (T,).
        high: Upper limits, (T,).
        confidence: Nominal coverage at each time.
    """

    steps: Array
    solved: Array
    low: Array
    high: Array
    confidence: float


def time_to_success(
    steps: Array, limit: int, at: Array | None = None, confidence: float = 0.95
) -> Curve:
    """Give the curve of time to success.

    Args:
        steps: Control steps to success (S, E), infinite where the episode was not solved.
        limit: Time limit of every episode, in control steps.
        at: Times to give the curve at; every time at which an episode was solved, 0 and the limit
            when None.
        confidence: Nominal coverage at each time.

    Raises:
        ValueError: If a time lies beyond the limit.
    """
    solved = steps[np.isfinite(steps)]
    times = np.unique(np.concatenate(([0, limit], solved))) if at is None else np.asarray(at)
    latest = max(times.max(), solved.max(initial=0))
    if latest > limit:
        raise ValueError(
            f"time {latest:g} beyond the limit of {limit} steps: nothing is known there"
        )
    by_then = (steps <= times[:, None, None]).astype(np.float64)  # (T, S, E)
    share = mean(by_then)
    low, high = share.limits(confidence)
    return Curve(times.astype(np.float64), share.estimate, low, high, confidence)

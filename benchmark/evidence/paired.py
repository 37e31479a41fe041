"""Success of two policies, one training each, on the same episodes.

Only the pairs that disagree tell the policies apart: n10 episodes that A alone solved and n01 that
B alone solved, of n. With several trainings a policy use `crossed`, which holds their spread too.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

from benchmark.evidence.stats import Interval

# Pairs added before the limits are taken, half of them to each side: without them the error near
# the edges is 6.7 % where 5 % is meant.
ADDED = 0.5
_BISECTIONS = 60


@dataclass(frozen=True)
class PairedSuccess:
    """The difference of success of two policies, one training each.

    Attributes:
        n10: Episodes that A alone solved.
        n01: Episodes that B alone solved.
        episodes: All pairs.
    """

    n10: int
    n01: int
    episodes: int
    seeds: ClassVar[int] = 1

    def interval(self, confidence: float = 0.95) -> Interval:
        """Give the score interval."""
        return success_difference(self.n10, self.n01, self.episodes, confidence)

    def p_value(self, value: float = 0.0) -> float:
        """Give the two-sided p-value: exact McNemar for 0, else where the interval reaches it."""
        if value == 0:
            return exact_mcnemar(self.n10, self.n01)
        low, high = 1e-12, 1.0
        for _ in range(_BISECTIONS):
            middle = float(np.sqrt(low * high))
            excluded = self.interval(1 - middle).excludes(value)
            low, high = (low, middle) if excluded else (middle, high)
        return high


def exact_mcnemar(n10: int, n01: int) -> float:
    """Give the two-sided p-value of equal success: a fair coin on the pairs that disagree.

    Raises:
        ValueError: If a count is negative.
    """
    if min(n10, n01) < 0:
        raise ValueError(f"{n10} and {n01} pairs that disagree: must not be negative")
    if n10 + n01 == 0:
        return 1.0
    return float(binomtest(n10, n10 + n01).pvalue)


def success_difference(n10: int, n01: int, n: int, confidence: float = 0.95) -> Interval:
    """Give the difference of success A - B with its score interval (Tango, Statist. Med. 1998).

    Differences: half a pair is added to the counts and Student's quantile replaces the normal one,
    which keeps the error below the nominal one at 50 pairs and where all disagree on one side.

    Args:
        n10: Episodes that A alone solved.
        n01: Episodes that B alone solved.
        n: All pairs.
        confidence: Nominal coverage, within (0, 1).

    Raises:
        ValueError: If the counts do not fit, or there are fewer than two pairs.
    """
    if n < 2 or min(n10, n01) < 0 or n10 + n01 > n:
        raise ValueError(f"{n10} and {n01} of {n} pairs disagree: must be within 0 and n >= 2")
    low, high = score_limits(n10, n01, n, confidence)
    method = f"score interval over {n} pairs, trainings as they are"
    return Interval((n10 - n01) / n, float(low), float(high), confidence, method)


def score_limits(
    n10: ArrayLike, n01: ArrayLike, n: int, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the limits of `success_difference` for arrays of counts."""
    first = np.asarray(n10, dtype=np.float64) + ADDED / 2
    second = np.asarray(n01, dtype=np.float64) + ADDED / 2
    estimate = (first - second) / (n + ADDED)
    quantile = student.ppf((1 + confidence) / 2, n - 1)

    def solve(inner: NDArray[np.float64], outer: float) -> NDArray[np.float64]:
        """Where the score statistic reaches the quantile, between the estimate and a bound."""
        beyond = np.full(estimate.shape, outer)
        for _ in range(_BISECTIONS):
            middle = (inner + beyond) / 2
            reached = np.abs(_score(first, second, n + ADDED, middle)) > quantile
            inner, beyond = np.where(reached, inner, middle), np.where(reached, middle, beyond)
        return np.asarray((inner + beyond) / 2)

    return solve(estimate, -1.0), solve(estimate, 1.0)


def _score(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    n: float,
    delta: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Tango's statistic of the difference being delta, its variance from the likelihood there."""
    b = -first - second + (2 * n - first + second) * delta
    c = -second * delta * (1 - delta)
    q = (np.sqrt(np.maximum(b * b - 8 * n * c, 0)) - b) / (4 * n)  # chance that B alone solves it
    variance = np.maximum(n * (2 * q + delta * (1 - delta)), 1e-300)
    return (first - second - n * delta) / np.sqrt(variance)

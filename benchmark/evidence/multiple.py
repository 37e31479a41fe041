"""Many comparisons in one table: corrected p-values, and which policies may be the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.evidence.crossed import Array, difference
from benchmark.evidence.paired import exact_mcnemar

# A mean score from which on scores no longer tell policies apart, and success does.
SATURATED = 0.9


def holm(p_values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p-values so that the chance of any false finding among them keeps its level.

    Holm, Scand. J. Statist. 1979: the smallest is multiplied by their number, the next by one less,
    and none comes out below a smaller one.

    Args:
        p_values: Uncorrected, (..., m) along the last axis.

    Returns:
        Corrected, at most 1, in the order given.

    Raises:
        ValueError: If a p-value is not within 0 and 1.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values {p_values}: must be within 0 and 1")
    order = np.argsort(p, axis=-1)
    factors = np.arange(p.shape[-1], 0, -1)
    raised = np.maximum.accumulate(np.take_along_axis(p, order, -1) * factors, axis=-1)
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.minimum(raised, 1), axis=-1)
    return corrected


@dataclass(frozen=True)
class Best:
    """The policies that cannot be told from the best.

    Attributes:
        members: Their names, by falling mean.
        judged_by: The outcome that was compared, "success" or "score".
        p_values: For each policy, the chance of being beaten this clearly were it the best.
    """

    members: tuple[str, ...]
    judged_by: str
    p_values: dict[str, float]


def best_set(
    success: Mapping[str, Array], score: Mapping[str, Array] | None = None, alpha: float = 0.05
) -> Best:
    """Say which policies cannot be told from the best one.

    A policy leaves the set when some other one is better at level alpha / (m - 1), one-sided. The
    best leaves only if one of m - 1 such tests errs, so it stays with chance 1 - alpha, whichever
    policy leads in the sample: nothing is picked before testing.

    Args:
        success: Tables (S, E) of 0/1 by policy, all over the same episodes.
        score: Tables of scores within [0, 1]. They are compared in place of success while the
            highest mean score lies below SATURATED; above it they hardly differ.
        alpha: Chance of losing the best.

    Raises:
        ValueError: If there is no policy.
    """
    if not success:
        raise ValueError("no policies to find the best of")
    judged_by, tables = "success", success
    if score is not None and max(table.mean() for table in score.values()) < SATURATED:
        judged_by, tables = "score", score
    names = sorted(tables, key=lambda name: -float(tables[name].mean()))
    p_values = {
        name: min(
            [1.0]
            + [
                min(1.0, (len(names) - 1) * better(tables[other], tables[name]))
                for other in names
                if other != name
            ]
        )
        for name in names
    }
    members = tuple(name for name in names if p_values[name] > alpha)
    return Best(members, judged_by, p_values)


def better(a: Array, b: Array) -> float:
    """Give the one-sided p-value of A's mean being above B's, from tables (S, E) of [0, 1]."""
    if float(a.mean()) <= float(b.mean()):
        return 1.0 - two_sided(a, b) / 2
    return two_sided(a, b) / 2


def two_sided(a: Array, b: Array) -> float:
    """Give the p-value of equal means: exact McNemar for one training of 0/1 each, or `crossed`."""
    binary = all(np.isin(table, (0, 1)).all() for table in (a, b))
    if binary and a.shape[0] == b.shape[0] == 1:
        return exact_mcnemar(int((a > b).sum()), int((a < b).sum()))
    return float(difference(a, b).p_value())

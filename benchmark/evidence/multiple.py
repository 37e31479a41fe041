"""Many comparisons in one table: corrected p-values, and which policies may be the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evidence.effects import Effect, difference

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
        members: Their names, by falling mean of what was compared.
        judged_by: The column that was compared, "is_success" or "score".
        level: One-sided level of each of its tests, alpha / (m - 1).
    """

    members: tuple[str, ...]
    judged_by: str
    level: float


def best_set(policies: Mapping[str, pd.DataFrame], alpha: float = 0.05) -> Best:
    """Say which policies cannot be told from the best one.

    A policy leaves the set when some other one is better at level alpha / (m - 1), one-sided, by
    its p-value and by its interval. The best leaves only if one of m - 1 such tests errs, so it
    stays with chance 1 - alpha, whichever policy leads in the sample: nothing is picked before
    testing. Scores are compared, and success where the highest mean score lies at SATURATED or
    above: scores hardly differ there.

    Args:
        policies: Episodes by policy, see `effects`.
        alpha: Chance of losing the best.

    Raises:
        ValueError: If there is no policy, or two share no episode.
    """
    if not policies:
        raise ValueError("no policies to find the best of")
    means = {name: own[["score", "is_success"]].mean() for name, own in policies.items()}
    highest = max(float(mean["score"]) for mean in means.values())
    judged_by = "is_success" if highest >= SATURATED else "score"
    names = sorted(policies, key=lambda name: -float(means[name][judged_by]))
    level = alpha / max(1, len(names) - 1)
    members = tuple(
        name
        for name in names
        if not any(
            is_better(difference(policies[other], policies[name], judged_by), level)
            for other in names
            if other != name
        )
    )
    return Best(members, judged_by, level)


def is_better(effect: Effect, level: float) -> bool:
    """Whether an effect lies above 0 at a one-sided level, by its interval and its p-value."""
    interval = effect.interval(1 - 2 * level)
    return interval.low > 0 and interval.low < interval.high and effect.p_value() <= 2 * level

"""Whether something costs nothing: tests of equivalence within a margin argued beforehand.

"No difference was found" is no evidence of none. Two one-sided tests (Schuirmann, J. Pharmacokin.
Biopharm. 1987) reverse the burden: the difference must be shown to lie within the margin.
"""

from dataclasses import dataclass

import numpy as np

from benchmark.evidence.crossed import Array, Contrast
from benchmark.evidence.stats import Interval


@dataclass(frozen=True)
class Equivalence:
    """A difference against a margin.

    Attributes:
        p_value: Of the difference lying at the margin or beyond.
        interval: The difference with its 1 - 2 alpha interval, which lies within the margin
            exactly where the p-value is below alpha.
        margin: The largest difference that counts as none.
        shown: Whether the p-value is below alpha.
    """

    p_value: float
    interval: Interval
    margin: float
    shown: bool


def equivalent(contrast: Contrast, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test that a difference lies within (-margin, margin)."""
    p = max(float(_below(contrast, margin)), float(_above(contrast, -margin)))
    return _answer(contrast, p, margin, alpha)


def not_worse(contrast: Contrast, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test that a difference lies above -margin: that A costs no more than the margin against B."""
    return _answer(contrast, float(_above(contrast, -margin)), margin, alpha)


def _answer(contrast: Contrast, p: float, margin: float, alpha: float) -> Equivalence:
    if margin <= 0:
        raise ValueError(f"margin {margin}: must be above 0, and argued before looking")
    return Equivalence(p, contrast.interval(1 - 2 * alpha), margin, p < alpha)


def _below(contrast: Contrast, value: float) -> Array:
    """One-sided p-values of the contrast being `value` or more."""
    half = contrast.p_values(value) / 2
    return np.where(contrast.estimate < value, half, 1 - half)


def _above(contrast: Contrast, value: float) -> Array:
    """One-sided p-values of the contrast being `value` or less."""
    half = contrast.p_values(value) / 2
    return np.where(contrast.estimate > value, half, 1 - half)

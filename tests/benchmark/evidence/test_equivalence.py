"""Equivalence: the p-value and the interval inside the margin say the same."""

import numpy as np
import pytest

from benchmark.evidence.crossed import difference
from benchmark.evidence.equivalence import equivalent, not_worse


@pytest.mark.parametrize("case", range(12))
def test_equivalence_is_shown_exactly_where_the_interval_lies_within_the_margin(case: int) -> None:
    rng = np.random.default_rng(case)
    a, b = ((rng.random((5, 200)) < rate).astype(float) for rate in (0.8, 0.8 - 0.01 * case))
    contrast = difference(a, b)
    low, high = contrast.limits(0.9)
    for margin in (0.02, 0.05, 0.1, 0.2):
        answer = equivalent(contrast, margin)
        assert answer.shown == (answer.p_value < 0.05) == bool(-margin < low and high < margin)
        assert not_worse(contrast, margin).shown == bool(-margin < low)


def test_equal_means_within_a_wide_interval_are_no_evidence_of_equality() -> None:
    a = np.tile([0.0, 1.0], (3, 5))
    assert not equivalent(difference(a, a), 0.05).shown


def test_a_margin_must_be_above_0() -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalent(difference(np.ones((3, 9)), np.ones((3, 9))), 0.0)

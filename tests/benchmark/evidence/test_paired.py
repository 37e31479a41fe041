"""Paired success against brute force: binomial sums and a likelihood maximised numerically."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import t as student

from benchmark.evidence.paired import exact_mcnemar, success_difference

COUNTS = [(14, 0), (4, 0), (0, 0), (1, 1), (10, 3), (3, 10), (25, 20), (7, 1), (0, 6), (30, 12)]


@pytest.mark.parametrize(("n10", "n01"), COUNTS)
def test_exact_mcnemar_is_the_sum_over_all_as_unlikely_outcomes(n10: int, n01: int) -> None:
    n = n10 + n01
    tail = sum(math.comb(n, k) for k in range(max(n10, n01), n + 1)) / 2**n
    assert exact_mcnemar(n10, n01) == pytest.approx(min(1.0, 2 * tail), abs=1e-12)


def profile_statistic(n10: float, n01: float, n: float, delta: float) -> float:
    """The score statistic, the chance of B alone found by maximising the likelihood."""

    def minus_log_likelihood(q: float) -> float:
        chances = q + delta, q, 1 - 2 * q - delta
        return -sum(
            count * math.log(max(p, 1e-300))
            for count, p in zip((n10, n01, n - n10 - n01), chances, strict=True)
        )

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    q = minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    return (n10 - n01 - n * delta) / math.sqrt(n * (2 * q + delta - delta**2))


@pytest.mark.parametrize(("n10", "n01"), COUNTS)
def test_the_score_statistic_reaches_the_quantile_at_both_limits(n10: int, n01: int) -> None:
    n = 50
    interval = success_difference(n10, n01, n)
    quantile = student.ppf(0.975, n - 1)
    for limit, sign in ((interval.low, 1), (interval.high, -1)):
        statistic = profile_statistic(n10 + 0.25, n01 + 0.25, n + 0.5, limit)
        assert statistic == pytest.approx(sign * quantile, rel=1e-3)


def test_no_disagreement_still_leaves_a_width() -> None:
    interval = success_difference(0, 0, 50)
    assert interval.estimate == 0
    assert interval.low < -0.05
    assert interval.high > 0.05


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="pairs"):
        success_difference(30, 30, 50)
    with pytest.raises(ValueError, match="negative"):
        exact_mcnemar(-1, 2)


def test_limits_fall_inside_the_range_and_mirror() -> None:
    for n10, n01 in COUNTS:
        one, other = success_difference(n10, n01, 50), success_difference(n01, n10, 50)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
        assert -1 <= one.low < one.high <= 1
        assert np.isclose(one.estimate, (n10 - n01) / 50)

"""Intervals over trainings and states against written-out formulas and a known truth."""

import math

import numpy as np
import pytest
from scipy.stats import t as student

from benchmark.evidence.crossed import Contrast, Term, difference, mean


def by_hand(terms: list[tuple[float, np.ndarray]], level: float) -> tuple[float, float]:
    """The limits with loops and no arrays, outcomes within [0, 1]."""

    def back(centre: float, half: float) -> tuple[float, float]:
        odds, step = math.log(centre / (1 - centre)), half / (centre * (1 - centre))
        return 1 / (1 + math.exp(step - odds)), 1 / (1 + math.exp(-step - odds))

    E = terms[0][1].shape[1]
    variances, means = [], []
    for _, table in terms:
        rates = [sum(row) / E for row in table.tolist()]
        m = sum(rates) / len(rates)
        means.append(m)
        variances.append(sum((r - m) ** 2 for r in rates) / (len(rates) - 1) ** 2)
    dfs = [len(table) - 1 for _, table in terms]
    weighted = [w * w * v for (w, _), v in zip(terms, variances, strict=True)]
    df = sum(weighted) ** 2 / sum(v * v / d for v, d in zip(weighted, dfs, strict=True))
    q = student.ppf((1 + level) / 2, df)
    below = above = 0.0
    for (w, _), m, v in zip(terms, means, variances, strict=True):
        low, high = back(m, q * math.sqrt(v))
        down, up = (m - low, high - m) if w > 0 else (high - m, m - low)
        below, above = below + (w * down) ** 2, above + (w * up) ** 2
    least = sum(min(w, 0) for w, _ in terms)
    span = sum(abs(w) for w, _ in terms)
    columns = [sum(w * t[:, e].mean() for w, t in terms) for e in range(E)]
    scaled = [*((c - least) / span for c in columns), 0.0, 1.0]
    centre = sum(scaled) / (E + 2)
    variance = sum((x - centre) ** 2 for x in scaled) / (E + 1) / (E + 2)
    low, high = back(centre, student.ppf((1 + level) / 2, E - 1) * math.sqrt(variance))
    estimate = sum(w * m for (w, _), m in zip(terms, means, strict=True))
    down = max(0.0, estimate - (least + span * low))
    up = max(0.0, least + span * high - estimate)
    return estimate - math.hypot(math.sqrt(below), down), estimate + math.hypot(
        math.sqrt(above), up
    )


def draw(rng: np.random.Generator, S: int, E: int) -> np.ndarray:
    rates = rng.uniform(0.3, 0.8, (S, 1))
    return (rng.random((S, E)) < rates).astype(float)


@pytest.mark.parametrize("case", range(12))
def test_limits_are_the_written_out_formula(case: int) -> None:
    rng = np.random.default_rng(case)
    S, E = int(rng.integers(2, 8)), int(rng.integers(20, 90))
    a, b, level = draw(rng, S, E), draw(rng, S + case % 3, E), [0.9, 0.95, 0.99][case % 3]
    for contrast, terms in ((mean(a), [(1.0, a)]), (difference(a, b), [(1.0, a), (-1.0, b)])):
        expected = by_hand(terms, level)
        least, most = (0.0, 1.0) if len(terms) == 1 else (-1.0, 1.0)
        clipped = max(least, expected[0]), min(most, expected[1])
        assert contrast.limits(level) == pytest.approx(clipped, abs=1e-9)


@pytest.mark.parametrize("case", range(10))
def test_the_p_value_is_where_the_interval_just_reaches_the_value(case: int) -> None:
    rng = np.random.default_rng(case)
    contrast = difference(draw(rng, 4, 60), draw(rng, 5, 60))
    p = float(contrast.p_value(0.0))
    if p < 0.99:
        low, high = contrast.limits(1 - p)
        assert min(abs(low), abs(high)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.7])
@pytest.mark.parametrize("S", [1, 3, 10])
def test_equal_outcomes_still_leave_a_width(value: float, S: int) -> None:
    interval = mean(np.full((S, 50), value)).interval()
    assert interval.high - interval.low > 0.01
    assert 0 <= interval.low <= value <= interval.high <= 1


def test_swapping_the_policies_mirrors_the_difference() -> None:
    rng = np.random.default_rng(0)
    a, b = draw(rng, 3, 50), draw(rng, 4, 50)
    low, high = difference(a, b).limits(0.95)
    assert difference(b, a).limits(0.95) == pytest.approx((-high, -low), abs=1e-12)


def test_scores_on_another_scale_give_the_same_interval_on_that_scale() -> None:
    table = draw(np.random.default_rng(1), 3, 50)
    low, high = mean(table).limits(0.95)
    scaled = mean(100 + 300 * table, (100.0, 400.0)).limits(0.95)
    assert scaled == pytest.approx((100 + 300 * low, 100 + 300 * high), abs=1e-9)


def test_repetitions_along_leading_axes_are_each_their_own() -> None:
    tables = np.random.default_rng(2).random((4, 3, 30))
    low, high = mean(tables).limits(0.95)
    for k, table in enumerate(tables):
        assert (low[k], high[k]) == pytest.approx(mean(table).limits(0.95))


def test_a_collapsed_training_reaches_further_down_than_up() -> None:
    table = np.ones((3, 100))
    table[0, :40] = 0
    interval = mean(table).interval()
    assert interval.estimate - interval.low > 3 * (interval.high - interval.estimate)


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="shape"):
        mean(np.ones(5))
    with pytest.raises(ValueError, match="gaps"):
        mean(np.full((2, 5), np.nan))
    with pytest.raises(ValueError, match="bounds"):
        mean(np.full((2, 5), 3.0))
    with pytest.raises(ValueError, match="same episodes"):
        Contrast([Term(np.ones((2, 5))), Term(np.ones((2, 6)))])
    with pytest.raises(ValueError, match="confidence"):
        mean(np.ones((2, 5))).limits(95)

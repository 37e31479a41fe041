"""Time to success against scipy's Kaplan-Meier estimate."""

import numpy as np
import pytest
from scipy.stats import CensoredData, ecdf

from benchmark.evidence.crossed import mean
from benchmark.evidence.survival import time_to_success


@pytest.mark.parametrize("case", range(10))
def test_the_curve_is_the_kaplan_meier_estimate(case: int) -> None:
    rng = np.random.default_rng(case)
    steps = rng.integers(20, 300, (1 + case % 4, 30)).astype(float)
    steps[steps > 200] = np.inf
    curve = time_to_success(steps, limit=200)
    solved = np.isfinite(steps)
    data = CensoredData(uncensored=steps[solved], right=np.full((~solved).sum(), 200.0))
    assert curve.solved == pytest.approx(ecdf(data).cdf.evaluate(curve.steps), abs=1e-12)


def test_the_band_at_a_time_is_the_interval_of_the_share_solved_by_then() -> None:
    steps = np.random.default_rng(0).integers(20, 300, (3, 40)).astype(float)
    curve = time_to_success(steps, limit=300, at=np.array([50.0, 150.0]))
    for k, time in enumerate((50, 150)):
        expected = mean((steps <= time).astype(float)).limits(0.95)
        assert (curve.low[k], curve.high[k]) == pytest.approx(expected)


def test_nothing_is_said_beyond_the_limit() -> None:
    with pytest.raises(ValueError, match="beyond the limit"):
        time_to_success(np.full((1, 5), 10.0), limit=100, at=np.array([150.0]))

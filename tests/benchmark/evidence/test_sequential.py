"""The betting comparison against products written out, and its errors under optional stopping."""

import math

import numpy as np
import pytest

from benchmark.evidence.sequential import UntilDecided, log_wealth
from benchmark.evidence.stopping import fixed_size, stopping_times


@pytest.mark.parametrize("case", range(12))
def test_wealth_is_the_mean_over_stakes_of_the_product_of_gains(case: int) -> None:
    rng = np.random.default_rng(case)
    differences = rng.integers(-1, 2, 30).astype(float)
    value = float(rng.uniform(-0.3, 0.3))
    total = 0.0
    for k in range(32):
        wealth = 1.0
        for d in differences:
            wealth *= 1 + (k + 0.5) / 32 * (d - value) / (1 + value)
        total += wealth / 32
    assert log_wealth(differences, value)[-1] == pytest.approx(math.log(total), abs=1e-9)


@pytest.mark.parametrize("case", range(10))
def test_taken_one_by_one_it_decides_when_the_whole_path_does(case: int) -> None:
    rng = np.random.default_rng(case)
    a, b = rng.random(300) < 0.9, rng.random(300) < 0.6
    comparison = UntilDecided()
    while comparison.decision == "undecided":
        k = comparison.episodes
        comparison.add(float(a[k]), float(b[k]))
    path = log_wealth(a.astype(float) - b)
    assert comparison.decision == "A"
    assert comparison.episodes == int((path >= math.log(40)).argmax()) + 1
    interval = comparison.interval()
    assert 0 <= interval.low <= interval.estimate <= interval.high


def test_false_decisions_stay_below_five_percent_whenever_one_stops() -> None:
    rng = np.random.default_rng(0)
    for rate in (0.5, 0.8):
        _, decided = stopping_times(rate, rate, 2000, rng, cap=500)
        assert (decided != 0).mean() <= 0.05


def test_a_clear_difference_takes_fewer_episodes_than_a_test_planned_for_a_smaller_one() -> None:
    used, decided = stopping_times(0.9, 0.5, 400, np.random.default_rng(0), cap=500)
    assert (decided == 1).mean() > 0.99
    planned = fixed_size(0.9, 0.7)
    assert planned is not None
    assert used.mean() < 0.6 * planned


def test_equal_policies_end_as_equal_within_a_margin() -> None:
    rng = np.random.default_rng(0)
    comparison = UntilDecided(margin=0.1)
    for _ in range(2000):
        same = rng.random() < 0.8
        if comparison.add(float(same), float(same)) != "undecided":
            break
    assert comparison.decision == "equal"
    interval = comparison.interval()
    assert -0.1 < interval.low < interval.high < 0.1


def test_several_networks_of_a_policy_are_averaged_in_each_state() -> None:
    one, other = UntilDecided(), UntilDecided()
    for _ in range(20):
        one.add([1, 1, 0], [0, 1])
        other.add(2 / 3, 1 / 2)
    assert one.interval() == other.interval()


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="outcomes"):
        UntilDecided().add(2.0, 0.0)
    with pytest.raises(ValueError, match="alpha"):
        UntilDecided(alpha=5)
    with pytest.raises(ValueError, match="no episodes"):
        UntilDecided().interval()

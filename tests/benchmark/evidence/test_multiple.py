"""Corrections against brute force over all subsets of hypotheses."""

import itertools

import numpy as np
import pytest

from benchmark.evidence.crossed import difference
from benchmark.evidence.multiple import best_set, holm


def closed_bonferroni(p: np.ndarray) -> list[float]:
    """Holm by its definition: the worst Bonferroni p-value of all subsets holding a hypothesis."""
    m = len(p)
    subsets = [s for size in range(1, m + 1) for s in itertools.combinations(range(m), size)]
    return [
        max(min(1.0, len(s) * min(p[k] for k in s)) for s in subsets if i in s) for i in range(m)
    ]


@pytest.mark.parametrize("case", range(12))
def test_holm_is_closed_testing_with_bonferroni(case: int) -> None:
    rng = np.random.default_rng(case)
    p = rng.random(1 + case % 7) ** 3
    assert holm(p) == pytest.approx(closed_bonferroni(p))


def policy(rng: np.random.Generator, rate: float, S: int = 5, E: int = 100) -> np.ndarray:
    return (rng.random((S, E)) < rate).astype(float)


@pytest.mark.parametrize("case", range(10))
def test_a_policy_leaves_the_set_when_another_is_better_at_the_shared_level(case: int) -> None:
    rng = np.random.default_rng(case)
    rates = rng.uniform(0.5, 0.95, 4)
    tables = {f"m{k}": policy(rng, rate) for k, rate in enumerate(rates)}
    members = {
        name
        for name in tables
        if all(
            difference(tables[other], tables[name]).limits(1 - 2 * 0.05 / 3)[0] <= 0
            for other in tables
            if other != name
        )
    }
    assert set(best_set(tables).members) == members


def test_scores_are_compared_until_they_saturate() -> None:
    rng = np.random.default_rng(0)
    success = {"a": policy(rng, 0.9), "b": policy(rng, 0.4)}
    low = {name: 0.5 * table + 0.2 for name, table in success.items()}
    high = {name: np.full((5, 100), 0.99) for name in success}
    assert best_set(success, low).judged_by == "score"
    saturated = best_set(success, high)
    assert saturated.judged_by == "success"
    assert saturated.members == ("a",)


def test_one_training_each_is_judged_by_exact_mcnemar() -> None:
    a, b = np.ones((1, 50)), np.ones((1, 50))
    b[0, :5] = 0  # 5:0, two-sided p = 1/16
    assert best_set({"a": a, "b": b}).p_values["b"] == pytest.approx(1 / 32)


def test_a_single_policy_is_its_own_best() -> None:
    assert best_set({"a": np.ones((3, 20))}).members == ("a",)

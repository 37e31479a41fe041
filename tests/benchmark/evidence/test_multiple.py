"""Corrections against brute force over all subsets of hypotheses."""

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence.crossed import difference
from benchmark.evidence.multiple import best_set, holm
from benchmark.evidence.stats import episode_table

EpisodesMaker = Callable[..., pd.DataFrame]


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


def policy(
    make_episodes: EpisodesMaker, rng: np.random.Generator, name: str, rate: float, S: int = 5
) -> pd.DataFrame:
    solved = rng.random((S, 100)) < rate
    return make_episodes(name, np.where(solved, 1.0, 0.3))


@pytest.mark.parametrize("case", range(10))
def test_a_policy_leaves_the_set_when_another_is_better_at_the_shared_level(
    case: int, make_episodes: EpisodesMaker
) -> None:
    rng = np.random.default_rng(case)
    rates = rng.uniform(0.5, 0.8, 4)
    policies = {f"m{k}": policy(make_episodes, rng, f"m{k}", rate) for k, rate in enumerate(rates)}
    tables = {name: episode_table(own, "score").to_numpy() for name, own in policies.items()}
    members = {
        name
        for name in tables
        if all(
            difference(tables[other], tables[name]).limits(1 - 2 * 0.05 / 3)[0] <= 0
            for other in tables
            if other != name
        )
    }
    found = best_set(policies)
    assert found.judged_by == "score"
    assert set(found.members) == members


def test_scores_are_compared_until_they_saturate(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(0)
    policies = {
        name: policy(make_episodes, rng, name, rate) for name, rate in (("a", 0.8), ("b", 0.4))
    }
    assert best_set(policies).judged_by == "score"
    saturated = best_set({name: own.assign(score=0.99) for name, own in policies.items()})
    assert saturated.judged_by == "is_success"
    assert saturated.members == ("a",)


@pytest.mark.parametrize(("lost", "members"), [(5, ("a", "b")), (6, ("a",))])
def test_one_training_each_is_judged_by_exact_mcnemar(
    lost: int, members: tuple[str, ...], make_episodes: EpisodesMaker
) -> None:
    """5:0 has a one-sided p of 1/32, 6:0 of 1/64; level 0.025 here."""
    a, b = np.ones(50), np.ones(50)
    b[:lost] = 0.99
    policies = {name: make_episodes(name, scores[None]) for name, scores in (("a", a), ("b", b))}
    assert best_set(policies, alpha=0.025).members == members


def test_a_single_policy_is_its_own_best(make_episodes: EpisodesMaker) -> None:
    assert best_set({"a": make_episodes("a", np.ones((3, 20)))}).members == ("a",)

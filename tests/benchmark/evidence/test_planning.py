"""What effects could have shown, and what would decide them, where the answer is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence.effects import (
    Effect,
    TrainingDifference,
    Unknown,
    contrast,
    difference,
    mean,
    ratio,
)
from benchmark.evidence.planning import detectable, needed, spread
from benchmark.evidence.verdicts import Claim, judge

EpisodesMaker = Callable[..., pd.DataFrame]


def test_the_spread_of_a_difference_is_that_of_both_policies(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(0)

    def table() -> np.ndarray:
        return 0.5 + 0.05 * rng.standard_normal((200, 1)) + 0.1 * rng.standard_normal((200, 100))

    a, b = (make_episodes(name, table()) for name in ("ibc", "bet"))
    found = spread(difference(a, b))
    assert found is not None
    assert found.training == pytest.approx(2 * 0.05**2, rel=0.2)
    assert found.rest == pytest.approx(2 * 0.1**2, rel=0.05)
    assert found.episode < 1e-4


def test_two_settings_of_the_same_networks_have_the_spread_of_their_differences(
    make_episodes: EpisodesMaker,
) -> None:
    rng = np.random.default_rng(0)
    table = 0.5 + 0.05 * rng.standard_normal((5, 1)) + 0.1 * rng.standard_normal((5, 100))
    a, b = make_episodes("ibc", table), make_episodes("ibc", table - 0.2)
    found = spread(difference(a, b))
    assert found is not None
    parts = (found.training, found.episode, found.rest)
    assert parts == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("seeds", [1, 3, 10])
def test_more_seeds_and_more_episodes_show_smaller_differences(
    make_episodes: EpisodesMaker, seeds: int
) -> None:
    def shown(seeds: int, episodes: int) -> float:
        rng = np.random.default_rng(3)
        tables = rng.random((2, 20, 400))[:, :seeds, :episodes]
        return detectable(
            difference(*(make_episodes(n, t) for n, t in zip("ab", tables, strict=True)))
        )

    assert 0 < shown(seeds, 400) < shown(seeds, 50)
    assert shown(2 * seeds + 1, 400) < shown(seeds + 1, 400)


def test_a_true_difference_of_the_detectable_size_is_found_about_so_often(
    make_episodes: EpisodesMaker,
) -> None:
    rng = np.random.default_rng(0)

    def drawn(level: float) -> pd.DataFrame:
        trainings = 0.03 * rng.standard_normal((5, 1))
        return make_episodes(str(level), level + trainings + 0.1 * rng.standard_normal((5, 60)))

    size = float(np.median([detectable(difference(drawn(0.4), drawn(0.5))) for _ in range(40)]))
    found = [difference(drawn(0.4 + size), drawn(0.4)).p_value() < 0.05 for _ in range(150)]
    assert 0.65 < np.mean(found) <= 0.97


def test_where_no_possible_truth_would_be_found_the_detectable_one_is_infinite(
    make_episodes: EpisodesMaker,
) -> None:
    two = difference(make_episodes("a", [[0.0, 1.0]]), make_episodes("b", [[1.0, 0.0]]))
    assert detectable(two) == np.inf


def test_a_ratio_is_told_apart_in_its_own_unit(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(0)
    a, b = (
        make_episodes(n, rng.random((5, 100))).assign(cost=lambda f: 100 + f["score"])
        for n in ("a", "b")
    )
    assert 0 < detectable(ratio(a, b, "cost"), 1.0) < 0.02
    assert detectable(ratio(a, b, "cost"), 1.0) < detectable(ratio(a, b, "score"), 1.0)


def test_one_training_plans_episodes_and_several_plan_seeds(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(0)
    tables = rng.random((2, 4, 100))
    one, four = (
        difference(make_episodes("a", tables[0, :n]), make_episodes("b", tables[1, :n]))
        for n in (1, 4)
    )
    assert needed(one, 0.3) == "50 episodes for these networks; 3 seeds for methods"
    assert needed(one, 1e-5) == "over 10000 episodes for these networks"
    assert needed(four, 0.3) == "3 seeds x 50 episodes"
    assert needed(four, 1e-6) == "over 1000 seeds"
    assert needed(four, 0.0) == ""


@pytest.mark.parametrize(
    "effect", [Unknown(0.3, 2), TrainingDifference(np.array([1.0]), np.array([2.0]), 9)]
)
def test_what_tells_no_spread_plans_nothing(effect: Effect) -> None:
    assert np.isnan(detectable(effect))
    assert needed(effect, 0.1) == ""


def test_a_number_of_each_training_plans_seeds_alone() -> None:
    a, b = np.array([0.3, 0.5, 0.4]), np.array([0.1, 0.3, 0.2])
    effect = TrainingDifference(a, b, 200)
    assert 0.2 < detectable(effect) < 1
    assert needed(effect, 0.2) == "6 seeds"


def test_an_undecided_verdict_says_what_would_decide_it_and_a_decided_one_does_not(
    make_episodes: EpisodesMaker,
) -> None:
    rng = np.random.default_rng(5)
    table = 0.4 + 0.2 * rng.random((3, 60))
    a, b = make_episodes("a", table), make_episodes("b", 0.4 + 0.2 * rng.random((3, 60)))
    far = make_episodes("c", 0.3 * rng.random((3, 60)))
    near, apart = judge(
        [Claim("equal", "score", difference(a, b)), Claim("above", "score", difference(a, far))]
    )
    assert (near.answer, apart.answer) == ("undecided", "holds")
    assert "seeds" in near.needs
    assert apart.needs == ""
    assert 0 < near.detectable < 0.2
    assert np.isfinite(apart.detectable)


def test_the_outlook_of_a_change_of_changes_holds_all_four(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(2)
    frames = [make_episodes(str(i), rng.random((3, 50))) for i in range(4)]
    four = contrast([(w, f) for w, f in zip((1.0, -1.0, -1.0, 1.0), frames, strict=True)])
    assert detectable(four) > detectable(difference(frames[0], frames[1]))
    assert np.isfinite(detectable(mean(frames[0]), 0.5))

"""Intervals against closed forms and other implementations, and against a known truth."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from benchmark.evidence.stats import (
    Interval,
    bootstrap_mean,
    compare,
    contrast,
    mean_score,
    relative_change,
    seed_table,
    success_rate,
    wilson,
)

EpisodesMaker = Callable[..., pd.DataFrame]


def wilson_closed_form(k: int, n: int, z: float) -> tuple[float, float]:
    p = k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def hierarchical_interval(table: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap that this benchmark does not use: episodes drawn anew within each seed."""
    S, E = table.shape
    rows = rng.integers(S, size=(1000, S, 1))
    columns = rng.integers(E, size=(1000, S, E))
    low, high = np.quantile(table[rows, columns].mean(axis=(1, 2)), [0.025, 0.975])
    return low, high


@pytest.mark.parametrize(("k", "n"), [(0, 50), (1, 50), (32, 50), (50, 50), (0, 1), (478, 500)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_is_the_closed_form(k: int, n: int, confidence: float) -> None:
    z = scipy.stats.norm.ppf(0.5 + confidence / 2)
    interval = wilson(k, n, confidence)
    assert interval.estimate == k / n
    assert (interval.low, interval.high) == pytest.approx(wilson_closed_form(k, n, z), abs=1e-12)


def test_wilson_covers_the_true_rate_95_percent_of_the_time_on_average() -> None:
    n, rates = 50, np.linspace(0.02, 0.98, 97)
    limits = [wilson(k, n) for k in range(n + 1)]
    low = np.array([limit.low for limit in limits])
    high = np.array([limit.high for limit in limits])
    chances = scipy.stats.binom.pmf(np.arange(n + 1), n, rates[:, None])  # (rates, n + 1)
    coverage = (chances * ((low <= rates[:, None]) & (rates[:, None] <= high))).sum(axis=1)
    assert coverage.mean() == pytest.approx(0.95, abs=0.01)
    assert coverage.min() > 0.9


@pytest.mark.parametrize(("k", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_rejects_counts_that_cannot_be(k: int, n: int) -> None:
    with pytest.raises(ValueError, match=str(min(k, n) if k <= n else k)):
        wilson(k, n)


def test_a_confidence_given_in_percent_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"95.*such as 0\.95"):
        wilson(3, 5, 95)


def test_success_rate_counts_all_episodes_of_all_training_seeds(
    make_episodes: EpisodesMaker,
) -> None:
    rate = success_rate(make_episodes("ibc", [[1.0, 1.0, 0.5], [1.0, 0.2, 0.3]]))
    assert rate == wilson(3, 6)


def test_one_training_seed_agrees_with_the_percentile_bootstrap_of_scipy() -> None:
    scores = np.random.default_rng(0).beta(8, 1, 50)
    ours = bootstrap_mean(scores[None], np.random.default_rng(1), resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (scores,),
        np.mean,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.estimate == pytest.approx(scores.mean(), abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.03 * width)
    assert ours.method == "bootstrap over episodes"


def test_several_training_seeds_give_the_width_of_the_exact_resampling_variance() -> None:
    rng = np.random.default_rng(3)
    S, E = 8, 60
    table = rng.normal(0, 0.1, (S, 1)) + rng.normal(0, 0.2, (1, E)) + rng.normal(0, 0.1, (S, E))
    # Second moments of the multinomial counts of rows and columns: I + (1 - 1/n) 1 1'.
    row_moment = np.eye(S) + (1 - 1 / S)
    column_moment = np.eye(E) + (1 - 1 / E)
    second = np.einsum("ab,ij,ai,bj->", row_moment, column_moment, table, table) / (S * E) ** 2
    exact = math.sqrt(second - table.mean() ** 2)
    interval = bootstrap_mean(table, np.random.default_rng(4), resamples=40_000)
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(exact, rel=0.03)
    assert interval.method == "bootstrap over 8 training seeds and their episodes"


def test_the_interval_covers_the_truth_where_the_hierarchical_bootstrap_is_too_narrow() -> None:
    rng = np.random.default_rng(5)
    S, E, trials = 3, 50, 300
    hits, hierarchical_hits = 0, 0
    for _ in range(trials):
        run, state = rng.normal(0, 0.02, (S, 1)), rng.normal(0, 0.15, (1, E))
        table = 0.8 + run + state + rng.normal(0, 0.1, (S, E))
        interval = bootstrap_mean(table, rng, resamples=1000)
        hits += not interval.excludes(0.8)
        low, high = hierarchical_interval(table, rng)
        hierarchical_hits += low <= 0.8 <= high
    assert 0.9 <= hits / trials <= 0.98
    assert hierarchical_hits / trials < 0.85


def test_missing_episodes_are_left_out_of_the_mean() -> None:
    table = np.array([[1.0, np.nan, 0.4], [0.6, 0.2, np.nan]])
    interval = bootstrap_mean(table, np.random.default_rng(0))
    assert interval.estimate == pytest.approx((1.0 + 0.4 + 0.6 + 0.2) / 4)
    assert 0.2 <= interval.low < interval.estimate < interval.high <= 1.0


def test_one_episode_has_a_mean_and_no_limits(make_episodes: EpisodesMaker) -> None:
    interval = mean_score(make_episodes("ibc", [[0.7]]), np.random.default_rng(0))
    assert interval.estimate == 0.7
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert not interval.excludes(0.0)


def test_equal_generators_give_equal_intervals(make_episodes: EpisodesMaker) -> None:
    episodes = make_episodes("ibc", np.random.default_rng(0).random((3, 20)))
    first = mean_score(episodes, np.random.default_rng(9))
    again = mean_score(episodes, np.random.default_rng(9))
    assert first == again


def test_excludes_only_what_lies_outside() -> None:
    interval = Interval(0.5, 0.4, 0.6, 0.95, "Wilson")
    assert interval.excludes(0.39)
    assert interval.excludes(0.61)
    assert not interval.excludes(0.4)


def test_the_seed_table_has_a_row_for_every_training_seed(make_episodes: EpisodesMaker) -> None:
    table = seed_table(make_episodes("ibc", [[0.1, 0.2], [0.3, 0.4]]), "score")
    np.testing.assert_array_equal(table, [[0.1, 0.2], [0.3, 0.4]])


def test_an_empty_frame_is_an_error_that_says_what_to_do(make_episodes: EpisodesMaker) -> None:
    empty = make_episodes("ibc", [[0.5]]).iloc[:0]
    with pytest.raises(ValueError, match="run an evaluation"):
        mean_score(empty, np.random.default_rng(0))
    with pytest.raises(ValueError, match="without values"):
        bootstrap_mean(np.full((2, 3), np.nan), np.random.default_rng(0))


def test_mixed_checkpoints_are_an_error_that_names_the_episode(
    make_episodes: EpisodesMaker,
) -> None:
    episodes = make_episodes("ibc", [[0.5, 0.6]])
    mixed = pd.concat([episodes, episodes.assign(checkpoint="1000")])
    with pytest.raises(ValueError, match="episode seed 100000 of training seed 42"):
        mean_score(mixed, np.random.default_rng(0))


def test_a_paired_comparison_gives_the_mean_differences(make_episodes: EpisodesMaker) -> None:
    a = make_episodes("a", [[1.0, 1.0, 0.5, 0.4]])
    b = make_episodes("b", [[1.0, 0.8, 0.6, 0.2]])
    result = compare(a, b, np.random.default_rng(0))
    assert result.score.estimate == pytest.approx((0 + 0.2 - 0.1 + 0.2) / 4)
    assert result.success.estimate == pytest.approx(1 / 4)
    assert result.better.estimate == pytest.approx((0.5 + 1 + 0 + 1) / 4)
    assert (result.pairs, result.unmatched) == (4, 0)


def test_pairing_cancels_the_difficulty_that_both_share(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(6)
    difficulty = rng.uniform(0, 0.8, (1, 50))
    a = make_episodes("a", difficulty + 0.10 + rng.normal(0, 0.02, (1, 50)))
    b = make_episodes("b", difficulty + 0.05 + rng.normal(0, 0.02, (1, 50)))
    result = compare(a, b, rng)
    alone = mean_score(a, rng)
    assert result.score.excludes(0.0)
    assert result.better.low > 0.5
    assert result.score.high - result.score.low < 0.2 * (alone.high - alone.low)


def test_comparing_the_other_way_round_changes_the_sign(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(7)
    a, b = (make_episodes(name, rng.random((2, 30))) for name in "ab")
    forth = compare(a, b, np.random.default_rng(0))
    back = compare(b, a, np.random.default_rng(0))
    assert back.score.estimate == pytest.approx(-forth.score.estimate)
    assert (back.score.low, back.score.high) == pytest.approx((-forth.score.high, -forth.score.low))
    assert back.better.estimate == pytest.approx(1 - forth.better.estimate)


def test_only_equal_training_and_episode_seeds_are_paired(make_episodes: EpisodesMaker) -> None:
    a = make_episodes("a", [[0.9, 0.8, 0.7], [0.1, 0.1, 0.1]], train_seeds=[42, 43])
    b = make_episodes("b", [[0.5, 0.5]], train_seeds=[42])
    result = compare(a, b, np.random.default_rng(0))
    assert result.score.estimate == pytest.approx((0.4 + 0.3) / 2)
    assert (result.pairs, result.unmatched) == (2, 4)
    with pytest.raises(ValueError, match="share no"):
        compare(a, b.assign(train_seed=1), np.random.default_rng(0))


def test_a_contrast_of_two_is_the_paired_difference(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(3)
    a, b = (make_episodes("x", rng.uniform(size=(3, 20))) for _ in range(2))
    found = contrast(((1.0, a), (-1.0, b)), np.random.default_rng(0))
    expected = compare(a, b, np.random.default_rng(0)).score
    assert (found.estimate, found.low, found.high) == pytest.approx(
        (expected.estimate, expected.low, expected.high)
    )


def test_a_contrast_of_differences_cancels_what_both_share(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(3)
    difficulty = rng.normal(size=(1, 30))
    frames = [make_episodes("x", difficulty + shift) for shift in (0.3, 0.1, 0.5, 0.1)]
    terms = list(zip((1.0, -1.0, -1.0, 1.0), frames, strict=True))
    found = contrast(terms, np.random.default_rng(0))
    assert found.estimate == pytest.approx(-0.2)
    assert found.high - found.low < 1e-9


def test_a_contrast_uses_only_episodes_that_all_have(make_episodes: EpisodesMaker) -> None:
    a, b = make_episodes("x", [[1.0, 0.5, 0.0]]), make_episodes("x", [[0.5, 0.5]])
    assert contrast(((1.0, a), (-1.0, b)), np.random.default_rng(0)).estimate == 0.25


def test_a_contrast_without_common_episodes_is_refused(make_episodes: EpisodesMaker) -> None:
    a = make_episodes("x", [[1.0]])
    b = make_episodes("x", [[1.0]], train_seeds=[7])
    with pytest.raises(ValueError, match="share no"):
        contrast(((1.0, a), (-1.0, b)), np.random.default_rng(0))


def test_a_relative_change_of_proportional_scores_is_certain(make_episodes: EpisodesMaker) -> None:
    scores = np.random.default_rng(0).uniform(0.2, 0.8, size=(2, 30))
    a, b = make_episodes("x", 0.5 * scores), make_episodes("x", scores)
    found = relative_change(a, b, np.random.default_rng(0))
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.5, -0.5, -0.5))


def test_a_relative_change_from_nothing_has_no_limits(make_episodes: EpisodesMaker) -> None:
    a, b = make_episodes("x", [[1.0, 0.5]]), make_episodes("x", [[0.0, 0.0]])
    found = relative_change(a, b, np.random.default_rng(0))
    assert np.isnan([found.estimate, found.low, found.high]).all()
    assert "0" in found.method


def test_an_interval_becomes_columns_with_its_limits_beside_the_estimate() -> None:
    columns = Interval(0.5, 0.4, 0.6, 0.95, "made up").columns("score")
    assert columns == {"score": 0.5, "score_low": 0.4, "score_high": 0.6}

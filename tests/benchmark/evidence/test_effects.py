"""Effects of frames of episodes, against closed forms and against the tables behind them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from benchmark.evidence import crossed
from benchmark.evidence.effects import (
    TrainingDifference,
    contrast,
    difference,
    independent,
    mean,
    ratio,
)
from benchmark.evidence.paired import exact_mcnemar, success_difference
from benchmark.evidence.stats import Interval, Share, episode_table

EpisodesMaker = Callable[..., pd.DataFrame]


def limits(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


@pytest.mark.parametrize(("k", "n"), [(0, 50), (1, 50), (32, 50), (50, 50), (0, 1), (478, 500)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_a_share_has_the_limits_of_clopper_and_pearson(k: int, n: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low = scipy.stats.beta.ppf(tail, k, n - k + 1) if k else 0.0
    high = scipy.stats.beta.ppf(1 - tail, k + 1, n - k) if k < n else 1.0
    found = Share(k, n).interval(confidence)
    assert found.estimate == k / n
    assert limits(found) == pytest.approx((low, high), abs=1e-9)
    if k > 0:  # the p-value is one minus the confidence at which a limit reaches the value
        assert Share(k, n).p_value(low) == pytest.approx(1 - confidence, rel=1e-6)


@pytest.mark.parametrize("n", [50, 200])
def test_a_share_never_misses_the_truth_more_often_than_it_says(n: int) -> None:
    rates = np.linspace(0.001, 0.999, 999)
    found = [Share(k, n).interval() for k in range(n + 1)]
    low, high = np.array([limits(interval) for interval in found]).T
    chances = scipy.stats.binom.pmf(np.arange(n + 1), n, rates[:, None])
    missed = (chances * ((low > rates[:, None]) | (high < rates[:, None]))).sum(1)
    assert missed.max() < 0.05


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_an_impossible_count_is_an_error(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{n} episodes"):
        Share(successes, n)


def test_a_mean_over_several_trainings_is_that_of_their_table(make_episodes: EpisodesMaker) -> None:
    scores = np.random.default_rng(0).beta(2, 1, (3, 20))
    found = mean(make_episodes("ibc", scores).sample(frac=1, random_state=0))
    assert (found.seeds, found.episodes) == (3, 20)
    assert found.interval() == crossed.mean(scores).interval()


def test_one_training_has_the_exact_interval_of_its_successes(make_episodes: EpisodesMaker) -> None:
    frame = make_episodes("ibc", [[1.0] * 32 + [0.9] * 18])
    assert mean(frame, "is_success").interval() == Share(32, 50).interval()


def test_differences_take_the_episodes_that_all_have(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 20)), rng.random((4, 20))
    one, other = make_episodes("ibc", a), make_episodes("bet", b)
    gap = (one["train_seed"] == 43) & (one["seed"] == 300_000)
    found = difference(one[~gap], other)
    assert (found.seeds, found.episodes) == (3, 19)
    expected = crossed.difference(a[:, 1:], b[:, 1:])
    assert found.interval() == expected.interval()
    assert found.p_value() == expected.p_value()


def test_two_settings_of_the_same_networks_are_paired_by_training(
    make_episodes: EpisodesMaker,
) -> None:
    rng = np.random.default_rng(2)
    skill = rng.normal(0, 0.2, (5, 1))
    before = np.clip(0.5 + skill + rng.normal(0, 0.02, (5, 40)), 0, 1)
    after = np.clip(before - 0.15 + rng.normal(0, 0.02, (5, 40)), 0, 1)
    a, b = make_episodes("ibc", after), make_episodes("ibc", before)
    same = difference(a, b).interval()
    term = crossed.Term(after - before, 1.0, (-1.0, 1.0))
    assert same == crossed.Contrast([term]).interval()
    assert same.high < 0
    apart = difference(a, b.assign(cell="another")).interval()
    assert apart.low < 0 < apart.high


def test_success_of_one_training_each_is_compared_by_mcnemar(make_episodes: EpisodesMaker) -> None:
    a = make_episodes("ibc", [[1.0] * 12 + [0.0] * 8])
    b = make_episodes("bet", [[0.0] * 9 + [1.0] * 4 + [0.0] * 7])
    found = difference(a, b, "is_success")
    assert found.interval() == success_difference(9, 1, 20)
    assert found.p_value() == exact_mcnemar(9, 1)


@pytest.mark.parametrize("value", [-0.2, 0.1, 0.5])
def test_the_p_value_of_paired_success_is_where_its_interval_reaches(
    make_episodes: EpisodesMaker, value: float
) -> None:
    a = make_episodes("ibc", [[1.0] * 12 + [0.0] * 28])
    b = make_episodes("bet", [[0.0] * 9 + [1.0] * 4 + [0.0] * 27])
    found = difference(a, b, "is_success")
    p = found.p_value(value)
    assert found.interval(1 - 0.98 * p).holds(value)
    assert found.interval(1 - 1.02 * p).excludes(value)


def test_a_difference_of_differences_has_four_terms(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(3)
    a, a0, b, b0 = (rng.random((3, 30)) for _ in range(4))
    terms = (
        (1.0, make_episodes("ibc", a)),
        (-1.0, make_episodes("ibc", a0)),
        (-1.0, make_episodes("bet", b)),
        (1.0, make_episodes("bet", b0)),
    )
    found = contrast(terms).interval()
    expected = crossed.Contrast(
        [crossed.Term(a - a0, 1.0, (-1.0, 1.0)), crossed.Term(b0 - b, 1.0, (-1.0, 1.0))]
    ).interval()
    assert found.estimate == pytest.approx((a - a0 - b + b0).mean())
    assert limits(found) == pytest.approx(limits(expected))


@pytest.mark.parametrize("case", range(10))
def test_a_ratio_of_paired_values_is_fiellers(case: int) -> None:
    """Unbounded, one training: the closed form with Student's t."""
    rng = np.random.default_rng(case)
    n = int(rng.integers(8, 40))
    x, y = rng.normal(3, 1, n), rng.normal(5, 1, n)
    frame = pd.DataFrame({"train_seed": 0, "seed": range(n), "cell": "one"})
    found = ratio(frame.assign(value=x), frame.assign(value=y), "value").interval()
    t2 = scipy.stats.t.ppf(0.975, n - 1) ** 2
    (vx, vxy), (_, vy) = np.cov(x, y) / n
    roots = np.roots([y.mean() ** 2 - t2 * vy, -2 * (x.mean() * y.mean() - t2 * vxy),
                      x.mean() ** 2 - t2 * vx])  # fmt: skip
    assert limits(found) == pytest.approx(tuple(sorted(roots)), rel=1e-6)


def test_a_ratio_has_no_limits_where_the_divisor_may_be_nothing(
    make_episodes: EpisodesMaker,
) -> None:
    a, b = make_episodes("ibc", np.ones((1, 3))), make_episodes("bet", np.ones((1, 3)))
    found = ratio(a.assign(jitter=[5, 5, 4]), b.assign(jitter=[0, 5, 0]), "jitter").interval()
    assert found.estimate == pytest.approx(14 / 5)
    assert np.isnan(limits(found)).all()


def test_values_without_bounds_have_students_interval() -> None:
    values = np.array([3.0, 250.0, 80.0, np.nan, 41.0])
    known = values[~np.isnan(values)]
    expected = scipy.stats.ttest_1samp(known, 0).confidence_interval(0.95)
    assert limits(independent(values).interval()) == pytest.approx((expected.low, expected.high))
    assert np.isnan(independent(values[:1]).interval().low)


def test_a_number_a_training_is_compared_by_welchs_t() -> None:
    a, b = np.array([0.3, 0.5, 0.4]), np.array([0.1, 0.2, 0.1, 0.15])
    found = TrainingDifference(a, b, 50)
    assert found.p_value() == scipy.stats.ttest_ind(a, b, equal_var=False).pvalue
    assert not found.interval(1 - 1.01 * found.p_value()).holds(0)
    assert np.isnan(TrainingDifference(a[:1], b, 50).interval().low)


def test_a_third_partys_score_beyond_1_is_taken_as_unbounded(make_episodes: EpisodesMaker) -> None:
    scores = np.array([[3.0, 250.0, 80.0, 41.0]])
    expected = scipy.stats.ttest_1samp(scores[0], 0).confidence_interval(0.95)
    found = mean(make_episodes("own", scores)).interval()
    assert limits(found) == pytest.approx((expected.low, expected.high))


def test_one_episode_tells_no_limits(make_episodes: EpisodesMaker) -> None:
    found = mean(make_episodes("ibc", [[0.5]]))
    assert found.interval().estimate == 0.5
    assert np.isnan(found.interval().low)
    assert found.p_value() == 1.0


def test_frames_that_cannot_be_arranged_are_named(make_episodes: EpisodesMaker) -> None:
    frame = make_episodes("ibc", [[0.5, 0.6]])
    with pytest.raises(ValueError, match="occurs more than once"):
        mean(pd.concat([frame, frame]))
    with pytest.raises(ValueError, match="no episodes"):
        mean(frame.iloc[:0])
    with pytest.raises(ValueError, match="share no seed"):
        difference(frame, frame.assign(seed=frame["seed"] + 50))
    with pytest.raises(ValueError, match="in common"):
        episode_table(pd.concat([frame[:1], frame[1:].assign(train_seed=7)]), "score")

"""Intervals of scores and success rates, and comparisons of methods on equal episodes.

Every method is run with several training seeds on the same evaluation seeds, so the scores of a
method form a table of S training seeds by E episodes. Both count as random draws: another training
run and another initial state would give other scores. The bootstrap here draws rows and columns of
that table independently, with replacement (Owen, "The pigeonhole bootstrap", AoAS 2007). Drawing
episodes anew within each drawn training seed, the plain hierarchical bootstrap, would treat the
S x E initial states as all different and miss how much the E states shared by all seeds vary.
docs/statistics.md measures how often these intervals cover the truth.

Shapes: S training seeds, E episodes, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The value measured.
        low: Lower limit; NaN where one observation leaves nothing to estimate it from.
        high: Upper limit; NaN like `low`.
        confidence: Share of such intervals meant to cover the truth, 0.95 for a 95 % interval.
        method: How the limits were found, in words that can stand under a table.
    """

    estimate: float
    low: float
    high: float
    confidence: float
    method: str

    def excludes(self, value: float) -> bool:
        """Say whether `value` lies outside the interval (never, when there are no limits)."""
        return value < self.low or value > self.high

    def columns(self, name: str) -> dict[str, float]:
        """The estimate as a column `name`, its limits beside it as `name`_low and `name`_high."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Comparison:
    """Method A against method B on equal pairs of (training seed, episode seed).

    Attributes:
        score: Mean difference of score, A - B.
        success: Difference of success rate, A - B.
        better: Effect size: the chance that A scores higher than B on an equal pair, ties counting
            half; 0.5 where neither is better.
        pairs: Pairs compared.
        unmatched: Episodes of A or B without a partner, left out.
    """

    score: Interval
    success: Interval
    better: Interval
    pairs: int
    unmatched: int


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Give the score interval of a proportion (Wilson, JASA 1927).

    It treats the n trials as independent. Unlike the normal approximation, it stays within [0, 1]
    and keeps a width at 0 and n successes.

    Args:
        successes: Trials that succeeded.
        n: Trials.
        confidence: Nominal coverage, within (0, 1).

    Raises:
        ValueError: If there is no trial, or successes are not within [0, n].
    """
    _check_confidence(confidence)
    if n < 1:
        raise ValueError(f"{n} episodes: a success rate needs at least one")
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} episodes: must be within 0 and {n}")
    limits = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return Interval(successes / n, float(limits.low), float(limits.high), confidence, "Wilson")


def success_rate(episodes: pd.DataFrame, confidence: float = CONFIDENCE) -> Interval:
    """Give the success rate with its Wilson interval over all episodes of the frame."""
    return wilson(int(episodes["is_success"].sum()), len(episodes), confidence)


def mean_score(
    episodes: pd.DataFrame, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> Interval:
    """Give the mean score of one method with its bootstrap interval.

    Args:
        episodes: Episodes of one method under one setting, one row a (train_seed, seed).
        rng: Source of the resamples.
        confidence: Nominal coverage, within (0, 1).

    Raises:
        ValueError: If there is no episode, or one occurs twice.
    """
    return bootstrap_mean(seed_table(episodes, "score"), rng, confidence)


def seed_table(episodes: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """Arrange a column as a table (S, E) of training seeds by episode seeds, NaN where not run.

    Raises:
        ValueError: If there is no episode, or one occurs twice.
    """
    if episodes.empty:
        raise ValueError(f"no episodes to take the {column} of: run an evaluation first")
    pairs = episodes[["train_seed", "seed"]]
    twice = pairs[pairs.duplicated()]
    if not twice.empty:
        train_seed, seed = (int(value) for value in twice.iloc[0])
        raise ValueError(
            f"episode seed {seed} of training seed {train_seed} occurs more than once: the frame "
            "mixes checkpoints, settings or methods; select one of them first"
        )
    table = episodes.pivot(index="train_seed", columns="seed", values=column)
    return table.to_numpy(dtype=np.float64, na_value=np.nan)


def bootstrap_mean(
    table: NDArray[np.float64],
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Give the mean of a table with its percentile interval over resampled rows and columns.

    With one row the rows hold no information about their spread: the interval is then over the
    columns alone, and its method says so.

    Args:
        table: Values (S, E), NaN where there is none.
        rng: Source of the resamples.
        confidence: Nominal coverage, within (0, 1).
        resamples: Tables drawn, R.

    Raises:
        ValueError: If the table holds no value.
    """
    _check_confidence(confidence)
    known = ~np.isnan(table)
    if not known.any():
        raise ValueError(f"a table of shape {table.shape} without values has no mean")
    values = np.where(known, table, 0.0)
    S, E = table.shape
    over = "episodes" if S == 1 else f"{S} training seeds and their episodes"
    estimate = float(values.sum() / known.sum())
    if known.sum() == 1:
        return Interval(estimate, np.nan, np.nan, confidence, "none from one episode")
    row_counts = rng.multinomial(S, np.full(S, 1 / S), size=resamples)  # (R, S)
    column_counts = rng.multinomial(E, np.full(E, 1 / E), size=resamples)  # (R, E)
    totals = ((row_counts @ values) * column_counts).sum(axis=1)  # (R,)
    sizes = ((row_counts @ known) * column_counts).sum(axis=1)  # (R,)
    # A table with gaps can draw gaps only; such a resample has no mean.
    means = totals[sizes > 0] / sizes[sizes > 0]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), confidence, f"bootstrap over {over}")


def compare(
    a: pd.DataFrame, b: pd.DataFrame, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> Comparison:
    """Compare two methods on the pairs (train_seed, seed) that both have run.

    Differences are taken within pairs, so that an initial state hard for both adds no noise.

    Args:
        a: Episodes of one method under one setting.
        b: Episodes of the other.
        rng: Source of the resamples.
        confidence: Nominal coverage, within (0, 1).

    Raises:
        ValueError: If either is empty or holds an episode twice, or no pair matches.
    """
    for episodes in (a, b):
        seed_table(episodes, "score")
    columns = ["train_seed", "seed", "score", "is_success"]
    pairs = a[columns].merge(b[columns], on=["train_seed", "seed"], suffixes=("_a", "_b"))
    if pairs.empty:
        raise ValueError(
            f"{len(a)} and {len(b)} episodes share no (train_seed, seed): "
            "run both methods with the same training and evaluation seeds"
        )
    score = pairs["score_a"] - pairs["score_b"]
    differences = pairs.assign(
        score=score,
        success=pairs["is_success_a"].astype(float) - pairs["is_success_b"].astype(float),
        better=(score > 0) + 0.5 * (score == 0),
    )

    def interval(column: str) -> Interval:
        return bootstrap_mean(seed_table(differences, column), rng, confidence)

    return Comparison(
        score=interval("score"),
        success=interval("success"),
        better=interval("better"),
        pairs=len(pairs),
        unmatched=len(a) + len(b) - 2 * len(pairs),
    )


def contrast(
    terms: Sequence[tuple[float, pd.DataFrame]],
    rng: np.random.Generator,
    column: str = "score",
    confidence: float = CONFIDENCE,
) -> Interval:
    """Give a weighted sum of means over the pairs (train_seed, seed) that all frames have.

    A difference is ((1, a), (-1, b)); whether it differs from another difference has four terms.

    Args:
        terms: Weights, and episodes of one policy under one setting each.
        rng: Source of the resamples.
        column: What is averaged.
        confidence: Nominal coverage, within (0, 1).

    Raises:
        ValueError: If a frame holds an episode twice, or no pair is in all.
    """
    total: pd.Series[float] | None = None
    for weight, episodes in terms:
        seed_table(episodes, column)  # refuses doubles
        values = weight * episodes.set_index(["train_seed", "seed"])[column].astype(float)
        total = values if total is None else (total + values)
    pairs = pd.DataFrame() if total is None else total.dropna().rename(column).reset_index()
    if pairs.empty:
        raise ValueError(f"{len(terms)} sets of episodes share no (train_seed, seed)")
    return bootstrap_mean(seed_table(pairs, column), rng, confidence)


def relative_change(
    a: pd.DataFrame,
    b: pd.DataFrame,
    rng: np.random.Generator,
    column: str = "score",
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> Interval:
    """Give mean(a) / mean(b) - 1 on equal pairs, with its percentile interval.

    Training seeds and episodes are drawn together for both. A resample in which b's mean is 0 has
    no ratio; where there are any, or b's mean is 0, there are no limits.

    Args:
        a: Episodes of one policy under one setting.
        b: Episodes of the other.
        rng: Source of the resamples.
        column: What is averaged.
        confidence: Nominal coverage, within (0, 1).
        resamples: Tables drawn, R.

    Raises:
        ValueError: If a frame holds an episode twice, or no pair matches.
    """
    _check_confidence(confidence)
    columns = ["train_seed", "seed", column]
    for episodes in (a, b):
        seed_table(episodes, column)
    pairs = a[columns].merge(b[columns], on=columns[:2], suffixes=("_a", "_b"))
    if pairs.empty:
        raise ValueError(f"{len(a)} and {len(b)} episodes share no (train_seed, seed)")
    over, under = (np.nan_to_num(seed_table(pairs, f"{column}_{name}")) for name in "ab")
    S, E = over.shape
    rows = rng.multinomial(S, np.full(S, 1 / S), size=resamples)  # (R, S)
    columns_drawn = rng.multinomial(E, np.full(E, 1 / E), size=resamples)  # (R, E)
    sums_a = ((rows @ over) * columns_drawn).sum(axis=1)
    sums_b = ((rows @ under) * columns_drawn).sum(axis=1)
    whole = float(under.sum())
    estimate = float(over.sum()) / whole - 1 if whole else np.nan
    if (sums_b == 0).any():
        return Interval(estimate, np.nan, np.nan, confidence, "none: a mean of 0 was drawn")
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums_a / sums_b - 1, [tail, 1 - tail])
    over_what = "episodes" if S == 1 else f"{S} training seeds and their episodes"
    return Interval(
        estimate, float(low), float(high), confidence, f"paired bootstrap over {over_what}"
    )


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}: must lie within 0 and 1, such as 0.95")

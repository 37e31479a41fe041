"""From frames of episodes to effects: means, differences and ratios that know their intervals.

An `Effect` gives its interval at any confidence and the p-value of any value. `verdicts` judges it.

    difference(a, b).interval()                    score of A less that of B, with limits
    difference(a, b, "is_success").p_value()       exact McNemar with one training each

Frames hold a row an episode, with columns train_seed, seed, the one asked for, and cell where it is
known. Episodes are paired by their seed: those count that every training has played. Trainings are
not paired (seed 42 of one method has nothing to do with seed 42 of another), except where both
frames are of the same cells: two settings of the same networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from benchmark.evidence.crossed import UNBOUNDED, Contrast, Term
from benchmark.evidence.paired import PairedSuccess
from benchmark.evidence.stats import CONFIDENCE, Array, Interval, Share, episode_table

BINARY = ("is_success", "stuck", "left", "right", "undecided", "parted", "turned_back")
"""Columns of 0 and 1."""
BOUNDS = dict.fromkeys(("score", "still", *BINARY), (0.0, 1.0))
"""Columns whose lowest and highest value are known beforehand; others count as unbounded."""
_BISECTIONS = 60
_FAR = 1e4


class Effect(Protocol):
    """A quantity measured on trainings and episodes."""

    @property
    def seeds(self) -> int:
        """Training seeds, of the policy with fewest."""

    @property
    def episodes(self) -> int:
        """Episodes of each training."""

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the estimate with its limits; NaN limits where nothing tells them."""

    def p_value(self, value: float = 0.0) -> float:
        """Give the two-sided p-value of the effect being `value`."""


def mean(episodes: pd.DataFrame, column: str = "score") -> Effect:
    """The mean of a column for one policy: exact binomial for one training's successes.

    Raises:
        ValueError: If an episode occurs twice, or none was played by all trainings.
    """
    table = episode_table(episodes, column).to_numpy()
    if table.shape[0] == 1 and column in BINARY:
        return Share(int(table.sum()), table.shape[1])
    return _one(table, _bounds(column, table))


def difference(a: pd.DataFrame, b: pd.DataFrame, column: str = "score") -> Effect:
    """The mean of a column in `a` less that in `b`, on the episodes that both have.

    With one training each, 0/1 columns have exact McNemar and a score interval.

    Raises:
        ValueError: If an episode occurs twice, or they share none.
    """
    return contrast(((1.0, a), (-1.0, b)), column)


def contrast(terms: Sequence[tuple[float, pd.DataFrame]], column: str = "score") -> Effect:
    """A weighted sum of means over the episodes that all frames have.

    How much more A changed than B has four terms: 1, -1, -1, 1.

    Raises:
        ValueError: If a frame holds an episode twice, or no episode is in all.
    """
    tables = _shared([episode_table(frame, column) for _, frame in terms])
    weights = [weight for weight, _ in terms]
    if (
        column in BINARY
        and weights == [1.0, -1.0]
        and all(table.shape[0] == 1 for table in tables)
        and tables[0].shape[1] > 1
    ):
        a, b = tables
        return PairedSuccess(int((a > b).sum()), int((a < b).sum()), a.shape[1])
    if tables[0].shape[1] == 1:
        total = sum(weight * table.mean() for weight, table in zip(weights, tables, strict=True))
        return Unknown(float(total), min(map(len, tables)))
    return Contrast(_joined(weights, [frame for _, frame in terms], tables, column))


def ratio(a: pd.DataFrame, b: pd.DataFrame, column: str = "score") -> Effect:
    """The mean of a column in `a` over that in `b`, on the episodes that both have.

    Raises:
        ValueError: If a frame holds an episode twice, or they share none.
    """
    tables = _shared([episode_table(frame, column) for frame in (a, b)])
    return Ratio(tables[0], tables[1], _bounds(column, *tables), _trainings(a) == _trainings(b))


@dataclass(frozen=True)
class Ratio:
    """The mean of one table over that of another.

    A ratio r lies in the interval where the interval of a - r b holds 0 (Fieller, JRSS B 1954).

    Attributes:
        a: Outcomes (S, E).
        b: Outcomes (S', E) in the same episodes.
        bounds: Of an outcome.
        is_paired: Whether both are of the same networks.
    """

    a: Array
    b: Array
    bounds: tuple[float, float]
    is_paired: bool

    @property
    def seeds(self) -> int:
        """Training seeds, of the policy with fewest."""
        return min(len(self.a), len(self.b))

    @property
    def episodes(self) -> int:
        """Episodes of each training."""
        return int(self.a.shape[1])

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the ratio with its limits; NaN limits where the denominator may be 0."""
        below = float(self.b.mean())
        estimate = float(self.a.mean()) / below if below else np.nan
        if self.episodes < 2 or not below or self.against(np.inf).interval(confidence).holds(0.0):
            return Interval(estimate, np.nan, np.nan, confidence, "none: the divisor may be 0")

        def reach(far: float) -> float:
            near = estimate
            for _ in range(_BISECTIONS):
                middle = (near + far) / 2
                held = self.against(middle).interval(confidence).holds(0.0)
                near, far = (middle, far) if held else (near, middle)
            return near

        method = f"Fieller over {self.seeds} training seeds and {self.episodes} episodes"
        far = _FAR * max(1.0, abs(estimate))
        return Interval(estimate, reach(-far), reach(far), confidence, method)

    def p_value(self, value: float = 1.0) -> float:
        """Give the two-sided p-value of the ratio being `value`."""
        return self.against(value).p_value() if self.episodes > 1 else 1.0

    def against(self, r: float) -> Contrast:
        """What the ratio being r is tested by: a - r b; b alone for an infinite r."""
        if np.isinf(r):
            return Contrast([Term(self.b, 1.0, self.bounds)])
        if not self.is_paired:
            return Contrast([Term(self.a, 1.0, self.bounds), Term(self.b, -r, self.bounds)])
        low, high = self.bounds
        ends = sorted((-r * low, -r * high)) if np.isfinite(self.bounds).all() else UNBOUNDED
        return Contrast([Term(self.a - r * self.b, 1.0, (low + ends[0], high + ends[1]))])


def independent(values: Array, bounds: tuple[float, float] = UNBOUNDED) -> Effect:
    """The mean of independent values of one trained network or demonstrator, NaN left out.

    Raises:
        ValueError: If there is no value.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)][None]
    if not known.size:
        raise ValueError(f"none of {len(values)} values is known: there is no mean")
    return _one(known, bounds)


@dataclass(frozen=True)
class TrainingDifference:
    """The mean of a number a training has in A less that in B, trained apart (Welch's t).

    Attributes:
        a: A number a training of A, (S,).
        b: A number a training of B, (S',).
        episodes: Episodes behind each number.
    """

    a: Array
    b: Array
    episodes: int

    @property
    def seeds(self) -> int:
        """Training seeds, of the policy with fewest."""
        return min(len(self.a), len(self.b))

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the difference with Welch's limits; NaN limits from one training."""
        estimate = float(np.mean(self.a) - np.mean(self.b))
        if self.seeds < 2:
            return Interval(estimate, np.nan, np.nan, confidence, "none from one training seed")
        limits = ttest_ind(self.a, self.b, equal_var=False).confidence_interval(confidence)
        method = f"Welch's t over {self.seeds} training seeds"
        return Interval(estimate, float(limits.low), float(limits.high), confidence, method)

    def p_value(self, value: float = 0.0) -> float:
        """Give Welch's two-sided p-value."""
        if self.seeds < 2:
            return 1.0
        return float(ttest_ind(np.asarray(self.a) - value, self.b, equal_var=False).pvalue)


@dataclass(frozen=True)
class Root:
    """The square root of an effect of squares, such as a ratio of mean squared errors.

    Attributes:
        squares: The effect, whose truth is not negative.
    """

    squares: Effect

    @property
    def seeds(self) -> int:
        """Training seeds, of the policy with fewest."""
        return self.squares.seeds

    @property
    def episodes(self) -> int:
        """Episodes of each training."""
        return self.squares.episodes

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the roots of estimate and limits; a lower limit below 0 becomes 0."""
        found = self.squares.interval(confidence)
        estimate, low, high = np.sqrt(np.maximum((found.estimate, found.low, found.high), 0.0))
        return Interval(float(estimate), float(low), float(high), confidence, found.method)

    def p_value(self, value: float = 0.0) -> float:
        """Give the two-sided p-value of the root being `value`."""
        return self.squares.p_value(value**2)


@dataclass(frozen=True)
class Unknown:
    """An effect of a single episode: an estimate without limits, which decides nothing."""

    estimate: float
    seeds: int
    episodes: ClassVar[int] = 1

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the estimate; no limits."""
        return Interval(self.estimate, np.nan, np.nan, confidence, "none from one episode")

    def p_value(self, value: float = 0.0) -> float:  # noqa: ARG002 - see Effect
        """Give 1."""
        return 1.0


def _one(table: Array, bounds: tuple[float, float]) -> Effect:
    if table.shape[1] == 1:
        return Unknown(float(table.mean()), len(table))
    return Contrast([Term(table, 1.0, bounds)])


def _shared(tables: Sequence[pd.DataFrame]) -> list[Array]:
    """The columns that all tables have, in one order."""
    common = tables[0].columns
    for table in tables[1:]:
        common = common.intersection(table.columns)
    if common.empty:
        raise ValueError(
            f"{' and '.join(str(table.shape[1]) for table in tables)} episodes share no seed: "
            "play both on the same evaluation seeds"
        )
    return [table[common].to_numpy() for table in tables]


def _joined(
    weights: Sequence[float],
    frames: Sequence[pd.DataFrame],
    tables: Sequence[Array],
    column: str,
) -> list[Term]:
    """One term for all frames of the same networks, whose tables are summed first."""
    bounds = _bounds(column, *tables)
    groups: dict[object, list[int]] = {}
    for i, frame in enumerate(frames):
        groups.setdefault(_trainings(frame) or i, []).append(i)
    terms = []
    for members in groups.values():
        if len(members) == 1:
            (i,) = members
            terms.append(Term(tables[i], weights[i], bounds))
            continue
        ends = [sorted(weights[i] * bound for bound in bounds) for i in members]
        total = np.sum([weights[i] * tables[i] for i in members], axis=0)
        terms.append(Term(total, 1.0, (sum(e[0] for e in ends), sum(e[1] for e in ends))))
    return terms


def _trainings(frame: pd.DataFrame) -> tuple[str, ...]:
    """The cells of a frame; none where it does not say."""
    return tuple(sorted(frame["cell"].unique())) if "cell" in frame else ()


def _bounds(column: str, *tables: Array) -> tuple[float, float]:
    """What a column's values lie between; a third party's score may have no bounds."""
    low, high = BOUNDS.get(column, UNBOUNDED)
    fits = all(low <= table.min() and table.max() <= high for table in tables)
    return (low, high) if fits else UNBOUNDED

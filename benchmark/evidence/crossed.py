"""Intervals from few training seeds that have played the same episodes.

A policy trained with S seeds and played from E initial states gives a table (S, E) of outcomes
with known bounds. Both are random: another training would differ, and other states would. Three
trainings say little about a fourth, so their spread enters with Student's t, not with quantiles of
a resample.

The limits join two parts, squares added (Newcombe's MOVER, Statist. Med. 1998):

- trainings: t limits of each policy's S rates on the logit scale, so that they stay in bounds and
  lean where the outcomes do. The degrees of freedom are Welch's over all policies. The variance of
  the mean is taken as sd^2 / (S - 1), not sd^2 / S: few trainings seldom show the tail of a skewed
  spread, and calibration asked for this much.
- initial states: t limits of the E column sums on the logit scale, with two more episodes added,
  one at each bound (Agresti and Coull's two successes and two failures, halved). They keep a
  width where all episodes came out equal.

The rest of the variance, a training's luck in an episode, is in both parts: the limits are wider
than they need be where neither trainings nor states differ. `calibration` shows how often they err.

Outcomes without bounds, such as a length in px, have bounds of (-inf, inf): their limits are t's on
the scale itself, with no episodes added, and have no width where all outcomes are equal.

Shapes: S training seeds, E episodes; leading axes `...` of a table are repetitions of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t as student

from benchmark.evidence.stats import Interval

Array = NDArray[np.float64]

# Episodes added at each bound before the spread between episodes is taken.
ADDED = 1.0
UNBOUNDED = (-np.inf, np.inf)
_TINY = 1e-12
_BISECTIONS = 40


@dataclass(frozen=True)
class Term:
    """The outcomes of one set of trainings, with its weight in a contrast.

    Two settings of the same trained networks share their trainings: subtract their tables first and
    give the difference as one term with bounds (-1, 1).

    Attributes:
        table: Outcomes (..., S, E), a row a training seed, a column an initial state.
        weight: What the mean is multiplied by, 1 or -1 in a difference.
        bounds: Lowest and highest outcome possible; UNBOUNDED where there are none.
    """

    table: Array
    weight: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.table.ndim < 2 or self.table.shape[-1] < 2 or self.table.shape[-2] < 1:
            raise ValueError(
                f"a table of shape {self.table.shape}: must be (training seeds, episodes) with "
                "at least one seed and two episodes"
            )
        if np.isnan(self.table).any():
            raise ValueError("a table with gaps: keep the episodes that every training has played")
        # Sums follow the layout in memory, which differs by where a table comes from.
        object.__setattr__(self, "table", np.ascontiguousarray(self.table))
        low, high = self.bounds
        if self.table.min() < low - 1e-9 or self.table.max() > high + 1e-9:
            raise ValueError(
                f"outcomes from {self.table.min():g} to {self.table.max():g} with bounds {low:g} "
                f"and {high:g}: give the lowest and highest outcome possible"
            )


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of the means of tables that share their episodes.

    Attributes:
        terms: The tables; equal numbers of episodes, in the same order.
    """

    terms: Sequence[Term]

    def __post_init__(self) -> None:
        episodes = {term.table.shape[-1] for term in self.terms}
        if len(episodes) != 1:
            raise ValueError(
                f"tables of {sorted(episodes)} episodes: a contrast is over the same episodes"
            )

    @cached_property
    def estimate(self) -> Array:
        """The weighted sum of means, (...)."""
        return np.asarray(self._columns.mean(-1))

    def limits(self, confidence: float | Array) -> tuple[Array, Array]:
        """Give the lower and upper limits, (...) each; `confidence` may be an array of that shape.

        Where every term has one training seed, they are over episodes alone.

        Raises:
            ValueError: If confidence is not within 0 and 1.
        """
        level = np.asarray(confidence, dtype=np.float64)
        if not ((level > 0) & (level < 1)).all():
            raise ValueError(f"confidence {confidence}: must lie within 0 and 1, such as 0.95")
        below, above = self._training_part(level)
        down, up = self._episode_part(level)
        low, high = self.bounds()
        return (
            np.maximum(low, self.estimate - np.sqrt(below + down**2)),
            np.minimum(high, self.estimate + np.sqrt(above + up**2)),
        )

    def interval(self, confidence: float = 0.95) -> Interval:
        """Give the estimate of a single contrast with its limits."""
        low, high = self.limits(confidence)
        seeds = sorted({term.table.shape[-2] for term in self.terms})
        over = f"{' and '.join(map(str, seeds))} training seeds and {self.episodes} episodes"
        if seeds[0] == 1:
            over = f"{self.episodes} episodes, trainings as they are"
        return Interval(float(self.estimate), float(low), float(high), confidence, f"t over {over}")

    @property
    def seeds(self) -> int:
        """Training seeds, of the term with fewest."""
        return min(int(term.table.shape[-2]) for term in self.terms)

    @property
    def episodes(self) -> int:
        """Episodes of each training."""
        return int(self.terms[0].table.shape[-1])

    def p_value(self, value: float = 0.0) -> float:
        """Give the two-sided p-value of a single contrast being `value`."""
        return float(self.p_values(value))

    def p_values(self, value: float = 0.0) -> Array:
        """Give the two-sided p-values of the contrasts being `value`, (...).

        It is one minus the confidence at which the interval just reaches the value.
        """
        logs = np.full(self.estimate.shape, np.log(1e-12)), np.zeros(self.estimate.shape)
        for _ in range(_BISECTIONS):
            middle = (logs[0] + logs[1]) / 2
            low, high = self.limits(-np.expm1(np.minimum(middle, -1e-12)))
            outside = (value < low) | (value > high)
            logs = np.where(outside, logs[0], middle), np.where(outside, middle, logs[1])
        return np.exp(logs[1])

    @cached_property
    def _columns(self) -> Array:
        """The weighted sum of the trainings' means in each episode, (..., E)."""
        return np.asarray(sum(term.weight * term.table.mean(-2) for term in self.terms))

    @cached_property
    def _rates(self) -> list[Array]:
        """The mean outcome of each training, (..., S), of the terms with more than one."""
        return [term.table.mean(-1) for term in self.terms if term.table.shape[-2] > 1]

    def bounds(self) -> tuple[float, float]:
        """Give the lowest and the highest value that a single contrast can have."""
        ends = [sorted(term.weight * bound for bound in term.bounds) for term in self.terms]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    def _training_part(self, level: Array) -> tuple[Array, Array]:
        """Squared distances below and above the estimate that the trainings' spread gives."""
        known = [term for term in self.terms if term.table.shape[-2] > 1]
        if not known:
            return np.zeros(self.estimate.shape), np.zeros(self.estimate.shape)
        rates = self._rates
        variances = [rate.var(-1, ddof=1) / (rate.shape[-1] - 1) for rate in rates]
        weighted = [term.weight**2 * v for term, v in zip(known, variances, strict=True)]
        df = _welch(weighted, [rate.shape[-1] - 1 for rate in rates])
        quantile = student.ppf((1 + level) / 2, df)
        below, above = np.zeros(self.estimate.shape), np.zeros(self.estimate.shape)
        for term, rate, variance in zip(known, rates, variances, strict=True):
            mean = rate.mean(-1)
            low, high = _logit_limits(mean, quantile * np.sqrt(variance), term.bounds)
            ends = term.weight * (low - mean), term.weight * (high - mean)
            below = below + np.minimum(*ends) ** 2
            above = above + np.maximum(*ends) ** 2
        return below, above

    def _episode_part(self, level: Array) -> tuple[Array, Array]:
        """Distances below and above the estimate that the initial states' spread gives."""
        low, high = self.bounds()
        columns = self._columns
        episodes = columns.shape[-1]
        if not np.isfinite((low, high)).all():
            t = student.ppf((1 + level) / 2, episodes - 1)
            half = t * columns.std(-1, ddof=1) / np.sqrt(episodes)
            return half, half
        n = episodes + 2 * ADDED
        mean = (columns.sum(-1) + ADDED * (low + high)) / n
        squares = ((columns - mean[..., None]) ** 2).sum(-1)
        squares = squares + ADDED * ((low - mean) ** 2 + (high - mean) ** 2)
        spread = student.ppf((1 + level) / 2, episodes - 1) * np.sqrt(squares / (n - 1) / n)
        lower, upper = _logit_limits(mean, spread, (low, high))
        return np.maximum(0, self.estimate - lower), np.maximum(0, upper - self.estimate)


def mean(table: Array, bounds: tuple[float, float] = (0.0, 1.0)) -> Contrast:
    """The mean outcome of a policy, from its table (..., S, E)."""
    return Contrast([Term(table, 1.0, bounds)])


def difference(a: Array, b: Array, bounds: tuple[float, float] = (0.0, 1.0)) -> Contrast:
    """Mean outcome of policy A minus that of B, trained apart, on the same E episodes.

    Seeds of A and B are not paired: equal numbers do not make equal trainings. Episodes are.
    """
    return Contrast([Term(a, 1.0, bounds), Term(b, -1.0, bounds)])


def _welch(variances: Sequence[Array], dfs: Sequence[int]) -> Array:
    """Welch's degrees of freedom of a sum of variances, at least the smallest given."""
    total = np.asarray(sum(variances))
    below = np.asarray(sum(v**2 / df for v, df in zip(variances, dfs, strict=True)))
    return np.asarray(np.maximum(total**2 / np.maximum(below, 1e-300), min(dfs)))


def _logit_limits(centre: Array, half: Array, bounds: tuple[float, float]) -> tuple[Array, Array]:
    """Limits centre +- half, taken over to the logit scale of the bounds (delta method)."""
    low, high = bounds
    if not np.isfinite(bounds).all():
        return centre - half, centre + half
    rate = np.clip((centre - low) / (high - low), _TINY, 1 - _TINY)
    step = half / (high - low) / (rate * (1 - rate))
    return (
        low + (high - low) * expit(logit(rate) - step),
        low + (high - low) * expit(logit(rate) + step),
    )

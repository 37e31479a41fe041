"""What all statistics are made of: an estimate with its interval, a share, a table of episodes.

Every method is run with several training seeds on the same evaluation seeds, so that its outcomes
form a table of S training seeds by E episodes. `effects` makes means and differences of them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

Array = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        estimate: The value measured.
        low: Lower limit; NaN where nothing tells it.
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

    def holds(self, value: float) -> bool:
        """Say whether `value` lies inside the interval (never, when there are no limits)."""
        return self.low <= value <= self.high

    def columns(self, name: str) -> dict[str, float]:
        """The estimate as a column `name`, its limits beside it as `name`_low and `name`_high."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}


NOT_MEASURED = Interval(np.nan, np.nan, np.nan, CONFIDENCE, "none: not measured")


@dataclass(frozen=True)
class Share:
    """How many of n independent trials succeeded, such as the episodes of one trained network.

    The interval is the exact one (Clopper and Pearson, Biometrika 1934). Wilson's is narrower and
    errs in up to 15 % near 0 and 1 where 5 % is meant (50 to 200 trials).

    Attributes:
        successes: Trials that succeeded.
        episodes: Trials.
    """

    successes: int
    episodes: int
    seeds: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.episodes < 1:
            raise ValueError(f"{self.episodes} episodes: a success rate needs at least one")
        if not 0 <= self.successes <= self.episodes:
            raise ValueError(
                f"{self.successes} successes of {self.episodes} episodes: must be within 0 and "
                f"{self.episodes}"
            )

    def interval(self, confidence: float = CONFIDENCE) -> Interval:
        """Give the share with its exact interval.

        Raises:
            ValueError: If confidence is not within 0 and 1.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"confidence {confidence}: must lie within 0 and 1, such as 0.95")
        limits = binomtest(self.successes, self.episodes).proportion_ci(confidence, "exact")
        method = f"exact over {self.episodes} episodes, trainings as they are"
        rate = self.successes / self.episodes
        return Interval(rate, float(limits.low), float(limits.high), confidence, method)

    def p_value(self, value: float = 0.5) -> float:
        """Give the two-sided p-value of the share being `value`: twice the smaller tail."""
        k, n = self.successes, self.episodes
        tails = (binomtest(k, n, value, side).pvalue for side in ("less", "greater"))
        return min(1.0, 2 * float(min(tails)))


def episode_table(episodes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Arrange a column as a table of training seeds by those episode seeds that all have.

    Raises:
        ValueError: If there is no episode, one occurs twice, or all trainings share none.
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
    table = episodes.assign(**{column: episodes[column].astype(float)}).pivot(
        index="train_seed", columns="seed", values=column
    )
    shared = table.dropna(axis="columns")
    if shared.empty:
        raise ValueError(
            f"{len(table)} training seeds have no episode with a {column} in common: play all of "
            "them on the same evaluation seeds"
        )
    return shared

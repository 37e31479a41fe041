"""Compare two policies episode by episode, and stop as soon as it is decided.

Looking at a p-value after every episode and stopping when it falls below 5 % errs far more often
than 5 %. A bet does not: start with one unit, stake a share of it on A before each episode, and if
A is no better than B the expected wealth never grows, so it ever reaches 40 with chance 1/40 at
most (Ville's inequality). Wealth of 40 on A, or of 40 on B, decides at alpha = 0.05, whenever it
comes. The stake is a mixture over all shares, so that none need be chosen beforehand (Waudby-Smith
and Ramdas, JRSS B 2024, sec. 4). Policies are compared in this way also in arXiv 2503.10966, by an
optimised rule for a fixed largest number of episodes; the bet here has no such limit.

What is decided is about the trained networks that play. More episodes say nothing of how another
training would come out: that takes seeds (`crossed`).

Shapes: R repetitions, n episodes, K stakes.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.evidence.stats import Interval

Array = NDArray[np.float64]
Decision = Literal["A", "B", "equal", "undecided"]

# Midpoints of 32 equal parts of (0, 1): the shares of the wealth at stake.
STAKES = (np.arange(32) + 0.5) / 32  # (K,)
_BISECTIONS = 40


def log_wealth(differences: Array, value: float = 0.0) -> Array:
    """Give the log wealth, after each episode, of betting on a mean difference above `value`.

    Args:
        differences: A - B of each episode, within [-1, 1], (..., n).
        value: The difference bet against, within (-1, 1).
    """
    gains = (differences - value) / (1 + value)  # at least -1
    paths = np.cumsum(np.log1p(gains[..., None] * STAKES), axis=-2)  # (..., n, K)
    return np.asarray(np.logaddexp.reduce(paths, axis=-1) - np.log(len(STAKES)))


class UntilDecided:
    """A comparison of A and B that takes one episode at a time and may stop after any of them.

    With a margin it can also end in "equal": the difference lies within (-margin, margin).
    """

    def __init__(self, alpha: float = 0.05, margin: float | None = None) -> None:
        """Start without episodes.

        Args:
            alpha: Largest chance of a false decision, over all times of stopping.
            margin: The largest difference that counts as none, within (0, 1); None to ask only
                who is better.

        Raises:
            ValueError: If alpha or margin is not within (0, 1).
        """
        for name, value in (("alpha", alpha), ("margin", margin)):
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{name} {value}: must lie within 0 and 1")
        self.alpha = alpha
        self.margin = margin
        self.decision: Decision = "undecided"
        self._differences: list[float] = []
        self._bets = {"A": _Bet(1, 0.0), "B": _Bet(-1, 0.0)}
        if margin is not None:
            self._bets |= {"above": _Bet(1, -margin), "below": _Bet(-1, -margin)}

    @property
    def episodes(self) -> int:
        """Episodes taken so far."""
        return len(self._differences)

    def add(self, a: float | Sequence[float], b: float | Sequence[float]) -> Decision:
        """Take the outcomes of one initial state, and say what is decided.

        Args:
            a: Outcome of A within [0, 1], or one outcome for each of its trained networks.
            b: Outcome of B, likewise.

        Returns:
            The policy that is better, "equal", or "undecided". Once decided it stays so.

        Raises:
            ValueError: If an outcome lies outside [0, 1].
        """
        outcomes = np.atleast_1d(np.asarray(a, float)), np.atleast_1d(np.asarray(b, float))
        for values in outcomes:
            if not ((values >= 0) & (values <= 1)).all():
                raise ValueError(f"outcomes {values.tolist()}: must lie within 0 and 1")
        difference = float(outcomes[0].mean() - outcomes[1].mean())
        self._differences.append(difference)
        won = {name for name, bet in self._bets.items() if bet.add(difference) >= self._threshold}
        if self.decision == "undecided":
            if "A" in won or "B" in won:
                self.decision = "A" if "A" in won else "B"
            elif {"above", "below"} <= won:
                self.decision = "equal"
        return self.decision

    def interval(self) -> Interval:
        """Give the mean difference with limits that hold at every time of stopping.

        Raises:
            ValueError: Before the first episode.
        """
        if not self._differences:
            raise ValueError("no episodes taken yet")
        taken = np.asarray(self._differences)
        low, high = self._lower_limit(taken), -self._lower_limit(-taken)
        method = f"betting over {self.episodes} episodes, valid at every time of stopping"
        return Interval(float(taken.mean()), low, high, 1 - self.alpha, method)

    @property
    def _threshold(self) -> float:
        return float(np.log(2 / self.alpha))

    def _lower_limit(self, differences: Array) -> float:
        """The highest difference that some bet so far has refuted from above."""
        refuted, standing = -1.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (refuted + standing) / 2
            won = log_wealth(differences, middle).max() >= self._threshold
            refuted, standing = (middle, standing) if won else (refuted, middle)
        return refuted


class _Bet:
    """One bet, kept from episode to episode: that sign * difference has a mean above `value`."""

    def __init__(self, sign: int, value: float) -> None:
        self._sign, self._value = sign, value
        self._logs = np.zeros(len(STAKES))
        self._highest = 0.0

    def add(self, difference: float) -> float:
        """Take an episode; give the highest log wealth so far."""
        gain = (self._sign * difference - self._value) / (1 + self._value)
        self._logs += np.log1p(gain * STAKES)
        wealth = np.logaddexp.reduce(self._logs) - np.log(len(STAKES))
        self._highest = max(self._highest, float(wealth))
        return self._highest

"""The words for what an interval says of a claim.

A claim about policies is a claim about trainings, so the plain words need three training seeds;
fewer suggest. An interval without width, or without limits, decides nothing.
"""

from dataclasses import dataclass
from typing import Literal

from benchmark.evidence.stats import Interval

Answer = Literal["holds", "does not hold", "undecided", "suggests", "suggests not"]
Claim = Literal["above", "below", "within"]

SEEDS_TO_CLAIM = 3


@dataclass(frozen=True)
class Finding:
    """What was measured for a claim.

    Attributes:
        answer: Whether it holds.
        effect: What the interval is of, with its unit.
        interval: The effect.
        seeds: Training seeds, of the policy with fewest.
        episodes: Episodes of each training.
    """

    answer: Answer
    effect: str
    interval: Interval
    seeds: int
    episodes: int

    def __str__(self) -> str:
        trainings = "training seed" if self.seeds == 1 else "training seeds"
        percent = f"{100 * self.interval.confidence:g} %"
        return (
            f"{self.answer}: {self.effect} {self.interval.estimate:+.3g} "
            f"[{self.interval.low:+.3g}, {self.interval.high:+.3g}] ({percent}), "
            f"{self.seeds} {trainings}, {self.episodes} episodes"
        )


def find(
    effect: str,
    interval: Interval,
    seeds: int,
    episodes: int,
    claim: Claim = "above",
    value: float = 0.0,
) -> Finding:
    """Judge a claim by an interval.

    Args:
        effect: What the interval is of, with its unit.
        interval: The effect with its limits; for "within" one of 1 - 2 alpha (see `equivalence`).
        seeds: Training seeds, of the policy with fewest.
        episodes: Episodes of each training.
        claim: That the effect lies above the value, below it, or within -value and value.
        value: Where the claim's limit lies; a margin for "within".

    Raises:
        ValueError: If there are no seeds or episodes, or a margin is not above 0.
    """
    if seeds < 1 or episodes < 1:
        raise ValueError(f"{seeds} seeds and {episodes} episodes: a verdict needs one of each")
    if claim == "within" and value <= 0:
        raise ValueError(f"margin {value}: must be above 0")
    yes, no = _decide(interval, claim, value) if interval.low < interval.high else (False, False)
    sure = seeds >= SEEDS_TO_CLAIM
    answer: Answer = "undecided"
    if yes:
        answer = "holds" if sure else "suggests"
    elif no:
        answer = "does not hold" if sure else "suggests not"
    return Finding(answer, effect, interval, seeds, episodes)


def _decide(interval: Interval, claim: Claim, value: float) -> tuple[bool, bool]:
    """Whether the interval lies inside the claim, and whether it lies outside."""
    low, high = interval.low, interval.high
    if claim == "above":
        return low > value, high < value
    if claim == "below":
        return high < value, low > value
    return -value < low and high < value, low > value or high < -value

"""The words for what was measured of a claim, corrected for the number of claims.

A study states its claims, each about one effect, and has them judged together:

    claims = [
        Claim(
            "Diffusion Policy succeeds more often than IBC",
            "success of diffusion-unet less that of ibc",
            difference(diffusion, ibc, "is_success"),
        ),
        Claim(
            "Four steps cost nothing",
            "score with 4 steps less that with 16",
            difference(four, sixteen),
            "within",
            0.05,
        ),
    ]
    for verdict in judge(claims):
        print(verdict)

A claim about policies is a claim about trainings, so the plain words need three training seeds;
fewer suggest. An interval without width, or without limits, decides nothing. Claims judged together
share one chance of any false answer (Holm): each interval is drawn at the confidence at which it
decides its claim, so that no interval contradicts its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from benchmark.evidence.effects import Effect
from benchmark.evidence.planning import LEAST_SEEDS, detectable, needed
from benchmark.evidence.stats import Interval

Answer = Literal["holds", "does not hold", "undecided", "suggests", "suggests not"]
Kind = Literal["above", "below", "within"]

ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """What is said to hold of an effect.

    Attributes:
        text: What is said to hold, a sentence.
        what: What the effect is of, with its unit.
        effect: The effect (`effects.difference`, `mean`, `contrast` or `ratio`).
        kind: That it lies above the value, below it, or within -value and value ("costs nothing").
        value: Where the claim's limit lies; for "within" a margin that is argued beforehand.
    """

    text: str
    what: str
    effect: Effect
    kind: Kind = "above"
    value: float = 0.0

    def __post_init__(self) -> None:
        if self.kind == "within" and self.value <= 0:
            raise ValueError(f"margin {self.value}: must be above 0, and argued before looking")

    def p_value(self) -> float:
        """Give the smaller p-value of the two answers, that it holds and that it does not."""
        if self.kind != "within":
            return self.effect.p_value(self.value)
        above, below = (self._one_sided(edge) for edge in (-self.value, self.value))
        holds, fails = max(above, 1 - below), min(below, 1 - above)
        return min(holds, fails)

    def is_on_side(self, interval: Interval) -> bool:
        """Whether an estimate lies where the claim would hold."""
        at = interval.estimate
        if self.kind == "within":
            return abs(at) < self.value
        return at > self.value if self.kind == "above" else at < self.value

    def _one_sided(self, edge: float) -> float:
        """The p-value of the effect being `edge` or less."""
        half = self.effect.p_value(edge) / 2
        return half if self.effect.interval().estimate > edge else 1 - half


@dataclass(frozen=True)
class Joint:
    """Several claims that are said to hold all at once, such as "shows both ways and commits".

    Attributes:
        text: What is said to hold, a sentence.
        parts: What must hold for it.
    """

    text: str
    parts: Sequence[Claim]

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError(f"{self.text!r} has no parts: there is nothing to judge")

    def p_value(self) -> float:
        """Give the smaller p-value of the two answers, that all parts hold and that one does not.

        All hold only if each does, so the largest counts uncorrected; that one fails is found in
        any of them, so the smallest counts times their number.
        """
        given = [(part.p_value(), part.is_on_side(part.effect.interval())) for part in self.parts]
        holds = max(p if on_side else 1.0 for p, on_side in given)
        fails = len(given) * min(1.0 if on_side else p for p, on_side in given)
        return min(holds, fails, 1.0)


@dataclass(frozen=True)
class Verdict:
    """A claim beside what was measured.

    Attributes:
        claim: What is said to hold, a sentence.
        answer: Whether it does.
        effect: What the interval is of, with its unit.
        interval: The effect, at the confidence at which it decides the claim.
        seeds: Training seeds, of the policy with fewest.
        episodes: Episodes of each training.
        detectable: How far from the claim's limit the truth must lie to be found with chance 80 %;
            NaN where nothing tells.
        needs: Where undecided, the seeds and episodes that would decide it with chance 80 % if the
            truth is the estimate; empty where nothing tells.
    """

    claim: str
    answer: Answer
    effect: str
    interval: Interval
    seeds: int
    episodes: int
    detectable: float = np.nan
    needs: str = ""

    def __str__(self) -> str:
        """One sentence with effect, interval, seeds and episodes."""
        trainings = "training seed" if self.seeds == 1 else "training seeds"
        at = self.interval
        limits = f" [{at.low:+.3g}, {at.high:+.3g}] ({100 * at.confidence:.4g} %)"
        return (
            f"{self.answer}: {self.effect} {at.estimate:+.3g}"
            f"{'' if np.isnan(at.low) else limits}, "
            f"{self.seeds} {trainings}, {self.episodes} episodes"
        )


def judge(claims: Sequence[Claim | Joint], alpha: float = ALPHA) -> list[Verdict]:
    """Judge claims as one family: any false answer among them comes with chance `alpha` at most.

    Holm's steps: the smallest p-value must lie below alpha / m, the next below alpha / (m - 1), and
    so on; where one does not, all others stay undecided. Intervals are drawn at those levels.

    Args:
        claims: Those that a table or a study tests together.
        alpha: Chance of any false answer.

    Returns:
        A verdict for each claim, in the order given.
    """
    verdicts: dict[int, Verdict] = {}
    p_values = [claim.p_value() for claim in claims]
    left, is_open = len(claims), True
    for i in np.argsort(p_values, kind="stable"):
        level = alpha / left
        is_open = is_open and p_values[i] <= level
        verdicts[int(i)] = _judged(claims[i], level, is_open)
        left -= is_open
    return [verdicts[i] for i in range(len(claims))]


def _judged(claim: Claim | Joint, level: float, is_open: bool) -> Verdict:
    if isinstance(claim, Claim):
        return _verdict(claim, level, is_open)
    parts = [_verdict(part, level, is_open) for part in claim.parts]
    return conjunction(claim.text, parts)


def conjunction(text: str, verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on all of several claims at once: it holds where each does, fails where one does.

    Its parts are judged each at the whole level: no correction is needed, since each must hold
    (`Joint` in `judge` does that). The effect shown is that of the part which decides: one that
    fails, else one that is undecided, else the one with fewest seeds.
    """
    worst = min(verdicts, key=lambda v: (_RANK.index(v.answer), v.seeds))
    return replace(worst, claim=text)


_RANK: tuple[Answer, ...] = ("does not hold", "suggests not", "undecided", "suggests", "holds")


def answer(
    interval: Interval, seeds: int, kind: Kind = "above", value: float = 0.0, is_open: bool = True
) -> Answer:
    """Give the word for an interval alone; `judge` calls it, at corrected levels.

    Args:
        interval: The effect with its limits; for "within" one of 1 - 2 alpha.
        seeds: Training seeds, of the policy with fewest.
        kind: See `Claim`.
        value: See `Claim`.
        is_open: Whether a test besides the interval allows an answer.
    """
    low, high = interval.low, interval.high
    if not is_open or not low < high:
        return "undecided"
    if kind == "within":
        yes, no = -value < low and high < value, low > value or high < -value
    else:
        yes, no = low > value, high < value
        yes, no = (yes, no) if kind == "above" else (no, yes)
    sure = seeds >= LEAST_SEEDS
    if yes:
        return "holds" if sure else "suggests"
    if no:
        return "does not hold" if sure else "suggests not"
    return "undecided"


def _verdict(claim: Claim, level: float, is_open: bool) -> Verdict:
    sides = 2 if claim.kind == "within" else 1
    interval = claim.effect.interval(1 - sides * level)
    effect, value = claim.effect, claim.value
    word = answer(interval, effect.seeds, claim.kind, value, is_open)
    estimate = interval.estimate
    # The limit that the estimate is nearer to.
    limit = -value if claim.kind == "within" and estimate < 0 else value
    alpha = sides * level
    return Verdict(
        claim.text,
        word,
        claim.what,
        interval,
        effect.seeds,
        effect.episodes,
        detectable(effect, limit, alpha),
        needed(effect, abs(estimate - limit), limit, alpha) if word == "undecided" else "",
    )

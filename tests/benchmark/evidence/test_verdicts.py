"""The words for a claim: by interval, number of trainings, and the claims beside it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from benchmark.evidence.effects import difference
from benchmark.evidence.multiple import holm
from benchmark.evidence.stats import Interval
from benchmark.evidence.verdicts import Claim, Joint, Kind, answer, conjunction, judge

EpisodesMaker = Callable[..., pd.DataFrame]


@dataclass(frozen=True)
class Normal:
    """An effect with a standard error of 1."""

    estimate: float
    seeds: int = 3
    episodes: int = 50

    def interval(self, confidence: float = 0.95) -> Interval:
        half = norm.ppf(0.5 + confidence / 2)
        return Interval(self.estimate, self.estimate - half, self.estimate + half, confidence, "")

    def p_value(self, value: float = 0.0) -> float:
        return float(2 * norm.sf(abs(self.estimate - value)))


@pytest.mark.parametrize(
    ("low", "high", "kind", "value", "sure", "few"),
    [
        (0.01, 0.2, "above", 0.0, "holds", "suggests"),
        (-0.2, -0.01, "above", 0.0, "does not hold", "suggests not"),
        (-0.1, 0.1, "above", 0.0, "undecided", "undecided"),
        (0.01, 0.2, "above", 0.1, "undecided", "undecided"),
        (-0.2, -0.01, "below", 0.0, "holds", "suggests"),
        (0.01, 0.2, "below", 0.0, "does not hold", "suggests not"),
        (-0.02, 0.03, "within", 0.05, "holds", "suggests"),
        (0.06, 0.1, "within", 0.05, "does not hold", "suggests not"),
        (0.01, 0.1, "within", 0.05, "undecided", "undecided"),
        (0.2, 0.2, "above", 0.0, "undecided", "undecided"),
        (np.nan, np.nan, "above", 0.0, "undecided", "undecided"),
    ],
)
def test_the_word(low: float, high: float, kind: Kind, value: float, sure: str, few: str) -> None:
    interval = Interval((low + high) / 2, low, high, 0.95, "")
    assert answer(interval, 3, kind, value) == sure
    assert answer(interval, 2, kind, value) == few


@pytest.mark.parametrize("case", range(10))
def test_claims_judged_together_are_decided_where_holm_corrected_p_values_are(case: int) -> None:
    rng = np.random.default_rng(case)
    claims = [Claim("it is so", "effect", Normal(z)) for z in rng.normal(1.5, 2, 5)]
    corrected = holm([claim.p_value() for claim in claims])
    for claim, verdict, p in zip(claims, judge(claims), corrected, strict=True):
        assert (verdict.answer != "undecided") == (p <= 0.05)
        assert verdict.interval.excludes(0) == (p <= 0.05)
        if p <= 0.05:
            assert verdict.answer == (
                "holds" if claim.effect.interval().low > 0 else "does not hold"
            )


def test_a_claim_alone_is_judged_by_its_95_percent_interval() -> None:
    (verdict,) = judge([Claim("it is so", "effect", Normal(1.97))])
    assert (verdict.answer, verdict.interval.confidence) == ("holds", 0.95)
    assert judge([Claim("it is so", "effect", Normal(1.95))])[0].answer == "undecided"


@pytest.mark.parametrize(
    ("estimate", "word"),
    [(0.3, "holds"), (0.4, "undecided"), (3.6, "undecided"), (3.7, "does not hold")],
)
def test_costs_nothing_is_two_one_sided_tests_within_the_margin(estimate: float, word: str) -> None:
    """At 5 %, one-sided: |estimate| < margin - 1.645, or beyond margin + 1.645."""
    claim = Claim("it costs nothing", "loss", Normal(estimate), "within", 2.0)
    (verdict,) = judge([claim])
    assert verdict.answer == word
    assert verdict.interval.confidence == pytest.approx(0.9)
    expected = norm.sf(2 - estimate) if word in ("holds",) else None
    assert expected is None or claim.p_value() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("case", range(12))
def test_costs_nothing_holds_exactly_where_the_90_percent_interval_lies_within_the_margin(
    case: int, make_episodes: EpisodesMaker
) -> None:
    """Two one-sided tests (Schuirmann 1987) against the limits of the same difference."""
    rng = np.random.default_rng(case)
    a, b = (
        make_episodes(name, (rng.random((5, 200)) < rate).astype(float))
        for name, rate in (("bet", 0.8), ("ibc", 0.8 - 0.01 * case))
    )
    effect = difference(a, b)
    at = effect.interval(0.9)
    for margin in (0.02, 0.05, 0.1, 0.2):
        (verdict,) = judge([Claim("it costs nothing", "loss", effect, "within", margin)])
        assert (verdict.answer == "holds") == bool(-margin < at.low and at.high < margin)


def test_equal_means_with_a_wide_interval_are_no_evidence_that_something_costs_nothing(
    make_episodes: EpisodesMaker,
) -> None:
    a, b = (make_episodes(name, np.tile([0.0, 1.0], (3, 5))) for name in ("bet", "ibc"))
    (verdict,) = judge([Claim("it costs nothing", "loss", difference(a, b), "within", 0.05)])
    assert verdict.answer == "undecided"


def test_a_conjunction_holds_where_every_part_does() -> None:
    def one(estimate: float, seeds: int = 3) -> Claim:
        return Claim("part", f"effect {estimate}", Normal(estimate, seeds))

    parts = [judge([one(z)])[0] for z in (4.0, 3.0)]
    assert conjunction("both", parts).answer == "holds"
    assert conjunction("both", [*parts, judge([one(1.0)])[0]]).answer == "undecided"
    failed = conjunction("both", [*parts, judge([one(1.0)])[0], judge([one(-4.0)])[0]])
    assert (failed.answer, failed.effect) == ("does not hold", "effect -4.0")
    assert conjunction("both", [*parts, judge([one(4.0, seeds=1)])[0]]).answer == "suggests"


@pytest.mark.parametrize(
    ("estimates", "word"),
    [
        ((2.2, 2.5), "undecided"),
        ((2.3, 2.5), "holds"),
        ((2.5, 1.0), "undecided"),
        ((4.0, -2.3), "undecided"),
        ((4.0, -2.6), "does not hold"),
    ],
)
def test_a_joint_claim_is_one_of_the_family(estimates: tuple[float, ...], word: str) -> None:
    """Beside one undecided claim its level is 2.5 %: 2.24, and for one part that fails 2.50."""
    parts = [Claim("part", f"effect {z}", Normal(z)) for z in estimates]
    joint = Joint("all of it", parts)
    found, _ = judge([joint, Claim("another", "effect", Normal(0.5))])
    assert (found.claim, found.answer) == ("all of it", word)


def test_a_false_joint_claim_holds_no_oftener_than_its_level() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for first, second in rng.normal((0.0, 3.0), 1.0, (2000, 2)):
        parts = [Claim("part", "effect", Normal(z)) for z in (first, second)]
        held += judge([Joint("both", parts)])[0].answer == "holds"
    assert held / 2000 < 0.03


def test_a_joint_claim_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no parts"):
        Joint("nothing", [])


def test_a_sentence_names_effect_interval_seeds_and_episodes() -> None:
    (verdict,) = judge([Claim("it is so", "success of A less that of B", Normal(2.5, 5, 200))])
    assert str(verdict) == (
        "holds: success of A less that of B +2.5 [+0.54, +4.46] (95 %), 5 training seeds, "
        "200 episodes"
    )


def test_one_training_suggests_and_equal_outcomes_decide_nothing(
    make_episodes: EpisodesMaker,
) -> None:
    a, b = make_episodes("ibc", [[1.0] * 40]), make_episodes("bet", [[1.0] * 30 + [0.0] * 10])
    claims = [Claim("A is better", "success, A - B", difference(a, b, "is_success"))]
    claims.append(Claim("A moves more", "jitter, A - B", difference(a, b, "jitter")))
    assert [verdict.answer for verdict in judge(claims)] == ["suggests", "undecided"]


def test_a_margin_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="margin 0"):
        Claim("it costs nothing", "loss", Normal(0.0), "within")

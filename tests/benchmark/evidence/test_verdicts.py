"""The words for a claim, by interval and number of trainings."""

import numpy as np
import pytest

from benchmark.evidence.stats import Interval
from benchmark.evidence.verdicts import Claim, find


@pytest.mark.parametrize(
    ("low", "high", "claim", "value", "sure", "few"),
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
def test_the_word(low: float, high: float, claim: Claim, value: float, sure: str, few: str) -> None:
    interval = Interval((low + high) / 2, low, high, 0.95, "")
    assert find("success", interval, 3, 200, claim, value).answer == sure
    assert find("success", interval, 2, 200, claim, value).answer == few


def test_a_finding_names_effect_interval_seeds_and_episodes() -> None:
    text = str(find("difference of success", Interval(0.1, 0.02, 0.18, 0.95, ""), 5, 200))
    assert (
        text
        == "holds: difference of success +0.1 [+0.02, +0.18] (95 %), 5 training seeds, 200 episodes"
    )

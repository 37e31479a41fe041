"""What scripted Push-T demonstrations are asked, on ones made for the purpose."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.commands import demo_bars, demos
from benchmark.errors import UsageError
from benchmark.studies.control_mode.block_modes import AHEAD, count_block_modes
from envs.demos.demonstrations import Demonstrations, Metadata


def pushed(moves: list[float], turns: list[float], episodes: int = 60) -> Demonstrations:
    """A block that from one place moves (px) and turns (rad) by one of these in AHEAD steps."""
    rng = np.random.default_rng(0)
    states = []
    for episode in range(episodes):
        share = np.linspace(0.0, 1.0, AHEAD + 1)
        # The centre of gravity stays where it is while the block turns about it.
        angle = 0.5 + turns[episode % len(turns)] * share + rng.normal(0.0, 0.002)
        centre = np.array([250.0, 250.0]) + rng.normal(0.0, 0.1, 2)
        x = centre[0] + moves[episode % len(moves)] * share + 45.0 * np.sin(angle)
        y = np.full(AHEAD + 1, centre[1]) - 45.0 * np.cos(angle)
        agent = np.full((AHEAD + 1, 2), 400.0)
        states.append(np.column_stack([agent, x, y, angle]))
    rows = np.concatenate([part[:1] for part in states] + [part[-1:] for part in states])
    pairs = np.arange(2 * episodes).reshape(2, episodes).T.ravel()
    rows = rows[pairs]  # two rows an episode: where it is, and where it will be
    return Demonstrations(
        rows,
        rows[:, :2].copy(),
        2 * np.arange(1, episodes + 1),
        {},
        Metadata("pusht", "import", "made up", None),
    )


@pytest.mark.parametrize(
    ("moves", "turns", "several"),
    [([0.0], [0.0], ()), ([-60.0, 60.0], [0.0], ("move",)), ([0.0], [-0.6, 0.6], ("turn",))],
)
def test_moves_and_turns_of_the_block_are_counted_apart(moves, turns, several):
    counted = count_block_modes(pushed(moves, turns))
    first = counted[np.random.default_rng(0).permutation(120)[:400] % 2 == 0]
    for what in ("move", "turn"):
        assert ((first[what] > 1).mean() > 0.9) == (what in several)


def test_an_angle_that_passes_a_whole_round_is_no_turn_of_its_own():
    demos = pushed([0.0], [0.3])
    angles = demos.states[:, 4] - 0.8 + 2.0 * np.pi  # half of them end short of the whole round
    wrapped = np.mod(angles, 2.0 * np.pi)
    assert 10 < (wrapped[1::2] < 1.0).sum() < 50
    demos = replace(demos, states=np.column_stack([demos.states[:, :4], wrapped]))
    assert (count_block_modes(demos)["turn"] == 1).mean() > 0.9


def test_seeds_that_are_not_solved_are_counted(monkeypatch):
    class Ended:
        def __init__(self, seed: int) -> None:
            self.is_success = seed != 2

    monkeypatch.setattr(demo_bars, "demonstrate", Ended)
    assert demo_bars.solved(2).holds
    bar = demo_bars.solved(4)
    assert (bar.found, bar.holds) == ("3 of 4", False)


def test_the_length_asked_for_is_that_of_a_median_episode():
    bar = demo_bars.lengths(pushed([0.0], [0.0]))
    assert (bar.found, bar.holds) == ("2", False)


def test_only_the_demonstrations_of_pusht_can_be_checked():
    with pytest.raises(UsageError, match="only pusht"):
        demos.demos_command("lift", "scripted", None, None, None, None, None, check=True)

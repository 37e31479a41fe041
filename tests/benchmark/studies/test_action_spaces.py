"""Modes of demonstrated actions and the growth of an error, where the answer is known."""

import numpy as np
import pandas as pd
import pytest

from benchmark.plan.tasks import PUSHT
from benchmark.studies.control_mode.action_spaces import (
    ERROR_SHARE,
    ERROR_STEPS,
    _peaks,
    count_modes,
    error_growth,
)
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.observations import observe


def straight_lines(ways: list[float], episodes: int = 60, steps: int = 40) -> Demonstrations:
    """Agents that all start at one place, far from the block, and go up or down as `ways` say."""
    rng = np.random.default_rng(0)
    states, actions = [], []
    for episode in range(episodes):
        speed = ways[episode % len(ways)]
        y = 256 + speed * np.arange(steps) + rng.normal(0, 0.1, steps)
        agent = np.stack([np.full(steps, 450.0), y], axis=1)
        block = np.tile([120.0, 250.0, 0.0], (steps, 1))
        states.append(np.concatenate([agent, block], axis=1))
        actions.append(agent + np.array([0.0, speed]))
    everything = np.concatenate(states)
    return Demonstrations(
        states=everything,
        actions=np.concatenate(actions),
        episode_ends=steps * np.arange(1, episodes + 1),
        observations=observe(everything, "keypoints"),
        metadata=Metadata("pusht", "import", "made up", None),
    )


@pytest.mark.parametrize(
    ("centres", "modes"), [((0.0,), 1), ((-5.0, 5.0), 2), ((-9.0, 0.0, 9.0), 3)]
)
def test_modes_of_separate_clusters_are_counted(centres: tuple[float, ...], modes: int) -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(centre, 0.5, 60) for centre in centres])
    assert _peaks(values) == modes


def test_equal_actions_have_one_mode() -> None:
    assert _peaks(np.full(20, 3.0)) == 1


def first_steps(counts: pd.DataFrame, control: str) -> float:
    return float(counts[counts["control"] == control]["modes"].mean())


def test_two_ways_show_more_modes_than_one() -> None:
    one, two = (count_modes(PUSHT, straight_lines(ways), 0) for ways in ([1.0], [1.0, -1.0]))
    assert first_steps(two, "velocity") > first_steps(one, "velocity")


def test_velocity_actions_are_differences_of_set_points() -> None:
    demos = straight_lines([2.0], episodes=1)
    assert PUSHT.actions_of(demos, "position") is demos.actions
    differences = PUSHT.actions_of(demos, "velocity")
    assert np.allclose(np.cumsum(differences, axis=0) + demos.states[0, :2], demos.actions)


def test_an_error_fades_under_position_control_and_stays_under_velocity_control() -> None:
    demos = straight_lines([1.0, -1.0])
    assert PUSHT.motion is not None
    growth = error_growth(PUSHT, PUSHT.motion, demos, "keypoints")
    last = growth[growth["step"] == ERROR_STEPS].groupby("control")["error"].median()
    size = ERROR_SHARE * np.ptp(demos.actions, axis=0).max()
    assert last["position"] < 0.01 * size
    assert last["velocity"] == pytest.approx(size, rel=0.01)

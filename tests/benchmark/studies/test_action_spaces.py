"""Modes of demonstrated actions and the growth of an error, where the answer is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from benchmark.plan.config import EvalConfig
from benchmark.plan.tasks import PUSHT
from benchmark.running.rollout import Frame
from benchmark.studies.control_mode.action_spaces import (
    ERROR_AT,
    ERROR_SHARE,
    ERROR_STEPS,
    OneWrongAction,
    count_modes,
    error_growth,
    peaks,
)
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.observations import observe

assert PUSHT.motion is not None
MOTION = PUSHT.motion


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
    assert peaks(values) == modes


def test_equal_actions_have_one_mode() -> None:
    assert peaks(np.full(20, 3.0)) == 1


def first_steps(counts: pd.DataFrame, control: str) -> float:
    return float(counts[counts["control"] == control]["modes"].mean())


def test_two_ways_show_more_modes_than_one() -> None:
    one, two = (
        count_modes(PUSHT, MOTION, straight_lines(ways), 0) for ways in ([1.0], [1.0, -1.0])
    )
    assert first_steps(two, "velocity") > first_steps(one, "velocity")


def test_only_what_commands_a_position_counts_as_a_way_to_go() -> None:
    """A third number in other units, here a million times larger, changes nothing."""
    demos = straight_lines([1.0, -1.0])
    task = replace(
        PUSHT,
        reference=lambda states: np.zeros((len(states), 3)),
        name="with a gripper",
    )
    motion = replace(MOTION, commanded=lambda actions, _: actions[..., :2])
    noise = 1e6 * np.random.default_rng(0).normal(size=(len(demos.actions), 1))
    with_gripper = replace(demos, actions=np.concatenate([demos.actions, noise], axis=1))
    found = count_modes(task, motion, with_gripper, 0)
    expected = count_modes(PUSHT, MOTION, demos, 0)
    position = [frame[frame["control"] == "position"]["modes"] for frame in (found, expected)]
    assert position[0].tolist() == position[1].tolist()


class Follower:
    """Sends the agent towards a place; it sees where it is."""

    obs_horizon = 1
    pred_horizon = 8

    def __init__(self, is_velocity: bool) -> None:
        self.is_velocity = is_velocity

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002
        """The way to the place, made in one action, or nothing more to go."""
        way = np.array([100.0, 100.0]) - window["state"][:, -1, -2:]
        first = way if self.is_velocity else np.broadcast_to([100.0, 100.0], way.shape)
        rest = np.zeros_like(first) if self.is_velocity else first
        return np.stack([first, *[rest] * 7], axis=1)


@pytest.mark.parametrize("config", [EvalConfig(1), EvalConfig(8), EvalConfig(3)])
def test_one_action_is_wrong_at_its_step_and_no_other(config: EvalConfig) -> None:
    error = np.array([[5.0, 0.0], [0.0, 7.0]])
    policy = OneWrongAction(Follower(False), config, error)
    executed = []
    while len(executed) < ERROR_AT + 10:
        chunk = policy.predict({"state": np.zeros((2, 1, 20))}, np.arange(2))
        executed += list(chunk[:, : config.action_horizon].swapaxes(0, 1))
    off = np.array(executed) - 100.0
    np.testing.assert_array_equal(off[ERROR_AT], error)
    assert not np.delete(off, ERROR_AT, axis=0).any()


def test_velocity_actions_are_differences_of_set_points() -> None:
    demos = straight_lines([2.0], episodes=1)
    assert PUSHT.actions_of(demos, "position") is demos.actions
    differences = PUSHT.actions_of(demos, "velocity")
    assert np.allclose(np.cumsum(differences, axis=0) + demos.states[0, :2], demos.actions)


def test_an_error_fades_under_position_control_and_stays_under_velocity_control() -> None:
    demos = straight_lines([1.0, -1.0])
    growth = error_growth(PUSHT, MOTION, demos, "keypoints")
    last = growth[growth["step"] == ERROR_STEPS].groupby("control")["error"].median()
    size = ERROR_SHARE * np.ptp(demos.actions, axis=0).max()
    assert last["position"] < 0.01 * size
    assert last["velocity"] == pytest.approx(size, rel=0.01)

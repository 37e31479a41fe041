"""Pauses in demonstrations: real ones, simulated, that change nothing else."""

import numpy as np
import pytest

from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_idle import COVERAGE_CHANGE, LONGEST, SHORTEST, with_pauses
from envs.pusht.geometry import coverage
from envs.pusht.physics import PushTPhysics


def runs_of_repeats(actions: np.ndarray) -> list[int]:
    """Lengths of the stretches in which an action repeats the one before."""
    repeats = (np.diff(actions, axis=0) == 0).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], repeats.astype(int), [0]])))
    return list(edges[1::2] - edges[::2])


def final_coverage(demos: Demonstrations, index: int) -> float:
    """Coverage after the last action of an episode."""
    episode = demos.episode(index)
    table = PushTPhysics()
    table.reset_to(episode.states[0], "angle-first")
    for action in episode.actions:
        table.step(action)
    return coverage(table.coordinates)


@pytest.fixture
def paused(three_demonstrations: Demonstrations) -> Demonstrations:
    return with_pauses(three_demonstrations, 0.3, "keypoints", seed=0)


def test_without_pauses_the_simulation_gives_the_demonstrations_back(
    three_demonstrations: Demonstrations,
) -> None:
    same = with_pauses(three_demonstrations, 0.0, "keypoints", seed=0)
    assert np.array_equal(same.actions, three_demonstrations.actions)
    assert np.allclose(same.states, three_demonstrations.states, atol=1e-6)
    assert same.metadata.version == f"{three_demonstrations.metadata.version}-idle0"


def test_about_the_share_of_steps_asked_for_is_idle(
    three_demonstrations: Demonstrations, paused: Demonstrations
) -> None:
    added = paused.num_steps - three_demonstrations.num_steps
    assert 0.2 < added / paused.num_steps <= 0.31
    assert paused.metadata.version.endswith("-idle0.3")


def test_the_actions_besides_the_pauses_are_the_demonstrated_ones(
    three_demonstrations: Demonstrations, paused: Demonstrations
) -> None:
    for index in range(three_demonstrations.num_episodes):
        before, after = (d.episode(index).actions for d in (three_demonstrations, paused))
        moved = np.concatenate([[True], (np.diff(after, axis=0) != 0).any(axis=1)])
        changed = np.concatenate([[True], (np.diff(before, axis=0) != 0).any(axis=1)])
        assert np.array_equal(after[moved], before[changed])


def test_a_pause_is_as_long_as_people_pause(paused: Demonstrations) -> None:
    for index in range(paused.num_episodes):
        pauses = [n for n in runs_of_repeats(paused.episode(index).actions) if n >= SHORTEST]
        assert pauses
        assert min(pauses) <= LONGEST


def test_the_block_ends_where_it_did(
    three_demonstrations: Demonstrations, paused: Demonstrations
) -> None:
    for index in range(paused.num_episodes):
        change = final_coverage(paused, index) - final_coverage(three_demonstrations, index)
        assert abs(change) <= COVERAGE_CHANGE


def test_the_states_are_what_the_environment_gives(paused: Demonstrations) -> None:
    episode = paused.episode(1)
    table = PushTPhysics()
    table.reset_to(episode.states[0], "angle-first")
    for state, action in zip(episode.states, episode.actions, strict=True):
        assert np.array_equal(table.state, state)
        table.step(action)


def test_a_seed_gives_the_same_pauses_and_another_seed_others(
    three_demonstrations: Demonstrations, paused: Demonstrations
) -> None:
    again = with_pauses(three_demonstrations, 0.3, "keypoints", seed=0)
    other = with_pauses(three_demonstrations, 0.3, "keypoints", seed=1)
    assert np.array_equal(again.actions, paused.actions)
    assert other.actions.shape != paused.actions.shape or not np.array_equal(
        other.actions, paused.actions
    )


@pytest.mark.parametrize("rate", [-0.1, 0.95])
def test_an_impossible_rate_is_refused(three_demonstrations: Demonstrations, rate: float) -> None:
    with pytest.raises(ValueError, match=r"0 to 0\.9"):
        with_pauses(three_demonstrations, rate, "keypoints", seed=0)

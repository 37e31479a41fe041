"""Jitter, reversals and standing still, on paths whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.running.motion import jitter, motion_measures, reversals

STILL = 3.0
STUCK = 5  # steps


def measure(
    positions: np.ndarray, rewards: np.ndarray | None = None, length: int | None = None
) -> dict[str, float]:
    """Measure one episode whose agent is always at its set-point."""
    steps = len(positions) - 1
    frame = motion_measures(
        positions[1:, None],
        positions[:, None],
        np.zeros((steps, 1)) if rewards is None else rewards[:, None],
        np.array([steps if length is None else length]),
        STILL,
        STUCK,
    )
    return dict(frame.iloc[0])


def test_a_straight_path_at_one_speed_has_no_jitter_and_no_reversal() -> None:
    path = np.arange(20)[:, None] * np.array([[10.0, 5.0]])
    found = measure(path)
    assert found["jitter"] == 0
    assert found["reversals"] == 0
    assert not found["stuck"]


@given(st.floats(4, 100), st.integers(4, 30))
def test_going_to_and_fro_turns_back_at_every_step(size: float, steps: int) -> None:
    moves = size * np.array([[(-1) ** i, 0.0] for i in range(steps)])
    assert reversals(moves, STILL) == 1
    assert jitter(moves) == pytest.approx(4 * size**2)


def test_trembling_by_less_than_what_counts_as_motion_is_no_reversal() -> None:
    moves = 0.9 * STILL * np.array([[(-1.0) ** i, 0.0] for i in range(10)])
    assert reversals(moves, STILL) == 0


def test_a_turn_by_a_right_angle_is_no_reversal() -> None:
    moves = np.array([[10.0, 0.0], [0.0, 10.0], [-10.0, 0.0]])
    assert reversals(moves, STILL) == 0


@pytest.mark.parametrize("measure_of", [jitter, lambda moves: reversals(moves, STILL)])
def test_fewer_than_two_moves_have_no_measure(measure_of: object) -> None:
    assert np.isnan(measure_of(np.zeros((1, 2))))  # type: ignore[operator]


def test_standing_still_for_long_enough_is_stuck_at_the_reward_of_then() -> None:
    path = np.concatenate([np.arange(4), np.full(STUCK, 3)])[:, None] * 10.0
    rewards = np.linspace(0.1, 0.8, len(path) - 1)
    found = measure(path, rewards)
    assert found["stuck"]
    assert found["stuck_score"] == pytest.approx(rewards[-1])


def test_one_step_less_is_not_stuck() -> None:
    path = np.concatenate([np.arange(4), np.full(STUCK - 1, 3)])[:, None] * 10.0
    found = measure(path)
    assert not found["stuck"]
    assert np.isnan(found["stuck_score"])


def test_what_comes_after_an_episode_has_ended_is_not_looked_at() -> None:
    moving = np.arange(10)[:, None] * 10.0
    ended = np.concatenate([moving, np.full((30, 1), moving[-1, 0])])
    assert not measure(ended, length=len(moving) - 1)["stuck"]
    assert measure(ended)["stuck"]


def test_every_episode_is_measured_on_its_own() -> None:
    straight = np.arange(12)[:, None] * 10.0
    waiting = np.zeros((12, 1))
    positions = np.stack([straight, waiting], axis=1)
    frame = motion_measures(
        positions[1:], positions, np.zeros((11, 2)), np.array([11, 11]), STILL, STUCK
    )
    assert list(frame["stuck"]) == [False, True]

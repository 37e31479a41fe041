"""Position and velocity control: the conversion of actions, and replays under both."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import envs
from envs.control import to_position, to_velocity

gymnasium.register_envs(envs)


def set_points(width: int) -> st.SearchStrategy[np.ndarray]:
    elements = st.floats(0.0, 512.0, width=width)
    return hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=elements)


def cut(length: int, fraction: float) -> list[int]:
    """Episode ends that cut `length` steps in two, or in one."""
    return sorted({max(1, round(length * fraction)), length})


@given(set_points(32), st.floats(0.0, 1.0), set_points(32))
def test_set_points_recorded_in_float32_come_back_to_the_bit(actions, fraction, references):
    # Numbers below 2**-20 px leave more digits to the difference than float64 holds.
    actions, references = np.round(actions, 4).astype(np.float32), np.float32(references[:1])
    ends = cut(len(actions), fraction)
    first = np.repeat(references, len(ends), axis=0)
    np.testing.assert_array_equal(
        to_position(to_velocity(actions, ends, first), ends, first), actions
    )


@given(set_points(64), st.floats(0.0, 1.0), set_points(64))
def test_any_set_points_come_back_within_one_rounding(actions, fraction, references):
    ends = cut(len(actions), fraction)
    first = np.repeat(references[:1], len(ends), axis=0)
    again = to_position(to_velocity(actions, ends, first), ends, first)
    np.testing.assert_allclose(again, actions, atol=2e-13, rtol=0)


def test_rounding_does_not_grow_with_the_length_of_an_episode():
    actions = np.random.default_rng(0).uniform(0.0, 512.0, (10_000, 2))
    again = to_position(to_velocity(actions, [10_000], actions[:1]), [10_000], actions[:1])
    np.testing.assert_allclose(again, actions, atol=2e-13, rtol=0)


def test_each_episode_starts_from_its_own_reference():
    actions = [[10.0, 20.0], [12.0, 19.0], [100.0, 0.0], [101.0, 5.0]]
    differences = to_velocity(actions, [2, 4], [[9.0, 20.0], [90.0, 1.0]])
    np.testing.assert_array_equal(differences, [[1, 0], [2, -1], [10, -1], [1, 5]])


@pytest.mark.parametrize(
    ("actions", "ends", "first", "message"),
    [
        (np.zeros(4), [4], np.zeros((1, 2)), r"actions have shape \(4,\); give \(N, Da\)"),
        (np.zeros((4, 2)), [3], np.zeros((1, 2)), "end at the number of actions, 4"),
        (np.zeros((4, 2)), [2, 2, 4], np.zeros((3, 2)), "increase strictly"),
        (np.zeros((4, 2)), [2, 4], np.zeros((1, 2)), r"one row an episode, \(2, 2\)"),
    ],
)
@pytest.mark.parametrize("convert", [to_velocity, to_position])
def test_shapes_that_do_not_fit_are_refused(convert, actions, ends, first, message):
    with pytest.raises(ValueError, match=message):
        convert(actions, ends, first)


def test_human_demonstrations_convert_without_loss(human_npz):
    with np.load(human_npz) as arrays:
        actions, states, ends = arrays["action"], arrays["state"], arrays["episode_ends"]
    first = states[np.r_[0, ends[:-1]], :2]
    np.testing.assert_array_equal(
        to_position(to_velocity(actions, ends, first), ends, first), actions
    )


def test_a_replay_under_velocity_control_is_the_replay_under_position_control(human_npz):
    with np.load(human_npz) as arrays:
        actions, ends = arrays["action"].astype(np.float64), arrays["episode_ends"]
    position = gymnasium.make("dpbench/PushT-v1", obs_type="state", control="position")
    velocity = gymnasium.make("dpbench/PushT-v1", obs_type="state", control="velocity")
    for episode in range(0, len(ends), 40):
        chosen = actions[(ends[episode - 1] if episode else 0) : ends[episode]]
        start, _ = position.reset(seed=episode)
        velocity.reset(seed=episode)
        differences = to_velocity(chosen, [len(chosen)], start[None, :2])
        for set_point, difference in zip(chosen, differences, strict=True):
            expected, *_ = position.step(set_point)
            reached, *_ = velocity.step(difference)
            np.testing.assert_array_equal(reached, expected)

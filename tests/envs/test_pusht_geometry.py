"""Coverage against shapely, keypoints against the recorded ones."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from envs.pusht.geometry import (
    BAR,
    CENTER_OF_GRAVITY,
    GOAL_POSE,
    LOCAL_KEYPOINTS,
    OUTLINE,
    REACH,
    STEM,
    T_AREA,
    block_keypoints,
    coverage,
    coverage_batch,
    keypoints,
    place,
)

GOAL_COS, GOAL_SIN = math.cos(GOAL_POSE[2]), math.sin(GOAL_POSE[2])


def oracle(pose: tuple[float, float, float]) -> float:
    goal = shapely.union_all([shapely.Polygon(place(part, GOAL_POSE)) for part in (BAR, STEM)])
    block = [shapely.Polygon(place(part, pose)) for part in (BAR, STEM)]
    return sum(goal.intersection(part).area for part in block) / T_AREA


def in_goal_frame(x: float, y: float, turn: float) -> tuple[float, float, float]:
    """The pose in the world of a block that is at x, y and turned by `turn` seen from the goal."""
    return (
        GOAL_POSE[0] + GOAL_COS * x - GOAL_SIN * y,
        GOAL_POSE[1] + GOAL_SIN * x + GOAL_COS * y,
        GOAL_POSE[2] + turn,
    )


def assert_coverage_is_right(pose: tuple[float, float, float]) -> None:
    state = (0.0, 0.0, *pose)
    covered = coverage(state)
    assert covered == pytest.approx(oracle(pose), abs=1e-9)
    assert coverage_batch([state, state])[1] == covered


offsets = st.floats(-160.0, 160.0)
angles = st.floats(-7.0, 7.0)


@given(offsets, offsets, angles)
def test_coverage_equals_shapely_near_the_goal(x, y, turn):
    assert_coverage_is_right(in_goal_frame(x, y, turn))


@given(
    st.sampled_from([-120.0, -75.0, -60.0, -30.0, -15.0, 0.0, 15.0, 30.0, 60.0, 75.0, 90.0, 120.0]),
    st.sampled_from([-120.0, -90.0, -60.0, -30.0, 0.0, 30.0, 60.0, 90.0, 120.0, 150.0]),
    st.sampled_from([0.0, math.pi / 2, math.pi, -math.pi / 2, math.pi / 4]),
    st.sampled_from([0.0, 1e-15, -1e-13, 1e-9, -1e-6]),
)
def test_coverage_equals_shapely_where_edges_and_corners_touch(x, y, turn, nudge):
    assert_coverage_is_right(in_goal_frame(x + nudge, y - nudge, turn + nudge))


def test_coverage_of_many_states_equals_that_of_each_to_the_bit():
    rng = np.random.default_rng(0)
    states = np.column_stack(
        [np.zeros((3000, 2)), rng.normal(256.0, 60.0, (3000, 2)), rng.uniform(-20.0, 20.0, 3000)]
    )
    each = np.array([coverage(state) for state in states])
    assert 0.5 < np.mean(each > 0) < 1.0
    np.testing.assert_array_equal(coverage_batch(states), each)
    for size in (1, 2, 3, 9):
        np.testing.assert_array_equal(coverage_batch(states[:size]), each[:size])
    assert coverage_batch(states[:0]).shape == (0,)


def test_coverage_is_one_on_the_goal_and_nothing_far_away():
    assert coverage((0, 0, *GOAL_POSE)) == pytest.approx(1.0, abs=1e-12)
    assert coverage((0, 0, 60.0, 60.0, 0.0)) == 0.0


def test_shapes_agree_with_each_other():
    outline = shapely.Polygon(OUTLINE)
    assert outline.is_valid
    assert outline.area == T_AREA == shapely.Polygon(BAR).area + shapely.Polygon(STEM).area
    corners = np.array(OUTLINE) - CENTER_OF_GRAVITY
    assert np.hypot(*corners.T).max() == pytest.approx(REACH)


def test_keypoints_of_one_pose_equal_those_of_many_to_the_bit():
    rng = np.random.default_rng(1)
    states = rng.uniform([0, 0, 0, 0, -9], [512, 512, 512, 512, 9], (200, 5))
    many = keypoints(states)
    assert many.shape == (200, 9, 2)
    for state, expected in zip(states, many, strict=True):
        assert block_keypoints(*state[2:].tolist()) == expected.ravel().tolist()
        np.testing.assert_array_equal(keypoints(state), expected)


def test_local_keypoints_are_pixels_shifted_by_the_numbers_they_are_said_to_be():
    shifts = np.random.default_rng(0).random(19)[1:].reshape(9, 2)
    pixels = LOCAL_KEYPOINTS - shifts
    np.testing.assert_allclose(pixels, np.rint(pixels), atol=1e-12, rtol=0)


def test_keypoints_are_those_of_the_recorded_demonstrations(human_npz):
    with np.load(human_npz) as arrays:
        states = arrays["state"].astype(np.float64)
        recorded = arrays["keypoint"].astype(np.float64)
        untouched = arrays["n_contacts"][:, 0] == 0
    error = np.abs(keypoints(states) - recorded).max(axis=(1, 2))
    assert len(error) == 25650
    # float32 has 3e-5 px left at 512 px.
    assert np.quantile(error[untouched], 0.99) < 3e-5
    # Where the agent touches the block, the recorded keypoints belong to a pose which is up to
    # 2.2 px off the recorded state's. They still are these nine points in these places: their
    # distances from each other agree in every one of the 25,650 steps.
    distances = np.linalg.norm(recorded[:, :, None] - recorded[:, None], axis=-1)
    local = np.linalg.norm(LOCAL_KEYPOINTS[:, None] - LOCAL_KEYPOINTS, axis=-1)
    assert np.abs(distances - local).max() < 1e-4
    assert error.max() < 2.5

"""Conversions of rotations are exact, and any six numbers give a rotation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from envs.robosuite.rotations import from_axis_angle, from_six, to_axis_angle, to_six

VECTORS = arrays(np.float64, (3,), elements=st.floats(-1.8, 1.8))  # no longer than pi
SIXES = arrays(np.float64, (6,), elements=st.floats(-2.0, 2.0))


@given(VECTORS)
def test_axis_angle_comes_back(vector):
    np.testing.assert_allclose(to_axis_angle(from_axis_angle(vector)), vector, atol=1e-7)


@given(VECTORS)
def test_six_numbers_of_a_rotation_give_it_back(vector):
    matrix = from_axis_angle(vector)
    np.testing.assert_allclose(from_six(to_six(matrix)), matrix, atol=1e-14)


@given(SIXES)
def test_any_six_numbers_that_are_not_degenerate_give_a_rotation(six):
    if np.linalg.norm(np.cross(six[:3], six[3:])) < 1e-3:
        return
    matrix = from_six(six)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    # The first column keeps its direction, the second its side of it.
    assert matrix[:, 0] @ six[:3] == pytest.approx(np.linalg.norm(six[:3]))
    assert matrix[:, 1] @ six[3:] > 0.0


def test_a_quarter_turn_about_z_is_what_it_is():
    matrix = from_axis_angle([0.0, 0.0, np.pi / 2.0])
    np.testing.assert_allclose(to_six(matrix), [0, 1, 0, -1, 0, 0], atol=1e-15)


def test_many_rotations_are_converted_at_once():
    vectors = np.random.default_rng(0).uniform(-1.0, 1.0, (4, 5, 3))
    matrices = from_axis_angle(vectors)
    assert matrices.shape == (4, 5, 3, 3)
    np.testing.assert_allclose(to_axis_angle(matrices), vectors, atol=1e-12)
    np.testing.assert_array_equal(
        from_six(to_six(matrices))[2, 3], from_six(to_six(matrices[2, 3]))
    )


@pytest.mark.parametrize("six", [[0.0] * 6, [1, 0, 0, 2, 0, 0], [1, 0, 0, np.nan, 1, 0]])
def test_six_numbers_without_a_rotation_are_refused(six):
    with pytest.raises(ValueError, match="give the first two columns of a rotation matrix"):
        from_six(six)

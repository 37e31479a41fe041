"""Rotations as matrices, as axis-angle vectors, and as the six numbers that policies predict.

The six numbers are the first two columns of the matrix, one after the other. Unlike axis-angle
vectors, quaternions and Euler angles they have no jumps (Zhou et al., On the Continuity of Rotation
Representations in Neural Networks, CVPR 2019, arXiv 1812.07035).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]

_SHORTEST = 1e-6  # of the columns of six numbers; below it there is no direction to speak of


def to_six(matrix: ArrayLike) -> Floats:
    """Rotation matrices (..., 3, 3) to six numbers, (..., 6)."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def from_six(six: ArrayLike) -> Floats:
    """Any six numbers (..., 6) to the rotation matrices nearest in Gram and Schmidt's sense.

    Raises:
        ValueError: If the two columns are zero or parallel, which no rotation is near to.
    """
    six = np.asarray(six, dtype=np.float64)
    first, second = six[..., :3], six[..., 3:]
    x = _unit(first)
    y = _unit(second - (x * second).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], axis=-1)


def _unit(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (lengths > _SHORTEST).all():
        raise ValueError(
            "the six numbers of a rotation are zero, parallel or not finite; give the first two "
            "columns of a rotation matrix"
        )
    unit: Floats = vectors / lengths
    return unit


def to_axis_angle(matrix: ArrayLike) -> Floats:
    """Rotation matrices (..., 3, 3) to axis times angle, (..., 3), rad, no longer than pi."""
    matrix = np.asarray(matrix, dtype=np.float64)
    vectors = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec()
    return np.asarray(vectors, dtype=np.float64).reshape(*matrix.shape[:-2], 3)


def from_axis_angle(vector: ArrayLike) -> Floats:
    """Axis times angle (..., 3), rad, to rotation matrices, (..., 3, 3)."""
    vector = np.asarray(vector, dtype=np.float64)
    matrices = Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix()
    return np.asarray(matrices, dtype=np.float64).reshape(*vector.shape[:-1], 3, 3)

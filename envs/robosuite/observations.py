"""What a policy sees of a simulation: robomimic's low-dimensional observations, flat.

Computed here from the simulation's poses and not by robosuite's observables, which are evaluated 25
times a step whether somebody reads them or not, and of which 1.5.1 gives the pose of an object
relative to the gripper a step late. Differences to robomimic's public data:

    - Everything is of the same time, that of the state.
    - Quaternions keep their sign from step to step. robomimic makes w positive, but a gripper that
      points down turns by half a turn, w is about 0, and all four numbers would jump back and
      forth.
    - `gripper_to_cube_pos` is cube less gripper, as in robosuite 1.5 (1.4: gripper less cube).
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from envs.robosuite.scenes import ROBOT_DIM
from envs.robosuite.simulation import Simulation

ObsType = Literal["state", "pixels"]
OBS_TYPES: tuple[ObsType, ...] = get_args(ObsType)

Floats = NDArray[np.float64]


def observe(simulation: Simulation) -> Floats:
    """All quantities of `Scene.slices`, (Do,): m; quaternions are x, y, z, w."""
    data = simulation.data
    position, eef = data.xpos[simulation.object_body], data.site_xpos[simulation.eef_site]
    quaternion, hand = data.xquat[simulation.object_body], data.xquat[simulation.eef_body]
    if "gripper_to_cube_pos" in simulation.scene.object_parts:
        relative = position - eef
    else:
        away = _inverse(hand)
        relative = np.concatenate(
            [_rotate(away, position - eef), _last_w(_product(away, quaternion))]
        )
    return np.concatenate(
        [
            position,
            _last_w(quaternion),
            relative,
            eef,
            _last_w(hand),
            data.qpos[simulation.gripper_qpos],
        ]
    )


def robot_part(observations: Floats) -> Floats:
    """What a robot knows without looking, (..., 9): the last part of observations (..., Do)."""
    return observations[..., -ROBOT_DIM:]


def _last_w(quaternion: Floats) -> Floats:
    return quaternion[[1, 2, 3, 0]]


def _inverse(quaternion: Floats) -> Floats:
    return quaternion * [1.0, -1.0, -1.0, -1.0]


def _product(one: Floats, other: Floats) -> Floats:
    """Hamilton's product of quaternions (4,), w first."""
    w, v = one[0], one[1:]
    z, u = other[0], other[1:]
    return np.concatenate([[w * z - v @ u], w * u + z * v + np.cross(v, u)])


def _rotate(quaternion: Floats, vector: Floats) -> Floats:
    """A vector (3,) turned by a quaternion (4,), w first."""
    w, v = quaternion[0], quaternion[1:]
    aside = 2.0 * np.cross(v, vector)
    turned: Floats = vector + w * aside + np.cross(v, aside)
    return turned

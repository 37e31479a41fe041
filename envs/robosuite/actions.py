"""What an action means to robosuite, under either control mode.

position: where the gripper shall be, 10 numbers: position in the world (3, m), rotation (6, see
rotations.py), gripper (below 0 opens, above 0 closes). Nothing is clipped.
velocity: how far from where it is, 7 numbers: translation (3, in 0.05 m), axis-angle (3, in 0.5
rad), gripper. robosuite clips them to -1 and 1.

Both are relative to nothing but the world and the gripper's pose, so an action of velocity control
means one of position control as soon as it is known where the gripper was: `absolute`.
"""

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from envs.control import Control
from envs.robosuite.rotations import from_axis_angle, from_six, to_axis_angle, to_six
from envs.robosuite.simulation import MAX_DELTA

Floats = NDArray[np.float64]

ACTION_DIM: dict[Control, int] = {"position": 10, "velocity": 7}

# A Panda reaches 0.9 m from its base, which stands at x = -0.56 or -0.5 and z = 0.91.
_LOWEST, _HIGHEST = (-1.5, -1.0, 0.0), (0.5, 1.0, 2.0)


def action_space(control: Control) -> spaces.Space[Floats]:
    """The space of one action."""
    if control == "velocity":
        return spaces.Box(-1.0, 1.0, (7,), dtype=np.float64)
    low = np.array([*_LOWEST, *[-1.0] * 7])
    high = np.array([*_HIGHEST, *[1.0] * 7])
    return spaces.Box(low, high, dtype=np.float64)


def command(action: ArrayLike, control: Control) -> Floats:
    """Turn an action into the seven numbers that robosuite takes.

    Raises:
        ValueError: If the action has a wrong shape, is not finite, or holds no rotation.
    """
    action = np.asarray(action, dtype=np.float64)
    if action.shape != (ACTION_DIM[control],):
        raise ValueError(
            f"action has shape {action.shape}; {control} control takes ({ACTION_DIM[control]},)"
        )
    if not np.isfinite(action).all():
        raise ValueError(f"action {action} is not finite")
    if control == "velocity":
        return action
    rotation = to_axis_angle(from_six(action[3:9]))
    return np.concatenate([action[:3], rotation, action[9:]])


def pose_action(position: ArrayLike, rotation: ArrayLike, gripper: ArrayLike) -> Floats:
    """Actions of position control, (..., 10).

    Args:
        position: (..., 3), m.
        rotation: Matrices, (..., 3, 3).
        gripper: (...,), -1 to 1.
    """
    gripper = np.asarray(gripper, dtype=np.float64)[..., None]
    return np.concatenate([np.asarray(position), to_six(rotation), gripper], axis=-1)


def absolute(delta: ArrayLike, position: ArrayLike, rotation: ArrayLike) -> Floats:
    """Actions of velocity control (..., 7) as those of position control that mean the same.

    Args:
        delta: As given to robosuite.
        position: Where the gripper was, (..., 3), m.
        rotation: How it was turned, matrices (..., 3, 3).
    """
    delta = np.asarray(delta, dtype=np.float64)
    moved = np.clip(delta[..., :6], -1.0, 1.0) * MAX_DELTA
    turned = from_axis_angle(moved[..., 3:]) @ np.asarray(rotation)
    return pose_action(np.asarray(position) + moved[..., :3], turned, delta[..., 6])

"""What a policy sees of a Push-T state, computed from the state alone.

The environments, the demonstrations and the rollout all come here, so that a policy sees the same
numbers in training and in evaluation.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.pusht.geometry import block_keypoints, keypoints

ObsType = Literal["state", "keypoints", "pixels"]
OBS_TYPES: tuple[ObsType, ...] = get_args(ObsType)


def observe(states: ArrayLike, obs_type: ObsType) -> dict[str, NDArray[Any]]:
    """Turn states into observations.

    Args:
        states: Agent x, y, block x, y (px) and angle (rad), (N, 5).
        obs_type: "state" (the five numbers, the angle between 0 and 2 pi), "keypoints" (nine
            keypoints of the block, then the agent) or "pixels".

    Returns:
        `state`: float64, px and rad: (N, 5), (N, 20), or for "pixels" the agent (N, 2).
        `pixels`: for "pixels" only, uint8 RGB, (N, 96, 96, 3).

    Raises:
        ValueError: If the states are not (N, 5) or the type is not known.
    """
    states = np.asarray(states, dtype=np.float64)
    if states.ndim != 2 or states.shape[1] != 5:
        raise ValueError(f"states have shape {states.shape}; give (N, 5)")
    if obs_type == "state":
        return {"state": np.column_stack([states[:, :4], states[:, 4] % (2.0 * math.pi)])}
    if obs_type == "keypoints":
        block = keypoints(states).reshape(len(states), -1)
        return {"state": np.concatenate([block, states[:, :2]], axis=1)}
    if obs_type == "pixels":
        from envs.pusht.render import observation_images  # pygame is only needed for pixels

        return {"pixels": observation_images(states), "state": states[:, :2].copy()}
    raise ValueError(f"unknown obs_type {obs_type!r}; choose one of {', '.join(OBS_TYPES)}")


def observe_one(state: Sequence[float], obs_type: ObsType) -> dict[str, NDArray[Any]]:
    """`observe` for one state of five numbers, equal to the bit; no leading axis.

    An environment that is stepped alone would spend more on numpy than on the physics.
    """
    if obs_type == "keypoints":
        agent_x, agent_y, x, y, angle = state
        return {"state": np.array([*block_keypoints(x, y, angle), agent_x, agent_y])}
    return {key: value[0] for key, value in observe([state], obs_type).items()}

"""What a reset of many episodes asks for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def take_mask(options: dict[str, Any], num_envs: int) -> NDArray[np.bool_]:
    """Take `reset_mask` out of the options: the episodes to start anew, (N,), by default all.

    Raises:
        ValueError: If it is not N booleans.
    """
    mask = np.asarray(options.pop("reset_mask", np.ones(num_envs, dtype=np.bool_)))
    if mask.shape != (num_envs,) or mask.dtype != np.bool_:
        raise ValueError(f"reset_mask is {mask}; give {num_envs} booleans")
    return mask


def episode_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> Sequence[int | None]:
    """A seed for each of N episodes; one number gives consecutive ones, None leaves them open.

    Raises:
        ValueError: If there are not N.
    """
    if seed is None:
        return [None] * num_envs
    if isinstance(seed, int):
        return range(seed, seed + num_envs)
    if len(seed) != num_envs:
        raise ValueError(f"{len(seed)} seeds for {num_envs} episodes; give one each")
    return seed

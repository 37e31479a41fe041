"""A vector environment of Gymnasium as Stable-Baselines3 takes one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.wrappers.vector import DictInfoToList
from stable_baselines3.common.vec_env import VecEnv


class GymnasiumVecEnv(VecEnv):
    """Steps a vector environment in same-step mode, which is the only one that SB3 knows.

    Args:
        env: The environment, made with `autoreset_mode="SameStep"`.
    """

    def __init__(self, env: VectorEnv) -> None:
        assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        self._env = DictInfoToList(env)
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Observations, (N, ...)."""
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        observations, self.reset_infos = self._env.reset(seed=seeds)
        self._reset_seeds()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[Any, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminated, truncated, infos = self._env.step(self._actions)
        for index in np.flatnonzero(terminated | truncated):
            infos[index]["terminal_observation"] = infos[index].pop("final_obs")
            infos[index]["TimeLimit.truncated"] = bool(truncated[index] & ~terminated[index])
        return observations, rewards.astype(np.float32), terminated | truncated, infos

    def close(self) -> None:
        self._env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        value = getattr(self._env.unwrapped, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self._env.unwrapped, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list:
        raise NotImplementedError("all episodes are one environment")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> Sequence[bool]:
        return [False for _ in self._get_indices(indices)]

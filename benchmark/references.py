"""The two rows that frame a table: the demonstrations themselves, and a policy that never moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.config import Cell, EvalConfig
from benchmark.rollout import Frame, HoldStill, rollout
from benchmark.seeding import episode_seeds
from benchmark.store import describe
from benchmark.tasks import get_task
from envs.demos.demonstrations import Demonstrations


class Replay:
    """Plays recorded set-points back; what follows a recording repeats its last one."""

    obs_horizon = 1

    def __init__(self, demos: Demonstrations) -> None:
        self.pred_horizon = int(demos.lengths.max())
        steps = demos.starts[:, None] + np.arange(self.pred_horizon)
        self._actions = demos.actions[np.minimum(steps, demos.episode_ends[:, None] - 1)]

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002
        """The whole recording of each episode, (B, Tp, Da)."""
        actions: NDArray[np.float64] = self._actions[episodes]
        return actions


def demonstrator(cell: Cell, demos: Demonstrations) -> pd.DataFrame:
    """The ceiling: every demonstration replayed from its first state, a row an episode.

    A replay ends with its recording: the agent is still on its way then, and to let it arrive added
    up to 0.04 to the coverage that people reached.
    """
    task = get_task(cell.task)
    replay = Replay(demos)
    config = EvalConfig(replay.pred_horizon, episodes=demos.num_episodes)
    env = task.make_vec(demos.num_episodes, cell.obs_type, "position")
    try:
        start = {"state": demos.states[demos.starts]}
        episodes = rollout(
            replay,
            env,
            range(demos.num_episodes),
            config,
            options=start,
            max_lengths=demos.lengths,
        )
    finally:
        env.close()
    return _reference("demonstrator", episodes, cell, config)


def hold_still(cell: Cell, config: EvalConfig) -> pd.DataFrame:
    """The floor: a policy that never moves, on the episodes of `config`."""
    task = get_task(cell.task)
    seeds = episode_seeds(config.split, config.episodes)
    env = task.make_vec(len(seeds), cell.obs_type, "velocity")
    try:
        episodes = rollout(HoldStill(task.action_dim["velocity"]), env, seeds, config)
    finally:
        env.close()
    return _reference("hold-still", episodes, cell, config)


def _reference(name: str, episodes: pd.DataFrame, cell: Cell, config: EvalConfig) -> pd.DataFrame:
    """Describe episodes that no training stands behind."""
    return describe(episodes, cell, config, steps=0).assign(
        cell=name, method=name, train_seed=-1, updates=0
    )

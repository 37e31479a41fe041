"""The two rows that frame a table: the demonstrations themselves, and a policy that never moves.

No training stands behind them: each is played once and kept in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.seeding import episode_seeds
from benchmark.plan.tasks import get_task
from benchmark.progress import progress_bar
from benchmark.running.once import once
from benchmark.running.rollout import Frame, HoldStill, rollout
from benchmark.running.store import describe, write_parquet
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


def references(
    cell: Cell, demos: Demonstrations, config: EvalConfig, store: Path
) -> list[pd.DataFrame]:
    """The ceiling and the floor of a table, a row an episode.

    Args:
        cell: One of the table's cells; what it is trained on matters, not its method.
        demos: The demonstrations.
        config: How the cells are evaluated: the episodes of the floor.
        store: Where both are kept, and taken from when they are there.
    """
    replay = EvalConfig(int(demos.lengths.max()), episodes=demos.num_episodes)
    kept = store / "references"
    ceiling = _kept(
        kept / f"demonstrator-{cell.task}-{cell.data}-{cell.data_version}-{replay.id}.parquet",
        lambda: demonstrator(cell.task, demos),
    )
    # How often a policy predicts is nothing to one that never moves.
    still = EvalConfig(split=config.split, episodes=config.episodes)
    floor = _kept(
        kept / f"hold-still-{cell.task}-{still.id}.parquet",
        lambda: hold_still(cell.task, still),
    )
    return [
        describe(episodes, cell, played, steps=0).assign(
            cell=name, method=name, train_seed=-1, updates=0
        )
        for name, episodes, played in (
            ("demonstrator", ceiling, replay),
            ("hold-still", floor, config),
        )
    ]


def demonstrator(name: str, demos: Demonstrations) -> pd.DataFrame:
    """Every demonstration of a task replayed from its first state, a row an episode.

    A replay ends with its recording: the agent is still on its way then, and to let it arrive added
    up to 0.04 to the coverage that people reached.
    """
    task = get_task(name)
    replay = Replay(demos)
    steps, count = replay.pred_horizon, demos.num_episodes
    with (
        closing(task.make_vec(count, task.obs_types[0], "position")) as env,
        progress_bar(steps, "demonstrations, replayed", "step") as bar,
    ):
        return rollout(
            replay,
            env,
            range(count),
            EvalConfig(steps, episodes=count),
            bar.update,
            options={"state": demos.states[demos.starts]},
            max_lengths=demos.lengths,
        )


def hold_still(name: str, config: EvalConfig) -> pd.DataFrame:
    """A policy that never moves, on the episodes of `config`, a row an episode."""
    task = get_task(name)
    still = HoldStill(task.action_dim["velocity"])
    seeds = episode_seeds(config.split, config.episodes)
    with (
        closing(task.make_vec(len(seeds), task.obs_types[0], "velocity")) as env,
        progress_bar(task.max_steps, "holding still", "step") as bar,
    ):
        return rollout(still, env, seeds, config, bar.update)


def _kept(path: Path, play: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """The episodes that are kept at a path; where there are none they are played and kept."""
    return pd.read_parquet(once(path, lambda path: write_parquet(play(), path)))

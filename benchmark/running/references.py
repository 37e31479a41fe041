"""The two rows that frame a table: the demonstrations themselves, and a policy that never moves.

No training stands behind them: each is played once and kept in the store.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.plan.config import MEASURES, Cell, EvalConfig
from benchmark.plan.seeding import episode_seeds
from benchmark.plan.tasks import Task, get_task
from benchmark.running.rollout import Frame, HoldStill, Trace, play
from benchmark.running.store import describe, kept_frame
from envs.control import Control
from envs.demos.demonstrations import Demonstrations

Floats = NDArray[np.float64]


class Replay:
    """Plays given actions, (E, T, Da)."""

    obs_horizon = 1

    def __init__(self, actions: Floats) -> None:
        self.pred_horizon = actions.shape[1]
        self._actions = actions

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        """All actions of each episode, (B, Tp, Da)."""
        actions: Floats = self._actions[episodes]
        return actions


def references(
    cell: Cell, demos: Callable[[], Demonstrations], config: EvalConfig, store: Path
) -> list[pd.DataFrame]:
    """The demonstrations and the floor of a table, a row an episode.

    Args:
        cell: One of the table's cells; what it is trained on matters, not its method.
        demos: Gives the demonstrations, if they were not replayed yet.
        config: How the cells are evaluated: the episodes of the floor.
        store: Where both are kept, and taken from when they are there.
    """
    measures = f"m{MEASURES}"
    named = f"{cell.task}-{cell.data}-{cell.data_version}-{cell.num_demonstrations}"
    replayed = kept_frame(
        store,
        f"references/demonstrator-{named}-{measures}.parquet",
        lambda: demonstrator(cell.task, demos()),
    )
    # How often a policy predicts is nothing to one that never moves.
    still = EvalConfig(split=config.split, episodes=config.episodes)
    name = f"references/hold-still-{cell.task}-{still.id}.parquet"
    floor = kept_frame(store, name, lambda: hold_still(cell.task, still))
    replay = EvalConfig(1, episodes=len(replayed))
    return [
        describe(episodes, cell, played, steps=0).assign(
            cell=name, method=name, train_seed=-1, updates=0, horizon="given", executed=0
        )
        for name, episodes, played in (
            ("demonstrations, replayed", replayed, replay),
            ("hold-still", floor, config),
        )
    ]


def demonstrator(name: str, demos: Demonstrations) -> pd.DataFrame:
    """Every demonstration of a task replayed from its first state, a row an episode.

    A replay ends with its recording: the agent is still on its way then, and to let it arrive added
    up to 0.04 to the coverage that people reached. `seed` is that of the recorded episode, or its
    number where it had none.
    """
    task = get_task(name)
    actions = side_by_side(demos.actions, demos, "position")
    episodes = replay(task, demos, actions, task.obs_types[0], "position")
    if "seed" in demos.observations:  # where some seeds were tried in vain
        episodes["seed"] = demos.observations["seed"][demos.starts, 0].astype(int)
    return episodes


def side_by_side(actions: Floats, demos: Demonstrations, control: Control) -> Floats:
    """The actions of demonstrations (S, Da) as (E, T, Da), holding still after their end."""
    steps = demos.starts[:, None] + np.arange(int(demos.lengths.max()))
    padded: Floats = actions[np.minimum(steps, demos.episode_ends[:, None] - 1)]
    if control == "velocity":
        padded[steps >= demos.episode_ends[:, None]] = 0.0
    return padded


def replay(
    task: Task,
    demos: Demonstrations,
    actions: Floats,
    obs_type: str,
    control: Control,
    trace: Trace | None = None,
) -> pd.DataFrame:
    """Play actions (E, T, Da) from the first states of demonstrations, each as long as it was."""
    return play(
        Replay(actions),
        task,
        obs_type,
        control,
        range(demos.num_episodes),
        EvalConfig(actions.shape[1], episodes=demos.num_episodes),
        "demonstrations, replayed",
        {"state": demos.states[demos.starts]},
        demos.lengths,
        trace,
    )


def hold_still(name: str, config: EvalConfig) -> pd.DataFrame:
    """A policy that never moves, on the episodes of `config`, a row an episode."""
    task = get_task(name)
    still = HoldStill(task.action_dim["velocity"])
    seeds = episode_seeds(config.split, config.episodes)
    return play(still, task, task.obs_types[0], "velocity", seeds, config, "holding still")

"""One cell from demonstrations to episodes: trained if need be, evaluated if need be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from baselines.agent import Agent
from benchmark.plan.config import CHOSEN, Cell, EvalConfig
from benchmark.plan.presets import horizon_trials
from benchmark.plan.seeding import episode_seeds
from benchmark.plan.tasks import Task, get_task
from benchmark.running.motion import STUCK_SECONDS, motion_measures
from benchmark.running.once import once
from benchmark.running.recorded import ACTIONS, record, recorded_name
from benchmark.running.rollout import AgentPolicy, Trace, actions_used, play
from benchmark.running.store import MEASURED, Run, describe, write_parquet
from benchmark.running.train import Validate, train
from benchmark.sealed import write_sealed
from envs.demos.demonstrations import Demonstrations

TOGETHER = 200
"""Most episodes that are played as one batch. The last bits of a prediction depend on what shares
its batch, so this number is the same wherever a policy is played."""


class Place(Protocol):
    """Where a cell is trained and played; what comes of it lies in the run's folder here."""

    def train(
        self, run: Run, demos: Callable[[], Demonstrations], keeps_checkpoints: bool
    ) -> object:
        """Train a cell, or continue, and keep its checkpoint and history."""

    def play(self, run: Run, config: EvalConfig) -> pd.DataFrame:
        """Play a trained cell, a row an episode."""


@dataclass(frozen=True)
class Here:
    """This process."""

    device: torch.device

    def train(
        self, run: Run, demos: Callable[[], Demonstrations], keeps_checkpoints: bool
    ) -> object:
        """See `Place.train`."""
        return train(run, demos(), self.device, validation(run.cell), keeps_checkpoints)

    def play(self, run: Run, config: EvalConfig) -> pd.DataFrame:
        """See `Place.play`."""
        return evaluate(run.agent(config.checkpoint).to(self.device), run.cell, config)


def run_cell(
    cell: Cell,
    config: EvalConfig,
    demos: Callable[[], Demonstrations],
    store: Path,
    device: torch.device,
) -> pd.DataFrame:
    """Train and evaluate a cell in this process, doing only what is not on disk yet.

    Returns:
        A row an episode, with the columns that say what was run.
    """
    train_cell(cell, demos, store, Here(device))
    return evaluate_cell(cell, config, store, Here(device))


def train_cell(
    cell: Cell,
    demos: Callable[[], Demonstrations],
    store: Path,
    place: Place,
    keeps_checkpoints: bool = False,
) -> None:
    """Train a cell if that is not done yet; only then are its demonstrations asked for.

    Where its last checkpoints are asked for and were not kept, or its policy is damaged, it is
    trained again.
    """
    run = Run(cell, store)
    if run.needs_training(keeps_checkpoints):
        run.history_path.unlink(missing_ok=True)
    once(run.history_path, lambda _: place.train(run, demos, keeps_checkpoints))


def evaluate_cell(cell: Cell, config: EvalConfig, store: Path, place: Place) -> pd.DataFrame:
    """Play a trained cell if that is not done yet.

    At the chosen action horizon, the trials that it is chosen by are played before. Some episodes
    are recorded of what is played first on test seeds, and at the chosen action horizon.

    Returns:
        A row an episode, with the columns that say what was run.
    """
    run = Run(cell, store)
    is_first = config.split == "test" and not any((run.folder / MEASURED).glob("recorded-*"))
    records = is_first or config.action_horizon == CHOSEN
    if config.action_horizon == CHOSEN:
        for trial in horizon_trials(cell):
            evaluate_cell(cell, trial, store, place)
        config = run.resolved(config)

    def write(path: Path) -> None:
        episodes = place.play(run, config)
        if records:
            seen = record(get_task(cell.task), cell.control, episodes)
            if seen is not None:
                write_sealed(run.folder / MEASURED / recorded_name(config), seen)
        write_parquet(episodes.drop(columns=ACTIONS), path)

    once(run.evaluation_path(config), write)
    return run.episodes(config)


def batches(config: EvalConfig) -> list[Sequence[int]]:
    """Seeds of the episodes that are played together."""
    seeds = episode_seeds(config.split, config.episodes)
    return [seeds[first : first + TOGETHER] for first in range(0, len(seeds), TOGETHER)]


def evaluate(agent: Agent, cell: Cell, config: EvalConfig) -> pd.DataFrame:
    """Play the episodes of `config` with a policy, a row an episode."""
    played = [play_batch(agent, cell, config, seeds) for seeds in batches(config)]
    return pd.concat(played, ignore_index=True)


def play_batch(agent: Agent, cell: Cell, config: EvalConfig, seeds: Sequence[int]) -> pd.DataFrame:
    """Play one batch of the episodes of `config`, see `batches`.

    Returns:
        A row an episode; ACTIONS holds what was executed, (length, Da), and is not kept.
    """
    if config.inference_steps:
        agent.set_inference_steps(config.inference_steps)
    if config.sampler:
        agent.set_sampler(config.sampler)
    task = get_task(cell.task)
    what = f"{cell.method} {cell.control}, {len(seeds)} {config.split} episodes"
    policy = AgentPolicy(agent, seeds, actions_used(agent.spec.obs_horizon, config))
    trace = Trace()
    episodes = play(policy, task, cell.obs_type, cell.control, seeds, config, what, trace=trace)
    motion = _motion(trace, episodes, cell, task)
    actions = np.stack(trace.actions, axis=1)  # (N, T, Da)
    executed = [own[:length] for own, length in zip(actions, episodes["length"], strict=True)]
    played = pd.concat([episodes, motion], axis=1).assign(**{ACTIONS: executed})
    return describe(played, cell, config, agent.inference_steps)


def _motion(trace: Trace, episodes: pd.DataFrame, cell: Cell, task: Task) -> pd.DataFrame:
    """How the agent moved in every episode; unknown where the task does not say."""
    if task.motion is None:
        columns = ("jitter", "reversals", "stuck", "stuck_score")
        return pd.DataFrame(np.nan, index=episodes.index, columns=columns)
    states = np.stack([frame["state"] for frame in trace.frames])
    return motion_measures(
        task.motion.commanded(np.stack(trace.actions), cell.control),
        task.motion.position(states, cell.obs_type),
        np.stack(trace.rewards),
        episodes["length"].to_numpy(),
        task.motion.still,
        round(STUCK_SECONDS * task.motion.hz),
    )


def validation(cell: Cell) -> Validate | None:
    """What scores the policy of a cell on validation seeds while it is trained."""
    if cell.train.validation_episodes == 0:
        return None
    config = EvalConfig(
        cell.action_horizon, split="validation", episodes=cell.train.validation_episodes
    )

    def validate(agent: Agent) -> tuple[float, float]:
        episodes = evaluate(agent, cell, config)
        return float(episodes["score"].mean()), float(episodes["is_success"].mean())

    return validate

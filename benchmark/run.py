"""One cell from demonstrations to episodes: trained if need be, evaluated if need be."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from baselines.agent import Agent
from benchmark.config import Cell, EvalConfig
from benchmark.progress import progress_bar
from benchmark.rollout import AgentPolicy, rollout
from benchmark.seeding import episode_seeds
from benchmark.store import Run, describe, write_parquet
from benchmark.tasks import get_task
from benchmark.train import Validate, train
from envs.demos.demonstrations import Demonstrations


def best_device() -> torch.device:
    """CUDA where there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def run_cell(
    cell: Cell, config: EvalConfig, demos: Demonstrations, store: Path, device: torch.device
) -> pd.DataFrame:
    """Train and evaluate a cell, doing only what is not on disk yet.

    Returns:
        A row an episode, with the columns that say what was run.
    """
    run = Run(cell, store)
    if not run.is_trained:
        train(run, demos, device, validation(cell))
    if not run.evaluation_path(config).is_file():
        agent = run.agent().to(device)
        write_parquet(evaluate(agent, cell, config), run.evaluation_path(config))
    return run.episodes(config)


def evaluate(agent: Agent, cell: Cell, config: EvalConfig, leave: bool = False) -> pd.DataFrame:
    """Play the episodes of `config` with a policy, a row an episode."""
    if config.inference_steps:
        agent.set_inference_steps(config.inference_steps)
    task = get_task(cell.task)
    seeds = episode_seeds(config.split, config.episodes)
    env = task.make_vec(len(seeds), cell.obs_type, cell.control)
    what = f"{cell.method} {cell.control}: {config.split} episodes"
    try:
        with progress_bar(task.max_steps, what, "step", leave=leave) as bar:
            episodes = rollout(AgentPolicy(agent, seeds), env, seeds, config, bar.update)
    finally:
        env.close()
    return describe(episodes, cell, config, agent.inference_steps)


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

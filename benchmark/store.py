"""Runs on disk: what was trained and evaluated, written whole or not at all.

runs/<cell id>/config.json           the resolved settings of the cell
               state.safetensors     an unfinished training, to continue from
               checkpoint/           the finished policy (averaged weights)
               history.parquet       loss, action error, validation score while training
               episodes/<eval>.parquet   one evaluation, a row an episode
               error.txt             the traceback of the last failure, if any
     references/                     the rows that frame every table, see `benchmark.references`

A `.NAME.lock` beside a file belongs to `benchmark.once`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pandas as pd

from baselines.agent import Agent
from baselines.checkpoints import load_agent, save_agent
from benchmark.config import Cell, EvalConfig
from benchmark.files import write_whole


def default_store() -> Path:
    """Where runs are kept: $DPBENCH_RUNS, else `runs` in the working directory."""
    return Path(os.environ.get("DPBENCH_RUNS", "runs"))


class Run:
    """The folder of one cell."""

    def __init__(self, cell: Cell, store: Path) -> None:
        self.cell = cell
        self.folder = store / cell.id

    @property
    def state_path(self) -> Path:
        """The unfinished training."""
        return self.folder / "state.safetensors"

    @property
    def history_path(self) -> Path:
        """What a training writes last."""
        return self.folder / "history.parquet"

    @property
    def is_trained(self) -> bool:
        """Whether the training is finished."""
        return self.history_path.is_file()

    def begin(self) -> None:
        """Write the config down."""
        write_whole(self.folder / "config.json", self.cell.to_json())

    def finish(self, agent: Agent, history: pd.DataFrame) -> None:
        """Keep the trained policy and its history; drop what was kept to continue from."""
        save_agent(agent, self.folder / "checkpoint")
        write_parquet(history, self.history_path)
        self.state_path.unlink(missing_ok=True)
        (self.folder / "error.txt").unlink(missing_ok=True)

    def agent(self) -> Agent:
        """The trained policy."""
        return load_agent(self.folder / "checkpoint")

    def history(self) -> pd.DataFrame:
        """Loss, action error and validation score by update, with the columns of the cell."""
        history = pd.read_parquet(self.history_path)
        return history.assign(
            cell=self.cell.id,
            method=self.cell.method,
            control=self.cell.control,
            data=self.cell.data,
            train_seed=self.cell.seed,
        )

    def evaluation_path(self, config: EvalConfig) -> Path:
        """Where one evaluation is kept."""
        return self.folder / "episodes" / f"{config.id}.parquet"

    def episodes(self, config: EvalConfig) -> pd.DataFrame:
        """One evaluation, a row an episode."""
        return pd.read_parquet(self.evaluation_path(config))


def describe(episodes: pd.DataFrame, cell: Cell, config: EvalConfig, steps: int) -> pd.DataFrame:
    """Put the columns that say what was evaluated before the outcomes of its episodes.

    Args:
        episodes: A row an episode, from a rollout.
        cell: What was trained.
        config: How it was evaluated.
        steps: Denoising steps of a prediction, 0 where that has no meaning.
    """
    columns = {
        "cell": cell.id,
        "task": cell.task,
        "method": cell.method,
        "control": cell.control,
        "data": cell.data,
        "obs_type": cell.obs_type,
        "preset": cell.preset,
        "train_seed": cell.seed,
        "updates": cell.train.updates,
        "checkpoint": "last",
        "action_horizon": config.action_horizon,
        "latency": config.latency,
        "inference_steps": steps,
        "sampler": config.sampler,
        "split": config.split,
    }
    return pd.concat([pd.DataFrame(columns, index=episodes.index), episodes], axis=1)


def write_parquet(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as Parquet, whole or not at all."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return write_whole(path, buffer.getvalue())

"""What a cell sends over the network of a cluster, and how often."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from baselines.checkpoints import save_agent
from benchmark.plan.config import Cell
from benchmark.running.store import Run
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations

CARRY_SECONDS = 60.0
"""A node that dies costs about so much of a training, where `CARRY_RATE` allows it."""
CARRY_RATE = 50e6
"""Bytes a second of training states that reach the driver at most, all cells together."""


def pause(size: int, workers: int, least: float = CARRY_SECONDS) -> float:
    """Seconds between two states of a training that are sent to the driver.

    Args:
        size: Bytes of a state.
        workers: Cells at a time.
        least: Seconds, however small it is.
    """
    return max(least, size * workers / CARRY_RATE)


@dataclass(frozen=True)
class Load:
    """What there is of a cell to be sent, in bytes."""

    state: int
    """An unfinished training."""
    policy: int
    """A checkpoint."""

    @classmethod
    def of(cls, cell: Cell, demos: Demonstrations) -> Load:
        """Measured on a training that has just begun; nothing in it grows but its history."""
        trainer = Trainer(cell, demos, torch.device("cpu"))
        if cell.train.updates:
            trainer.step()  # gives the optimiser its moments
        with tempfile.TemporaryDirectory(prefix="dpbench-") as folder:
            run = Run(cell, Path(folder))
            trainer.save(run)
            save_agent(trainer.ema.module.eval(), run.checkpoint())
            policy = sum(path.stat().st_size for path in run.checkpoint().iterdir())
            return cls(run.state_path.stat().st_size, policy)

    def to_driver(self, seconds: float, rows: int, workers: int) -> int:
        """Bytes of a whole cell: states now and then, then its policy and its rows.

        Args:
            seconds: Of training.
            rows: Bytes of its evaluations.
            workers: Cells at a time.
        """
        return int(seconds // pause(self.state, workers)) * self.state + self.policy + rows

"""Where the cells of a command run: processes of this machine, or tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from benchmark.errors import UsageError
from benchmark.plan.config import Cell
from benchmark.plan.request import EngineName
from benchmark.running.machine import best_device
from benchmark.running.workers import Job, default_workers, run_jobs


class Engine(Protocol):
    """Runs cells side by side. Which one does changes nothing about a cell."""

    @property
    def workers(self) -> int:
        """Cells at a time."""

    @property
    def where(self) -> str:
        """On what, for people."""

    def run(self, jobs: Sequence[Job], store: Path) -> Iterator[tuple[Cell, str]]:
        """Run every job; what comes of it lies in the store.

        A job that fails leaves its traceback in error.txt and the others go on.

        Yields:
            Each cell as it ends, and the cause of its failure or an empty text.
        """


@dataclass(frozen=True)
class LocalEngine:
    """Processes of this machine, see `Engine`."""

    device: torch.device
    workers: int

    @property
    def where(self) -> str:
        """On what, for people."""
        return str(self.device)

    def run(self, jobs: Sequence[Job], store: Path) -> Iterator[tuple[Cell, str]]:
        """See `Engine.run`."""
        return run_jobs(jobs, store, self.device, self.workers)


def chosen_engine(name: EngineName, workers: int | None) -> Engine:
    """The engine of that name.

    Args:
        name: local or ray.
        workers: Cells at a time; None for as many as the engine has cores or GPUs.

    Raises:
        UsageError: If Ray is not installed, or no cluster answers.
    """
    if name == "ray":
        try:
            from benchmark.running.ray_engine import connect
        except ModuleNotFoundError as missing:
            raise UsageError(
                f"the engine ray needs a package that is not here ({missing.name}): "
                "pip install -c constraints.txt 'dpbench[ray]', or make bench ENGINE=ray"
            ) from missing
        return connect(workers)
    device = best_device()
    return LocalEngine(device, workers or default_workers(device))

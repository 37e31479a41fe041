"""What a node of a Ray cluster does for a cell: a training, or a batch of its episodes.

A node that sees the driver's run store works in it. On any other the folder of the cell is a
temporary one: what is needed of it comes with the task, and what is new in it goes to the driver.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import torch

from benchmark.files import write_whole
from benchmark.plan.config import Cell, EvalConfig
from benchmark.running.allocator import keep_freed_memory
from benchmark.running.machine import best_device
from benchmark.running.run import play_batch, validation
from benchmark.running.store import Run
from benchmark.running.traffic import CARRY_SECONDS, pause
from benchmark.running.train import training
from envs.demos.demonstrations import Demonstrations

TELL_SECONDS = 1.0

Files = dict[str, bytes]
"""Content by path within the folder of a cell."""


@dataclass(frozen=True)
class Share:
    """What a task may use."""

    cpus: int = 1
    gpus: int = 0
    workers: int = 1
    """Cells at a time, which share the way to the driver."""
    carry_seconds: float = CARRY_SECONDS
    """Between two states of a training that are sent to the driver, at least."""

    def device(self) -> torch.device:
        """Prepare the process of a task; what it computes on."""
        keep_freed_memory()
        torch.set_num_threads(self.cpus)
        return best_device()


@dataclass(frozen=True)
class Folder:
    """The folder of a cell, wherever a task runs."""

    cell: Cell
    mark: Path
    """A file in the driver's run store: a node that sees it shares the store."""
    sent: tuple[Any]
    """A reference to the `Files` that a node needs which does not: in a tuple Ray leaves it alone,
    and they travel only there."""

    @contextmanager
    def opened(self) -> Iterator[tuple[Run, bool]]:
        """The folder, and whether it is in the driver's own run store."""
        if self.mark.is_file():
            yield Run(self.cell, self.mark.parent), True
            return
        with tempfile.TemporaryDirectory(prefix="dpbench-") as folder:
            run = Run(self.cell, Path(folder))
            for name, content in ray.get(self.sent[0]).items():
                write_whole(run.folder / name, content)
            yield run, False


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def train_task(
    folder: Folder, demos: Demonstrations, keeps_checkpoints: bool, share: Share
) -> Iterator[int | Files]:
    """Train a cell, or continue.

    Args:
        folder: Of the cell, with what there is of it already.
        demos: What it is trained on.
        keeps_checkpoints: Whether the last averages of the weights are kept too.
        share: What it may use.

    Yields:
        Its updates so far, once a second; and files of the cell that are new to the driver.
    """
    device = share.device()
    with folder.opened() as (run, is_shared):
        known = dict[str, int]()
        if not is_shared:
            _new(run, known)
        told = sent = time.monotonic()
        wait = share.carry_seconds
        for trainer in training(run, demos, device, validation(run.cell), keeps_checkpoints):
            now = time.monotonic()
            if now - told >= TELL_SECONDS:
                yield trainer.update
                told = now
            if now - sent >= wait and not is_shared:
                trainer.check_finite()
                trainer.save(run)
                files = _new(run, known)
                yield files
                sent = time.monotonic()
                size = sum(map(len, files.values()))
                wait = pause(size, share.workers, share.carry_seconds)
        yield {} if is_shared else _new(run, known)


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def play_task(
    folder: Folder, config: EvalConfig, share: Share, seeds: Sequence[int]
) -> pd.DataFrame:
    """Play one batch of the episodes of a trained cell, a row an episode.

    Args:
        folder: Of the cell, with the checkpoint that is played.
        config: How it is played.
        share: What it may use.
        seeds: Of the episodes.
    """
    device = share.device()
    with folder.opened() as (run, _):
        return play_batch(run.agent(config.checkpoint).to(device), run.cell, config, seeds)


def files_of(folder: Path, names: Sequence[str]) -> Files:
    """Those files of a folder that are named or lie in a folder that is named."""
    found = [path for name in names for path in [folder / name, *(folder / name).rglob("[!.]*")]]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()
    }


def _new(run: Run, known: dict[str, int]) -> Files:
    """The files of a cell that changed since they were known, the history last as in training."""
    files = {}
    for path in sorted(run.folder.rglob("[!.]*"), key=lambda path: path == run.history_path):
        name = path.relative_to(run.folder).as_posix()
        if path.is_file() and known.get(name) != (changed := path.stat().st_mtime_ns):
            known[name] = changed
            files[name] = path.read_bytes()
    return files

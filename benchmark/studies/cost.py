"""What a study costs, said before it starts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from benchmark.config import Cell
from benchmark.run import best_device
from benchmark.store import Run
from benchmark.train import Trainer
from benchmark.workers import Job

TIMED_UPDATES = 3


def cost_text(jobs: Sequence[Job], store: Path, workers: int) -> str:
    """Say how many cells are to be trained and played, and how long the training takes.

    The time of an update is read from finished cells of that kind in the store; where there is
    none, a few updates are timed.
    """
    untrained = [job for job in jobs if not Run(job.cell, store).is_trained]
    to_play = sum(
        not Run(job.cell, store).evaluation_path(e).is_file()
        for job in jobs
        for e in job.evaluations
    )
    text = (
        f"{len(jobs)} cells, {len(untrained)} of them to train; "
        f"{to_play} of {sum(len(job.evaluations) for job in jobs)} evaluations to play"
    )
    if not untrained:
        return text
    known = _known(store)
    seconds = 0.0
    for job in untrained:
        kind = _kind(job.cell)
        if not job.cell.train.updates:
            continue
        if kind not in known:
            known[kind] = _timed(job, workers)
        seconds += known[kind] * job.cell.train.updates
    side_by_side = min(workers, len(untrained))
    return (
        f"{text}\nabout {seconds / side_by_side / 60:.0f} min of training, {side_by_side} at a time"
    )


def _kind(cell: Cell) -> tuple[object, ...]:
    """Cells whose updates take about as long."""
    return cell.task, cell.method, cell.preset, cell.train.batch_size, cell.pred_horizon


def _known(store: Path) -> dict[tuple[object, ...], float]:
    """Seconds an update of every kind that has been trained here."""
    found = {}
    for path in store.glob("*/history.parquet"):
        try:
            cell = Cell.from_json((path.parent / "config.json").read_text())
        except (ValueError, TypeError):
            continue  # of an older version, whose settings are no longer these
        seconds = pd.read_parquet(path, columns=["seconds"])["seconds"]
        found[_kind(cell)] = float(seconds.iloc[-1]) / max(1, cell.train.updates)
    return found


def _timed(job: Job, workers: int) -> float:
    """Seconds an update takes on the share of the cores that a worker gets."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // workers))
    try:
        trainer = Trainer(job.cell, job.demos(), best_device())
        trainer.step()  # the first one sets things up
        start = time.perf_counter()
        for _ in range(TIMED_UPDATES):
            trainer.step()
        return (time.perf_counter() - start) / TIMED_UPDATES
    finally:
        torch.set_num_threads(threads)

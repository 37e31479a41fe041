"""What trainings cost, said before they start."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from benchmark.plan.config import Cell
from benchmark.progress import minutes, say
from benchmark.running.machine import best_device
from benchmark.running.store import Run, read_frame, stored_cell
from benchmark.running.train import Trainer
from benchmark.running.workers import Job
from benchmark.sealed import is_whole

TIMED_UPDATES = 3


class TimeLeft:
    """What remains of a command, from the time that its cells took so far.

    Says what it will cost when it is made.

    Args:
        jobs: What is to be run.
        store: The run store.
        workers: Jobs at a time.
    """

    def __init__(self, jobs: Sequence[Job], store: Path, workers: int) -> None:
        self._seconds = training_seconds(jobs, store, workers)
        self._start, self._all, self._ended = time.monotonic(), sum(self._seconds.values()), 0.0
        side_by_side = max(1, min(workers, len(self._seconds)))
        self.at_first = self._all / side_by_side or None
        """Seconds that all trainings take; None where there is none."""
        say(cost_text(jobs, self._seconds, store, workers))

    def training(self, job: Job) -> float:
        """Seconds that a job trains."""
        return self._seconds.get(job.cell.id, 0.0)

    def after(self, cell: Cell) -> float | None:
        """Seconds that the rest takes once a cell has ended; None where nothing tells."""
        self._ended += self._seconds.get(cell.id, 0.0)
        if not self._ended or self._ended >= self._all:
            return None
        return (time.monotonic() - self._start) * (self._all / self._ended - 1)


def cost_text(
    jobs: Sequence[Job], untrained: Mapping[str, float], store: Path, workers: int
) -> str:
    """Say how many cells are to be trained and played, and how long the training takes.

    Args:
        jobs: What is to be done.
        untrained: As `training_seconds` gives it.
        store: The run store.
        workers: Jobs at a time.
    """
    evaluations = [(job, e) for job in jobs for e in job.evaluations]
    to_play = sum(not Run(job.cell, store).has(e, evidence=False) for job, e in evaluations)
    text = (
        f"{len(jobs)} cell{'s' * (len(jobs) != 1)}, {len(untrained)} to train; "
        f"{to_play} of {len(evaluations)} evaluations to play"
    )
    if not untrained:
        return text
    side_by_side = min(workers, len(untrained))
    seconds = sum(untrained.values()) / side_by_side
    return f"{text}; about {minutes(seconds)} of training, {side_by_side} at a time"


def training_seconds(jobs: Sequence[Job], store: Path, workers: int) -> dict[str, float]:
    """Seconds that the training of each cell will take, by its id; nothing of a trained one.

    The time of an update is read from finished cells of that kind in the store; where there is
    none, a few updates are timed.
    """
    untrained = [job for job in jobs if not Run(job.cell, store).is_trained]
    known = _known(store) if untrained else {}
    found = {}
    for job in untrained:
        kind = _kind(job.cell)
        if not job.cell.train.updates:
            continue
        if kind not in known:
            try:
                known[kind] = _timed(job, workers)
            except Exception:
                # Such a method cannot be trained: running its cell will say so.
                known[kind] = 0.0
        found[job.cell.id] = known[kind] * job.cell.train.updates
    return found


def _kind(cell: Cell) -> tuple[object, ...]:
    """Cells whose updates take about as long."""
    return cell.task, cell.method, cell.preset, cell.train.batch_size, cell.pred_horizon


def _known(store: Path) -> dict[tuple[object, ...], float]:
    """Seconds an update of every kind that has been trained here."""
    found = {}
    for path in store.glob("*/history.parquet"):
        cell = stored_cell(path.parent)
        if cell is None or not is_whole(path):
            continue
        seconds = read_frame(path)["seconds"]
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

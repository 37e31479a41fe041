"""Cells side by side: a process each, with a share of the cores.

An update of a policy this small keeps two cores waiting for each other hundreds of times. Two
policies on a core each take less time than one after the other on both (docs/performance.md).
Which cells run beside a cell, and in which order they end, changes nothing about it.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch

from benchmark.errors import said
from benchmark.files import write_whole
from benchmark.plan.config import Cell, EvalConfig
from benchmark.progress import hear, say, tell
from benchmark.running.allocator import keep_freed_memory
from benchmark.running.run import Here, Place, evaluate_cell, train_cell
from benchmark.running.store import Run
from envs.demos.demonstrations import Demonstrations


@dataclass(frozen=True)
class Job:
    """A cell to be trained and evaluated."""

    cell: Cell
    evaluations: tuple[EvalConfig, ...]
    demos: Callable[[], Demonstrations]
    """Gives its demonstrations; called in the process that needs them, so it must pickle."""

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether an earlier checkpoint than the last is to be played."""
        return any(evaluation.checkpoint for evaluation in self.evaluations)


def is_done(job: Job, store: Path, evidence: bool = False) -> bool:
    """Whether a cell is trained and every evaluation asked for is on disk, or in the evidence."""
    run = Run(job.cell, store)
    is_trained = run.has_history if evidence else run.is_trained
    return is_trained and all(run.has(e, evidence) for e in job.evaluations)


def default_workers(device: torch.device) -> int:
    """One for each core that PyTorch may use, or one where a GPU does the work."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def run_jobs(
    jobs: Sequence[Job], store: Path, device: torch.device, workers: int
) -> Iterator[tuple[Cell, str]]:
    """Run every job, at most `workers` at a time, and yield each cell as it ends.

    With one worker, or one job, all happens in this process. A job that fails leaves its traceback
    in error.txt and the others go on. One whose process is killed is tried once more. When this
    process ends, however it does, its workers do.

    Yields:
        The cell, and the cause of its failure or an empty text.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield job.cell, attempt(job, store, Here(device))
        return
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")
    waiting, running = list(jobs), dict[int, _Running]()
    again: set[str] = set()
    with interrupted_by_terminate():
        try:
            while waiting or running:
                for line in range(workers):
                    if waiting and line not in running:
                        job = waiting.pop(0)
                        told, told_to = context.Pipe(duplex=False)
                        answer, reply = context.Pipe(duplex=False)
                        arguments = (job, store, device, threads, told_to, reply)
                        worker = context.Process(target=_work, args=arguments, daemon=True)
                        with _uninterrupted():
                            worker.start()
                        told_to.close()  # the worker's alone: its end is the end of what is told
                        reply.close()
                        running[line] = _Running(worker, job, told, answer)
                multiprocessing.connection.wait(
                    [end for one in running.values() for end in (one.told, one.worker.sentinel)]
                )
                for line, one in list(running.items()):
                    is_alive = one.worker.is_alive()
                    hear(one.told, line)
                    if is_alive:
                        continue
                    del running[line]
                    cause, cell = _cause(one.answer), one.job.cell
                    if cause is None and cell.id not in again:
                        again.add(cell.id)
                        say(f"{cell.id}: {_ended(one.worker)}; tried again from where it stopped")
                        waiting.insert(0, one.job)
                    else:
                        yield cell, f"{_ended(one.worker)}, twice" if cause is None else cause
        finally:
            for one in running.values():
                one.worker.terminate()
                one.worker.join()


@dataclass(frozen=True)
class _Running:
    """A job that is being run."""

    worker: SpawnProcess
    job: Job
    told: Connection
    """What the worker says of its progress."""
    answer: Connection
    """The cause of its failure, or an empty text, at its end."""


@contextmanager
def interrupted_by_terminate() -> Iterator[None]:
    """Within it, the signal to terminate ends this process as an interruption does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a process start that an interruption of all leaves alone: its parent then ends it.

    It inherits that the signal is blocked. One that comes meanwhile is not lost: it waits.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def attempt(job: Job, store: Path, place: Place) -> str:
    """Run a job; the cause if it fails, with its traceback kept."""
    error = Run(job.cell, store).folder / "error.txt"
    try:
        error.unlink(missing_ok=True)
        train_cell(job.cell, job.demos, store, place, job.keeps_checkpoints)
        for evaluation in job.evaluations:
            evaluate_cell(job.cell, evaluation, store, place)
    except Exception as cause:
        told = said(cause) or f"{type(cause).__name__}: {' '.join(str(cause).split())}"
        try:
            write_whole(error, traceback.format_exc())
        except OSError as full:
            return f"{told} (its traceback could not be kept: {full.strerror})"
        return told
    return ""


def _work(
    job: Job,
    store: Path,
    device: torch.device,
    threads: int,
    told_to: Connection,
    reply: Connection,
) -> None:
    """Run a job in a process of its own, and reply with the cause if it fails."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    tell(told_to)
    torch.set_num_threads(threads)
    reply.send(attempt(job, store, Here(device)))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cause(answer: Connection) -> str | None:
    """What an ended worker told; None where it was killed before it could."""
    with answer:
        try:
            return str(answer.recv())
        except EOFError:
            return None


def _ended(worker: SpawnProcess) -> str:
    """How a worker ended that told nothing."""
    code = worker.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"its process {how} (out of memory?)"

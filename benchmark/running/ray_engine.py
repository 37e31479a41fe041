"""Cells as tasks of a Ray cluster: one trains a cell, others play its episodes, a batch each.

    driver (a thread a cell)                  node
    demonstrations, last state  ----------->  training
    state.safetensors  <------- every so often
    checkpoint, history  <------------------
    checkpoint  --------------------------->  a batch of episodes (`run.batches`)
    rows  <---------------------------------

Nodes need no file system in common: files travel, and all of a cell ends up in the run store of the
driver. A node that sees that store works in it, and its files stay there.

Nothing is random but what seeds say, so a node gives what another of its kind gives, to the bit, on
as many cores. When a node dies, its cells go on from the last state that reached the driver.
"""

from __future__ import annotations

import logging
import os
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

# Both are read when Ray is imported. It would report to its makers; and `ray start` asks for the
# token of ~/.ray where there is one, so that whoever connects must show it.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
if (Path.home() / ".ray" / "auth_token").is_file():
    os.environ.setdefault("RAY_AUTH_MODE", "token")

import pandas as pd
import ray
import torch
from ray.exceptions import RayError, RayTaskError

import baselines
import benchmark
import envs
from benchmark.errors import UsageError
from benchmark.files import write_whole
from benchmark.plan.config import Cell, EvalConfig
from benchmark.progress import say
from benchmark.running.machine import DEVICE
from benchmark.running.ray_tasks import Folder, Share, files_of, play_task, train_task
from benchmark.running.run import batches
from benchmark.running.store import Run
from benchmark.running.workers import Job, attempt, default_workers, interrupted_by_terminate
from benchmark.sealed import write_sealed
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar

DEATHS = 3
"""So many nodes may die in a row under a cell that makes no progress."""

T = TypeVar("T")


@dataclass(frozen=True)
class RayEngine:
    """Tasks of the Ray cluster that this process is connected to, see `Engine`."""

    where: str
    """On what, for people."""
    share: Share
    """What each task may use."""

    @property
    def workers(self) -> int:
        """Cells at a time."""
        return self.share.workers

    def run(self, jobs: Sequence[Job], store: Path) -> Iterator[tuple[Cell, str]]:
        """See `Engine.run`."""
        store.mkdir(parents=True, exist_ok=True)
        mark = mark_in(store)
        cluster = _Cluster(self.share, mark)
        threads = ThreadPoolExecutor(max(1, min(self.workers, len(jobs))))
        try:
            with interrupted_by_terminate():
                cells = {threads.submit(attempt, job, store, cluster): job.cell for job in jobs}
                for ended in as_completed(cells):
                    yield cells[ended], ended.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            cluster.stop()
            threads.shutdown()
            mark.unlink(missing_ok=True)


def mark_in(store: Path) -> Path:
    """Make a file in a run store that nodes look for: those that see it share the store."""
    mark = store.resolve() / f".{uuid.uuid4()}"
    mark.touch()
    return mark


def connect(workers: int | None) -> RayEngine:
    """Connect to the cluster at RAY_ADDRESS, or start one of this machine alone.

    A cell gets a GPU where there are any and else a core; with fewer cells at a time than cores,
    each gets its share of them.

    Args:
        workers: Cells at a time; None for as many as there are GPUs or cores.

    Raises:
        UsageError: If no cluster answers at the address.
    """
    address = os.environ.get("RAY_ADDRESS", "local")
    if not ray.is_initialized():
        cores = default_workers(torch.device("cpu")) if address == "local" else None
        # All nodes run the code of this process, whatever they have, on the device it was told.
        code = {"py_modules": [benchmark, envs, baselines]}
        told = {"env_vars": {DEVICE: os.environ[DEVICE]}} if DEVICE in os.environ else {}
        try:
            ray.init(
                address,
                num_cpus=cores,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={**code, **told},
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(
                f"no Ray cluster can be used at RAY_ADDRESS={address}: {error}\nstart one (`ray "
                "start --head`, docs/cluster.md), or leave the variable out to use this machine"
            ) from error
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores_of = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    on_cpu = os.environ.get(DEVICE) == "cpu"
    gpus = 0 if on_cpu else sum(int(node.get("GPU", 0)) for node in nodes)
    if not cores_of:
        raise UsageError(f"the Ray cluster at {address} has no CPU to run on")
    each = 1 if workers is None else max(1, min(min(cores_of), sum(cores_of) // workers))
    where = f"Ray, {len(cores_of)} nodes, {sum(cores_of)} cores, {gpus} GPUs"
    return RayEngine(where, Share(each, min(1, gpus), workers or gpus or sum(cores_of)))


@dataclass
class _Cluster:
    """A `Place` in the cluster; its methods are called by a thread a cell."""

    share: Share
    mark: Path
    """See `Folder`."""
    stopped: bool = False
    _running: set[Any] = field(default_factory=set)
    _demos: dict[bytes, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def train(self, run: Run, demos: Callable[[], Demonstrations], keeps_checkpoints: bool) -> None:
        """See `Place.train`."""
        given = self._given(demos)
        what = f"{run.cell.method} {run.cell.control}, training"

        def work() -> None:
            folder = self._folder(run, run.state_path.name, "checkpoints")
            task = self._sized(train_task, num_returns="streaming")
            stream = task.remote(folder, given, keeps_checkpoints, self.share)
            with (
                self._followed(stream),
                progress_bar(run.cell.train.updates, what, "update") as bar,
            ):
                for reference in stream:
                    message = ray.get(reference)
                    if isinstance(message, int):
                        bar.update(message - bar.n)
                        continue
                    for name, content in message.items():
                        # Checkpoints hold checksums of their own.
                        write = write_whole if "/" in name else write_sealed
                        write(run.folder / name, content)
            run.drop_state()

        self._survived(run, work)

    def play(self, run: Run, config: EvalConfig) -> pd.DataFrame:
        """See `Place.play`."""
        policy = run.checkpoint(config.checkpoint).relative_to(run.folder).as_posix()

        def work() -> pd.DataFrame:
            folder, task = self._folder(run, policy), self._sized(play_task)
            parts = [task.remote(folder, config, self.share, seeds) for seeds in batches(config)]
            with self._followed(*parts):
                played: pd.DataFrame = pd.concat(ray.get(parts), ignore_index=True)
            return played

        return self._survived(run, work)

    def stop(self) -> None:
        """End all tasks, and wait until they are."""
        with self._lock:
            self.stopped = True
            for task in self._running:
                ray.cancel(task)

    def _given(self, demos: Callable[[], Demonstrations]) -> Any:
        """Demonstrations in the object store, each loaded once."""
        key = pickle.dumps(demos)
        with self._loading:
            if key not in self._demos:
                self._demos[key] = ray.put(demos())
            return self._demos[key]

    def _folder(self, run: Run, *needed: str) -> Folder:
        """The folder of a cell for a task, which needs some of its files and folders."""
        return Folder(run.cell, self.mark, (ray.put(files_of(run.folder, needed)),))

    def _sized(self, task: Any, **options: str) -> Any:
        """A task that asks for its share of a node."""
        return task.options(num_cpus=self.share.cpus, num_gpus=self.share.gpus, **options)

    @contextmanager
    def _followed(self, *tasks: Any) -> Iterator[None]:
        """Within it, `stop` ends the tasks."""
        with self._lock:
            self._running.update(tasks)
        try:
            if self.stopped:
                raise KeyboardInterrupt
            yield
        finally:
            with self._lock:
                self._running.difference_update(tasks)

    def _survived(self, run: Run, work: Callable[[], T]) -> T:
        """What some work gives, done again where the node that does it dies."""
        deaths, reached = 0, _changed_at(run.state_path)
        while True:
            try:
                return work()
            except RayError as error:
                if self.stopped:
                    raise KeyboardInterrupt from error
                if isinstance(error, RayTaskError):  # it failed by itself
                    raise error.cause from error
                before, reached = reached, _changed_at(run.state_path)
                deaths = 1 if reached != before else deaths + 1
                if deaths == DEATHS:
                    raise
                how = "from its last state" if reached else "from the start"
                say(f"{run.cell.id}: {type(error).__name__}; it goes on {how}")


def _changed_at(path: Path) -> int:
    """When a file was written, 0 where there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0

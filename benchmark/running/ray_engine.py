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
import tempfile
import threading
import time
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
from benchmark.running.allocator import keep_freed_memory
from benchmark.running.machine import DEVICE, best_device
from benchmark.running.run import batches, play_batch, validation
from benchmark.running.store import Run
from benchmark.running.traffic import CARRY_SECONDS, pause
from benchmark.running.train import training
from benchmark.running.workers import Job, attempt, default_workers, interrupted_by_terminate
from benchmark.sealed import write_sealed
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar

TELL_SECONDS = 1.0
DEATHS = 3
"""So many nodes may die in a row under a cell that makes no progress."""

Files = dict[str, bytes]
"""Content by path within the folder of a cell."""
Sent = list[Any]
"""One reference to `Files`; in a list Ray leaves it alone, and they travel only where needed."""
T = TypeVar("T")


@dataclass(frozen=True)
class RayEngine:
    """Tasks of the Ray cluster that this process is connected to, see `Engine`."""

    workers: int
    where: str
    cpus: int = 1
    """Cores of a task."""
    gpus: int = 0
    """GPUs of a task."""
    carry_seconds: float = CARRY_SECONDS
    """Time between two states of a training that are sent to the driver, at least."""

    def run(self, jobs: Sequence[Job], store: Path) -> Iterator[tuple[Cell, str]]:
        """See `Engine.run`."""
        store.mkdir(parents=True, exist_ok=True)
        mark = mark_in(store)
        cluster = _Cluster(self, mark)
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
    return RayEngine(workers or gpus or sum(cores_of), where, each, min(1, gpus))


@dataclass
class _Cluster:
    """A `Place` in the cluster; its methods are called by a thread a cell."""

    engine: RayEngine
    mark: Path
    """A file in the run store: a node that sees it shares the store."""
    stopped: bool = False
    _running: set[Any] = field(default_factory=set)
    _demos: dict[bytes, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def train(self, run: Run, demos: Callable[[], Demonstrations], keeps_checkpoints: bool) -> None:
        """See `Place.train`."""
        given = self._given(demos)

        def once() -> None:
            resources = self._resources(num_returns="streaming")
            begun = ray.put(_files(run.folder, ("state.safetensors", "checkpoints")))
            arguments = (run.cell, self.mark, [begun], given, keeps_checkpoints)
            pace = self.engine.cpus, self.engine.workers, self.engine.carry_seconds
            what = f"{run.cell.method} {run.cell.control}, training"
            with (
                self._followed(_train.options(**resources).remote(*arguments, *pace)) as stream,
                progress_bar(run.cell.train.updates, what, "update") as bar,
            ):
                for reference in stream:
                    message = ray.get(reference)
                    if isinstance(message, int):
                        bar.update(message - bar.n)
                    else:
                        for name, content in message.items():
                            # Checkpoints hold checksums of their own.
                            write = write_whole if "/" in name else write_sealed
                            write(run.folder / name, content)
            run.drop_state()

        self._survived(run, once)

    def play(self, run: Run, config: EvalConfig) -> pd.DataFrame:
        """See `Place.play`."""
        folder = run.checkpoint(config.checkpoint).relative_to(run.folder)

        def once() -> pd.DataFrame:
            task = _play.options(**self._resources())
            policy = ray.put(_files(run.folder, (str(folder),)))
            arguments = run.cell, self.mark, [policy], config, self.engine.cpus
            parts = [task.remote(*arguments, seeds) for seeds in batches(config)]
            with self._followed(*parts):
                played: pd.DataFrame = pd.concat(ray.get(parts), ignore_index=True)
            return played

        return self._survived(run, once)

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

    def _resources(self, **more: str) -> dict[str, Any]:
        return {"num_cpus": self.engine.cpus, "num_gpus": self.engine.gpus, **more}

    @contextmanager
    def _followed(self, *tasks: Any) -> Iterator[Any]:
        """Within it, `stop` ends the tasks; gives the first."""
        with self._lock:
            self._running.update(tasks)
        try:
            if self.stopped:
                raise KeyboardInterrupt
            yield tasks[0]
        finally:
            with self._lock:
                self._running.difference_update(tasks)

    def _survived(self, run: Run, work: Callable[[], T]) -> T:
        """What some work gives, done again where the node that does it dies."""
        deaths, reached = 0, _changed_at(run.state_path)
        while True:
            try:
                return work()
            except RayTaskError as error:
                if self.stopped:
                    raise KeyboardInterrupt from error
                raise error.cause from error
            except RayError as error:
                if self.stopped:
                    raise KeyboardInterrupt from error
                before, reached = reached, _changed_at(run.state_path)
                deaths = 1 if reached != before else deaths + 1
                if deaths == DEATHS:
                    raise
                how = "from its last state" if reached else "from the start"
                say(f"{run.cell.id}: {type(error).__name__}; it goes on {how}")


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _train(
    cell: Cell,
    mark: Path,
    begun: Sent,
    demos: Demonstrations,
    keeps_checkpoints: bool,
    cpus: int,
    workers: int,
    carry_seconds: float,
) -> Iterator[int | Files]:
    """Train a cell, or continue.

    Args:
        cell: What is trained.
        mark: See `_Cluster`.
        begun: The files there are of it already.
        demos: What it is trained on.
        keeps_checkpoints: Whether the last averages of the weights are kept too.
        cpus: Cores that it may use.
        workers: Cells that are trained at a time.
        carry_seconds: Between two states that are sent, at least.

    Yields:
        Its updates so far, once a second; and files of the cell that are new to the driver.
    """
    device = _device(cpus)
    with _working(cell, mark, begun) as (run, is_shared):
        carried = dict[str, int]()
        if not is_shared:
            _new(run, carried)
        told = sent = time.monotonic()
        wait = carry_seconds
        for trainer in training(run, demos, device, validation(cell), keeps_checkpoints):
            now = time.monotonic()
            if now - told >= TELL_SECONDS:
                yield trainer.update
                told = now
            if now - sent >= wait and not is_shared:
                trainer.check_finite()
                trainer.save(run)
                files = _new(run, carried)
                yield files
                sent = time.monotonic()
                wait = pause(sum(map(len, files.values())), workers, carry_seconds)
        yield {} if is_shared else _new(run, carried)


@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _play(
    cell: Cell,
    mark: Path,
    policy: Sent,
    config: EvalConfig,
    cpus: int,
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Play one batch of episodes.

    Args:
        cell: What was trained.
        mark: See `_Cluster`.
        policy: The files of its checkpoint.
        config: How it is played.
        cpus: Cores that it may use.
        seeds: Of the episodes.

    Returns:
        A row an episode.
    """
    device = _device(cpus)
    with _working(cell, mark, policy) as (run, _):
        return play_batch(run.agent(config.checkpoint).to(device), cell, config, seeds)


def _device(cpus: int) -> torch.device:
    """Prepare the process of a task; what it computes on."""
    keep_freed_memory()
    torch.set_num_threads(cpus)
    return best_device()


@contextmanager
def _working(cell: Cell, mark: Path, sent: Sent) -> Iterator[tuple[Run, bool]]:
    """The folder of a cell on a node, and whether it is in the driver's own run store."""
    if mark.is_file():
        yield Run(cell, mark.parent), True
        return
    with tempfile.TemporaryDirectory(prefix="dpbench-") as folder:
        run = Run(cell, Path(folder))
        for name, content in ray.get(sent[0]).items():
            write_whole(run.folder / name, content)
        yield run, False


def _files(folder: Path, names: Sequence[str]) -> Files:
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


def _changed_at(path: Path) -> int:
    """When a file was written, 0 where there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0

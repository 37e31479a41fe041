"""Cells on a Ray cluster of two nodes, one of which dies: the same results, and no orphans."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from benchmark.plan.config import Cell, EvalConfig
from benchmark.running import run
from benchmark.running.store import Run
from benchmark.running.workers import Job, run_jobs
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import load_pusht
from tests.benchmark.running.cells import tiny_cell
from tests.benchmark.running.ray_cluster import (
    QUIET,
    REPOSITORY,
    Cluster,
    assert_same,
    kill,
    training_processes,
    wait_until,
)

ray_engine = pytest.importorskip(
    "benchmark.running.ray_engine", reason="Ray is not installed; make test-ray installs it"
)
ray, connect, Share = ray_engine.ray, ray_engine.connect, ray_engine.Share

pytestmark = pytest.mark.ray
EVALUATION = EvalConfig(episodes=5)


@pytest.fixture
def no_shared_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the run store from the nodes, as if they had file systems of their own."""
    monkeypatch.setattr(ray_engine, "mark_in", lambda store: store / "unseen" / "by the nodes")


def make_cell(seed: int, updates: int = 100) -> Cell:
    return tiny_cell(seed=seed, updates=updates, validation_episodes=1)


@pytest.fixture
def job(cache_of_three: Path, three_demonstrations: Demonstrations) -> Job:
    (path,) = cache_of_three.glob("*.npz")
    load = partial(load_pusht, "human", "keypoints", path)
    return Job(make_cell(1), (EVALUATION,), load)


def assert_equal(jobs: list[Job], store: Path, other: Path) -> None:
    """Episodes, histories and weights are equal to the bit."""
    for job in jobs:
        here, there = Run(job.cell, store), Run(job.cell, other)
        for evaluation in job.evaluations:
            assert_same(here.episodes(evaluation), there.episodes(evaluation))
        assert_same(here.history(), there.history())
        weights = "checkpoint/model.safetensors"
        assert (here.folder / weights).read_bytes() == (there.folder / weights).read_bytes()


def locally(jobs: list[Job], store: Path) -> None:
    assert [cause for _, cause in run_jobs(jobs, store, torch.device("cpu"), 1)] == [""] * len(jobs)


def test_a_cluster_gives_what_this_machine_gives(
    second_node: object,
    no_shared_store: None,
    job: Job,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "TOGETHER", 2)  # so that episodes are split over tasks
    kept = EvalConfig(episodes=2, checkpoint=3)
    jobs = [replace(job, cell=make_cell(seed), evaluations=(EVALUATION, kept)) for seed in (1, 2)]
    engine = connect(None)
    assert engine.share == Share(cpus=1, gpus=0, workers=2)
    assert {cell.seed: cause for cell, cause in engine.run(jobs, tmp_path / "ray")} == {
        1: "",
        2: "",
    }
    locally(jobs, tmp_path / "local")
    assert_equal(jobs, tmp_path / "ray", tmp_path / "local")


def test_a_node_that_dies_costs_its_cell_a_retry_from_the_last_state_that_was_sent(
    cluster: Cluster,
    no_shared_store: None,
    job: Job,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    job = replace(job, cell=make_cell(1, updates=3000))
    state = Run(job.cell, tmp_path / "ray").state_path
    busy = ray.remote(
        lambda: time.sleep(1000)
    ).remote()  # the head, so that the cell goes to the other node
    wait_until(lambda: ray.available_resources().get("CPU", 0) == 0, 120)
    node = cluster.add_node()
    wait_until(lambda: cluster.nodes() == 2, 120)

    def kill_in_mid_training() -> None:
        wait_until(state.is_file, 120)
        kill(node)
        ray.cancel(busy, force=True)

    killer = threading.Thread(target=kill_in_mid_training)
    killer.start()
    engine = connect(None)
    engine = replace(engine, share=replace(engine.share, carry_seconds=0.2))
    assert list(engine.run([job], tmp_path / "ray")) == [(job.cell, "")]
    killer.join()
    told = [line for line in capsys.readouterr().out.splitlines() if "goes on" in line]
    assert told == [f"{job.cell.id}: NodeDiedError; it goes on from its last state"]
    assert not state.exists()
    locally([job], tmp_path / "local")
    assert_equal([job], tmp_path / "ray", tmp_path / "local")


SPY = """
import os, sys

class Spy:
    def find_spec(self, name, *_):
        if name == "ray":
            print(os.environ.get("RAY_USAGE_STATS_ENABLED"), os.environ.get("RAY_AUTH_MODE"))

sys.meta_path.insert(0, Spy())
import benchmark.running.ray_engine
"""


def test_ray_is_told_to_keep_quiet_and_to_show_its_token_before_it_is_imported(
    tmp_path: Path,
) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("of an earlier cluster")
    given = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    told = subprocess.run(
        [sys.executable, "-c", SPY],
        env=given | {"PYTHONPATH": str(REPOSITORY), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "0 token\n"


class Deadly:
    """Ends the process that receives it, as one does that runs out of memory."""

    def __reduce__(self) -> tuple[Callable[[int], object], tuple[int]]:
        return os._exit, (9,)


def test_failures_on_nodes_are_named_and_the_others_go_on(
    cluster: Cluster, job: Job, tmp_path: Path
) -> None:
    missing = partial(load_pusht, "human", "keypoints", tmp_path / "nowhere.npz")
    broken = replace(job, cell=make_cell(2), demos=missing)
    killed = replace(job, cell=make_cell(3), demos=Deadly)
    failing = replace(job, cell=replace(make_cell(4), method="bet"))
    jobs = [broken, killed, failing, job]
    causes = {cell.seed: cause for cell, cause in connect(None).run(jobs, tmp_path)}
    assert causes[1] == ""
    assert "nowhere.npz" in causes[2]
    assert causes[3].startswith("WorkerCrashedError: ")
    assert causes[4].startswith("AttributeError: ")  # as in this process: the config of another
    assert "in training" in (Run(failing.cell, tmp_path).folder / "error.txt").read_text()


DRIVER = """
import signal, sys
from functools import partial
from pathlib import Path
import torch
from benchmark.plan.config import Cell, EvalConfig
from benchmark.running import ray_engine
from benchmark.running.workers import Job
from envs.demos.sources import load_pusht

if __name__ == "__main__":
    folder, demos = map(Path, sys.argv[1:])
    ray_engine.mark_in = lambda store: store / "unseen" / "by the nodes"
    cells = [Cell.from_json(path.read_text()) for path in sorted(folder.glob("cell*.json"))]
    load = partial(load_pusht, "human", "keypoints", demos)
    jobs = [Job(cell, (EvalConfig(episodes=1),), load) for cell in cells]
    ray_engine.connect(None)
    share = ray_engine.Share(workers=2, carry_seconds=0.5)
    list(ray_engine.RayEngine("Ray", share).run(jobs, folder))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_tasks_end_with_the_command_that_started_them(
    second_node: object, job: Job, tmp_path: Path, ending: signal.Signals
) -> None:
    cells = [make_cell(seed, updates=10_000_000) for seed in (ending, 100 + ending)]
    for cell in cells:
        (tmp_path / f"cell{cell.seed}.json").write_text(cell.to_json())
    (tmp_path / "driver.py").write_text(DRIVER)
    before = scratch_folders(cells)
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "driver.py", tmp_path, job.demos.args[2]],
        env=os.environ | QUIET,
        stderr=subprocess.DEVNULL,
    )
    try:
        states = [Run(cell, tmp_path).state_path for cell in cells]
        wait_until(lambda: all(path.is_file() for path in states), 120)
        assert len(training_processes()) == 2
        assert len(scratch_folders(cells) - before) == 2
        driver.send_signal(ending)
        driver.wait(60)
    finally:
        driver.kill()
    wait_until(lambda: not training_processes(), 60)
    assert all(path.is_file() for path in states)  # to continue from
    if ending != signal.SIGKILL:
        assert scratch_folders(cells) == before


def scratch_folders(cells: list[Cell]) -> set[Path]:
    """Folders of these cells on nodes that do not see the run store."""
    found = Path(tempfile.gettempdir())
    return {path for cell in cells for path in found.glob(f"dpbench-*/{cell.id}")}

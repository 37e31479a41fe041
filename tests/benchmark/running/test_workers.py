"""Cells side by side in processes of their own: the same results, and no orphans."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmark.plan.config import EvalConfig
from benchmark.running.store import Run
from benchmark.running.workers import Job, default_workers, run_jobs
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import load_pusht
from tests.benchmark.running.cells import tiny_cell

CPU = torch.device("cpu")
EVALUATION = EvalConfig(episodes=1)
TIMES = ["seconds_per_prediction"]


@pytest.fixture
def job(demos_file: Path) -> Job:
    return Job(
        tiny_cell(seed=1), (EVALUATION,), partial(load_pusht, "human", "keypoints", demos_file)
    )


def outcomes(jobs: list[Job], store: Path, workers: int) -> dict[int, str]:
    return {cell.seed: cause for cell, cause in run_jobs(jobs, store, CPU, workers)}


def test_side_by_side_gives_what_one_after_the_other_gives(job: Job, tmp_path: Path) -> None:
    jobs = [replace(job, cell=tiny_cell(seed=seed)) for seed in (1, 2, 3)]
    assert outcomes(jobs, tmp_path / "one", 1) == {1: "", 2: "", 3: ""}
    assert outcomes(jobs, tmp_path / "two", 2) == {1: "", 2: "", 3: ""}
    for each in jobs:
        alone, beside = (
            Run(each.cell, tmp_path / store).episodes(EVALUATION).drop(columns=TIMES)
            for store in ("one", "two")
        )
        pd.testing.assert_frame_equal(alone, beside)


def test_failures_in_processes_are_named_and_the_others_go_on(job: Job, tmp_path: Path) -> None:
    missing = partial(load_pusht, "human", "keypoints", tmp_path / "nowhere.npz")
    broken = replace(job, cell=tiny_cell(seed=2), demos=missing)
    killed = replace(job, cell=tiny_cell(seed=3), demos=partial(os._exit, 9))
    causes = outcomes([broken, killed, job], tmp_path, 2)
    assert causes[1] == ""
    assert "nowhere.npz" in causes[2]
    assert causes[3] == "its process ended with code 9 (out of memory?), twice"
    assert "Traceback" in (Run(broken.cell, tmp_path).folder / "error.txt").read_text()


def killed_once(mark: Path, path: Path) -> Demonstrations:
    """Demonstrations, for which the first process that asks is killed."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return load_pusht("human", "keypoints", path)


def test_a_cell_whose_process_is_killed_is_tried_once_more(
    job: Job, demos_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load = partial(killed_once, tmp_path / "mark", demos_file)
    killed = replace(job, cell=tiny_cell(seed=2), demos=load)
    assert outcomes([killed, job], tmp_path, 2) == {1: "", 2: ""}
    assert "its process was killed by SIGKILL (out of memory?); tried again" in (
        capsys.readouterr().out
    )


def test_a_full_disk_fails_its_cell_in_one_line(job: Job, tmp_path: Path) -> None:
    """As a quota does: no file of this process may grow beyond some kilobytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        (cause,) = outcomes([job], tmp_path, 1).values()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "model.safetensors: File too large; files may not grow so large here" in cause
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".part")]
    assert not Run(job.cell, tmp_path).is_trained
    assert outcomes([job], tmp_path, 1) == {1: ""}


def test_a_folder_in_the_way_of_a_cell_fails_it_and_not_the_others(
    job: Job, tmp_path: Path
) -> None:
    blocked = replace(job, cell=tiny_cell(seed=2))
    Run(blocked.cell, tmp_path).folder.write_text("a file")
    causes = outcomes([blocked, job], tmp_path, 1)
    assert causes[1] == ""
    assert "a part of its path is a file" in causes[2]
    assert "\n" not in causes[2]


def test_a_failure_that_was_mended_is_forgotten(job: Job, tmp_path: Path) -> None:
    error = Run(job.cell, tmp_path).folder / "error.txt"
    error.parent.mkdir(parents=True)
    error.write_text("ValueError: of an earlier try\n")
    assert outcomes([job], tmp_path, 1) == {1: ""}
    assert not error.exists()


ENDLESS = """
import signal, sys
from functools import partial
from pathlib import Path
import torch
from benchmark.plan.config import Cell, EvalConfig
from benchmark.running.workers import Job, run_jobs
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import load_pusht

if __name__ == "__main__":
    folder, demos = map(Path, sys.argv[1:])
    cells = [Cell.from_json(path.read_text()) for path in sorted(folder.glob("cell*.json"))]
    load = partial(load_pusht, "human", "keypoints", demos)
    jobs = [Job(cell, (EvalConfig(episodes=1),), load) for cell in cells]
    list(run_jobs(jobs, folder, torch.device("cpu"), 2))
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(
    demos_file: Path, tmp_path: Path, ending: signal.Signals
) -> None:
    folder = tmp_path
    cells = [tiny_cell(seed=seed, updates=10_000_000) for seed in (1, 2)]
    for cell in cells:
        (folder / f"cell{cell.seed}.json").write_text(cell.to_json())
    (folder / "endless.py").write_text(ENDLESS)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    parent = subprocess.Popen(
        [sys.executable, str(folder / "endless.py"), str(folder), str(demos_file)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        configs = [Run(cell, folder).folder / "config.json" for cell in cells]
        wait_until(lambda: all(path.is_file() for path in configs), 120)
        children = children_of(parent.pid)
        assert len(children) >= 2
        parent.send_signal(ending)
        parent.wait(60)
    finally:
        parent.kill()
    wait_until(lambda: not any(is_running(child) for child in children), 60)


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds
        time.sleep(0.1)


def children_of(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children")
    if not listed.exists():
        pytest.skip("this system does not list the children of a process")
    return [int(child) for child in listed.read_text().split()]


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_there_is_a_worker_for_each_core_but_one_where_a_gpu_does_the_work() -> None:
    assert default_workers(CPU) == torch.get_num_threads()
    assert default_workers(torch.device("cuda")) == 1

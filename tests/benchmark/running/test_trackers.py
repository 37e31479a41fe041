"""Trackers of experiments are told what was measured of a cell, by their real packages."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import UsageError
from benchmark.plan.config import Cell
from benchmark.running import trackers
from benchmark.running.trackers import chosen_tracker
from tests.benchmark.running.cells import tiny_cell

HISTORY = pd.DataFrame(
    {
        "update": [10.0, 20.0],
        "loss": [0.5, 0.25],
        "action_error": [float("nan"), 3.0],
        "validation_score": [float("nan"), 0.75],
        "validation_success": [float("nan"), 0.5],
    }
)
RESULT = {"score": 0.7, "success": 0.6}
# A program of its own, since trackio reads its folder when it is imported.
TELL_TRACKIO = """
import io, json, sys
from pathlib import Path
import pandas
from benchmark.plan.config import Cell
from benchmark.running.trackers import chosen_tracker
cell, history, result = sys.argv[1:]
tracker = chosen_tracker("trackio", Path())
tracker.add(Cell.from_json(cell), pandas.read_json(io.StringIO(history)), json.loads(result))
"""


@pytest.fixture
def cell() -> Cell:
    return tiny_cell(seed=42, updates=20)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the package
def test_tensorboard_has_the_curve_and_the_result_of_a_cell(cell: Cell, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = chosen_tracker("tensorboard", tmp_path)
    assert tracker is not None
    tracker.add(cell, HISTORY, RESULT)
    events = EventAccumulator(str(tmp_path / "tensorboard" / cell.id))
    events.Reload()
    read = {
        name: [(event.step, round(event.value, 6)) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }
    assert read == {
        "train/loss": [(10, 0.5), (20, 0.25)],
        "train/action_error": [(20, 3.0)],
        "train/validation_score": [(20, 0.75)],
        "train/validation_success": [(20, 0.5)],
        "test/score": [(20, 0.7)],
        "test/success": [(20, 0.6)],
    }


@pytest.mark.filterwarnings("ignore")  # of the package
def test_wandb_keeps_a_run_without_a_network(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = chosen_tracker("wandb", tmp_path)
    assert tracker is not None
    tracker.add(cell, HISTORY, RESULT)
    (kept,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    end = time.monotonic() + 60
    while b"test/success" not in (content := kept.read_bytes()):  # its service writes on its own
        assert time.monotonic() < end
        time.sleep(0.1)
    for text in (cell.id, "train/validation_score", "test/success", "0.75", "0.6"):
        assert text.encode() in content


@pytest.mark.filterwarnings("ignore")  # of the package
def test_trackio_keeps_a_run_on_this_machine(cell: Cell, tmp_path: Path) -> None:
    pytest.importorskip("trackio", reason="trackio is not installed")
    subprocess.run(
        [sys.executable, "-c", TELL_TRACKIO, cell.to_json(), HISTORY.to_json(), json.dumps(RESULT)],
        env={**os.environ, "TRACKIO_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        check=True,
        timeout=120,
        capture_output=True,
    )
    with closing(sqlite3.connect(tmp_path / "dpbench.db")) as kept:
        rows = kept.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
    assert {name for name, _, _ in rows} == {cell.id}
    measured = {step: json.loads(metrics) for _, step, metrics in rows}
    assert measured[10] == {"train/loss": 0.5}
    assert measured[20]["train/validation_score"] == 0.75
    assert measured[21] == {"test/score": 0.7, "test/success": 0.6}


def test_a_tracker_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen_tracker(None, tmp_path) is None
    monkeypatch.setattr(trackers, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"--track trackio needs .*dpbench\[trackio\]"):
        chosen_tracker("trackio", tmp_path)

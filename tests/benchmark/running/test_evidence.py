"""What is kept of a finished run: its recorded episodes too, unless they are heavy."""

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from benchmark.evidence.cell_file import read_cell
from benchmark.plan.config import EvalConfig
from benchmark.running.evidence import MOST_RECORDED, keep_cell
from benchmark.running.recorded import recorded, recorded_name
from benchmark.running.store import MEASURED, Run, write_parquet
from benchmark.sealed import write_sealed
from tests.benchmark.running.cells import tiny_cell

CONFIG = EvalConfig(8, episodes=1)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that was never trained, with the files of one that was."""
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))
    run = Run(tiny_cell(), tmp_path / "runs")
    run.begin({})
    write_parquet(pd.DataFrame({"update": [2], "loss": [0.5]}), run.history_path)
    write_parquet(pd.DataFrame({"seed": [300_000]}), run.evaluation_path(CONFIG))
    write_sealed(run.folder / MEASURED / "drift.json", "{}")
    return run


def kept_of(run: Run, told: list[dict[str, object]]) -> list[object]:
    """The recorded episodes that are found where only the evidence is."""
    content = gzip.compress(json.dumps(told).encode(), mtime=0)
    write_sealed(run.folder / MEASURED / recorded_name(CONFIG), content)
    assert "drift.json" in read_cell(keep_cell(run)).measured
    return list(recorded(Run(run.cell, Path("nowhere")), CONFIG))


def test_recorded_episodes_are_kept_with_what_was_measured(run: Run) -> None:
    told: list[dict[str, object]] = [{"kind": "best", "states": [[1.0, 2.0]]}]
    assert kept_of(run, told) == told


def test_recorded_episodes_that_are_too_heavy_for_git_stay_in_the_run_store(run: Run) -> None:
    told: list[dict[str, object]] = [{"kind": "best", "frames": os.urandom(MOST_RECORDED).hex()}]
    assert kept_of(run, told) == []
    assert recorded(run, CONFIG) == told

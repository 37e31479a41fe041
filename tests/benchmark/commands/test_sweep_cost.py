"""What a sweep costs and moves on a cluster, from cells that are finished."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.commands.bench import bench
from benchmark.commands.sweep_cost import sweep_cost_command
from benchmark.errors import UsageError
from benchmark.plan.request import BenchConfig
from benchmark.plan.sweep import plan
from benchmark.running.store import Run
from benchmark.running.traffic import Load
from envs.demos.demonstrations import Demonstrations

SWEEP = BenchConfig(preset="smoke", methods=("bc-mlp",), control=("position",), episodes=2)


def test_a_thousand_cells_cost_a_thousand_times_what_one_did(
    three_demonstrations: Demonstrations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(replace(SWEEP, out=tmp_path / "report"), tmp_path / "runs", [])
    capsys.readouterr()
    assert sweep_cost_command(SWEEP, 1000, tmp_path / "runs") == 0
    printed = capsys.readouterr().out
    (cell,) = plan(SWEEP)
    run = Run(cell, tmp_path / "runs")
    policy = sum(path.stat().st_size for path in run.checkpoint().iterdir())
    played = len(list((run.folder / "episodes").glob("*.parquet")))
    row = re.search(r"^bc-mlp +position.* (\d+) +(\S+) +(\S+) +(\S+)$", printed, re.MULTILINE)
    assert row is not None
    tasks, state, of_policy, rows = map(float, row.groups())
    assert (tasks, of_policy) == (played, round(policy / 1e6, 2))
    assert state == pytest.approx(4 * of_policy, rel=0.05)  # weights, average and two moments
    to_nodes = 1000 * played * policy / 1e9
    to_driver = (policy + rows * 1e6) * 1000 / 1e9  # GB of 1000 cells; none trained for a minute
    found = re.search(r"^ +16 .* (\S+) +(\S+) +\S+$", printed, re.MULTILINE)
    assert found is not None
    assert float(found[1]) == pytest.approx(to_nodes, abs=0.06)
    assert float(found[2]) == pytest.approx(to_driver, abs=0.06)


def test_a_number_of_cells_is_one_or_more(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cells is 0; allowed: 1 or more"):
        sweep_cost_command(SWEEP, 0, tmp_path)


def test_states_are_sent_as_often_as_all_cells_together_may() -> None:
    load = Load(state=100_000_000, policy=25_000_000)
    hour = 3600.0
    assert load.to_driver(hour, 1000, 1) == 60 * load.state + load.policy + 1000
    # 100 cells at a time have half a megabyte a second each: a state every 200 seconds.
    assert load.to_driver(hour, 1000, 100) == 18 * load.state + load.policy + 1000
    assert load.to_driver(59.0, 1000, 1) == load.policy + 1000

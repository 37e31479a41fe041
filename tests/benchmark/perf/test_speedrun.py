"""The clock of the speedrun: it runs while a policy is trained, and stops at the score."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmark.perf import speedrun as speed
from benchmark.perf.pusht import OBS_TYPE, make_workload
from benchmark.plan.config import Cell
from benchmark.plan.presets import make_cell
from envs.demos.demonstrations import Demonstrations

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def demos() -> Demonstrations:
    return make_workload(episodes=2, length=20, singles=1).demonstrations()


@pytest.fixture
def cell(demos: Demonstrations) -> Cell:
    smoke = make_cell("smoke", "bc-mlp", "position", 0, OBS_TYPE, demos)
    return replace(smoke, train=replace(smoke.train, updates=20, batch_size=4))


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What each validation will find, in this order."""
    to_come = [0.2, 0.9, 0.96, 0.5]
    queue = iter(to_come)

    def play(*_: object) -> pd.DataFrame:
        return pd.DataFrame({"score": [next(queue)], "is_success": [False]})

    monkeypatch.setattr(speed, "evaluate", play)
    return to_come


def test_it_stops_at_the_first_validation_that_reaches_the_score(
    cell: Cell, demos: Demonstrations, scores: list[float]
) -> None:
    found = speed.speedrun(cell, demos, CPU, 0.95, looks=4)
    assert [(each.updates, each.score) for each in found] == list(
        zip([5, 10, 15], scores[:3], strict=True)
    )
    assert 0 < found[0].seconds < found[1].seconds < found[2].seconds


def test_it_trains_to_the_end_where_the_score_is_not_reached(
    cell: Cell, demos: Demonstrations, scores: list[float]
) -> None:
    found = speed.speedrun(cell, demos, CPU, 0.99, looks=4)
    assert [each.score for each in found] == scores
    assert found[-1].updates == cell.train.updates


def test_a_wrong_call_ends_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speed.main(["--method", "diffusion-unett"]) == 2
    assert "did you mean" in capsys.readouterr().err
    assert speed.main(["--data-path", str(tmp_path / "none.npz")]) == 2
    said = capsys.readouterr().err
    assert "none.npz" in said
    assert said.count("\n") == 1

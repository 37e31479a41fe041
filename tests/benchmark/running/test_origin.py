"""A finished policy is trained further, as a run of its own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from baselines.bc_mlp import BcMlp
from benchmark.errors import UsageError
from benchmark.plan.config import Cell, TrainConfig
from benchmark.plan.request import BenchConfig
from benchmark.plan.sweep import plan
from benchmark.running.store import Run
from benchmark.running.train import Trainer, _begun, train
from envs.demos.demonstrations import Demonstrations

CPU = torch.device("cpu")
FIRST = Cell(
    task="pusht",
    method="bc-mlp",
    control="position",
    seed=42,
    preset="smoke",
    data="scripted",
    data_version="v2",
    num_demonstrations=3,
    obs_type="keypoints",
    agent=BcMlp.Config(),
    train=TrainConfig(updates=4, batch_size=16, validation_episodes=0, ema_maximum=0.0),
    action_scaling="min-max",
)


@pytest.fixture
def first(three_demonstrations: Demonstrations, tmp_path: Path) -> Run:
    run = Run(FIRST, tmp_path)
    train(run, three_demonstrations, CPU)
    return run


def further(run: Run, **changes: object) -> Run:
    return Run(replace(FIRST, origin=run.cell.id, **changes), run.folder.parent)


def test_a_training_starts_where_the_other_ended_and_is_another_run(
    first: Run, three_demonstrations: Demonstrations
) -> None:
    fewer = three_demonstrations.subset([0])  # its own scaling would be another
    second = further(first, num_demonstrations=1)
    assert second.cell.id != first.cell.id
    trainer = _begun(second, fewer, CPU)
    assert trainer.update == 0
    expected = first.agent().state_dict()
    for agent in (trainer.agent, trainer.ema.module):
        for name, value in agent.state_dict().items():
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0)
    fresh = Trainer(second.cell, fewer, CPU)
    assert any((value != expected[name]).any() for name, value in fresh.agent.state_dict().items())
    train(second, fewer, CPU)
    assert second.is_trained
    after = second.agent().state_dict()
    assert any((after[name] != value).any() for name, value in expected.items())
    assert Cell.from_json(second.config_path.read_text()).origin == first.cell.id


def test_an_interrupted_further_training_goes_on_and_does_not_start_again(
    first: Run, three_demonstrations: Demonstrations
) -> None:
    second = further(first)
    trainer = _begun(second, three_demonstrations, CPU)
    trainer.step()
    second.folder.mkdir()
    trainer.save(second)
    assert _begun(second, three_demonstrations, CPU).update == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control": "velocity"}, "has control position, not velocity: give the same"),
        ({"obs_horizon": 1}, "has obs_horizon 2, not 1"),
        (
            {"agent": BcMlp.Config(width=64, blocks=1), "control": "velocity"},
            r"-\w+ has control position, not velocity; agent.width \d+, not 64; agent.blocks \d+, "
            "not 1: give the same",
        ),
        ({"origin": "nowhere"}, "no run nowhere to start from in"),
        ({"train": TrainConfig(updates=0)}, "bc-mlp learns nothing"),
    ],
)
def test_what_cannot_be_trained_further_is_refused(
    first: Run, three_demonstrations: Demonstrations, changes: dict[str, object], message: str
) -> None:
    second = further(first)
    cell = replace(second.cell, **changes)
    with pytest.raises(ValueError, match=message):
        _begun(Run(cell, first.folder.parent), three_demonstrations, CPU)


def test_an_unfinished_run_is_no_start(first: Run, three_demonstrations: Demonstrations) -> None:
    first.history_path.unlink()
    with pytest.raises(ValueError, match="is not finished"):
        _begun(further(first), three_demonstrations, CPU)


def test_a_damaged_run_is_no_start(first: Run, three_demonstrations: Demonstrations) -> None:
    first.config_path.write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json was damaged or changed"):
        _begun(further(first), three_demonstrations, CPU)


def test_a_command_names_the_run_or_its_folder_and_no_id_of_before_changes(tmp_path: Path) -> None:
    def cells(origin: str | None) -> list[Cell]:
        asked = BenchConfig(
            preset="smoke", methods=("bc-mlp",), control=("position",), origin=origin
        )
        return plan(asked)

    (fresh,), (named,), (pathed,) = cells(None), cells("a-run"), cells("runs/a-run")
    assert named.id == pathed.id != fresh.id
    assert (fresh.origin, named.origin) == ("", "a-run")
    assert replace(named, origin="").id == fresh.id


def test_the_command_says_a_missing_run_before_it_starts(tmp_path: Path) -> None:
    from benchmark.commands.bench import bench

    asked = BenchConfig(
        preset="smoke", methods=("bc-mlp",), control=("position",), origin="nowhere"
    )
    with pytest.raises(UsageError, match="no run nowhere to start from"):
        bench(asked, tmp_path, ["command"])

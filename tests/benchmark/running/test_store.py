"""The run store: what is kept of a cell, and what an interruption leaves behind."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
import torch

from baselines.agent import Spec
from baselines.checkpoints import load_agent
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.normalizer import Normalizer
from benchmark.plan.config import Cell, EvalConfig, TrainConfig
from benchmark.running.evidence import keep_shared
from benchmark.running.store import (
    Run,
    default_store,
    describe,
    kept_frame,
    read_frame,
    stored_cell,
    write_parquet,
)

CELL = Cell(
    task="pusht",
    method="diffusion-unet",
    control="velocity",
    seed=43,
    preset="smoke",
    data="human",
    data_version="v7",
    num_demonstrations=3,
    obs_type="keypoints",
    agent=DiffusionUnetConfig(channels=(8,), groups=4, step_dim=8),
    train=TrainConfig(updates=77),
    action_scaling="quantile",
)
HISTORY = pd.DataFrame({"update": [1.0, 2.0], "loss": [0.5, 0.25]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(CELL, tmp_path)
    run.begin({"processor": "x86_64"})
    return run


@pytest.fixture(scope="module")
def agent() -> DiffusionUnet:
    normalizer = Normalizer({"state": "min-max", "action": "quantile"}, {"state": 20, "action": 2})
    torch.manual_seed(0)
    return DiffusionUnet(CELL.agent, Spec({"state": (20,)}, 2), normalizer)


def test_runs_lie_in_the_working_directory_or_where_the_user_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DPBENCH_RUNS", raising=False)
    assert default_store() == Path("runs")
    monkeypatch.setenv("DPBENCH_RUNS", "/elsewhere")
    assert default_store() == Path("/elsewhere")


def test_the_config_beside_a_run_is_that_of_its_cell(run: Run) -> None:
    assert Cell.from_json((run.folder / "config.json").read_text()) == CELL
    assert run.folder.name == CELL.id


def test_a_finished_run_gives_back_policy_and_history(run: Run, agent: DiffusionUnet) -> None:
    run.state_path.write_bytes(b"an unfinished training")
    assert not run.is_trained
    run.finish(agent, HISTORY)
    assert run.is_trained
    assert not run.state_path.exists()
    for name, weights in run.agent().state_dict().items():
        torch.testing.assert_close(weights, agent.state_dict()[name], rtol=0, atol=0)
    history = run.history()
    assert history["loss"].tolist() == [0.5, 0.25]
    assert history.loc[0, ["cell", "method", "control", "data", "train_seed"]].tolist() == [
        CELL.id, "diffusion-unet", "velocity", "human", 43
    ]  # fmt: skip


@pytest.mark.parametrize("survives", range(3))
def test_an_interruption_while_a_run_is_finished_leaves_it_unfinished(
    run: Run, agent: DiffusionUnet, survives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may strike before any of the three files is in place: weights, description, history."""
    run.state_path.write_bytes(b"an unfinished training")
    replace, done = Path.replace, []

    def interrupted(self: Path, target: Path) -> Path:
        if len(done) == survives:
            raise KeyboardInterrupt
        done.append(target)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finish(agent, HISTORY)
    monkeypatch.undo()
    assert not run.is_trained
    assert run.state_path.read_bytes() == b"an unfinished training"
    run.finish(agent, HISTORY)
    assert run.is_trained
    load_agent(run.folder / "checkpoint")


def test_an_evaluation_is_kept_under_its_own_settings(run: Run) -> None:
    first, second = EvalConfig(8), EvalConfig(4)
    frame = pd.DataFrame({"seed": [100_000], "score": [0.123456789012345]})
    write_parquet(frame, run.evaluation_path(first))
    pd.testing.assert_frame_equal(run.episodes(first), frame)
    assert not run.evaluation_path(second).exists()


def test_an_interrupted_evaluation_leaves_no_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    path = run.evaluation_path(EvalConfig())
    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_parquet(HISTORY, path)
    assert list(path.parent.iterdir()) == []


def damage(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damaged_episodes_are_as_if_never_played(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_parquet(HISTORY, run.evaluation_path(EvalConfig()))
    assert run.has(EvalConfig())
    damage(path)
    assert not run.has(EvalConfig())
    assert capsys.readouterr().out.startswith(f"warning: {path} was damaged or changed")
    with pytest.raises(FileNotFoundError):
        run.episodes(EvalConfig())


def test_a_damaged_history_is_as_if_never_trained(run: Run, agent: DiffusionUnet) -> None:
    run.finish(agent, HISTORY)
    damage(run.history_path)
    assert not run.is_trained
    assert run.needs_training(keeps_checkpoints=False)


def test_a_damaged_config_is_written_again_from_the_cell_that_the_folder_is_named_after(
    run: Run, agent: DiffusionUnet
) -> None:
    run.finish(agent, HISTORY)
    damage(run.config_path)
    assert stored_cell(run.folder) is None
    assert run.is_trained
    assert stored_cell(run.folder) == CELL


def test_a_damaged_description_of_the_machine_is_left_out(run: Run) -> None:
    assert run.machine() == {"processor": "x86_64"}
    damage(run.folder / "machine.json")
    assert run.machine() == {}


def test_a_damaged_measurement_is_measured_again(run: Run) -> None:
    for number in (b"first", b"second"):
        assert run.measured("name", lambda number=number: number) == number
        assert run.measured("name", lambda: pytest.fail("measured again")) == number
        damage(run.folder / "measured" / "name")


def test_damaged_references_are_played_again_but_committed_ones_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, store = "references/floor.parquet", tmp_path / "store"
    assert len(kept_frame(store, name, lambda: HISTORY)) == 2
    damage(store / name)
    assert len(kept_frame(store, name, lambda: HISTORY.head(1))) == 1
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))
    keep_shared(store)
    damage(tmp_path / "evidence" / name)
    with pytest.raises(ValueError, match=r"floor\.parquet was damaged or changed"):
        kept_frame(tmp_path / "empty", name, lambda: HISTORY)


def test_a_file_of_before_there_were_checksums_is_refused_where_it_cannot_be_read(
    tmp_path: Path,
) -> None:
    path = tmp_path / "old.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"old\.parquet is not a readable Parquet file"):
        read_frame(path)


def test_every_episode_says_what_was_run_and_how_it_was_evaluated() -> None:
    episodes = pd.DataFrame({"seed": [100_000, 100_001], "score": [0.5, 1.0]})
    config = EvalConfig(4, latency=2, sampler="ddpm", split="validation")
    described = describe(episodes, CELL, config, steps=16)
    assert described["seed"].tolist() == [100_000, 100_001]
    assert described["score"].tolist() == [0.5, 1.0]
    assert described.drop(columns=["seed", "score"]).iloc[1].to_dict() == {
        "cell": CELL.id,
        "task": "pusht",
        "method": "diffusion-unet",
        "control": "velocity",
        "data": "human",
        "obs_type": "keypoints",
        "preset": "smoke",
        "train_seed": 43,
        "updates": 77,
        "checkpoint": "last",
        "action_horizon": 4,
        "latency": 2,
        "inference_steps": 16,
        "sampler": "ddpm",
        "split": "validation",
    }


def test_two_seeds_do_not_share_a_folder(tmp_path: Path) -> None:
    assert Run(CELL, tmp_path).folder != Run(dataclasses.replace(CELL, seed=44), tmp_path).folder

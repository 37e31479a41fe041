"""One cell from demonstrations to episodes: which episodes it is validated and tested on."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import benchmark.running.once
import benchmark.running.run
from baselines.agent import Agent, Spec
from baselines.checkpoints import DESCRIPTION, WEIGHTS
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.normalizer import Normalizer
from benchmark.plan.config import Cell, EvalConfig, TrainConfig
from benchmark.running.rollout import Trace
from benchmark.running.run import Here, evaluate, evaluate_cell, run_cell, train_cell, validation
from benchmark.running.store import Run, write_parquet
from envs.demos.demonstrations import Demonstrations


@pytest.fixture(scope="module")
def agent() -> DiffusionUnet:
    normalizer = Normalizer({"state": "min-max", "action": "min-max"}, {"state": 20, "action": 2})
    config = DiffusionUnetConfig(channels=(8,), groups=4, step_dim=8)
    return DiffusionUnet(config, Spec({"state": (20,)}, 2), normalizer).eval()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], EvalConfig]]:
    """Seeds and settings that the rollout was asked for, which is not run."""
    calls: list[tuple[list[int], EvalConfig]] = []

    def noted(
        policy: Any,
        task: Any,
        obs: Any,
        control: Any,
        seeds: Any,
        config: EvalConfig,
        what: str,
        trace: Trace,
    ) -> pd.DataFrame:
        calls.append((list(seeds), config))
        trace.frames = [{"state": np.zeros((len(seeds), 20))}] * 41
        trace.actions = [np.zeros((len(seeds), 2))] * 40
        trace.rewards = [np.zeros(len(seeds))] * 40
        scores = [0.25, 0.75, *[0.5] * (len(seeds) - 2)]
        return pd.DataFrame({"seed": seeds, "score": scores, "is_success": False, "length": 40})

    monkeypatch.setattr(benchmark.running.run, "play", noted)
    return calls


def make_cell(validation_episodes: int = 4) -> Cell:
    return Cell(
        task="pusht",
        method="diffusion-unet",
        control="position",
        seed=42,
        preset="smoke",
        data="scripted",
        data_version="v1",
        num_demonstrations=3,
        obs_type="keypoints",
        agent=DiffusionUnetConfig(channels=(8,), groups=4, step_dim=8),
        train=TrainConfig(validation_episodes=validation_episodes),
        action_scaling="min-max",
        action_horizon=6,
    )


def test_a_policy_is_validated_on_seeds_that_are_never_tested(
    agent: Agent, asked: list[tuple[list[int], EvalConfig]]
) -> None:
    validate = validation(make_cell())
    assert validate is not None
    assert validate(agent) == (0.5, 0.0)
    ((seeds, config),) = asked
    assert seeds == [200_000, 200_001, 200_002, 200_003]
    assert config.action_horizon == 6


def test_validation_can_be_left_out() -> None:
    assert validation(make_cell(validation_episodes=0)) is None


def test_an_evaluation_plays_the_seeds_and_denoising_steps_it_is_asked_for(
    agent: DiffusionUnet, asked: list[tuple[list[int], EvalConfig]]
) -> None:
    episodes = evaluate(agent, make_cell(), EvalConfig(episodes=3, inference_steps=5))
    assert asked[0][0] == [300_000, 300_001, 300_002]
    assert set(episodes["inference_steps"]) == {5}
    assert agent.diffusion.config.num_inference_steps == 5
    assert episodes["stuck"].all()  # they never move
    assert (episodes["jitter"] == 0).all()


def test_an_evaluation_samples_as_it_is_asked_to(
    agent: DiffusionUnet, asked: list[tuple[list[int], EvalConfig]]
) -> None:
    episodes = evaluate(agent, make_cell(), EvalConfig(episodes=3, sampler="ddpm"))
    assert set(episodes["sampler"]) == {"ddpm"}
    assert agent.diffusion.config.sampler == "ddpm"
    agent.set_sampler("ddim")


def test_a_cell_that_is_done_is_read_and_not_run(tmp_path: Path, agent: DiffusionUnet) -> None:
    cell, config = make_cell(), EvalConfig()
    run = Run(cell, tmp_path)
    run.finish(agent, pd.DataFrame({"update": [1.0], "loss": [0.5]}))
    kept = pd.DataFrame({"seed": [300_000], "score": [0.7]})
    write_parquet(kept, run.evaluation_path(config))

    class Untouched(Demonstrations):
        def __init__(self) -> None:
            """Without the arrays that a training would need."""

    found = run_cell(cell, config, Untouched(), tmp_path, torch.device("cpu"))
    pd.testing.assert_frame_equal(found, kept)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_a_damaged_policy_is_set_aside_and_trained_again(
    tmp_path: Path, agent: DiffusionUnet, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, trained = Run(make_cell(), tmp_path), []
    run.finish(agent, pd.DataFrame({"update": [1.0], "loss": [0.5]}))
    damaged = bytearray((run.checkpoint() / name).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (run.checkpoint() / name).write_bytes(damaged)

    def again(run: Run, *_: Any) -> None:
        trained.append(run.cell.id)
        run.finish(agent, pd.DataFrame({"update": [1.0], "loss": [0.25]}))

    monkeypatch.setattr(benchmark.running.run, "train", again)
    for _ in range(2):
        train_cell(run.cell, lambda: None, tmp_path, Here(torch.device("cpu")))  # type: ignore[arg-type, return-value]
    assert trained == [run.cell.id]
    assert (run.folder / ".checkpoint.damaged" / name).is_file()
    assert run.history()["loss"].tolist() == [0.25]


def test_what_another_command_made_in_the_meantime_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, config = make_cell(), EvalConfig(8, episodes=2)
    run, played = Run(cell, tmp_path), pd.DataFrame({"score": [0.5, 0.7]})

    class WaitedFor:
        """A lock that is free when somebody else has written both files."""

        def __init__(self, _: Path) -> None:
            pass

        def acquire(self, blocking: bool) -> None:  # noqa: ARG002
            write_parquet(pd.DataFrame({"update": [2.0]}), run.history_path)
            write_parquet(played, run.evaluation_path(config))

        def release(self) -> None:
            pass

    monkeypatch.setattr(benchmark.running.once, "FileLock", WaitedFor)
    train_cell(cell, lambda: pytest.fail("trained again"), tmp_path, Here(torch.device("cpu")))
    episodes = evaluate_cell(cell, config, tmp_path, Here(torch.device("cpu")))
    pd.testing.assert_frame_equal(episodes, played)

"""A method that learns nothing goes through the training path and comes out with its data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.nearest import Nearest
from benchmark.plan.presets import PRESETS, make_cell
from benchmark.running.store import Run
from benchmark.running.train import TrainingData, train
from envs.demos.sources import load_pusht


@pytest.mark.parametrize("preset", PRESETS)
def test_nearest_is_trained_in_no_updates_under_every_preset(preset: str, tmp_path: Path) -> None:
    demos = load_pusht("scripted", "keypoints", num_episodes=3)
    cell = make_cell(preset, "nearest", "velocity", 42, "keypoints", demos)
    assert cell.train.updates == 0
    run = Run(cell, tmp_path)
    validated: list[float] = []

    def validate(agent: torch.nn.Module) -> tuple[float, float]:
        validated.append(1.0)
        return 0.25, 0.5

    train(run, demos, torch.device("cpu"), validate)
    history = run.history()
    assert len(history) == len(validated) == 1
    assert history["validation_score"].tolist() == [0.25]
    assert np.isnan(history["loss"]).all()
    assert history["action_error"].item() == pytest.approx(0.0, abs=1e-4)  # it knows them all
    agent = run.agent()
    assert isinstance(agent, Nearest)
    assert len(agent.keys) == len(TrainingData.prepare(cell, demos, torch.device("cpu")).windows)


def test_a_method_with_weights_is_not_left_untrained(tmp_path: Path) -> None:
    demos = load_pusht("scripted", "keypoints", num_episodes=3)
    cell = make_cell("smoke", "bc-mlp", "position", 42, "keypoints", demos)
    cell = replace(cell, train=replace(cell.train, updates=0))
    with pytest.raises(ValueError, match="updates is 0, but bc-mlp has weights to learn"):
        train(Run(cell, tmp_path), demos, torch.device("cpu"))

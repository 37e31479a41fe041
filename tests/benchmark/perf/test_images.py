"""What policies that see images cost: times, memory, the encoder's share of the machine's rate."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.perf import images, timing
from benchmark.perf.pusht import make_workload
from benchmark.perf.timing import Effort
from benchmark.plan.presets import PRESETS, make_cell
from benchmark.running.train import Trainer

CPU = torch.device("cpu")
LEAST = Effort(rounds=1, seconds=0.0, block_seconds=0.0, episodes=2, length=20)


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    return make_workload(episodes=2, length=20, singles=1).states


def test_every_method_of_a_preset_is_timed_and_weighed(
    states: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "LEAST_REPETITIONS", 1)
    rows = images.images("smoke", states, CPU, LEAST)
    learners = {name for name, row in PRESETS["smoke"].items() if row.train.updates}
    trained = [row for row in rows if row.what == "training from images, smoke"]
    for unit in ("ms/update", "MB"):
        assert {row.how.split(",")[0] for row in trained if row.unit == unit} == learners
    predicted = [row for row in rows if row.what == "prediction from images, smoke"]
    assert [row.how for row in predicted] == [
        f"{method}, batch 1, 10 DDIM steps" for method in PRESETS["smoke"] if "diffusion" in method
    ]
    assert {row.how for row in rows if row.what == "encoder, smoke"} == {
        "ResNet-18, 16 channels, 32 frames"
    }
    assert all(min(row.values) > 0 for row in rows)
    [share] = [row.values for row in rows if row.unit == "% of product rate"]
    assert max(share) < 150  # of a rate that was measured beside other programs


def test_memory_is_that_of_weights_and_of_what_the_backward_pass_needs(states: np.ndarray) -> None:
    demos = images.demonstrations(states)
    cell = make_cell("smoke", "bc-mlp", "position", 0, "pixels", demos)
    small, large = (
        images.memory(
            Trainer(replace(cell, train=replace(cell.train, batch_size=batch)), demos, CPU)
        )
        for batch in (4, 8)
    )
    weights = sum(p.numel() * 4 for p in Trainer(cell, demos, CPU).agent.parameters())
    activations = large - small
    # The first feature map alone: 8 frames of 16 channels at 42 x 42, twice, in bfloat16 or more.
    assert activations > 2 * 8 * 16 * 42 * 42 * 2
    assert small == pytest.approx(5 * weights + activations, rel=0.1)

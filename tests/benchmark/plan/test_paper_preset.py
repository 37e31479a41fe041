"""The paper preset is the published table, row by row; the table is typed here on its own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines.agent import Spec
from baselines.bc_mlp import BcMlp, BcMlpConfig
from baselines.nets.encoder_config import EncoderConfig
from baselines.windows import Windows
from benchmark.plan.paper_preset import METHODS, paper_row
from benchmark.plan.presets import PRESETS, make_cell
from benchmark.plan.tasks import get_task
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations, Metadata

ARM = ("lift", "can", "square")
DP = {"num_train_timesteps": 100, "num_inference_steps": 100, "sampler": "ddpm"}
UNET = DP | {"prediction": "epsilon", "kernel_size": 5, "groups": 8}
DPT = DP | {"prediction": "epsilon", "layers": 8, "heads": 4, "width": 256}
IBC = {
    "width": 1024,
    "layers": 4,
    "obs_layers": 0,
    "dropout": 0.1,
    "negatives": 1024,
    "candidates": 1024,
    "iterations": 5,
    "noise": 0.03,
    "search": "derivative-free",
}
GMM = {"resets": True, "layers": 2, "modes": 5, "min_std": 1e-4, "test_std": 1e-4}
BET = {
    "every_step": True,
    "layers": 4,
    "heads": 4,
    "width": 72,
    "bins": 24,
    "offset_weight": 1000,
    "focal_gamma": 2,
}
COSINE, CONSTANT = "cosine", "constant"
CPU = torch.device("cpu")
SEEN = ("pusht-image", *ARM)

# method, tasks, from images, To/Ta/Tp, batch, epochs, warm-up, schedule, betas, weight decay, EMA,
# network. Learning rate 1e-4 and float32 everywhere.
TABLE: list[tuple[Any, ...]] = [
    ("diffusion-unet", ("pusht", *ARM), False, (2, 8, 16), 256, 5000, 500, COSINE, (0.95, 0.999),
     1e-6, 0.9999, UNET | {"channels": (256, 512, 1024), "step_dim": 256}),
    ("diffusion-unet", SEEN, True, (2, 8, 16), 64, 3050, 500, COSINE, (0.95, 0.999),
     1e-6, 0.9999, UNET | {"channels": (512, 1024, 2048), "step_dim": 128}),
    ("diffusion-transformer", ("pusht",), False, (2, 8, 16), 256, 8000, 1000, COSINE, (0.9, 0.95),
     1e-1, 0.9999, DPT | {"dropout": 0.01}),
    ("diffusion-transformer", ARM, False, (2, 8, 10), 256, 5000, 1000, COSINE, (0.9, 0.95),
     1e-3, 0.9999, DPT | {"dropout": 0.3}),
    ("diffusion-transformer", SEEN[:1], True, (2, 8, 16), 64, 3050, 1000, COSINE, (0.9, 0.95),
     1e-3, 0.9999, DPT | {"dropout": 0.3, "encoder_weight_decay": 1e-6}),
    ("diffusion-transformer", ARM, True, (2, 8, 10), 64, 3050, 1000, COSINE, (0.9, 0.95),
     1e-3, 0.9999, DPT | {"dropout": 0.3, "encoder_weight_decay": 1e-6}),
    ("ibc", ("pusht", *ARM), False, (2, 1, 2), 256, 5000, 500, COSINE, (0.95, 0.999), 1e-6, 0.0,
     IBC),
    ("ibc", SEEN, True, (2, 1, 2), 128, 3050, 500, COSINE, (0.95, 0.999), 1e-6, 0.0,
     IBC),
    # Published 1/1/10: here a window holds all that is seen between two resets.
    ("lstm-gmm", ("pusht", *ARM), False, (10, 1, 10), 256, 5000, 0, CONSTANT, (0.9, 0.999), 0.0,
     0.0, GMM | {"hidden": 400}),
    ("lstm-gmm", SEEN, True, (10, 1, 10), 64, 3050, 0, CONSTANT, (0.9, 0.999), 0.0, 0.0,
     GMM | {"hidden": 1000}),
    ("bet", ("pusht", *ARM), False, (3, 1, 3), 256, 5000, 0, CONSTANT, (0.9, 0.95), 0.1, 0.0, BET),
]  # fmt: skip
ROWS = [(task, row) for row in TABLE for task in row[1]]
IDS = [f"{row[0]} {task} {'images' if row[2] else 'state'}" for task, row in ROWS]


def demonstrations(task: str, lengths: tuple[int, ...] = (40, 90, 5)) -> Demonstrations:
    """Episodes of a task; only how long they are is read here."""
    steps = np.zeros((sum(lengths), 2))
    metadata = Metadata(task, "scripted", "made up", seed=0)
    return Demonstrations(steps, steps, np.cumsum(lengths), {}, metadata)


@pytest.mark.parametrize(("task", "row"), ROWS, ids=IDS)
def test_a_row_is_the_published_one(task: str, row: tuple[Any, ...]) -> None:
    method, _, images, horizons, batch, epochs, warmup, schedule, betas, decay, ema, network = row
    types = get_task(task).obs_types
    seen = next(t for t in types if (set(get_task(task).obs_shapes(t)) != {"state"}) == images)
    cell = make_cell("paper", method, "position", 42, seen, demonstrations(task))
    assert (cell.obs_horizon, cell.action_horizon, cell.pred_horizon) == horizons
    train = cell.train
    assert (train.batch_size, train.warmup_updates, train.schedule) == (batch, warmup, schedule)
    assert (train.learning_rate, train.betas, train.weight_decay) == (1e-4, betas, decay)
    assert (train.ema_maximum, train.precision) == (ema, "float32")
    assert train.gradient_clip == (1.0 if method == "bet" else 0.0)
    assert {name: getattr(cell.agent, name) for name in network} == network
    # Images: the ResNet-18 at its full size, group normalisation, spatial softmax.
    assert cell.encoder == (EncoderConfig(64, "group", "spatial-softmax") if images else None)
    assert getattr(cell.agent, "steps_per_window", 1) == 1
    assert paper_row(method, task, images).epochs == epochs


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("task", "row"), ROWS, ids=IDS)
def test_an_update_changes_the_weights_and_leaves_them_finite(
    task: str, row: tuple[Any, ...]
) -> None:
    about, random = get_task(task), np.random.default_rng(0)
    seen = next(t for t in about.obs_types if (set(about.obs_shapes(t)) != {"state"}) == row[2])
    steps = 60
    observations = {
        name: random.integers(0, 256, (steps, *shape), dtype=np.uint8)
        if len(shape) == 3
        else random.uniform(-1, 1, (steps, *shape))
        for name, shape in about.obs_shapes(seen).items()
    }
    demos = Demonstrations(
        states=random.uniform(-1, 1, (steps, 5)),
        actions=random.uniform(-1, 1, (steps, about.action_dim["position"])),
        episode_ends=np.array([25, steps]),
        observations=observations,
        metadata=Metadata(task, "scripted", "made up", seed=0),
    )
    trainer = Trainer(make_cell("paper", row[0], "position", 42, seen, demos), demos, CPU)
    before = [weights.detach().clone() for weights in trainer.agent.parameters()]
    trainer.step()
    trainer.step()  # the first one of a warm-up has the learning rate 0
    after = list(trainer.agent.parameters())
    assert all(weights.isfinite().all() for weights in after)
    changed = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert np.mean(changed) > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_updates_are_published_passes_over_the_windows_that_training_cuts(method: str) -> None:
    lengths = (40, 90, 5)
    cell = make_cell("paper", method, "position", 42, "keypoints", demonstrations("pusht", lengths))
    spec = Spec({"state": (20,)}, 2, cell.obs_horizon, cell.pred_horizon)
    demos = demonstrations("pusht", lengths)
    windows = len(_windows(demos, spec, cell.action_horizon, cell.train.pads_before))
    epochs = paper_row(method, "pusht", from_images=False).epochs
    assert cell.train.updates == round(epochs * windows / cell.train.batch_size)


def _windows(demos: Demonstrations, spec: Spec, action_horizon: int, pads_before: bool) -> Windows:

    obs = {"state": torch.zeros(demos.num_steps, 20)}
    ends = torch.as_tensor(demos.episode_ends)
    actions = torch.zeros(demos.num_steps, 2)
    return Windows(obs, actions, ends, spec, action_horizon, True, pads_before)


def test_ninety_demonstrations_of_push_t_take_213_000_updates() -> None:
    assert round(PRESETS["paper"]["diffusion-unet"].train.updates, -3) == 213_000


def test_a_method_of_another_package_is_trained_as_diffusion_unet_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmark.plan.paper_preset.agent_class", {"theirs": BcMlp}.__getitem__)
    row, unet = (paper_row(name, "can", from_images=False) for name in ("theirs", "diffusion-unet"))
    assert row == replace(unet, agent=BcMlpConfig())

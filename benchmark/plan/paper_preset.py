"""The settings as published, by method, task and observation (preset `paper`).

Every row is that of the committed configurations of DP's public code, with the tables of the paper
(DP Tables 7 and 8) where the two differ. Published epochs are passes over all training windows;
they become updates by the number of windows there are: epochs x windows / batch.

All are trained in float32 and without averaged weights, but for Diffusion Policy's.

What the paper did not publish follows the nearest row: BET on anything but BlockPush, BET from
images, and every setting of `ibc-informed` and `bc-mlp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from baselines.agent import agent_class
from baselines.bc_mlp import BcMlpConfig
from baselines.bet import BetConfig
from baselines.diffusion.agent import DiffusionTransformerConfig, DiffusionUnetConfig
from baselines.ibc import IbcConfig
from baselines.ibc_informed import IbcInformedConfig
from baselines.lstm_gmm import LstmGmmConfig
from baselines.nearest import NearestConfig
from benchmark.plan.config import TrainConfig

ROBOMIMIC = ("lift", "can", "square")
IMAGE_EPOCHS = 3050
PUSHT_LENGTHS = (128,) * 90
"""Steps of the episodes that the published Push-T policies were trained on, on average."""


@dataclass(frozen=True)
class PaperRow:
    """A method's published settings on a task."""

    agent: Any
    train: TrainConfig
    """But for `updates`, which `training` fills in."""
    epochs: int
    """Passes over all windows."""
    obs_horizon: int
    pred_horizon: int
    action_horizon: int

    def training(self, lengths: Sequence[int]) -> TrainConfig:
        """How it is trained on episodes of so many steps."""
        before = self.obs_horizon - 1 if self.train.pads_before else 0
        past_end = self.action_horizon + before - self.pred_horizon
        windows = sum(max(int(length) + past_end, 1) for length in lengths)
        updates = round(self.epochs * windows / self.train.batch_size)
        return replace(self.train, updates=max(updates, min(self.epochs, 1)))


_TRAIN = TrainConfig(
    batch_size=256,
    learning_rate=1e-4,
    warmup_updates=500,
    betas=(0.95, 0.999),
    weight_decay=1e-6,
    precision="float32",
    ema_maximum=0.0,  # no average: the weights themselves
    checkpoints=10,
    validation_episodes=50,
)
_AVERAGED = replace(_TRAIN, ema_maximum=0.9999)
_TRANSFORMER_TRAIN = replace(_AVERAGED, warmup_updates=1000, betas=(0.9, 0.95), weight_decay=1e-3)
_ADAM = replace(
    _TRAIN,
    warmup_updates=0,
    betas=(0.9, 0.999),
    weight_decay=0.0,
    schedule="constant",
    pads_before=False,
)
_GPT_TRAIN = replace(
    _TRAIN,
    warmup_updates=0,  # 500 are listed, but no schedule is ever built
    betas=(0.9, 0.95),
    weight_decay=0.1,
    gradient_clip=1.0,
    schedule="constant",
)
_UNET = DiffusionUnetConfig(sampler="ddpm", num_inference_steps=100, spacing="leading")
_TRANSFORMER = DiffusionTransformerConfig(
    sampler="ddpm", num_inference_steps=100, spacing="leading", dropout=0.3
)
_INFORMED = IbcInformedConfig(near_share=0.5, iterations=6, noise=0.33, noise_decay=0.55)

_STATE = {
    "diffusion-unet": PaperRow(_UNET, _AVERAGED, 5000, 2, 16, 8),
    "diffusion-transformer": PaperRow(_TRANSFORMER, _TRANSFORMER_TRAIN, 5000, 2, 10, 8),
    "ibc": PaperRow(IbcConfig(), _TRAIN, 5000, 2, 2, 1),
    "ibc-informed": PaperRow(_INFORMED, _TRAIN, 5000, 2, 2, 1),
    "lstm-gmm": PaperRow(LstmGmmConfig(resets=True), _ADAM, 5000, 10, 10, 1),
    "bet": PaperRow(BetConfig(every_step=True), _GPT_TRAIN, 5000, 3, 3, 1),
    "bc-mlp": PaperRow(BcMlpConfig(), _TRAIN, 5000, 2, 9, 8),
    "nearest": PaperRow(NearestConfig(), replace(_TRAIN, checkpoints=1), 0, 2, 9, 8),
}
_PUSHT_STATE = _STATE | {
    "diffusion-transformer": PaperRow(
        replace(_TRANSFORMER, dropout=0.01),
        replace(_TRANSFORMER_TRAIN, weight_decay=0.1),
        8000,
        2,
        16,
        8,
    ),
}


def _from_images(row: PaperRow, batch_size: int = 64, **agent: Any) -> PaperRow:
    """A row of states with the batch and the epochs of images, and changed settings."""
    return replace(
        row,
        agent=replace(row.agent, **agent),
        train=replace(row.train, batch_size=batch_size),
        epochs=min(row.epochs, IMAGE_EPOCHS),
    )


_IMAGES = {name: _from_images(row) for name, row in _STATE.items()} | {
    "diffusion-unet": _from_images(
        _STATE["diffusion-unet"], channels=(512, 1024, 2048), step_dim=128
    ),
    "ibc": _from_images(_STATE["ibc"], batch_size=128),
    "ibc-informed": _from_images(_STATE["ibc-informed"], batch_size=128),
    "lstm-gmm": _from_images(_STATE["lstm-gmm"], hidden=1000),
}
_PUSHT_IMAGES = _IMAGES | {
    "diffusion-transformer": replace(_IMAGES["diffusion-transformer"], pred_horizon=16)
}
METHODS = tuple(_STATE)
PUBLISHED_METHODS = ("diffusion-unet", "diffusion-transformer", "ibc", "lstm-gmm", "bet")
"""Those that the paper has results of."""


def paper_row(method: str, task: str, from_images: bool) -> PaperRow:
    """Published settings of a method on a task.

    A task that nothing was published on has those of Push-T; a method that nothing was published of
    is trained as diffusion-unet is.

    Raises:
        ValueError: If there is no such method.
    """
    of_arm, of_pusht = (_IMAGES, _PUSHT_IMAGES) if from_images else (_STATE, _PUSHT_STATE)
    rows = of_arm if task in ROBOMIMIC else of_pusht
    if method in rows:
        return rows[method]
    return replace(rows["diffusion-unet"], agent=agent_class(method).Config())

"""The one table that pairs methods with settings, for every preset.

smoke proves the chain in seconds, quick trains a cell for about 5 minutes and laptop for about 24
on the two CPU cores of results/perf, 4 and 15 being the aim; paper holds the published settings,
for a GPU.

What quick and laptop change against paper, and why:
    - Narrower networks, fewer updates, a higher learning rate and 16 DDIM steps: what two cores can
      compute in that time. `python -m benchmark search` compares candidates on validation
      seeds; its log so far is in results/search.
    - The average of the weights looks back 50 to 500 updates instead of 10,000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from baselines.agent import agent_class
from baselines.diffusion.agent import DiffusionUnetConfig
from benchmark.config import Cell, TrainConfig
from benchmark.tasks import get_task
from envs.control import Control
from envs.demos.demonstrations import Demonstrations


@dataclass(frozen=True)
class Settings:
    """How one method is built and trained under one preset."""

    agent: Any
    train: TrainConfig
    obs_horizon: int = 2
    pred_horizon: int = 16
    action_horizon: int = 8


_SMOKE = {
    "diffusion-unet": Settings(
        DiffusionUnetConfig(channels=(32, 64), kernel_size=3, step_dim=64),
        TrainConfig(
            updates=300,
            batch_size=64,
            learning_rate=1e-3,
            warmup_updates=30,
            ema_maximum=0.98,
            checkpoints=1,
            validation_episodes=0,
        ),
    ),
}
_QUICK = {
    "diffusion-unet": Settings(
        DiffusionUnetConfig(channels=(64, 128, 256), kernel_size=3, step_dim=64, activation="silu"),
        TrainConfig(
            updates=2200,
            batch_size=128,
            learning_rate=1e-3,
            warmup_updates=100,
            ema_maximum=0.995,
            checkpoints=3,
        ),
    ),
}
_LAPTOP = {
    "diffusion-unet": Settings(
        DiffusionUnetConfig(channels=(64, 128, 256), kernel_size=3, step_dim=64, activation="silu"),
        TrainConfig(
            updates=10_000,
            batch_size=128,
            learning_rate=1e-3,
            warmup_updates=200,
            ema_maximum=0.998,
        ),
    ),
}
# DP Table 7 and App. A; 4500 epochs of 90 human demonstrations of Push-T at batch 256.
_PAPER = {
    "diffusion-unet": Settings(
        DiffusionUnetConfig(sampler="ddpm", num_inference_steps=100, spacing="leading"),
        TrainConfig(updates=200_000, checkpoints=10, validation_episodes=50),
    ),
}

PRESETS: Mapping[str, Mapping[str, Settings]] = MappingProxyType(
    {
        "smoke": MappingProxyType(_SMOKE),
        "quick": MappingProxyType(_QUICK),
        "laptop": MappingProxyType(_LAPTOP),
        "paper": MappingProxyType(_PAPER),
    }
)
EPISODES: Mapping[str, int] = MappingProxyType(
    {"smoke": 10, "quick": 50, "laptop": 50, "paper": 50}
)
"""Test episodes of each preset."""


def settings(preset: str, method: str) -> Settings:
    """Settings of a method under a preset.

    A method without a row here, such as one of another package, has its own defaults and is trained
    as diffusion-unet is.

    Raises:
        ValueError: If there is no such preset or method; the message lists what there is.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; presets: {', '.join(PRESETS)}")
    if method in PRESETS[preset]:
        return PRESETS[preset][method]
    return replace(PRESETS[preset]["diffusion-unet"], agent=agent_class(method).Config())


def make_cell(
    preset: str,
    method: str,
    control: Control,
    seed: int,
    obs_type: str,
    demos: Demonstrations,
) -> Cell:
    """The cell of a method under a preset, for given demonstrations."""
    chosen = settings(preset, method)
    return Cell(
        task=demos.metadata.task,
        method=method,
        control=control,
        seed=seed,
        preset=preset,
        data=demos.metadata.source,
        data_version=demos.metadata.version,
        num_demonstrations=demos.num_episodes,
        obs_type=obs_type,
        agent=chosen.agent,
        train=chosen.train,
        action_scaling=get_task(demos.metadata.task).action_scaling[control],
        obs_horizon=chosen.obs_horizon,
        pred_horizon=chosen.pred_horizon,
        action_horizon=chosen.action_horizon,
    )

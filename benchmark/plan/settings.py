"""What a row of a preset is: how one method is built and trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from baselines.nets.encoder_config import EncoderConfig
from benchmark.plan.config import TrainConfig

WIDE = 4
"""Numbers of an action from which on `Settings.wide` is taken: an arm has seven or ten."""


@dataclass(frozen=True)
class Settings:
    """How one method is built and trained under one preset."""

    agent: Any
    train: TrainConfig
    obs_horizon: int = 2
    pred_horizon: int = 16
    action_horizon: int = 8
    wide: Settings | None = None
    """What is taken instead where an action has WIDE numbers or more; None takes the same there."""
    encoder: EncoderConfig | None = None
    """How images are encoded; None where a policy sees none."""

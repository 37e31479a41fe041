"""Exponential moving average of weights with a decay that warms up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def ema_decay(update: int, power: float = 0.75, maximum: float = 0.9999) -> float:
    """Decay after `update` updates: 1 - (1 + update)^-power, at most `maximum` (DP's code).

    Early on the average follows the weights closely; later it looks back further and further.
    """
    return float(min(1 - (1 + update) ** -power, maximum))


class EMA(Generic[ModuleT]):
    """The running average of a module's weights; its buffers are copied.

    Args:
        module: The module that is trained.
        power: Exponent of the warm-up; smaller looks back less far.
        maximum: The largest decay.
    """

    def __init__(self, module: ModuleT, power: float = 0.75, maximum: float = 0.9999) -> None:
        def average(
            averaged: Sequence[Tensor], current: Sequence[Tensor], update: Tensor | int
        ) -> None:
            torch._foreach_lerp_(
                list(averaged), list(current), 1 - ema_decay(int(update), power, maximum)
            )

        self._averaged = AveragedModel(module, multi_avg_fn=average)

    def update(self, module: ModuleT) -> None:
        """Take the weights of `module` into the average."""
        self._averaged.update_parameters(module)

    @property
    def module(self) -> ModuleT:
        """The averaged module."""
        return cast("ModuleT", self._averaged.module)

    def state_dict(self) -> dict[str, Tensor]:
        """Averaged weights and the number of updates."""
        return dict(self._averaged.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        self._averaged.load_state_dict(state)

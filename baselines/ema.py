"""Exponential moving average of weights with a decay that warms up."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from baselines.flat import flatten

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
        flat: Its parameters in one buffer, as `baselines.flat.flatten` gives it; None moves them
            into one.
        parameters: Those of `module` in the order of `flat`; the others are copied.
        power: Exponent of the warm-up; smaller looks back less far.
        maximum: The largest decay.
    """

    def __init__(
        self,
        module: ModuleT,
        power: float = 0.75,
        maximum: float = 0.9999,
        flat: Tensor | None = None,
        parameters: Sequence[Tensor] | None = None,
    ) -> None:
        chosen = list(module.parameters()) if parameters is None else list(parameters)
        self.module: ModuleT = copy.deepcopy(module)
        """The averaged module."""
        names = {id(value): name for name, value in module.named_parameters()}
        averaged = dict(self.module.named_parameters())
        self._flat = flatten(chosen) if flat is None else flat
        self._average = flatten([averaged[names[id(each)]] for each in chosen])
        taken = {id(each) for each in chosen}
        rest = [name for name, value in module.named_parameters() if id(value) not in taken]
        current = dict(module.named_parameters())
        self._copied = [(averaged[name].detach(), current[name].detach()) for name in rest]
        self._copied += list(zip(self.module.buffers(), module.buffers(), strict=True))
        self._power, self._maximum, self._updates = power, maximum, 0

    def update(self) -> None:
        """Take the weights of the trained module into the average; the first update copies them."""
        decay = ema_decay(self._updates, self._power, self._maximum) if self._updates else 0.0
        self._average.lerp_(self._flat, 1 - decay)
        for average, value in self._copied:
            average.copy_(value)
        self._updates += 1

    def state_dict(self) -> dict[str, Tensor]:
        """Averaged weights and the number of updates."""
        weights = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        return {"n_averaged": torch.tensor(self._updates)} | weights

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        self._updates = int(state["n_averaged"])
        prefix = "module."
        self.module.load_state_dict(
            {name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)}
        )

"""AdamW over parameters that lie in one buffer, so that an update is a handful of calls.

A policy has a hundred small tensors; an optimiser that visits them one by one spends its time on
visiting. PyTorch's AdamW sees one tensor for each of its groups here. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTS = ("exp_avg", "exp_avg_sq")


def flatten(parameters: Sequence[Tensor]) -> Tensor:
    """Move parameters of one type and device into one buffer, of which each becomes a part.

    Args:
        parameters: What is moved; none twice.

    Returns:
        The buffer, (n,), in the order of the parameters.
    """
    if not parameters:
        return torch.empty(0)
    flat = torch.cat([each.detach().reshape(-1) for each in parameters])
    for each, part in zip(parameters, parts(flat, parameters), strict=True):
        each.data = part
    return flat


def parts(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of a buffer (n,), in the shapes of `like`."""
    pieces = torch.split(flat, [each.numel() for each in like])
    return [piece.view(each.shape) for piece, each in zip(pieces, like, strict=True)]


class FlatAdamW:
    """AdamW for the parameters of an agent, which it moves into one buffer.

    A parameter that a loss does not depend on has the gradient zero; PyTorch's AdamW leaves it
    alone, so it would not decay either.

    Args:
        groups: Parameters and their weight decay, as `Agent.parameter_groups` gives them, and the
            `share` of the learning rate that they take, where it is not all of it.
        learning_rate: Of the first update; see `step`.
        betas: Decays of the two moments.
        gradient_clip: Largest norm of the gradient; 0 clips nothing.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        learning_rate: float,
        betas: tuple[float, float],
        gradient_clip: float = 0.0,
    ) -> None:
        self._groups: list[list[nn.Parameter]] = [list(group["params"]) for group in groups]
        shares = [float(group.get("share", 1.0)) for group in groups]
        self.parameters = [each for group in self._groups for each in group]
        self.flat = flatten(self.parameters)
        """All parameters, group by group, (n,)."""
        self._gradient = torch.zeros_like(self.flat)
        self._clip = gradient_clip
        self.learning_rate = learning_rate
        """Of the last update, or of the first before there was one."""
        sizes = [sum(each.numel() for each in group) for group in self._groups]
        self._flat_groups = [nn.Parameter(piece) for piece in torch.split(self.flat, sizes)]
        for piece, gradient in zip(
            self._flat_groups, torch.split(self._gradient, sizes), strict=True
        ):
            piece.grad = gradient
        filled = [
            (piece, group["weight_decay"], share)
            for piece, group, share in zip(self._flat_groups, groups, shares, strict=True)
            if piece.numel()
        ]
        self._shares = [share for *_, share in filled]
        self._adamw = torch.optim.AdamW(
            [{"params": [piece], "weight_decay": decay} for piece, decay, _ in filled]
            or [{"params": []}],  # of a method that learns nothing by gradients
            lr=learning_rate,
            betas=betas,
            fused=True,
        )

    def step(self, learning_rate: float) -> None:
        """Update the parameters by their gradients, which are taken away."""
        gradients = [
            torch.zeros_like(each).view(-1) if each.grad is None else each.grad.reshape(-1)
            for each in self.parameters
        ]
        torch.cat(gradients, out=self._gradient)
        for each in self.parameters:
            each.grad = None
        if self._clip > 0:
            torch.nn.utils.clip_grad_norm_(self._flat_groups, self._clip)
        self.learning_rate = learning_rate
        for group, share in zip(self._adamw.param_groups, self._shares, strict=False):
            group["lr"] = learning_rate * share
        self._adamw.step()

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and number of updates of each parameter, as `<index>.<name>`."""
        state: dict[str, Tensor] = {}
        first = 0
        for piece, group in zip(self._flat_groups, self._groups, strict=True):
            of_group = self._adamw.state.get(piece, {})
            for name in MOMENTS if of_group else ():
                for index, value in enumerate(parts(of_group[name], group), first):
                    state[f"{index}.{name}"] = value
            for index in range(first, first + len(group) if of_group else first):
                state[f"{index}.step"] = of_group["step"].clone()
            first += len(group)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        first = 0
        for piece, group in zip(self._flat_groups, self._groups, strict=True):
            indices = range(first, first + len(group))
            first += len(group)
            if f"{indices.start}.step" not in state:
                continue
            self._adamw.state[piece] = {
                name: torch.cat([state[f"{i}.{name}"].reshape(-1) for i in indices]).to(piece)
                for name in MOMENTS
            } | {"step": state[f"{indices.start}.step"].clone()}

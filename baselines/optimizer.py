"""AdamW, and Muon beside it where that is asked for, over parameters that lie in one buffer.

The numbers are those of PyTorch's optimisers, tensor by tensor; an update is a handful of calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from baselines.flat import flatten, parts
from baselines.muon import Muon, is_matrix


class Mover(Protocol):
    """What moves some of the parameters, which lie side by side, by their gradients."""

    @property
    def state(self) -> dict[str, Tensor]:
        """What it keeps between updates: of every parameter, (n,), or of all alike, ()."""

    def step(self, learning_rate: float) -> None:
        """Move them."""


class AdamW:
    """PyTorch's AdamW for one buffer; arguments as of `baselines.muon.Muon`."""

    def __init__(
        self, flat: Tensor, gradient: Tensor, weight_decay: float, betas: tuple[float, float]
    ) -> None:
        parameter = nn.Parameter(flat)
        parameter.grad = gradient
        self._adamw = torch.optim.AdamW(
            [parameter], betas=betas, weight_decay=weight_decay, fused=True
        )
        moments = {name: torch.zeros_like(flat) for name in ("exp_avg", "exp_avg_sq")}
        self.state = moments | {"step": torch.zeros((), device=flat.device)}
        self._adamw.state[parameter] = self.state

    def step(self, learning_rate: float) -> None:
        """See `Mover.step`."""
        self._adamw.param_groups[0]["lr"] = learning_rate
        self._adamw.step()


@dataclass(frozen=True)
class _Piece:
    """Parameters that are moved alike, and the share of the learning rate that they take."""

    parameters: list[nn.Parameter]
    mover: Mover
    share: float


class FlatOptimizer:
    """The optimiser of an agent, whose parameters it moves into one buffer.

    A parameter that a loss does not depend on has the gradient zero; PyTorch's optimisers leave it
    alone, so it would not decay either.

    Args:
        groups: Parameters and their weight decay, as `Agent.parameter_groups` gives them, and the
            `share` of the learning rate that they take, where it is not all of it.
        learning_rate: Of the first update; see `step`.
        betas: AdamW's decays of the two moments.
        gradient_clip: Largest norm of the gradient; 0 clips nothing.
        muon: The type that Muon multiplies in, which then moves the matrices (see
            `baselines.muon.is_matrix`); None leaves all to AdamW.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        learning_rate: float,
        betas: tuple[float, float],
        gradient_clip: float = 0.0,
        muon: torch.dtype | None = None,
    ) -> None:
        parted = [
            (list(alike), group, by_muon)
            for group in groups
            for alike, by_muon in _parted(group["params"], muon is not None)
            if alike
        ]
        self.parameters: list[nn.Parameter] = [each for alike, *_ in parted for each in alike]
        self.flat = flatten(self.parameters)
        """All parameters, (n,), in the order of `parameters`."""
        self._gradient = torch.zeros_like(self.flat)
        self._clip = gradient_clip
        self.learning_rate = learning_rate
        """Of the last update, or of the first before there was one."""
        sizes = [sum(each.numel() for each in alike) for alike, *_ in parted]
        buffers = zip(
            torch.split(self.flat, sizes), torch.split(self._gradient, sizes), strict=True
        )
        self._pieces = [
            _Piece(
                alike,
                Muon(flat, gradient, alike, group["weight_decay"], muon)
                if muon is not None and by_muon
                else AdamW(flat, gradient, group["weight_decay"], betas),
                group.get("share", 1.0),
            )
            for (alike, group, by_muon), (flat, gradient) in zip(parted, buffers, strict=True)
        ]

    def step(self, learning_rate: float) -> None:
        """Update the parameters by their gradients, which are taken away."""
        gradients = [
            torch.zeros_like(each).view(-1) if each.grad is None else each.grad.reshape(-1)
            for each in self.parameters
        ]
        if gradients:
            torch.cat(gradients, out=self._gradient)
        for each in self.parameters:
            each.grad = None
        if self._clip > 0:
            norm = self._gradient.norm()
            self._gradient.mul_((self._clip / (norm + 1e-6)).clamp(max=1.0))  # as PyTorch's
        self.learning_rate = learning_rate
        for piece in self._pieces:
            piece.mover.step(learning_rate * piece.share)

    def state_dict(self) -> dict[str, Tensor]:
        """What is kept of each parameter between updates, as `<index>.<name>`."""
        state: dict[str, Tensor] = {}
        first = 0
        for piece in self._pieces:
            for name, value in piece.mover.state.items():
                alike = piece.parameters
                of_each = parts(value, alike) if value.ndim else [value.clone() for _ in alike]
                state |= {f"{index}.{name}": of for index, of in enumerate(of_each, first)}
            first += len(piece.parameters)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict()`."""
        first = 0
        for piece in self._pieces:
            indices = range(first, first + len(piece.parameters))
            first = indices.stop
            for name, value in piece.mover.state.items():
                of_each = [state[f"{index}.{name}"] for index in indices]
                value.copy_(
                    torch.cat([of.reshape(-1) for of in of_each]) if value.ndim else of_each[0]
                )


def _parted(
    parameters: Sequence[nn.Parameter], has_muon: bool
) -> list[tuple[Sequence[nn.Parameter], bool]]:
    """Those that AdamW moves and, where there is Muon, those that it moves."""
    if not has_muon:
        return [(parameters, False)]
    rest = [each for each in parameters if not is_matrix(each)]
    return [(rest, False), ([each for each in parameters if is_matrix(each)], True)]

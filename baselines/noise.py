"""Gaussian and uniform noise from one generator, or from one generator a window.

Every episode of an evaluation owns a noise stream. Drawing a batch row by row from those streams
makes an episode's noise independent of which episodes share its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator]
"""A source of noise for a whole batch, or a sequence with one for each of its B rows."""


def randn(shape: tuple[int, ...], generators: Generators, device: torch.device) -> Tensor:
    """Standard normal noise of `shape` (B, ...)."""
    return _draw(torch.randn, shape, generators, device)


def rand(shape: tuple[int, ...], generators: Generators, device: torch.device) -> Tensor:
    """Uniform noise in [0, 1) of `shape` (B, ...)."""
    return _draw(torch.rand, shape, generators, device)


def _draw(
    sample: Callable[..., Tensor],
    shape: tuple[int, ...],
    generators: Generators,
    device: torch.device,
) -> Tensor:
    if isinstance(generators, torch.Generator):
        return sample(shape, generator=generators, device=generators.device).to(device)
    if len(generators) != shape[0]:
        raise ValueError(f"{len(generators)} generators for a batch of {shape[0]}; give one a row")
    return torch.stack([sample(shape[1:], generator=g, device=g.device) for g in generators]).to(
        device
    )

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


def choose(shares: Tensor, count: int, generators: Generators) -> Tensor:
    """Draw numbers of columns with the probabilities in each row.

    Args:
        shares: Not negative, (B, ..., M); a row may sum to anything above 0.
        count: Draws for each row, N.
        generators: Source of the noise.

    Returns:
        (B, ..., N), each from 0 to M - 1.
    """
    total = shares.cumsum(-1)
    shape = (*shares.shape[:-1], count)
    drawn = rand(shape, generators, shares.device) * total[..., -1:]
    # The inverse of the cumulative shares; the product above may round up to their very end.
    chosen = torch.searchsorted(total, drawn, right=True)
    return chosen.clamp(max=shares.shape[-1] - 1)


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

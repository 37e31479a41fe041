"""Tensors that lie in one buffer, so that what is done to all of them is one call.

A policy has a hundred small tensors; an optimiser that visits them one by one spends its time on
visiting.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


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

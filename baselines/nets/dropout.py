"""Dropout whose masks are cheap to draw.

On a CPU PyTorch draws a Bernoulli number for each element; here four elements share one random
number of 64 bits. An element is kept when its 16 bits, read as a number, reach a threshold.

Differences:
    - The probability is rounded to a multiple of 2^-16, and what is kept is scaled by the rounded
      one, so that the expectation is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_LEVELS = 2**16


class Dropout(nn.Module):
    """Sets elements to zero in training, and scales the others by 1 / (1 - probability).

    Args:
        probability: Of an element to be zero, 0 to 1.

    Raises:
        ValueError: If that is no probability.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ValueError(f"dropout is {probability}; allowed: 0 to 1")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape; draws from torch's global generator."""
        if not self.training or self.probability == 0:
            return x
        dropped = round(self.probability * _LEVELS)
        if x.device.type != "cpu" or dropped in (0, _LEVELS):
            return F.dropout(x, self.probability)
        return x * mask(x, dropped)


def mask(x: Tensor, dropped: int) -> Tensor:
    """Zero with probability `dropped` / 2^16, else what keeps the mean, in the shape of `x`."""
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)
    return (bits >= dropped - _LEVELS // 2).to(x.dtype).mul_(_LEVELS / (_LEVELS - dropped))

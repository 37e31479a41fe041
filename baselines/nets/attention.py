"""Transformer blocks for the methods that attend to a sequence.

In the manner of minGPT, layers are normalised before their residual branch, weights start from a
normal distribution and biases from zero, and only the weights of linear layers decay. Dropout
stands where PyTorch's `TransformerDecoderLayer` has it.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nets.dropout import Dropout

INITIAL_STD = 0.02  # GPT-2's, as DP's code and minGPT
InitialWeights = Literal["small", "fan-in"]
Keyed = tuple[Tensor, Tensor]
"""Keys and values of a memory, each (B, heads, S, width / heads)."""


class Attention(nn.Module):
    """Multi-head attention of tokens to a memory, or to themselves.

    Args:
        width: Length of a token, a multiple of `heads`.
        heads: Number of heads.
        dropout: Of attention weights, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width is {width}; it must be a multiple of heads = {heads}")
        self.heads, self.dropout = heads, Dropout(dropout)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def keyed(self, memory: Tensor) -> Keyed:
        """What tokens look at in a memory (B, S, width), for as many calls as it stays the same."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(self, x: Tensor, keyed: Keyed, mask: Tensor) -> Tensor:
        """Tokens (B, T, width), a memory's keys and values, mask (T, S) True where one may look."""
        query, (key, value) = self._split(self.query(x)), keyed
        drops = self.training and self.dropout.probability > 0
        if drops or x.device.type == "cpu":
            # On a CPU the fused kernels take longer for sequences of a few dozen tokens (measured
            # with PyTorch 2.13 and AVX-512, in training and in prediction).
            scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
            weights = scores.masked_fill(~mask, -torch.inf).softmax(-1)  # (B, heads, T, S)
            mixed = self.dropout(weights) @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, mask)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, width) to (B, heads, T, width / heads)."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Block(nn.Module):
    """Attention to earlier tokens, attention to a memory if there is one, and an MLP.

    Args:
        width: Length of a token.
        heads: Of every attention.
        dropout: Of attention weights and of every residual branch.
        attends_memory: Whether there is a memory.
    """

    def __init__(
        self, width: int, heads: int, dropout: float, attends_memory: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.memory_norm = nn.LayerNorm(width) if attends_memory else None
        self.memory_attention = Attention(width, heads, dropout) if attends_memory else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(4 * width, width),
        )
        self.dropout = Dropout(dropout)

    def keyed(self, memory: Tensor) -> Keyed:
        """What the tokens of this block look at in a memory (B, S, width).

        Raises:
            ValueError: If the block attends to none.
        """
        if self.memory_attention is None:
            raise ValueError("this block attends to no memory; build it with attends_memory=True")
        return self.memory_attention.keyed(memory)

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        memory: Keyed | None = None,
        memory_mask: Tensor | None = None,
    ) -> Tensor:
        """Tokens (B, T, width) under mask (T, T) and a `keyed` memory under mask (T, S)."""
        normed = self.norm(x)
        x = x + self.dropout(self.attention(normed, self.attention.keyed(normed), mask))
        if self.memory_attention is not None and self.memory_norm is not None:
            x = x + self.dropout(self.memory_attention(self.memory_norm(x), memory, memory_mask))
        out: Tensor = x + self.dropout(self.mlp(x))
        return out


def causal_mask(length: int, lead: int = 0, memory: int | None = None) -> Tensor:
    """Which of `memory` earlier tokens each of `length` tokens may look at, (length, memory) bool.

    Args:
        length: Number of tokens that look.
        lead: How many tokens after its own one may look at.
        memory: Number of tokens looked at; None means the tokens themselves.
    """
    return torch.ones(length, length if memory is None else memory, dtype=torch.bool).tril(lead)


def initialize(network: nn.Module, weights: InitialWeights = "small") -> None:
    """Give linear layers and learned positions their initial weights.

    Args:
        network: What is changed.
        weights: Standard deviation of a linear layer: 0.02 whatever its size, or 1 / sqrt(inputs),
            which keeps the scale of a signal from layer to layer (LeCun et al., 1998). The first is
            published; in a narrow network it lets little through.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            std = INITIAL_STD if weights == "small" else module.in_features**-0.5
            nn.init.normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for name, parameter in network.named_parameters():
        if name.endswith("positions"):
            nn.init.normal_(parameter, std=INITIAL_STD)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Optimiser groups: weights of linear layers, which decay, and all others, which do not."""
    decaying = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Linear)}
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if id(p) in decaying], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) not in decaying], "weight_decay": 0.0},
    ]

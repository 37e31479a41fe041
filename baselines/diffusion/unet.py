"""The 1-D convolutional U-Net with FiLM conditioning (DP Sec. III-A and App. A).

It denoises an action sequence: convolutions run along time, and every residual block is scaled and
shifted channel by channel (FiLM, Perez et al. 2018) by what is conditioned on: the diffusion step
and the encoded observations.

    (B, Tp, Da) -> level 0: 2 blocks -> level 1: 2 blocks -> ... -> 2 blocks in the middle
                      |  skip             |  skip                        |
    (B, Tp, Da) <- level 0: 2 blocks <- level 1: 2 blocks <-  ...  <-----+

Differences:
    - Any number of levels and any horizon: sequences are padded at their end to a multiple of
      2^(levels - 1) and cut again; the published network needs a multiple of 4.
    - FiLM's activation is computed once for all blocks, since they share their conditioning; the
      function is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["mish", "silu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"mish": nn.Mish, "silu": nn.SiLU}
"""Mish is the published one; SiLU has the same shape and takes a seventh of its time on a CPU."""


class SinusoidalEmbedding(nn.Module):
    """Sine and cosine features of a diffusion step, (B,) to (B, size)."""

    frequencies: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        half = size // 2
        self.register_buffer(
            "frequencies",
            torch.exp(-math.log(10_000) * torch.arange(half) / (half - 1)),
            persistent=False,
        )

    def forward(self, step: Tensor) -> Tensor:
        """Embed steps (B,) as (B, size)."""
        angle = step[:, None] * self.frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class TemporalConv(nn.Linear):
    """Convolution along time with zero padding, as one matrix product: (B, T, C) to (B, T', C').

    With a handful of time steps and hundreds of channels, the product of shifted copies runs at the
    speed of the machine's matrix multiplication; convolution kernels reached a third of it on a
    CPU. Weights and their initialisation are those of `nn.Conv1d` in another order.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__(kernel_size * in_channels, out_channels)
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T / stride, C')."""
        return super().forward(_shifted(x, self.kernel_size, self.stride))


class TemporalUpsample(nn.Module):
    """Transposed convolution with kernel 4 and stride 2: (B, T, C) to (B, 2 T, C).

    Each output step sees two input steps: an even one the step before and its own, an odd one its
    own and the step after. Initial weights and bias are those of `nn.ConvTranspose1d`: uniform
    within 1 / sqrt(4 C), since it counts all four taps, of which a step sees two.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.even = nn.Linear(2 * channels, channels)
        self.odd = nn.Linear(2 * channels, channels, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0.5**0.5)  # a linear layer counts the two: 1 / sqrt(2 C)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, 2 T, C)."""
        pairs = _shifted(F.pad(x, (0, 0, 1, 1)), 2, 1, padding=0)  # (B, T + 1, 2 C)
        odd = F.linear(pairs[:, 1:], self.odd.weight, self.even.bias)
        return torch.stack([self.even(pairs[:, :-1]), odd], dim=2).flatten(1, 2)


def _shifted(x: Tensor, kernel_size: int, stride: int, padding: int | None = None) -> Tensor:
    """What each output step of a convolution sees, (B, T, C) to (B, T', kernel_size * C)."""
    padding = kernel_size // 2 if padding is None else padding
    padded = F.pad(x, (0, 0, padding, padding)) if padding else x
    last = padded.shape[1] - kernel_size + 1
    return torch.cat([padded[:, i : last + i : stride] for i in range(kernel_size)], dim=-1)


class ConvBlock(nn.Module):
    """Convolution along time, group normalisation, activation: (B, T, C) to (B, T, C')."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        groups: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.conv = TemporalConv(in_channels, out_channels, kernel_size)
        self.norm = nn.GroupNorm(groups, out_channels)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C')."""
        # Seen as an image of one row, (B, C, 1, T), this is PyTorch's channels-last format, for
        # which its group normalisation has a kernel that copies nothing.
        image = self.conv(x).transpose(1, 2).unsqueeze(2)
        out: Tensor = self.activation(self.norm(image).squeeze(2).transpose(1, 2))
        return out


class ResidualBlock(nn.Module):
    """Two convolutions with FiLM between them and a residual connection."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        cond_dim: int,
        kernel_size: int,
        groups: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.first = ConvBlock(in_channels, out_channels, kernel_size, groups, activation)
        self.second = ConvBlock(out_channels, out_channels, kernel_size, groups, activation)
        self.film = nn.Linear(cond_dim, 2 * out_channels)
        self.shortcut: nn.Module = (
            nn.Linear(in_channels, out_channels) if in_channels != out_channels else nn.Identity()
        )

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """(B, T, C) under conditioning (B, cond_dim), activated, to (B, T, C')."""
        scale, shift = self.film(cond)[:, None].chunk(2, dim=-1)
        hidden = torch.addcmul(shift, scale, self.first(x))
        out: Tensor = self.second(hidden) + self.shortcut(x)
        return out


class Level(nn.Module):
    """Two residual blocks at one resolution: (B, T, C) to (B, T, C')."""

    def __init__(
        self, block: Callable[[int, int], ResidualBlock], in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.first = block(in_channels, out_channels)
        self.second = block(out_channels, out_channels)

    def forward(self, x: Tensor, cond: Tensor) -> Tensor:
        """(B, T, C) under activated conditioning (B, cond_dim) to (B, T, C')."""
        out: Tensor = self.second(self.first(x, cond), cond)
        return out


class ConditionalUnet1d(nn.Module):
    """The U-Net over action sequences.

    Args:
        action_dim: Da.
        cond_dim: Length of the observation encoding.
        channels: Channels of each level, finest first; published 256, 512, 1024.
        kernel_size: Of every convolution along time; published 5.
        groups: Of every group normalisation; published 8.
        step_dim: Length of the diffusion-step embedding; published 256.
        activation: Published mish.
    """

    def __init__(
        self,
        action_dim: int,
        cond_dim: int,
        channels: Sequence[int] = (256, 512, 1024),
        kernel_size: int = 5,
        groups: int = 8,
        step_dim: int = 256,
        activation: Activation = "mish",
    ) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]()
        self.step_encoder = nn.Sequential(
            SinusoidalEmbedding(step_dim),
            nn.Linear(step_dim, 4 * step_dim),
            ACTIVATIONS[activation](),
            nn.Linear(4 * step_dim, step_dim),
        )
        cond_dim += step_dim

        def block(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(
                in_channels, out_channels, cond_dim, kernel_size, groups, activation
            )

        widths = list(zip([action_dim, *channels[:-1]], channels, strict=True))
        self.down = nn.ModuleList(Level(block, low, high) for low, high in widths)
        self.downsample = nn.ModuleList(
            TemporalConv(size, size, 3, stride=2) for size in channels[:-1]
        )
        self.middle = Level(block, channels[-1], channels[-1])
        # The skip connection doubles the channels that come in; the finest level's blocks are
        # left out on the way up, as published.
        self.up = nn.ModuleList(Level(block, 2 * high, low) for low, high in reversed(widths[1:]))
        self.upsample = nn.ModuleList(TemporalUpsample(size) for size in reversed(channels[:-1]))
        self.head = nn.Sequential(
            ConvBlock(channels[0], channels[0], kernel_size, groups, activation),
            nn.Linear(channels[0], action_dim),
        )
        self._multiple = 2 ** (len(channels) - 1)

    def forward(self, actions: Tensor, step: Tensor, obs: Tensor) -> Tensor:
        """Predict noise (or what the process asks for).

        Args:
            actions: Noised action sequences, (B, Tp, Da).
            step: Diffusion step of each, (B,).
            obs: Encoded observations, (B, cond_dim).

        Returns:
            The prediction, (B, Tp, Da).
        """
        horizon = actions.shape[1]
        cond = self.activation(torch.cat([self.step_encoder(step), obs], dim=-1))  # (B, cond)
        x = F.pad(actions, (0, 0, 0, -horizon % self._multiple))  # (B, T, Da)
        skips = []
        for index, level in enumerate(self.down):
            x = level(x, cond)
            skips.append(x)
            if index < len(self.downsample):
                x = self.downsample[index](x)
        x = self.middle(x, cond)
        for level, upsample in zip(self.up, self.upsample, strict=True):
            x = upsample(level(torch.cat([x, skips.pop()], dim=-1), cond))
        prediction: Tensor = self.head(x)
        return prediction[:, :horizon]

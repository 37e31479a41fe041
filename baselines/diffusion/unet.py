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
    - FiLM's activation and its linear layer are computed once for all blocks, since they share
      their conditioning, and in a prediction for many denoising steps at once; the function is the
      same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.nets.temporal import (
    Activation,
    TemporalConv,
    TemporalUpsample,
    conv_block,
)

ACTIVATIONS: dict[Activation, type[nn.Module]] = {"mish": nn.Mish, "silu": nn.SiLU}
"""Mish is the published one; SiLU has the same shape and takes a seventh of its time on a CPU."""
MODULATED = 64
"""Rows of scales and shifts, a row a window and step, that a prediction computes at once."""


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
        self.activation: Activation = activation

    def forward(
        self, x: Tensor, film: Tensor | None = None, residual: Tensor | None = None
    ) -> Tensor:
        """(B, T, C) to (B, T, C'), scaled and shifted by (B, 2 C'), added to (B, T, C')."""
        weight, bias = self.conv.weight, self.conv.bias
        return conv_block(x, weight, bias, self.norm, self.activation, film, residual)


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
            TemporalConv(in_channels, out_channels, 1)
            if in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C'), scaled and shifted between the convolutions by (B, 2 C')."""
        out: Tensor = self.second(self.first(x, film), residual=self.shortcut(x))
        return out


class Level(nn.Module):
    """Two residual blocks at one resolution: (B, T, C) to (B, T, C')."""

    def __init__(
        self, block: Callable[[int, int], ResidualBlock], in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.first = block(in_channels, out_channels)
        self.second = block(out_channels, out_channels)

    def forward(self, x: Tensor, films: Iterator[Tensor]) -> Tensor:
        """(B, T, C) to (B, T, C'); takes the next two scales and shifts, each (B, 2 C')."""
        out: Tensor = self.second(self.first(x, next(films)), next(films))
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
            TemporalConv(channels[0], action_dim, 1),
        )
        self._multiple = 2 ** (len(channels) - 1)

    def forward(
        self, actions: Tensor, step: Tensor, obs: Tensor, modulation: Tensor | None = None
    ) -> Tensor:
        """Predict noise (or what the process asks for).

        Args:
            actions: Noised action sequences, (B, Tp, Da).
            step: Diffusion step of each, (B,).
            obs: Encoded observations, (B, cond_dim).
            modulation: What `modulations` gives for this step; None computes it.

        Returns:
            The prediction, (B, Tp, Da).
        """
        horizon = actions.shape[1]
        if modulation is None:
            modulation = self._modulation(step, obs)
        films = iter(torch.split(modulation, self._sizes(), dim=1))
        x = F.pad(actions, (0, 0, 0, -horizon % self._multiple))  # (B, T, Da)
        skips = []
        for index, level in enumerate(self.down):
            x = level(x, films)
            skips.append(x)
            if index < len(self.downsample):
                x = self.downsample[index](x)
        x = self.middle(x, films)
        for level, upsample in zip(self.up, self.upsample, strict=True):
            x = upsample(level(torch.cat([x, skips.pop()], dim=-1), films))
        prediction: Tensor = self.head(x)
        return prediction[:, :horizon]

    def modulations(self, steps: Sequence[int], obs: Tensor) -> Iterator[Tensor]:
        """Scales and shifts of all blocks for each step of a prediction, in order.

        They depend on nothing that is denoised, so that one product serves many steps.

        Args:
            steps: Diffusion steps that are visited.
            obs: Encoded observations, (B, cond_dim).

        Yields:
            (B, sum of 2 C over the blocks), one a step.
        """
        count = max(1, MODULATED // len(obs))
        for start in range(0, len(steps), count):
            some = torch.tensor(steps[start : start + count], device=obs.device)
            rows = self._modulation(
                some.repeat_interleave(len(obs)), obs.repeat(len(some), 1)
            )  # (steps * B, ...)
            yield from torch.split(rows, len(obs))

    def _modulation(self, step: Tensor, obs: Tensor) -> Tensor:
        """Scale and shift (B, sum of 2 C) of all residual blocks at steps (B,)."""
        cond = self.activation(torch.cat([self.step_encoder(step), obs], dim=-1))  # (B, cond)
        layers = self._film_layers()
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([layer.bias for layer in layers])
        return F.linear(cond, weight, bias)

    def _sizes(self) -> list[int]:
        """2 C of each residual block, in the order that they are run."""
        return [layer.out_features for layer in self._film_layers()]

    def _film_layers(self) -> list[nn.Linear]:
        return [
            block.film
            for level in (*self.down, self.middle, *self.up)
            for block in level.children()
        ]

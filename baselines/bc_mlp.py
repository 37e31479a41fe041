"""Behaviour cloning by regression, the yardstick (BC-MLP).

A residual MLP from the window of observations to the chunk of actions, trained on the mean squared
error: it predicts the mean of what was demonstrated, also where that mean is none of the ways there
are. What a policy scores above it, it owes to modelling the distribution of actions.

No paper's settings stand behind it; width and depth are those that a cell of the same training time
as the other methods can afford.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.choices import check_least, check_within
from baselines.nets.obs_encoder import ObsEncoder
from baselines.noise import Generators
from baselines.normalizer import Normalizer


@dataclass(frozen=True)
class BcMlpConfig:
    """Settings of BC-MLP."""

    width: int = 512
    """Units of each hidden layer."""
    blocks: int = 3
    """Residual blocks of two layers."""
    dropout: float = 0.1
    """Of every residual branch, in training."""

    def __post_init__(self) -> None:
        check_least(self, width=1, blocks=0)
        check_within(self, 0, 1, "dropout")


class ResidualMlp(nn.Module):
    """x + W relu(W' norm(x)), (B, width) to (B, width)."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width) to (B, width)."""
        out: Tensor = x + self.branch(x)
        return out


@register("bc-mlp")
class BcMlp(Agent):
    """Regression to the mean of the chunk."""

    Config = BcMlpConfig

    def __init__(self, config: BcMlpConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.encoder = ObsEncoder(spec)
        self.network = nn.Sequential(
            nn.Linear(self.encoder.size, config.width),
            *(ResidualMlp(config.width, config.dropout) for _ in range(config.blocks)),
            nn.LayerNorm(config.width),
            nn.Linear(config.width, spec.chunk * spec.action_dim),
            nn.Unflatten(1, (spec.chunk, spec.action_dim)),
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean squared error of the chunk, in normalised units."""
        predicted = self.network(self.encoder(batch.obs, self.normalizer, generator))
        chunk = self.current_and_later(self.normalizer.normalize("action", batch.actions))
        return F.mse_loss(predicted.float(), chunk)

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:  # noqa: ARG002
        """The mean of the chunk; all samples of a window are equal. See `Agent.act`."""
        self.check_window(obs)
        chunk = self.network(self.encoder(obs, self.normalizer))  # (B, C, Da)
        chunk = self.normalizer.denormalize("action", chunk)
        return self.as_prediction(chunk[:, None].expand(-1, num_samples, -1, -1))

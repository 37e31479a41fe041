"""Behavior transformer (BET): k-means bins, a GPT that chooses among them, and an offset.

Shafiullah et al., *Behavior Transformers: Cloning k modes with one stone*, NeurIPS 2022 (arXiv
2206.11251); the settings that DP compared with: To/Ta 3/1, 24 bins, GPT with 4 layers, 4 heads and
width 72, focal loss with gamma 2, AdamW 1e-4, betas .9/.95, weight decay 0.1, gradient norm clipped
to 1 (DP App.).

Demonstrated chunks are clustered into bins by k-means. A transformer reads the window of
observations and gives a probability for each bin and, for each bin, an offset from its centre to
the chunk. At run time a bin is drawn and its offset added.

Differences:
    - Bins are clusters of whole chunks, from the current step on (published: single actions), so
      that a bin is one way to go on. A chunk of one action is the published method.
    - The loss is taken at the last observation of a window; published, and with `every_step`: at
      each of them.
    - Averaged weights are evaluated and the learning rate falls along a cosine, as with every
      method here; published: neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.choices import check_least, check_multiple, check_within
from baselines.nets.attention import Block, causal_mask, initialize, parameter_groups
from baselines.nets.obs_encoder import ObsEncoder
from baselines.noise import Generators, choose
from baselines.normalizer import Normalizer

KMEANS_ITERATIONS = 50


@dataclass(frozen=True)
class BetConfig:
    """Settings of BET; the defaults are those that DP compared with."""

    bins: int = 24
    """Clusters of chunks."""
    layers: int = 4
    """Transformer layers."""
    heads: int = 4
    """Of every attention."""
    width: int = 72
    """Length of a token."""
    dropout: float = 0.1
    """Of attention weights and residual branches, in training."""
    focal_gamma: float = 2.0
    """Exponent of the focal loss; 0 is cross-entropy."""
    offset_weight: float = 1000.0
    """Weight of the offset's squared error beside the focal loss."""
    every_step: bool = False
    """Whether the loss is taken after each observation of a window, as published, or the last."""

    def __post_init__(self) -> None:
        check_least(self, bins=1, layers=1, heads=1)
        check_within(self, 0, 1, "dropout")
        check_least(self, focal_gamma=0, offset_weight=0)
        check_multiple("width", self.width, "heads", self.heads)


class Gpt(nn.Module):
    """A causal transformer over a window of observations.

    Args:
        obs_dim: F, length of an encoded observation.
        obs_horizon: To.
        config: Depth, heads, width and dropout.
    """

    mask: Tensor

    def __init__(self, obs_dim: int, obs_horizon: int, config: BetConfig) -> None:
        super().__init__()
        self.embed = nn.Linear(obs_dim, config.width)
        self.positions = nn.Parameter(torch.empty(obs_horizon, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.register_buffer("mask", causal_mask(obs_horizon), persistent=False)
        initialize(self)

    def forward(self, obs: Tensor) -> Tensor:
        """Encoded observations (B, To, F) to what each token knows, (B, To, width)."""
        x = self.embed(obs) + self.positions
        for block in self.blocks:
            x = block(x, self.mask)
        known: Tensor = self.norm(x)
        return known


@register("bet")
class Bet(Agent):
    """GPT over the window, bins and offsets over the chunk."""

    Config = BetConfig
    centres: Tensor

    def __init__(self, config: BetConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        size = spec.chunk * spec.action_dim
        self.encoder = ObsEncoder(spec)
        self.network = Gpt(self.encoder.step_size, spec.obs_horizon, config)
        self.bins = nn.Linear(config.width, config.bins)
        self.offsets = nn.Linear(config.width, config.bins * size)
        initialize(self.bins)
        initialize(self.offsets)
        self.register_buffer("centres", torch.zeros(config.bins, size))

    def fit(self, actions: Tensor, generator: torch.Generator) -> None:
        """Cluster the demonstrated chunks, (W, Tp, Da)."""
        chunks = self._chunks(actions).double().cpu().numpy()  # (W, C * Da)
        distinct = np.unique(chunks, axis=0)
        if len(distinct) <= self.config.bins:
            # A bin each; the bins left over repeat the first and are never the nearest.
            centres = np.concatenate(
                [distinct, np.repeat(distinct[:1], self.config.bins - len(distinct), axis=0)]
            )
        else:
            seed = int(torch.randint(2**31, (), generator=generator))
            centres, _ = kmeans2(
                chunks,
                self.config.bins,
                iter=KMEANS_ITERATIONS,
                minit="++",
                rng=np.random.default_rng(seed),
            )
        self.centres.copy_(torch.as_tensor(centres))

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Focal loss of the bin and squared error of its offset (BET Sec. 3.2)."""
        logits, offsets = self._predict(batch.obs, generator, self.config.every_step)
        if self.config.every_step:
            actions = self.normalizer.normalize("action", batch.actions)
            # What follows each observation, (B * To, C * Da).
            chunk = actions.unfold(1, self.spec.chunk, 1).transpose(2, 3).flatten(0, 1).flatten(1)
        else:
            chunk = self._chunks(batch.actions)
        bin_ = torch.cdist(chunk, self.centres).argmin(-1)  # (B,)
        log_share = logits.log_softmax(-1).gather(1, bin_[:, None])[:, 0]
        focal = -((1 - log_share.exp()) ** self.config.focal_gamma) * log_share
        row = torch.arange(len(bin_), device=bin_.device)
        error = offsets[row, bin_] - (chunk - self.centres[bin_])  # (B, C * Da)
        loss: Tensor = focal.mean() + self.config.offset_weight * error.square().mean()
        return loss

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw a bin for each sample and add its offset; see `Agent.act`."""
        batch = self.check_window(obs)
        logits, offsets = self._predict(obs)
        bins = choose(logits.softmax(-1), num_samples, generator)  # (B, N)
        row = torch.arange(batch, device=bins.device)[:, None]
        chunk = self.centres[bins] + offsets[row, bins]  # (B, N, C * Da)
        chunk = chunk.reshape(*bins.shape, self.spec.chunk, self.spec.action_dim)
        return self.as_prediction(self.normalizer.denormalize("action", chunk))

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weights of linear layers decay; biases, norms and positions do not."""
        return parameter_groups(self, weight_decay)

    def _chunks(self, actions: Tensor) -> Tensor:
        """Normalised chunks of windows, (B, Tp, Da) to (B, C * Da)."""
        return self.current_and_later(self.normalizer.normalize("action", actions)).flatten(1)

    def _predict(
        self, obs: Obs, generator: torch.Generator | None = None, every_step: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Logits of the bins (B, bins) and an offset for each (B, bins, C * Da).

        With `every_step` those after each observation, (B * To, ...), in place of the last alone.
        """
        known = self.network(self.encoder.steps(obs, self.normalizer, generator))
        last = known.flatten(0, 1) if every_step else known[:, -1]
        offsets = self.offsets(last).float().reshape(-1, *self.centres.shape)
        return self.bins(last).float(), offsets

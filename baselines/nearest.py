"""Looking up what was demonstrated, without training (`nearest`).

For a window of observations it finds the k demonstrated windows that are most alike and plays what
followed one of them. It is the question behind every other row: what a policy scores above it, it
owes to learning; demonstrations that a look-up solves cannot tell policies apart.

Two windows are compared number by number, as they stand: each observed step's normalised `state`,
and each camera's image averaged over a grid of `grid` x `grid` cells, normalised to [-1, 1]. The
distance is the root of the mean squared difference of the states plus, for each camera, that of its
cells. Nothing is known of poses or objects: the same scene moved by a little is another one, as for
every method here. Of the k nearest one is drawn with odds 1 / distance (Shepard's weights), so
a demonstrated window itself is always followed.

No paper's settings stand behind it. The checkpoint holds the data: at most `capacity` windows, each
4 (To F + C Da) bytes, F = Do + 3 grid^2 for each camera, C = Tp - To + 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.noise import Generators, choose
from baselines.normalizer import Normalizer

SPARE = 16
"""Windows beyond k that are compared exactly: a matrix product ranks near ones only roughly."""


@dataclass(frozen=True)
class NearestConfig:
    """Settings of the look-up."""

    k: int = 1
    """Windows that one is drawn from."""
    grid: int = 8
    """Cells along each side of an image."""
    capacity: int = 50_000
    """Windows kept at most; of more, that many evenly spread ones."""

    def __post_init__(self) -> None:
        for name in ("k", "grid", "capacity"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: 1 or more")
        if self.k > self.capacity:
            raise ValueError(f"k is {self.k}; allowed: capacity, {self.capacity}, at most")


@register("nearest")
class Nearest(Agent):
    """The most similar demonstrated windows."""

    Config = NearestConfig
    keys: Tensor
    chunks: Tensor

    def __init__(self, config: NearestConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.register_buffer("keys", torch.zeros(0, 0))  # (W, To * F), what is compared
        self.register_buffer("chunks", torch.zeros(0, spec.chunk, spec.action_dim))  # in env units

    def remember(self, windows: Iterable[Batch]) -> None:
        """Keep what all training windows show and what follows; see `Agent.remember`."""
        kept = [(self._key(batch.obs), self.current_and_later(batch.actions)) for batch in windows]
        keys, chunks = (torch.cat(part) for part in zip(*kept, strict=True))
        if len(keys) > self.config.capacity:
            spread = torch.linspace(0, len(keys) - 1, self.config.capacity).round().long()
            keys, chunks = keys[spread.to(keys.device)], chunks[spread.to(keys.device)]
        self.keys, self.chunks = keys, chunks

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """There is none.

        Raises:
            ValueError: Always.
        """
        raise ValueError("nearest learns nothing: give it train.updates=0")

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw one of the k nearest windows for each sample; see `Agent.act`."""
        self.check_window(obs)
        if not len(self.keys):
            raise ValueError("nearest remembers no windows: call remember() first")
        distance, index = self._nearest(self._key(obs))  # (B, k), nearest first
        # Scaled by the nearest, an exact hit is worth 1 and the others next to nothing.
        odds = (distance[:, :1] + torch.finfo(torch.float32).tiny) / (
            distance + torch.finfo(torch.float32).tiny
        )
        drawn = index.gather(1, choose(odds, num_samples, generator))  # (B, N)
        return self.as_prediction(self.chunks[drawn])

    def _nearest(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Distances (B, k), ascending, and numbers of the k most similar windows."""
        k = min(self.config.k, len(self.keys))
        # |a - b|^2 = |a|^2 - 2 a b + |b|^2 by one product; the first term ranks nothing.
        rough = self.keys.square().sum(1) - 2 * key @ self.keys.T  # (B, W)
        some = rough.topk(min(k + SPARE, len(self.keys)), largest=False).indices
        some = some.sort(1).values  # of equally near ones the first demonstrated comes first
        exact = (self.keys[some] - key[:, None]).square().sum(-1).sqrt()
        distance, order = exact.sort(dim=1, stable=True)
        return distance[:, :k], some.gather(1, order[:, :k])

    def _key(self, obs: Obs) -> Tensor:
        """Windows as vectors whose distance is that of the docstring, (B, To * F)."""
        parts = []
        if "state" in obs:
            parts.append(self.normalizer.normalize("state", obs["state"]).flatten(1))
        for camera in self.spec.images:
            images = obs[camera].flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
            cells = F.adaptive_avg_pool2d(images, self.config.grid)  # (B * To, 3, grid, grid)
            parts.append(cells.reshape(len(obs[camera]), -1))
        return torch.cat([part / part.shape[1] ** 0.5 for part in parts], dim=1)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Take as many windows as were saved."""
        for name in ("keys", "chunks"):
            if prefix + name in state_dict:
                saved, own = state_dict[prefix + name], getattr(self, name)
                setattr(self, name, torch.empty_like(saved, device=own.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)

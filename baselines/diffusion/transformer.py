"""The time-series diffusion transformer (DP Sec. III-A and App. A).

A token an action. Each attends to itself and to earlier ones, and to a memory: one token for the
diffusion step and one for each observed step. An action token may look at the diffusion step and at
the observations up to its own time.

    memory     [step k] [obs t-1] [obs t]
    actions             [a t-1]   [a t]   [a t+1] ...

The function is that of the published network without encoder layers (`n_cond_layers: 0`: an MLP on
the memory).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from baselines.diffusion.unet import SinusoidalEmbedding
from baselines.nets.attention import Block, InitialWeights, Keyed, causal_mask, initialize


class DenoisingTransformer(nn.Module):
    """The transformer over action sequences.

    Args:
        action_dim: Da.
        obs_dim: F, length of an encoded observation.
        obs_horizon: To.
        pred_horizon: Tp.
        layers: Decoder layers; published 8.
        heads: Of every attention; published 4.
        width: Length of a token; published 256.
        dropout: Of attention weights and residual branches; published 0.01 on Push-T.
        initial_weights: As in `initialize`; published "small".
    """

    action_mask: Tensor
    memory_mask: Tensor

    def __init__(
        self,
        action_dim: int,
        obs_dim: int,
        obs_horizon: int,
        pred_horizon: int,
        layers: int = 8,
        heads: int = 4,
        width: int = 256,
        dropout: float = 0.01,
        initial_weights: InitialWeights = "small",
    ) -> None:
        super().__init__()
        self.action_in = nn.Linear(action_dim, width)
        self.action_positions = nn.Parameter(torch.empty(pred_horizon, width))
        self.step_in = SinusoidalEmbedding(width)
        self.obs_in = nn.Linear(obs_dim, width)
        self.memory_positions = nn.Parameter(torch.empty(1 + obs_horizon, width))
        self.memory = nn.Sequential(
            nn.Linear(width, 4 * width), nn.Mish(), nn.Linear(4 * width, width)
        )
        self.blocks = nn.ModuleList(
            Block(width, heads, dropout, attends_memory=True) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, action_dim)
        self.register_buffer("action_mask", causal_mask(pred_horizon), persistent=False)
        # The diffusion step stands before the observations, so each token sees one further.
        memory_mask = causal_mask(pred_horizon, 1, 1 + obs_horizon)
        self.register_buffer("memory_mask", memory_mask, persistent=False)
        initialize(self, initial_weights)

    def forward(
        self,
        actions: Tensor,
        step: Tensor,
        obs: Tensor,
        memories: Sequence[Keyed] | None = None,
    ) -> Tensor:
        """Predict noise (or what the process asks for).

        Args:
            actions: Noised action sequences, (B, Tp, Da), or the first T actions of each, which
                are enough to predict as many: none looks at a later one.
            step: Diffusion step of each, (B,).
            obs: Encoded observations, (B, To, F).
            memories: What `memories` found for this step, in place of `step` and `obs`.

        Returns:
            The prediction, (B, T, Da).
        """
        if memories is None:
            tokens = torch.cat([self.step_in(step)[:, None], self.obs_in(obs)], dim=1)
            memory = self.memory(tokens + self.memory_positions)  # (B, 1 + To, width)
            memories = self._keyed(memory)
        length = actions.shape[1]
        mask, memory_mask = self.action_mask[:length, :length], self.memory_mask[:length]
        x = self.action_in(actions) + self.action_positions[:length]  # (B, T, width)
        for block, keyed in zip(self.blocks, memories, strict=True):
            x = block(x, mask, keyed, memory_mask)
        prediction: Tensor = self.head(self.norm(x))
        return prediction

    def memories(self, steps: Sequence[int], obs: Tensor) -> Iterator[list[Keyed]]:
        """Yield keys and values of the memory in each block, at each of several diffusion steps.

        The tokens of the memory do not look at each other, so that those of the observations are
        computed once for all steps, and those of the steps once for all observations.

        Args:
            steps: Diffusion steps, K of them.
            obs: Encoded observations, (B, To, F).
        """
        first, later = self.memory_positions[:1], self.memory_positions[1:]
        visited = self.step_in(torch.tensor(steps, device=obs.device))[:, None]  # (K, 1, width)
        step_tokens, obs_tokens = (
            self.memory(visited + first),
            self.memory(self.obs_in(obs) + later),
        )
        of_steps, of_obs = self._keyed(step_tokens), self._keyed(obs_tokens)
        for i in range(len(steps)):
            yield [
                (_after(key[i], keys), _after(value[i], values))
                for (key, value), (keys, values) in zip(of_steps, of_obs, strict=True)
            ]

    def _keyed(self, memory: Tensor) -> list[Keyed]:
        """What each block looks at in a memory (B, S, width)."""
        return [cast(Block, block).keyed(memory) for block in self.blocks]


def _after(step: Tensor, obs: Tensor) -> Tensor:
    """That of the step (heads, 1, ...) before those of each window (B, heads, To, ...)."""
    return torch.cat([step.expand(len(obs), *step.shape), obs], dim=2)

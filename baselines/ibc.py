"""Implicit behavioural cloning (IBC) as published: an energy of actions, a search for its minimum.

Florence et al., *Implicit Behavioral Cloning*, CoRL 2021 (arXiv 2109.00137); the settings that DP
compared with: To/Ta 2/1, MLP of 4 layers of 1024 with ReLU and dropout 0.1, 1024 negatives, 1024
candidates and 5 rounds of derivative-free optimisation with noise 0.03, AdamW betas .95/.999 and
weight decay 1e-6 (DP App.).

An energy E(o, a) judges a whole chunk of actions, from the current step on. It is trained to be
lower for the demonstrated chunk than for negatives that are drawn uniformly (InfoNCE, IBC Eq. 2),
and an action is found by lowering it: by drawing candidates, resampling them by exp(-E) and shaking
them (IBC Alg. 1), or by Langevin dynamics down its gradient (IBC App. B.3), for which the negatives
come from the same dynamics and a penalty keeps the gradient small.

`ibc-informed` (`ibc_informed.py`) is the same with negatives and a search that know more.

Differences:
    - What the observation contributes to the first layer is computed once a window, not once a
      negative, and with `obs_layers` the observation has layers of its own before it.
    - Candidates stay in the box, as in IBC's code; DP's lets them leave it.
    - Langevin dynamics are run once, without the second run at the smallest step.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.choices import LATER, check_choice, check_least, check_within
from baselines.nets.obs_encoder import ObsEncoder
from baselines.noise import Generators, choose, rand, randn
from baselines.normalizer import Normalizer
from baselines.processor import multiplies_bfloat16

Search = Literal["derivative-free", "langevin"]
Choice = Literal["drawn", "lowest"]
SearchPrecision = Literal["float32", "auto"]
LIMIT = 1.0  # of every normalised action; negatives and candidates fill the box


@dataclass(frozen=True)
class IbcConfig:
    """Settings of IBC; the defaults are those that DP compared with."""

    width: int = 1024
    """Units of each hidden layer."""
    layers: int = 4
    """Hidden layers that see observation and action together."""
    obs_layers: int = 0
    """Hidden layers that see the observation alone, before these."""
    dropout: float = 0.1
    """Of every joint hidden layer, in training."""
    negatives: int = 1024
    """Negative chunks for each window."""
    search: Search = "derivative-free"
    """How the minimum of the energy is found; with langevin the negatives are found so too."""
    candidates: int = 1024
    """Chunks that a search starts from, drawn uniformly."""
    iterations: int = 5
    """Rounds of a search."""
    noise: float = 0.03
    """Standard deviation that a derivative-free search shakes candidates with, at first, in
    normalised units."""
    noise_decay: float = 1.0
    """Factor on that noise after each round; IBC's own search halves it."""
    choice: Choice = "drawn"
    """Which candidate of the last round is taken: one drawn by exp(-E), or the one of lowest E."""
    train_iterations: int = 100
    """Langevin steps that find the negatives."""
    step_size: float = 0.1
    """Of the first Langevin step; falls as a square to `last_step_size` (IBC App. B.3)."""
    last_step_size: float = 1e-5
    """Of the last Langevin step."""
    step_limit: float = 0.1
    """Largest change of a normalised action in one Langevin step."""
    gradient_penalty: float = 1.0
    """Weight of the penalty on gradients above `gradient_margin`, with langevin only."""
    gradient_margin: float = 1.0
    """Largest norm (maximum over the actions) of the energy's gradient that costs nothing."""
    search_precision: SearchPrecision = field(default="float32", metadata=LATER)
    """Of products in a search: auto is bfloat16 where the device multiplies it in hardware, which
    halves the time."""

    def __post_init__(self) -> None:
        for name, kind in (
            ("search", Search),
            ("choice", Choice),
            ("search_precision", SearchPrecision),
        ):
            check_choice(name, getattr(self, name), get_args(kind))
        check_least(self, width=1, layers=1, negatives=1, candidates=1)
        check_least(self, iterations=1, train_iterations=1, obs_layers=0)
        check_least(self, noise=0, step_size=0, last_step_size=0, step_limit=0)
        check_least(self, gradient_penalty=0)
        check_within(self, 0, 1, "dropout", "noise_decay")


UNITS = 2**18
"""Hidden units of a layer that are computed at once on a CPU: 1 MB, which its cache holds."""


class Energy(nn.Module):
    """E(o, a) by an MLP on the two side by side.

    Args:
        obs_size: Length of an encoded window.
        action_size: Numbers in a chunk.
        config: Width, depth and dropout.
    """

    def __init__(self, obs_size: int, action_size: int, config: IbcConfig) -> None:
        super().__init__()
        width = config.width
        alone: list[nn.Module] = []
        for _ in range(config.obs_layers):
            alone += [nn.Linear(obs_size, width), nn.ReLU()]
            obs_size = width
        # A linear layer of both is the sum of a linear layer of each.
        self.obs_in = nn.Sequential(*alone, nn.Linear(obs_size, width))
        self.action_in = nn.Linear(action_size, width, bias=False)
        joint: list[nn.Module] = [nn.ReLU(), nn.Dropout(config.dropout)]
        for _ in range(config.layers - 1):
            joint += [nn.Linear(width, width), nn.ReLU(), nn.Dropout(config.dropout)]
        self.joint = nn.Sequential(*joint, nn.Linear(width, 1))

    def forward(self, obs: Tensor, actions: Tensor) -> Tensor:
        """Encoded windows (B, size) and chunks (B, N, size) to energies (B, N)."""
        return self.judge(self.obs_in(obs), actions)

    def judge(self, obs: Tensor, actions: Tensor) -> Tensor:
        """The same for windows that went through `obs_in` already, (B, width).

        Without gradients a block of windows at a time, on a CPU: their hidden units stay in its
        cache, those of all windows do not.
        """
        if torch.is_grad_enabled() or self.training or obs.device.type != "cpu":
            hidden = self.action_in(actions) + obs[:, None]  # (B, N, width)
            energies: Tensor = self.joint(hidden)
            return energies.squeeze(-1).float()
        narrow = torch.is_autocast_enabled("cpu")
        dtype = torch.get_autocast_dtype("cpu") if narrow else obs.dtype
        layers = [each for each in self.joint if isinstance(each, nn.Linear)]
        weights = [(each.weight.to(dtype), each.bias.to(dtype)) for each in layers]
        block = max(1, UNITS // (actions.shape[1] * obs.shape[1]))
        pairs = zip(torch.split(obs, block), torch.split(actions, block), strict=True)
        with torch.autocast("cpu", enabled=False):
            return torch.cat([self._judge(*pair, weights) for pair in pairs])

    def _judge(self, obs: Tensor, actions: Tensor, weights: list[tuple[Tensor, Tensor]]) -> Tensor:
        """A block of windows, in place, with the layers' weights in the type of their products."""
        hidden = F.linear(actions, self.action_in.weight).add_(obs[:, None])  # (B, N, width)
        hidden = hidden.to(weights[0][0].dtype).relu_()
        *inner, (last_weight, last_bias) = weights
        for weight, bias in inner:
            hidden = F.linear(hidden, weight, bias).relu_()
        return F.linear(hidden, last_weight, last_bias).squeeze(-1).float()


@register("ibc")
class Ibc(Agent):
    """Implicit behavioural cloning."""

    Config = IbcConfig

    def __init__(self, config: IbcConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.encoder = ObsEncoder(spec)
        self.size = self.judged_actions * spec.action_dim
        """Numbers that the energy judges and a search has to find, C * Da for a whole chunk."""
        self.energy = Energy(self.encoder.size, self.size, config)
        self._rounds = config.iterations

    @property
    def judged_actions(self) -> int:
        """Actions of a chunk that the energy judges."""
        return self.spec.chunk

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """InfoNCE of a batch (IBC Eq. 2), plus the gradient penalty with Langevin negatives."""
        config: IbcConfig = self.config
        obs = self.energy.obs_in(self.encoder(batch.obs, self.normalizer, generator))
        chunk = self.current_and_later(self.normalizer.normalize("action", batch.actions))
        demonstrated = self.to_judged(chunk)
        negatives = self.negatives(demonstrated, generator)
        if config.search == "langevin":
            negatives = self._langevin(obs.detach(), negatives, config.train_iterations, generator)
        actions = torch.cat([demonstrated[:, None], negatives], dim=1)
        if config.search != "langevin":
            return _info_nce(self.energy.judge(obs, actions))
        actions.requires_grad_()
        energies = self.energy.judge(obs, actions)
        gradient = torch.autograd.grad(energies.sum(), actions, create_graph=True)[0]
        excess = (gradient.abs().amax(-1) - config.gradient_margin).relu()  # (B, 1 + negatives)
        return _info_nce(energies) + config.gradient_penalty * excess.square().mean()

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Search for chunks of low energy, each sample on its own; see `Agent.act`."""
        batch = self.check_window(obs)
        encoded = self.energy.obs_in(self.encoder(obs, self.normalizer))  # (B, width)
        encoded = encoded.repeat_interleave(num_samples, 0)
        # Noise comes a window at a time; the samples of a window are rows of their own from here.
        shape = (batch, num_samples, self.config.candidates, self.size)
        start = self.candidates(shape, generator)
        narrow = self.config.search_precision == "auto" and multiplies_bfloat16(start.device)
        with torch.autocast(start.device.type, torch.bfloat16, enabled=narrow):
            if self.config.search == "langevin":
                found = self._langevin(encoded, start.flatten(0, 1), self._rounds, generator, batch)
            else:
                found = self._derivative_free(encoded, start, generator)
            energies = self.energy.judge(encoded, found)  # (B * N, candidates)
        if self.config.choice == "lowest":
            best = energies.argmin(1, keepdim=True)
        else:
            shares = (-energies).softmax(-1).reshape(start.shape[:3])
            best = choose(shares, 1, generator).flatten(0, 1)  # (B * N, 1)
        taken = found.gather(1, best[..., None].expand(-1, -1, self.size))
        chunk = self.to_chunk(taken.reshape(batch, num_samples, -1, self.spec.action_dim))
        return self.as_prediction(self.normalizer.denormalize("action", chunk))

    def to_judged(self, chunk: Tensor) -> Tensor:
        """Normalised chunks (B, C, Da) to what the energy judges, (B, size)."""
        return chunk.flatten(1)

    def to_chunk(self, judged: Tensor) -> Tensor:
        """What was found, (B, N, judged actions, Da), to normalised chunks (B, N, C, Da)."""
        return judged

    def candidates(self, shape: tuple[int, ...], generator: Generators) -> Tensor:
        """Where searches and chains of negatives start: uniform in the box, (B, ..., N, size)."""
        return LIMIT * (2 * rand(shape, generator, self.energy.action_in.weight.device) - 1)

    def negatives(self, demonstrated: Tensor, generator: torch.Generator) -> Tensor:
        """Chunks to tell from the demonstrated (B, size): (B, negatives, size)."""
        return self.candidates((len(demonstrated), self.config.negatives, self.size), generator)

    def shake(self, shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
        """Standard normal noise that a round of the derivative-free search adds, of `shape`."""
        return randn(shape, generator, device)

    def _derivative_free(self, obs: Tensor, start: Tensor, generator: Generators) -> Tensor:
        """Resample and shake candidates, once less than there are rounds (IBC Alg. 1).

        Args:
            obs: Encoded windows, one a sample, (B * N, width).
            start: Candidates, (B, N, candidates, size).
            generator: Source of the noise.

        Returns:
            The candidates of the last round, to be judged, (B * N, candidates, size).
        """
        found, noise = start.flatten(0, 1), self.config.noise
        for _ in range(self._rounds - 1):
            shares = (-self.energy.judge(obs, found)).softmax(-1).reshape(start.shape[:3])
            chosen = choose(shares, shares.shape[-1], generator).flatten(0, 1)
            found = found.gather(1, chosen[..., None].expand_as(found))
            shake = self.shake((*start.shape[:3], self.size), generator, obs.device)
            found = (found + noise * shake.flatten(0, 1)).clamp(-LIMIT, LIMIT)
            noise *= self.config.noise_decay
        return found

    def _langevin(
        self,
        obs: Tensor,
        actions: Tensor,
        iterations: int,
        generator: Generators,
        windows: int | None = None,
    ) -> Tensor:
        """Move actions down the energy's gradient, with noise (IBC App. B.3).

        Args:
            obs: Encoded windows, (R, width).
            actions: (R, candidates, size).
            iterations: Steps.
            generator: Source of the noise.
            windows: B, of which each has R / B rows; None means that every row is a window.

        Returns:
            The moved actions, (R, candidates, size), without a gradient.
        """
        config: IbcConfig = self.config
        shape = (windows or len(obs), -1, *actions.shape[1:])
        split = tuple(actions.reshape(shape).shape)
        training = self.energy.training
        self.energy.eval()  # a chain follows one energy, not another one each step
        # A rollout predicts in inference mode, whose tensors know no gradient: take copies.
        with torch.inference_mode(False), torch.enable_grad():
            obs, actions = obs.clone(), actions.clone()
            for i in range(iterations):
                share = (1 - i / max(1, iterations - 1)) ** 2
                size = config.last_step_size + share * (config.step_size - config.last_step_size)
                actions.requires_grad_()
                slope = torch.autograd.grad(self.energy.judge(obs, actions).sum(), actions)[0]
                shake = randn(split, generator, obs.device).reshape(actions.shape)
                change = size * (0.5 * slope + shake)
                change = change.clamp(-config.step_limit, config.step_limit)
                actions = (actions.detach() - change).clamp(-LIMIT, LIMIT)
        self.energy.train(training)
        return actions

    @property
    def inference_steps(self) -> int:
        """Rounds of a search."""
        return self._rounds

    def set_inference_steps(self, steps: int) -> None:
        """Search with another number of rounds, 1 or more."""
        self._rounds = replace(self.config, iterations=steps).iterations  # checked there


def _info_nce(energies: Tensor) -> Tensor:
    """Cross-entropy of the demonstrated chunk, the first of (B, 1 + negatives), a scalar."""
    return F.cross_entropy(-energies, energies.new_zeros(len(energies), dtype=torch.long))

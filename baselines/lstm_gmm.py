"""A recurrent network with a mixture of Gaussians (LSTM-GMM, "BC-RNN").

Mandlekar et al., *What Matters in Learning from Offline Human Demonstrations for Robot
Manipulation*, CoRL 2021 (arXiv 2108.03298). Published settings: sequences of 10 steps, 2-layer LSTM
with 400 (state) or 1000 (image) units, 5 modes, minimum standard deviation 1e-4, the same standard
deviation at test time ("low noise"), Adam 1e-4; To/Ta 1/1 with the hidden state carried on and
reset every 10 steps (DP App.).

An LSTM reads the window of observations; from its last state comes a mixture of Gaussians over the
whole chunk of actions, from the current step on, so that a mode is one way to go on.

Differences:
    - The agent keeps no hidden state: it encodes its window anew at every prediction. By default
      that always holds 10 observations, the history that the published one has just before its
      reset, and the loss is taken there alone. With `resets` it is the published one: it is given
      the observations since the last reset, 1 to 10, and the loss is taken after each.
    - The mixture is over chunks of any length (published: one action); a chunk of one action is the
      published method.
    - Averaged weights are evaluated and the learning rate falls along a cosine, as with every
      method here; published: neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from torch.nn import functional as F

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.choices import check_least
from baselines.nets.obs_encoder import ObsEncoder
from baselines.noise import Generators, choose, randn
from baselines.normalizer import Normalizer


@dataclass(frozen=True)
class LstmGmmConfig:
    """Settings of LSTM-GMM; the defaults are the published ones for states."""

    hidden: int = 400
    """Units of each LSTM layer."""
    layers: int = 2
    """LSTM layers."""
    modes: int = 5
    """Gaussians in the mixture."""
    min_std: float = 1e-4
    """Smallest standard deviation, in normalised units."""
    test_std: float = 1e-4
    """Standard deviation of sampled actions, in normalised units; 0 leaves the learnt one."""
    resets: bool = False
    """As published: the loss is taken after each observation of a window, and at run time the
    hidden state is carried on and reset every To predictions. For windows that do not reach before
    an episode's start (`train.pads_before=false`)."""

    def __post_init__(self) -> None:
        check_least(self, hidden=1, layers=1, modes=1)
        check_least(self, min_std=0, test_std=0)


@register("lstm-gmm")
class LstmGmm(Agent):
    """LSTM over the window, mixture of Gaussians over the chunk."""

    Config = LstmGmmConfig

    def __init__(self, config: LstmGmmConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.encoder = ObsEncoder(spec)
        self.lstm = nn.LSTM(self.encoder.step_size, config.hidden, config.layers, batch_first=True)
        size = spec.chunk * spec.action_dim
        self.weights = nn.Linear(config.hidden, config.modes)
        self.means = nn.Linear(config.hidden, config.modes * size)
        self.stds = nn.Linear(config.hidden, config.modes * size)

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Negative log-likelihood of the demonstrated chunk, a number of the chunk."""
        logits, means, stds = self._mixture(batch.obs, generator, self.config.resets)
        mixture = MixtureSameFamily(
            Categorical(logits=logits, validate_args=False),
            Independent(Normal(means, stds, validate_args=False), 2, validate_args=False),
            validate_args=False,
        )
        actions = self.normalizer.normalize("action", batch.actions)
        if self.config.resets:
            # What follows each observation, (B * To, C, Da).
            chunk = actions.unfold(1, self.spec.chunk, 1).transpose(2, 3).flatten(0, 1)
        else:
            chunk = self.current_and_later(actions)
        log_prob: Tensor = mixture.log_prob(chunk)  # type: ignore[no-untyped-call]
        return -log_prob.mean() / chunk[0].numel()

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw a mode for each sample, and the chunk around its mean; see `Agent.act`."""
        batch = self.check_window(obs, shorter=self.config.resets)
        logits, means, stds = self._mixture(obs)
        mode = choose(logits.softmax(-1), num_samples, generator)  # (B, N)
        window = torch.arange(batch, device=mode.device)[:, None]
        mean, std = means[window, mode], stds[window, mode]  # (B, N, C, Da)
        if self.config.test_std > 0:
            std = torch.full_like(std, self.config.test_std)
        chunk = mean + std * randn(tuple(mean.shape), generator, mean.device)
        return self.as_prediction(self.normalizer.denormalize("action", chunk))

    @property
    def reset_every(self) -> int:
        """To, where the hidden state is carried on from prediction to prediction."""
        return self.spec.obs_horizon if self.config.resets else 0

    def _mixture(
        self, obs: Obs, generator: torch.Generator | None = None, every_step: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (B, M), means and standard deviations (B, M, C, Da) for windows.

        With `every_step` those after each observation, (B * To, ...), in place of the last alone.
        """
        states, _ = self.lstm(self.encoder.steps(obs, self.normalizer, generator))
        last = states.flatten(0, 1) if every_step else states[:, -1]  # (B or B * To, hidden)
        shape = (-1, self.config.modes, self.spec.chunk, self.spec.action_dim)
        means = self.means(last).float().reshape(shape).tanh()
        stds = F.softplus(self.stds(last).float().reshape(shape)) + self.config.min_std
        return self.weights(last).float(), means, stds

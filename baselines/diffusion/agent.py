"""Diffusion Policy with a convolutional U-Net (DP-C) or a time-series transformer (DP-T).

Chi et al., *Diffusion Policy: Visuomotor Policy Learning via Action Diffusion*, RSS 2023 and IJRR
2024 (arXiv 2303.04137). Both denoise action sequences by the one process of `schedule.py`; they
differ in the network and in how it is conditioned.

Published settings, both: 100 squared-cosine steps, epsilon prediction, AdamW 1e-4, EMA (DP Table 7
and App. A). DP-C: To/Ta/Tp 2/8/16, U-Net 256-512-1024 with kernel 5. DP-T: 2/8/16 on Push-T and
2/8/10 on robomimic, 8 layers, 4 heads, width 256, attention dropout 0.01 (Push-T) or 0.3
(robomimic), weight decay 0.1 (Push-T) or 0.001 (robomimic).

Differences:
    - DDIM with 16 steps is the default sampler also for state observations (published: DDPM 100);
      `num_inference_steps` and `sampler` bring the published one back.
    - Push-T from state is conditioned by FiLM; the published DP-C used inpainting there, which
      `conditioning="joint"` brings back.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.choices import LATER, check_choice, check_least, check_multiple, check_within
from baselines.diffusion.joint import JointUnet1d, bounded, inpaint, unknown_entries
from baselines.diffusion.schedule import ConditionalDenoiser, Diffusion, DiffusionConfig
from baselines.diffusion.transformer import DenoisingTransformer
from baselines.diffusion.unet import ConditionalUnet1d
from baselines.nets.attention import InitialWeights, parameter_groups
from baselines.nets.obs_encoder import ObsEncoder
from baselines.nets.temporal import Activation
from baselines.noise import Generators
from baselines.normalizer import Normalizer

Conditioning = Literal["film", "joint"]


@dataclass(frozen=True)
class DiffusionUnetConfig(DiffusionConfig):
    """Settings of DP-C: the diffusion process and its network."""

    channels: tuple[int, ...] = (256, 512, 1024)
    """Channels of each level of the U-Net, finest first."""
    kernel_size: int = 5
    """Of the convolutions along time."""
    groups: int = 8
    """Of group normalisation."""
    step_dim: int = 256
    """Length of the diffusion-step embedding."""
    activation: Activation = "mish"
    """Of the network."""
    conditioning: Conditioning = field(default="film", metadata=LATER)
    """film: p(A | O), observations scale and shift every block; joint: p(A, O), they are denoised
    with the actions, and put in where they are known (`baselines.diffusion.joint`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("conditioning", self.conditioning, get_args(Conditioning))
        check_least(self, groups=1, step_dim=2)
        check_multiple("step_dim", self.step_dim, "a sine and a cosine", 2)
        if not self.channels:
            raise ValueError("channels is empty; allowed: a number a level, such as [64, 128]")
        for channels in self.channels:
            check_multiple("channels", channels, "groups", self.groups)
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size is {self.kernel_size}; allowed: odd numbers from 1")


@dataclass(frozen=True)
class DiffusionTransformerConfig(DiffusionConfig):
    """Settings of DP-T: the diffusion process and its network."""

    layers: int = 8
    """Decoder layers."""
    heads: int = 4
    """Of every attention."""
    width: int = 256
    """Length of a token."""
    dropout: float = 0.01
    """Of attention weights and of every residual branch, in training."""
    initial_weights: InitialWeights = "small"
    """small or fan-in, as in `baselines.nets.attention.initialize`."""
    encoder_weight_decay: float = 1e-6
    """Of all weights of the image encoders, whatever that of the transformer is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, layers=1, heads=1, encoder_weight_decay=0)
        check_within(self, 0, 1, "dropout")
        check_multiple("width", self.width, "heads", self.heads)
        check_choice("initial_weights", self.initial_weights, get_args(InitialWeights))


class DiffusionAgent(Agent):
    """What both have in common: the diffusion process."""

    network: nn.Module

    def __init__(self, config: DiffusionConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.diffusion = Diffusion(config)

    @abstractmethod
    def condition(self, obs: Obs, generator: torch.Generator | None = None) -> Tensor:
        """What the network is conditioned on, (B, ...); `generator` draws crops in training."""

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Denoising loss of a batch (DP Eq. 5), at `steps_per_window` steps of each window."""
        times = self.diffusion.config.steps_per_window
        condition = self.condition(batch.obs, generator).repeat_interleave(times, 0)
        clean = self.normalizer.normalize("action", batch.actions).repeat_interleave(times, 0)
        return self.diffusion.loss(lambda x, k: self.network(x, k, condition), clean, generator)

    @abstractmethod
    def denoiser(self, condition: Tensor, num_samples: int) -> ConditionalDenoiser:
        """The network for one prediction, with what it computes beforehand.

        It is to be called once for each step that sampling visits, in order.

        Args:
            condition: What it is conditioned on, (B, ...).
            num_samples: Sequences drawn for each, N.
        """

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw action sequences by reverse diffusion (DP Eq. 4); see `Agent.act`."""
        self.check_window(obs)
        encoded = self.condition(obs)
        return self.draw(self.denoiser(encoded, num_samples), encoded, generator, num_samples)

    def draw(
        self, network: ConditionalDenoiser, condition: Tensor, generator: Generators, count: int
    ) -> Tensor:
        """Draw action sequences with the network of one prediction, (B, count, Tp, Da)."""
        shape = (count, self.spec.pred_horizon, self.spec.action_dim)
        sample = self.diffusion.sample_sequences(network, condition, shape, generator)
        return self.normalizer.denormalize("action", sample)

    @property
    def inference_steps(self) -> int:
        """Denoising steps of a prediction."""
        return self.diffusion.config.num_inference_steps

    def set_inference_steps(self, steps: int) -> None:
        """Predict with another number of denoising steps, 1 to K."""
        self.diffusion.config = replace(self.diffusion.config, num_inference_steps=steps)

    def set_sampler(self, sampler: str) -> None:
        """Predict by ddpm or ddim."""
        # A wrong name is refused by the config.
        self.diffusion.config = replace(self.diffusion.config, sampler=sampler)  # type: ignore[arg-type]


@register("diffusion-unet")
class DiffusionUnet(DiffusionAgent):
    """Diffusion Policy, CNN-based: the observation window scales and shifts every block (FiLM).

    With `conditioning="joint"` the U-Net denoises observations together with the actions instead.
    """

    Config = DiffusionUnetConfig

    def __init__(self, config: DiffusionUnetConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.encoder = ObsEncoder(spec)
        self.is_joint = config.conditioning == "joint"
        self.network: ConditionalUnet1d | JointUnet1d
        self.network = (JointUnet1d if self.is_joint else ConditionalUnet1d)(
            spec.action_dim,
            self.encoder.step_size if self.is_joint else self.encoder.size,
            config.channels,
            config.kernel_size,
            config.groups,
            config.step_dim,
            config.activation,
        )

    def condition(self, obs: Obs, generator: torch.Generator | None = None) -> Tensor:
        """The encoded window, (B, To * F); of the joint model step by step, (B, To, F)."""
        if self.is_joint:
            return bounded(self.encoder.steps(obs, self.normalizer, generator), self.spec.state_dim)
        encoded: Tensor = self.encoder(obs, self.normalizer, generator)
        return encoded

    def denoiser(self, condition: Tensor, num_samples: int) -> ConditionalDenoiser:
        """The network, with the scales and shifts of all steps computed beforehand."""
        each = self.network.modulations(self.diffusion.inference_steps(), condition)

        def network(x: Tensor, step: Tensor, repeated: Tensor) -> Tensor:
            modulation = next(each).repeat_interleave(num_samples, 0)
            found: Tensor = self.network(x, step, repeated, modulation)
            return found

        return network

    @property
    def obs_steps(self) -> int:
        """Observations of a training window: all Tp of the joint model, which denoises them."""
        return self.spec.pred_horizon if self.is_joint else self.spec.obs_horizon

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Denoising loss of a batch; of the joint model, of all that it is not shown.

        Raises:
            ValueError: If the joint model is given other than Tp observations.
        """
        if not self.is_joint:
            return super().loss(batch, generator)
        To, times = self.spec.obs_horizon, self.diffusion.config.steps_per_window
        if any(value.shape[1] != self.obs_steps for value in batch.obs.values()):
            lengths = sorted({value.shape[1] for value in batch.obs.values()})
            raise ValueError(
                f"training windows hold {lengths} observations; the joint model denoises those of "
                f"all {self.obs_steps} predicted steps (Agent.obs_steps)"
            )
        known = self.condition({k: v[:, :To] for k, v in batch.obs.items()}, generator)
        with torch.no_grad():
            later = self.condition({k: v[:, To:] for k, v in batch.obs.items()}, generator)
        features = torch.cat([known.detach(), later], dim=1)  # (B, Tp, F)
        actions = self.normalizer.normalize("action", batch.actions)
        clean = torch.cat([actions, features.to(actions.dtype)], dim=2).repeat_interleave(times, 0)
        known = known.repeat_interleave(times, 0)
        counted = unknown_entries(
            self.spec.action_dim, self.encoder.step_size, To, self.spec.pred_horizon
        )
        return self.diffusion.loss(
            lambda x, k: self.network(x, k, known), clean, generator, counted.to(clean.device)
        )

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw action sequences by reverse diffusion (DP Eq. 4); see `Agent.act`."""
        if not self.is_joint:
            return super().act(obs, generator, num_samples)
        drawn = self.imagine(obs, generator, num_samples)[..., : self.spec.action_dim]
        return self.normalizer.denormalize("action", drawn)

    def imagine(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw whole sequences of the joint model, as the network sees them.

        Args:
            obs: Windows in environment units, each (B, To, ...), which are encoded once.
            generator: As in `Agent.act`.
            num_samples: Sequences drawn for each window, N.

        Returns:
            Normalised actions and observation features, (B, N, Tp, Da + F).

        Raises:
            ValueError: If observations are a condition of this policy, and nothing it draws.
        """
        if not self.is_joint:
            raise ValueError("conditioning is 'film': observations are not drawn; set it to joint")
        self.check_window(obs)
        known = self.condition(obs)  # (B, To, F)
        width = self.spec.action_dim + self.encoder.step_size
        shape = (num_samples, self.spec.pred_horizon, width)
        network = self.denoiser(known, num_samples)
        drawn = self.diffusion.sample_sequences(network, known, shape, generator)
        whole = inpaint(drawn.flatten(0, 1), known.repeat_interleave(num_samples, 0))
        return whole.view(drawn.shape)


@register("diffusion-transformer")
class DiffusionTransformer(DiffusionAgent):
    """Diffusion Policy, transformer-based: action tokens attend to the steps of the window."""

    Config = DiffusionTransformerConfig

    def __init__(
        self, config: DiffusionTransformerConfig, spec: Spec, normalizer: Normalizer
    ) -> None:
        super().__init__(config, spec, normalizer)
        self.encoder = ObsEncoder(spec)
        self.network: DenoisingTransformer = DenoisingTransformer(
            spec.action_dim,
            self.encoder.step_size,
            spec.obs_horizon,
            spec.pred_horizon,
            config.layers,
            config.heads,
            config.width,
            config.dropout,
            config.initial_weights,
        )

    def condition(self, obs: Obs, generator: torch.Generator | None = None) -> Tensor:
        """The encoded steps of the window, (B, To, F)."""
        return self.encoder.steps(obs, self.normalizer, generator)

    def denoiser(self, condition: Tensor, num_samples: int) -> ConditionalDenoiser:
        """The network, with what its tokens look at computed beforehand."""
        return self._first(condition, num_samples, self.spec.pred_horizon)

    def act_first(self, obs: Obs, generator: Generators, count: int) -> Tensor:
        """Denoise no more than is asked for: an action looks at no later one.

        The noise of the others is drawn, so that the actions are those of `act`.
        """
        self.check_window(obs)
        encoded = self.condition(obs)
        return self.draw(self._first(encoded, 1, count), encoded, generator, 1)[:, :, :count]

    def _first(self, condition: Tensor, num_samples: int, count: int) -> ConditionalDenoiser:
        """The network for a prediction, zeros after the first `count` actions."""
        each = self.network.memories(self.diffusion.inference_steps(), condition)

        def network(x: Tensor, step: Tensor, repeated: Tensor) -> Tensor:
            memories = [
                (key.repeat_interleave(num_samples, 0), value.repeat_interleave(num_samples, 0))
                for key, value in next(each)
            ]
            prediction = self.network(x[:, :count], step, repeated, memories)
            return functional.pad(prediction, (0, 0, 0, x.shape[1] - count))

        return network

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Weights of linear layers decay, an image encoder by its own rate, all others do not."""
        encoder = list(self.encoder.parameters())
        own = {"params": encoder, "weight_decay": self.config.encoder_weight_decay}
        return parameter_groups(self.network, weight_decay) + ([own] if encoder else [])

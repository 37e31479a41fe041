"""Diffusion Policy with a convolutional U-Net (DP-C).

Chi et al., *Diffusion Policy: Visuomotor Policy Learning via Action Diffusion*, RSS 2023 and IJRR
2024 (arXiv 2303.04137). Published settings: To/Ta/Tp 2/8/16, 100 squared-cosine steps, epsilon
prediction, U-Net 256-512-1024 with kernel 5, AdamW 1e-4, EMA (DP Table 7 and App. A).

Differences:
    - DDIM with 16 steps is the default sampler also for state observations (published: DDPM 100);
      `num_inference_steps` and `sampler` bring the published one back.
    - Push-T from state is conditioned by FiLM; the published table used inpainting there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from baselines.agent import Agent, Batch, Obs, Spec, register
from baselines.diffusion.schedule import Diffusion, DiffusionConfig
from baselines.diffusion.unet import Activation, ConditionalUnet1d
from baselines.nets.obs_encoder import ObsEncoder
from baselines.noise import Generators
from baselines.normalizer import Normalizer


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


@register("diffusion-unet")
class DiffusionUnet(Agent):
    """Diffusion Policy, CNN-based."""

    Config = DiffusionUnetConfig

    def __init__(self, config: DiffusionUnetConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        self.diffusion = Diffusion(config)
        self.encoder = ObsEncoder(spec)
        self.network = ConditionalUnet1d(
            spec.action_dim,
            self.encoder.size,
            config.channels,
            config.kernel_size,
            config.groups,
            config.step_dim,
            config.activation,
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Denoising loss of a batch (DP Eq. 5)."""
        obs = self.encoder(batch.obs, self.normalizer, generator)  # (B, size)
        clean = self.normalizer.normalize("action", batch.actions)
        return self.diffusion.loss(lambda x, k: self.network(x, k, obs), clean, generator)

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw action sequences by reverse diffusion (DP Eq. 4); see `Agent.act`."""
        batch = self.check_window(obs)
        # Encoded once a prediction, not once a denoising step: (B * N, size).
        encoded = self.encoder(obs, self.normalizer).repeat_interleave(num_samples, 0)
        tp, da = self.spec.pred_horizon, self.spec.action_dim

        def denoiser(x: Tensor, step: Tensor) -> Tensor:
            flat = x.reshape(batch * num_samples, tp, da)
            prediction: Tensor = self.network(flat, step.repeat_interleave(num_samples), encoded)
            return prediction.reshape(x.shape)

        sample = self.diffusion.sample(denoiser, (batch, num_samples, tp, da), generator)
        return self.normalizer.denormalize("action", sample)

    @property
    def inference_steps(self) -> int:
        """Denoising steps of a prediction."""
        return self.diffusion.config.num_inference_steps

    def set_inference_steps(self, steps: int) -> None:
        """Predict with another number of denoising steps, 1 to K."""
        self.diffusion.config = replace(self.diffusion.config, num_inference_steps=steps)

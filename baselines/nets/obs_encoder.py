"""What a network is conditioned on: a window of observations, a vector a step or one in all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.agent import Obs, Spec
from baselines.nets.image_encoder import FEATURES, ImageEncoder
from baselines.normalizer import Normalizer


class ObsEncoder(nn.Module):
    """Encodes windows of observations, (B, To, ...) to (B, To * step_size).

    Each step gives its normalised `state` and the features of its images. Every camera has an image
    encoder of its own (DP, "Visual Encoder"); without cameras there is nothing to learn and no
    parameter.

    Args:
        spec: Shapes and horizons.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.images = nn.ModuleDict(
            {camera: ImageEncoder(shape, spec.encoder) for camera, shape in spec.images.items()}
        )
        self.step_size = spec.state_dim + FEATURES * len(self.images)
        """Length of an encoded step, F = Do + 64 for each camera."""
        self.size = spec.obs_horizon * self.step_size
        """Length of an encoded window, To * F."""

    def forward(
        self, obs: Obs, normalizer: Normalizer, generator: torch.Generator | None = None
    ) -> Tensor:
        """Encode windows as one vector each, (B, To * F); see `steps`."""
        return self.steps(obs, normalizer, generator).flatten(1)

    def steps(
        self, obs: Obs, normalizer: Normalizer, generator: torch.Generator | None = None
    ) -> Tensor:
        """Encode every step of the windows.

        Args:
            obs: Windows in environment units; `state` (B, To, Do), images (B, To, H, W, 3).
            normalizer: Scales `state`.
            generator: Draws a crop for each image, in training; None crops centrally.

        Returns:
            One vector a step, (B, To, F).
        """
        parts = []
        if "state" in obs:
            parts.append(normalizer.normalize("state", obs["state"]))
        for camera, encoder in self.images.items():
            features = encoder(obs[camera].flatten(0, 1), generator)  # (B * To, 64)
            parts.append(features.unflatten(0, obs[camera].shape[:2]))
        return torch.cat(parts, dim=-1)

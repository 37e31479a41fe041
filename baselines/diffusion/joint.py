"""The joint model p(A, O): observations are denoised together with the actions.

Janner et al., *Planning with Diffusion for Flexible Behavior Synthesis*, ICML 2022 (arXiv
2205.09991), the way that DP Sec. II-C decides against in favour of p(A | O). A sequence holds the
action and the observation features of every predicted step. The To steps that are seen are put
into it clean before every denoising step (inpainting), in training too; the rest is drawn.

    step            t-1   t    t+1  ...  t+Tp-To
    actions          ?    ?     ?         ?        denoised
    observations     o    o     ?         ?        o: put in, ?: denoised

Differences:
    - Features of images go through tanh, so that they have the range that actions have and that
      sampling clips to. As targets they are constants: their encoder is trained by what is put in,
      since one that is trained to be predictable would rather show nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from baselines.diffusion.unet import ConditionalUnet1d
from baselines.nets.temporal import Activation


def inpaint(sequence: Tensor, known: Tensor) -> Tensor:
    """Put known observations into a sequence.

    Args:
        sequence: Actions and observation features, (B, Tp, Da + F).
        known: Features of the first To steps, (B, To, F).

    Returns:
        A copy whose first To steps have these features, (B, Tp, Da + F).
    """
    observed, action_dim = known.shape[1], sequence.shape[2] - known.shape[2]
    first = torch.cat([sequence[:, :observed, :action_dim], known.to(sequence.dtype)], dim=2)
    return torch.cat([first, sequence[:, observed:]], dim=1)


def unknown_entries(
    action_dim: int, feature_dim: int, obs_horizon: int, pred_horizon: int
) -> Tensor:
    """Which entries of a sequence are to be denoised, (Tp, Da + F) of 0 and 1."""
    unknown = torch.ones(pred_horizon, action_dim + feature_dim)
    unknown[:obs_horizon, action_dim:] = 0
    return unknown


def bounded(features: Tensor, state_dim: int) -> Tensor:
    """Features (..., F) with those of images, which follow Do numbers of the state, within 1."""
    if features.shape[-1] == state_dim:
        return features
    return torch.cat([features[..., :state_dim], features[..., state_dim:].tanh()], dim=-1)


class JointUnet1d(nn.Module):
    """The U-Net over sequences of actions and observation features, conditioned on the step alone.

    Args:
        action_dim: Da.
        feature_dim: F, length of an encoded observation.
        channels: As in `ConditionalUnet1d`, and so are the others.
        kernel_size: Of every convolution along time.
        groups: Of every group normalisation.
        step_dim: Length of the diffusion-step embedding.
        activation: Of the network.
    """

    def __init__(
        self,
        action_dim: int,
        feature_dim: int,
        channels: Sequence[int],
        kernel_size: int,
        groups: int,
        step_dim: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        width = action_dim + feature_dim
        self.unet = ConditionalUnet1d(width, 0, channels, kernel_size, groups, step_dim, activation)

    def modulations(self, steps: Sequence[int], known: Tensor) -> Iterator[Tensor]:
        """As of `ConditionalUnet1d`, of features (B, To, F), which none of them depends on."""
        return self.unet.modulations(steps, known.new_empty(len(known), 0))

    def forward(
        self, sequence: Tensor, step: Tensor, known: Tensor, modulation: Tensor | None = None
    ) -> Tensor:
        """Predict noise (or what the process asks for) of sequences with known observations.

        Args:
            sequence: Noised actions and features, (B, Tp, Da + F).
            step: Diffusion step of each, (B,).
            known: Features of the first To steps, (B, To, F).
            modulation: What `modulations` gives for this step; None computes it.

        Returns:
            The prediction, (B, Tp, Da + F); of no meaning where the features are known.
        """
        prediction: Tensor = self.unet(
            inpaint(sequence, known), step, sequence.new_empty(len(sequence), 0), modulation
        )
        return prediction

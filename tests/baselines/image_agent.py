"""A small Diffusion Policy that sees images, and what it is trained on."""

from typing import Any

import torch

from baselines.agent import Batch, Spec
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.nets.encoder_config import EncoderConfig
from baselines.normalizer import Normalizer

SIDE = 48  # px


def image_agent(encoder: EncoderConfig, **settings: Any) -> DiffusionUnet:
    """An untrained one, with an encoder and settings of its own."""
    corners = torch.tensor([[0.0, 0.0], [512.0, 512.0]])
    scaling = Normalizer.fit(
        {"state": corners, "action": corners}, {"state": "min-max", "action": "min-max"}
    )
    spec = Spec({"pixels": (SIDE, SIDE, 3), "state": (2,)}, 2, 2, 4, encoder)
    torch.manual_seed(0)
    return DiffusionUnet(
        DiffusionUnetConfig(channels=(16,), step_dim=16, **settings), spec, scaling
    )


def image_batch() -> Batch:
    """Two windows."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (2, 2, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    return Batch(
        {"pixels": pixels, "state": 512 * torch.rand(2, 2, 2, generator=generator)},
        512 * torch.rand(2, 4, 2, generator=generator),
    )

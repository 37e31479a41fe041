"""What smoke, quick and laptop become where policies see images; `paper` has rows of its own.

Every method keeps the settings of its row for states, but for three things that follow from what an
image costs: an update encodes a fixed number of frames, so that the batch is that number by the
observations in a window; it trains for a number of updates that the preset sets for all; and the
encoder is a narrower ResNet-18, with the published pooling and normalisation. A diffusion policy
denoises several steps of each window, which is encoded once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from baselines.diffusion.schedule import DiffusionConfig
from baselines.nets.encoder_config import PUBLISHED, EncoderConfig
from benchmark.plan.settings import Settings


@dataclass(frozen=True)
class ImagePreset:
    """How a preset trains policies that see images."""

    encoder: EncoderConfig
    frames: int
    """Images of one camera that an update encodes; a batch holds as many windows as they fill."""
    updates: int
    steps_per_window: int
    """Of a diffusion policy."""
    learning_rate: float
    """Peak of every method's."""


IMAGE_PRESETS: Mapping[str, ImagePreset] = MappingProxyType(
    {
        "smoke": ImagePreset(EncoderConfig(channels=16), 32, 60, 2, 1e-3),
        "quick": ImagePreset(EncoderConfig(channels=16), 64, 4_000, 4, 1e-3),
        "laptop": ImagePreset(EncoderConfig(channels=32), 128, 20_000, 4, 5e-4),
    }
)


def from_images(preset: str, row: Settings) -> Settings:
    """A row as it is where policies see images; one of `paper` is made for them already."""
    if preset not in IMAGE_PRESETS:
        return replace(row, encoder=PUBLISHED)
    images = IMAGE_PRESETS[preset]
    agent = row.agent
    if isinstance(agent, DiffusionConfig):
        agent = replace(agent, steps_per_window=images.steps_per_window)
    if row.train.updates:
        train = replace(
            row.train,
            batch_size=max(1, images.frames // row.obs_horizon),
            updates=images.updates,
            learning_rate=images.learning_rate,
            optimizer="adamw",
            warmup_updates=min(row.train.warmup_updates, images.updates // 10),
        )
    else:
        train = row.train
    return replace(row, agent=agent, train=train, encoder=images.encoder)

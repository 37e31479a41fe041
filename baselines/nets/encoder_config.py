"""Settings of the image encoder, which belong to what a policy sees and to no method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from baselines.choices import check_choice, check_multiple

Norm = Literal["group", "batch"]
Pooling = Literal["spatial-softmax", "average"]
CHANNELS_PER_GROUP = 16
"""Of group normalisation, as published (DP, "Visual Encoder")."""


@dataclass(frozen=True)
class EncoderConfig:
    """How images are encoded; the defaults are the published ones (DP, "Visual Encoder")."""

    channels: int = 64
    """Of the first of the residual network's four stages; each later one has twice as many."""
    norm: Norm = "group"
    """Over groups of 16 channels of an image, or over a batch of images."""
    pooling: Pooling = "spatial-softmax"
    """What becomes of the last feature map: the places of 32 features, or the mean of each."""

    def __post_init__(self) -> None:
        check_multiple("channels", self.channels, "a group", CHANNELS_PER_GROUP)
        check_choice("norm", self.norm, get_args(Norm))
        check_choice("pooling", self.pooling, get_args(Pooling))

    @property
    def title(self) -> str:
        """The encoder in words: what differs from the published one."""
        differences = {
            f"{self.channels} channels": self.channels != PUBLISHED.channels,
            f"{self.norm} norm": self.norm != PUBLISHED.norm,
            f"{self.pooling} pooling": self.pooling != PUBLISHED.pooling,
        }
        return ", ".join(["ResNet-18", *(text for text, says in differences.items() if says)])


PUBLISHED = EncoderConfig()

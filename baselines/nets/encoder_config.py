"""Settings of the image encoder, which belong to what a policy sees and to no method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from baselines.choices import LATER, check_choice, check_least, check_multiple

Norm = Literal["group", "batch"]
Pooling = Literal["spatial-softmax", "average"]
CHANNELS_PER_GROUP = 16
"""Of group normalisation, as published (DP, "Visual Encoder")."""
RESNET, TIMM = "resnet18", "timm:"
"""The network that is ours, and what the name of one of timm begins with."""


@dataclass(frozen=True)
class EncoderConfig:
    """How images are encoded; the defaults are the published ones (DP, "Visual Encoder")."""

    channels: int = 64
    """Of the first of the residual network's four stages; each later one has twice as many. A
    network of timm has its own."""
    norm: Norm = "group"
    """Over groups of 16 channels of an image, or over a batch of images. A network of timm has its
    own."""
    pooling: Pooling = "spatial-softmax"
    """What becomes of the last feature map: the places of 32 features, or the mean of each."""
    weights: str = field(default="", metadata=LATER)
    """File of torchvision's ResNet-18, or of timm's weights of `model`, that training starts from;
    empty starts at random."""
    learning_rate_share: float = field(default=1.0, metadata=LATER)
    """The network's learning rate as a share of all else's; 0 freezes it."""
    model: str = field(default=RESNET, metadata=LATER)
    """resnet18, or timm:NAME for a model of timm, such as timm:vit_tiny_patch16_224."""

    def __post_init__(self) -> None:
        check_multiple("channels", self.channels, "a group", CHANNELS_PER_GROUP)
        check_choice("norm", self.norm, get_args(Norm))
        check_choice("pooling", self.pooling, get_args(Pooling))
        check_least(self, learning_rate_share=0)
        if self.model != RESNET and not self.timm_model:
            raise ValueError(
                f"model is {self.model!r}; allowed: {RESNET}, and {TIMM}NAME for a model of timm, "
                f"such as {TIMM}vit_tiny_patch16_224"
            )

    @property
    def timm_model(self) -> str:
        """Name of a model of timm; empty for the ResNet-18."""
        return self.model.removeprefix(TIMM) if self.model.startswith(TIMM) else ""

    @property
    def is_frozen(self) -> bool:
        """Whether the network stays as it begins."""
        return self.learning_rate_share == 0

    @property
    def title(self) -> str:
        """The encoder in words: what differs from the published one."""
        is_ours = not self.timm_model
        differences = {
            f"{self.channels} channels": is_ours and self.channels != PUBLISHED.channels,
            f"{self.norm} norm": is_ours and self.norm != PUBLISHED.norm,
            f"{self.pooling} pooling": self.pooling != PUBLISHED.pooling,
            "pretrained": bool(self.weights),
            "frozen": self.is_frozen,
            f"learning rate x {self.learning_rate_share:g}": self.learning_rate_share not in (0, 1),
        }
        name = "ResNet-18" if is_ours else self.timm_model
        return ", ".join([name, *(text for text, says in differences.items() if says)])


PUBLISHED = EncoderConfig()

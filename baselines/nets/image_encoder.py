"""The image encoder: a ResNet-18 without pretraining that ends in a spatial softmax.

    (n, H, W, 3) uint8 -> crop -> ResNet-18 -> (n, 512, h, w) -> spatial softmax -> (n, 32, 2)
                       -> linear -> (n, 64)

`EncoderConfig` makes it narrower, swaps normalisation and pooling for those that the paper decided
against, or takes a network of timm in place of the ResNet-18.

From DP (arXiv 2303.04137, "Visual Encoder" and Table 7): group normalisation with 16 channels a
group, since batch statistics and averaged weights do not go together, and the places of 32 features
(spatial softmax, Finn et al. 2016, arXiv 1509.06113) instead of their averages. As in DP's code, a
linear layer follows, and every image has a random crop of its own in training, the images of one
window too; at run time the crop is central. The residual network is He et al.'s (arXiv 1512.03385).

Differences:
    - A random crop may start at any of the H - crop + 1 rows (and columns); DP's code leaves out
      the last one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn

from baselines.nets.encoder_config import CHANNELS_PER_GROUP, PUBLISHED, EncoderConfig, Norm
from baselines.nets.timm_trunk import TimmTrunk

CROPS = {96: 84, 84: 76}
"""Side of an image to the side of its crop, px: Push-T, robomimic (DP Table 7)."""
KEYPOINTS = 32
FEATURES = 2 * KEYPOINTS
STRIDE = 32  # px of the image a cell of the last feature map
PLAIN = ((127.5,) * 3, (127.5,) * 3)
"""What is subtracted from the colours of an image, and what they are divided by: -1 to 1."""
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""The same as torchvision's networks were trained with: mean and deviation of ImageNet."""


def crop_side(side: int) -> int:
    """Side of the crop of an image side, px: as published, seven eighths where nothing was."""
    return CROPS.get(side, side * 7 // 8)


class ImageEncoder(nn.Module):
    """Encodes the images of one camera, one by one.

    Args:
        shape: Height, width and channels of an image, (H, W, 3).
        config: The network, and what becomes of its last feature map.

    Raises:
        ValueError: If the images are no RGB images, or too small for a feature to have a place; or
            if a network of timm is asked for that is not at hand.
    """

    _middle: Tensor
    _spread: Tensor

    def __init__(self, shape: tuple[int, ...], config: EncoderConfig = PUBLISHED) -> None:
        super().__init__()
        if len(shape) != 3 or shape[2] != 3:
            raise ValueError(f"images have shape {shape}; give (height, width, 3)")
        self.crop = (crop_side(shape[0]), crop_side(shape[1]))
        self.trunk: ResNet18 | TimmTrunk
        if config.timm_model:
            self.trunk = TimmTrunk(config.timm_model)
        else:
            self.trunk = ResNet18(config.channels, config.norm)
        if self.trunk.side is None and min(self.crop) <= STRIDE:
            raise ValueError(
                f"images of {shape[0]} x {shape[1]} px are cropped to {self.crop[0]} x "
                f"{self.crop[1]}, which must exceed {STRIDE} px: render them larger"
            )
        self._is_ours = not config.timm_model
        self.is_frozen = config.is_frozen
        if self.is_frozen:
            self.trunk.requires_grad_(False).eval()
        colours = self.trunk.colours if config.weights else PLAIN
        for name, value in zip(("_middle", "_spread"), colours, strict=True):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)
        self.pooling: nn.Module
        if config.pooling == "average":
            self.pooling, pooled = nn.AdaptiveAvgPool2d(1), self.trunk.out_channels
        else:
            self.pooling, pooled = SpatialSoftmax(self.trunk.out_channels, KEYPOINTS), FEATURES
        self.head = nn.Linear(pooled, FEATURES)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode images.

        Args:
            images: (n, H, W, 3), uint8.
            generator: Draws a crop for each image; None takes the central one.

        Returns:
            Features, (n, 64).

        Raises:
            ValueError: If the images are not uint8.
        """
        if images.dtype != torch.uint8:
            raise ValueError(f"pixels are {images.dtype}; give uint8, 0 to 255")
        if generator is None:
            cropped = central_crop(images, self.crop)
        else:
            cropped = random_crop(images, self.crop, generator)
        # Seen as (n, 3, h, w) this is PyTorch's channels-last format, which its convolutions like.
        # Half of 255 is exact in bfloat16 and a 255th is not, so it is subtracted first.
        scaled = cropped.permute(0, 3, 1, 2).to(_multiplied(images))
        scaled.sub_(self._middle.to(scaled)).div_(self._spread.to(scaled))
        with nullcontext() if not self.is_frozen else torch.no_grad():
            maps = self.trunk(scaled)
        features: Tensor = self.head(self.pooling(maps).flatten(1))
        return features

    def keypoints(self, images: Tensor) -> Tensor:
        """Where the features of the spatial softmax are in images, as seen at run time.

        Args:
            images: (n, H, W, 3), uint8.

        Returns:
            Columns and rows, px, (n, 32, 2).

        Raises:
            ValueError: If the encoder averages instead, and so knows no places.
        """
        if not isinstance(self.pooling, SpatialSoftmax):
            raise ValueError("this encoder averages its features: they have no places")
        seen: list[tuple[torch.Size, Tensor]] = []
        hook = self.pooling.register_forward_hook(
            lambda _, given, out: seen.append((given[0].shape[2:], out))
        )
        self(images)
        hook.remove()
        ((cells, places),) = seen
        # Of columns and rows, px.
        margin = torch.tensor([(images.shape[axis] - self.crop[axis - 1]) // 2 for axis in (2, 1)])
        count, side = torch.tensor(cells).flip(0), torch.tensor(self.crop).flip(0)
        if self._is_ours:  # cell i of the last feature map looks at the crop around pixel 32 i
            first, last = torch.zeros(2), STRIDE * (count - 1)
        else:
            first, last = side / count / 2, side - side / count / 2
        return (places.float().cpu() + 1) / 2 * (last - first) + first + margin

    def train(self, mode: bool = True) -> Self:
        """As any module, but for a frozen network: it keeps the statistics that it begins with."""
        super().train(mode)
        if self.is_frozen:
            self.trunk.eval()
        return self


def _multiplied(images: Tensor) -> torch.dtype:
    """The type that images are multiplied in: under autocast its own."""
    kind = images.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def central_crop(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut the middle out of images, (n, H, W, 3) to (n, h, w, 3)."""
    top, left = ((images.shape[1 + i] - size[i]) // 2 for i in range(2))
    return images[:, top : top + size[0], left : left + size[1]]


def random_crop(images: Tensor, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Cut a random part out of each image, (n, H, W, 3) to (n, h, w, 3), in one gather."""
    count, height, width, channels = images.shape
    top, left = (
        torch.randint(whole - part + 1, (count,), generator=generator, device=generator.device).to(
            images.device
        )
        for whole, part in zip((height, width), size, strict=True)
    )
    # A view of all parts there are, whose rows are runs of w * 3 numbers; nothing is copied yet.
    images = images.contiguous()
    row, step = size[1] * channels, images.stride()
    parts = images.as_strided(
        (count, height - size[0] + 1, width - size[1] + 1, size[0], row),
        (step[0], step[1], step[2], step[1], 1),
    )
    image = torch.arange(count, device=images.device)
    return parts[image, top, left].reshape(count, *size, channels)


class SpatialSoftmax(nn.Module):
    """Where in an image each of some features is: the expected place under a softmax.

    Args:
        in_channels: Channels of the feature map.
        keypoints: Number of features.
    """

    def __init__(self, in_channels: int, keypoints: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, keypoints, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, h, w) to places x, y from -1 (left, top) to 1, (n, keypoints, 2)."""
        return expected_place(self.conv(x))


def expected_place(scores: Tensor) -> Tensor:
    """Softmax over places, then its mean: (n, K, h, w) to x, y from -1 to 1, (n, K, 2)."""
    height, width = scores.shape[2:]
    # Half precision would round the places to a hundredth of the image.
    weights = scores.float().flatten(2).softmax(-1).reshape(scores.shape)
    x = torch.linspace(-1, 1, width, device=scores.device)
    y = torch.linspace(-1, 1, height, device=scores.device)
    return torch.stack([(weights.sum(2) * x).sum(-1), (weights.sum(3) * y).sum(-1)], dim=-1)


class ResNet18(nn.Module):
    """The ResNet-18 up to its last feature map; as published 11.18 M parameters.

    Args:
        channels: C, of the first of four stages; each later one has twice as many.
        norm: Group or batch normalisation.
    """

    side = None
    """Images of any side are taken."""
    colours = IMAGENET
    """What its published weights expect."""

    def __init__(self, channels: int = 64, norm: Norm = "group") -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False),
            _norm(channels, norm),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
        widths = (channels, channels, 2 * channels, 4 * channels, 8 * channels)
        self.out_channels = widths[-1]
        blocks: list[nn.Module] = []
        for low, high in itertools.pairwise(widths):
            blocks += [BasicBlock(low, high, norm, high // low), BasicBlock(high, high, norm)]
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015, as the published network
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) to (n, 8 C, H / 32, W / 32), rounded up."""
        features: Tensor = self.blocks(self.stem(x))
        return features


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a residual connection: (n, C, h, w) to (n, C', h/s, w/s)."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            _norm(out_channels, norm),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            _norm(out_channels, norm),
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                _norm(out_channels, norm),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, h, w) to (n, C', h / stride, w / stride)."""
        return torch.relu(self.residual(x) + self.shortcut(x))


def _norm(channels: int, norm: Norm) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(channels // CHANNELS_PER_GROUP, channels)


def with_own_rates(
    groups: Sequence[dict[str, Any]], agent: nn.Module, share: float
) -> list[dict[str, Any]]:
    """Optimiser groups with the residual networks of an agent's image encoders apart.

    Args:
        groups: As `Agent.parameter_groups` gives them.
        agent: Whose they are.
        share: Of the learning rate, which those networks take; 0 leaves them out.
    """
    if share == 1:
        return list(groups)
    trunks = [module.trunk for module in agent.modules() if isinstance(module, ImageEncoder)]
    own = {id(each) for trunk in trunks for each in trunk.parameters()}
    found = []
    for group in groups:
        params = list(group["params"])
        found.append(group | {"params": [each for each in params if id(each) not in own]})
        if share:
            slow = [each for each in params if id(each) in own]
            found.append(group | {"params": slow, "share": share})
    return found

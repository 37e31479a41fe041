"""A network of timm in place of the ResNet-18, such as a ViT; needs the extra `timm`.

Wightman, *PyTorch Image Models*, https://github.com/huggingface/pytorch-image-models. The network
starts at random, or from a local file of its weights (`baselines.nets.pretrained`): nothing is ever
downloaded. What a policy takes of it is its last feature map; of a ViT, its patches.
"""

from __future__ import annotations

import sys
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.choices import nearest
from baselines.nets.encoder_config import TIMM

INSTALL = "pip install -c constraints.txt 'dpbench[timm]'"
Colours = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and deviation of the three colours, 0 to 255."""


def timm_here(asked: str) -> ModuleType:
    """The package timm.

    Args:
        asked: What needs it, as it is set.

    Raises:
        ValueError: If it is not installed, or cannot be imported beside this torch.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ValueError(
            f"encoder.model={asked} needs {error.name}, which is not installed: {INSTALL}"
        ) from error
    except (ImportError, RuntimeError) as error:
        for name in [each for each in sys.modules if each.split(".")[0] in ("timm", "torchvision")]:
            del sys.modules[name]  # half imported
        raise ValueError(
            f"encoder.model={asked} needs timm, which cannot be imported ({error}): a torchvision "
            "of another build than torch is installed; beside torch for CPUs alone take both from "
            "https://download.pytorch.org/whl/cpu"
        ) from error
    found: ModuleType = timm
    return found


class TimmTrunk(nn.Module):
    """A network of timm up to its last feature map, with random weights.

    Images are scaled to the side that the network was made for where it takes no other.

    Args:
        name: Of a model of timm, `vit_tiny_patch16_224`.

    Raises:
        ValueError: If there is no timm, or no such model in it.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        timm = timm_here(f"{TIMM}{name}")
        if not timm.is_model(name):
            raise ValueError(
                f"encoder.model={TIMM}{name}: timm {timm.__version__} has no such model"
                f"{nearest(name, timm.list_models())}; timm.list_models() lists them"
            )
        self.name = name
        self.model = timm.create_model(name, pretrained=False, num_classes=0)
        if not hasattr(self.model, "prune_intermediate_layers"):
            raise ValueError(
                f"encoder.model={TIMM}{name}: timm {timm.__version__} gives no feature map of it "
                "(forward_intermediates); take another model"
            )
        # What follows the last feature map takes no part and would never be trained.
        self.model.prune_intermediate_layers(1, prune_norm=False, prune_head=True)
        self.out_channels: int = self.model.feature_info[-1]["num_chs"]
        made_for = self.model.pretrained_cfg
        self.side: int | None = (
            made_for["input_size"][-1] if made_for.get("fixed_input_size") else None
        )
        """px, of the only images that it takes; None where it takes all."""

    @property
    def colours(self) -> Colours:
        """What its published weights expect."""
        made_for = self.model.pretrained_cfg
        mean, deviation = (tuple(255 * x for x in made_for[name]) for name in ("mean", "std"))
        return mean, deviation

    def names(self) -> set[str]:
        """What a whole file of its weights may hold, classifier and all."""
        with torch.device("cpu"):
            whole = timm_here(f"{TIMM}{self.name}").create_model(self.name, pretrained=False)
        return set(whole.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, H, W) to the last feature map, (n, C, h, w)."""
        if self.side is not None and x.shape[2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=False)
        (features,) = self.model.forward_intermediates(
            x, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        found: Tensor = features
        return found

"""Weights of an image encoder from a local file: a ResNet-18 of torchvision, or a model of timm.

A file of a ResNet-18 is torchvision's state dict (`resnet18-f37072fd.pth`, or the same as
safetensors), whose names are

    conv1.weight, bn1.*, layerS.B.conv1.weight, .bn1.*, .conv2.weight, .bn2.*, .downsample.0/1.*

for stages S from 1 to 4 of two blocks B each. The classifier `fc` is dropped. An encoder with batch
normalisation takes everything, so its features are those of torchvision's network to rounding; one
with group normalisation takes the convolutions, since its norms are over other numbers.

A file of a model of timm is timm's own state dict of that model (`model.safetensors` of its page on
the Hugging Face Hub). What it has after the last feature map, a classifier, is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from baselines.nets.image_encoder import ImageEncoder
from baselines.nets.timm_trunk import TimmTrunk

DROPPED = ("fc.weight", "fc.bias")


def load_pretrained(agent: nn.Module, path: Path) -> None:
    """Give every image encoder of an agent the weights in a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else than the encoder's network.
    """
    weights = _read(path)
    for encoder in agent.modules():
        if isinstance(encoder, ImageEncoder):
            if isinstance(encoder.trunk, TimmTrunk):
                _fill_timm(encoder.trunk, weights, path)
            else:
                _fill(encoder.trunk, weights, path)


def torchvision_name(name: str) -> str:
    """What torchvision calls a parameter or buffer of `ResNet18`."""
    part, index, *rest = name.split(".")
    if part == "stem":
        return ".".join([{"0": "conv1", "1": "bn1"}[index], *rest])
    inside = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}
    branch, layer, *rest = rest
    place = inside[layer] if branch == "residual" else f"downsample.{layer}"
    return ".".join([f"layer{int(index) // 2 + 1}", str(int(index) % 2), place, *rest])


def _fill(trunk: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    wanted = {
        name: torchvision_name(name)
        for name, value in trunk.state_dict().items()
        if value.dim() == 4 or any(isinstance(m, nn.BatchNorm2d) for m in trunk.modules())
    }
    if missing := sorted(set(wanted.values()) - set(weights)):
        raise ValueError(f"{path} has no {missing[0]!r}; give torchvision's ResNet-18 state dict")
    known = set(map(torchvision_name, _with_batch_norms(trunk)))
    if unknown := sorted(set(weights) - known - set(DROPPED)):
        raise ValueError(f"{path} has {unknown[0]!r}, which a ResNet-18 does not have")
    state = dict(trunk.state_dict())
    for name, theirs in wanted.items():
        if state[name].shape != weights[theirs].shape:
            raise ValueError(
                f"{theirs!r} in {path} is {tuple(weights[theirs].shape)}; the encoder has "
                f"{tuple(state[name].shape)}: weights of torchvision need encoder.channels=64"
            )
        state[name] = weights[theirs]
    trunk.load_state_dict(state)


def _fill_timm(trunk: TimmTrunk, weights: Mapping[str, Tensor], path: Path) -> None:
    state = trunk.model.state_dict()
    if missing := sorted(set(state) - set(weights)):
        raise ValueError(f"{path} has no {missing[0]!r}; give timm's state dict of {trunk.name}")
    if unknown := sorted(set(weights) - trunk.names()):
        raise ValueError(f"{path} has {unknown[0]!r}, which {trunk.name} does not have")
    for name, value in state.items():
        if value.shape != weights[name].shape:
            raise ValueError(
                f"{name!r} in {path} is {tuple(weights[name].shape)}; {trunk.name} has "
                f"{tuple(value.shape)}"
            )
    trunk.model.load_state_dict({name: weights[name] for name in state})


def _with_batch_norms(trunk: nn.Module) -> list[str]:
    """Names that a trunk's state has with batch normalisation, whatever it has itself."""
    names = list(trunk.state_dict())
    norms = [name.removesuffix(".bias") for name in names if name.endswith(".bias")]
    return names + [
        f"{norm}.{extra}"
        for norm in norms
        for extra in ("running_mean", "running_var", "num_batches_tracked")
    ]


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(
            f"encoder.weights is {path}, and there is no such file: download torchvision's "
            "ResNet-18 (resnet18-f37072fd.pth), or timm's weights of the model, and give its path"
        )
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of pickle, ZIP and safetensors alike
        said = " ".join(str(error).split())[:200]
        raise ValueError(f"{path} is no file of weights ({said})") from error
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ValueError(f"{path} holds no state dict, but {type(found).__name__}")
    return dict(found)

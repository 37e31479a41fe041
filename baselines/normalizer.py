"""Affine scaling between environment units and the range a network works in.

Kinds:
    min-max: the smallest and largest value of each dimension go to -1 and 1 (the published way).
    quantile: the 0.5 % and 99.5 % quantiles go to -1 and 1 and what lies beyond is clipped, for
        heavy-tailed values such as set-point differences: min-max would squeeze their bulk into
        a narrow band around 0. Of a number that nearly always rests, the quantiles are those of
        its moves: rare is not an outlier.
    standard: mean 0, standard deviation 1.
    min-max-xyz: min-max of the first three dimensions, a place in space; the others, a rotation in
        six numbers and a gripper's command, lie in [-1, 1] already and stay as they are. Min-max
        would blow up a number of a rotation that hardly varies (published for robomimic under
        position control).
    max-abs: all divided by one number, the largest magnitude of any of them (published for the
        observations of robomimic).
    none: as they are (published for robomimic under velocity control).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor, nn

from baselines.choices import Scaling

QUANTILE = 0.005
# A dimension that hardly varies would be blown up to noise; it is only centred instead.
MIN_SPREAD = 1e-4
# A dimension that rests in more of the rows has its quantiles taken over the others.
MOSTLY_RESTS = 0.9


class Normalizer(nn.Module):
    """Scales named quantities (`state`, `action`) elementwise along their last dimension.

    Images need no statistics: image encoders scale 0..255 themselves.

    Args:
        kinds: The scaling of each quantity.
        shapes: The length of each quantity's last dimension.
    """

    def __init__(self, kinds: Mapping[str, Scaling], shapes: Mapping[str, int]) -> None:
        super().__init__()
        for name, kind in kinds.items():
            if kind not in get_args(Scaling):
                raise ValueError(
                    f"scaling of {name!r} is {kind!r}; allowed: {', '.join(get_args(Scaling))}"
                )
            self.register_buffer(f"{name}_scale", torch.ones(shapes[name]))
            self.register_buffer(f"{name}_offset", torch.zeros(shapes[name]))
        self.kinds: dict[str, Scaling] = dict(kinds)

    @classmethod
    def fit(cls, data: Mapping[str, Tensor], kinds: Mapping[str, Scaling]) -> Normalizer:
        """Fit to `data`, each (N, D) in environment units."""
        normalizer = cls(kinds, {name: data[name].shape[-1] for name in kinds})
        for name, kind in kinds.items():
            scale, offset = _affine(data[name].double(), kind)
            getattr(normalizer, f"{name}_scale").copy_(scale)
            getattr(normalizer, f"{name}_offset").copy_(offset)
        return normalizer

    @classmethod
    def blank(cls, kinds: Mapping[str, Scaling], weights: Mapping[str, Tensor]) -> Normalizer:
        """An unfitted normaliser with the shapes of an agent's saved `weights`."""
        return cls(kinds, {name: len(weights[f"normalizer.{name}_scale"]) for name in kinds})

    def normalize(self, name: str, value: Tensor) -> Tensor:
        """Environment units to the network's range, (..., D)."""
        scaled: Tensor = value * getattr(self, f"{name}_scale") + getattr(self, f"{name}_offset")
        return scaled.clamp(-1, 1) if self.kinds[name] == "quantile" else scaled

    def denormalize(self, name: str, value: Tensor) -> Tensor:
        """The network's range to environment units, (..., D)."""
        unscaled: Tensor = (value - getattr(self, f"{name}_offset")) / getattr(
            self, f"{name}_scale"
        )
        return unscaled


def _affine(data: Tensor, kind: Scaling) -> tuple[Tensor, Tensor]:
    """Scale and offset (D,) of y = scale * x + offset."""
    scale, offset = torch.ones_like(data[0]), torch.zeros_like(data[0])
    if kind == "none":
        return scale, offset
    if kind == "max-abs":
        return scale / data.abs().max().clamp(min=MIN_SPREAD), offset
    if kind == "min-max-xyz":
        scale[:3], offset[:3] = _affine(data[:, :3], "min-max")
        return scale, offset
    if kind == "standard":
        centre, half = data.mean(0), data.std(0)
    else:
        if kind == "min-max":
            low, high = data.amin(0), data.amax(0)
        else:
            low, high = _quantiles(data)
        centre, half = (low + high) / 2, (high - low) / 2
    scale = torch.where(half > MIN_SPREAD, 1 / half.clamp(min=MIN_SPREAD), 1.0)
    return scale, -centre * scale


def _quantiles(data: Tensor) -> tuple[Tensor, Tensor]:
    """What goes to -1 and 1 under quantile scaling, (D,) each, of (N, D)."""
    ends = torch.tensor([QUANTILE, 1 - QUANTILE], dtype=data.dtype)
    low, high = data.quantile(ends, dim=0)
    rest = data.median(0).values
    moves = (data - rest).abs() > MIN_SPREAD  # (N, D)
    share = moves.double().mean(0)
    for dim in torch.nonzero((share > 0) & (share < 1 - MOSTLY_RESTS)).flatten().tolist():
        moved = data[moves[:, dim], dim].quantile(ends)
        low[dim] = torch.minimum(moved[0], rest[dim])
        high[dim] = torch.maximum(moved[1], rest[dim])
    return low, high

"""Muon: matrices are moved by the orthogonal part of their gradient (Jordan et al. 2024).

AdamW scales every number by itself. Muon takes the momentum of a whole matrix and sets all its
singular values to about one, so that directions which are rarely seen are learnt as soon as those
that dominate. The numbers are those of `torch.optim.Muon`. What differs is speed: matrices of one
shape are turned together, and where the processor does not multiply bfloat16, in float32.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.flat import parts

SMALLEST_SIDE = 32
"""A matrix with a shorter side is left to AdamW: it is a first or a last layer, between a few
numbers of the world and a network's width."""
_MOMENTUM = 0.95
# Of the polynomial a x + b x^3 + c x^5 that is applied to all singular values, and how often.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_TIMES = 5
_LIKE_ADAMW = 0.2  # root mean square of an update by AdamW, for which learning rates are known


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon can move a parameter: a matrix inside the network."""
    return parameter.ndim == 2 and min(parameter.shape) >= SMALLEST_SIDE


def orthogonal(matrices: Tensor) -> Tensor:
    """About the nearest matrices with orthogonal rows or columns, by a Newton-Schulz iteration.

    Args:
        matrices: (n, rows, columns), in the type that is multiplied fastest.

    Returns:
        The same shape; singular values lie within 0.7 and 1.2, where they were not tiny.
    """
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT.contiguous() if is_tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_TIMES):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if is_tall else x


class Muon:
    """Muon for matrices that lie in one buffer.

    Args:
        flat: The matrices, (n,).
        gradient: Their gradients, (n,), read in every step.
        like: Tensors of the shapes that `flat` is made of, in order.
        weight_decay: A share of the learning rate, as AdamW's.
        dtype: Type of the products.
    """

    def __init__(
        self,
        flat: Tensor,
        gradient: Tensor,
        like: Sequence[Tensor],
        weight_decay: float,
        dtype: torch.dtype,
    ) -> None:
        self.state = {"momentum": torch.zeros_like(flat)}
        self._flat, self._gradient, self._weight_decay = flat, gradient, weight_decay
        self._update = torch.empty_like(flat)
        self._dtype = dtype
        by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
        for view in parts(self._update, like):
            by_shape[view.shape].append(view)
        self._alike = list(by_shape.values())

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the matrices by their gradients."""
        momentum = self.state["momentum"].lerp_(self._gradient, 1 - _MOMENTUM)
        torch.lerp(self._gradient, momentum, _MOMENTUM, out=self._update)
        for views in self._alike:
            turned = orthogonal(torch.stack(views).to(self._dtype)).to(self._flat.dtype)
            turned *= _LIKE_ADAMW * max(turned.shape[1:]) ** 0.5
            for view, each in zip(views, turned, strict=True):
                view.copy_(each)
        self._flat.mul_(1 - learning_rate * self._weight_decay)
        self._flat.add_(self._update, alpha=-learning_rate)

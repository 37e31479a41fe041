"""Muon on one buffer: the numbers of PyTorch's Muon, matrices of one shape at a time."""

import pytest
import torch
from torch import Tensor, nn

from baselines.flat import flatten
from baselines.muon import SMALLEST_SIDE, Muon, is_matrix, orthogonal
from baselines.optimizer import FlatOptimizer

SHAPES = [(48, 64), (64, 48), (48, 64), (40, 40), (96, 32)]


def matrices() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3)
    )


def set_gradients(module: nn.Module, update: int) -> None:
    generator = torch.Generator().manual_seed(update)
    for each in module.parameters():
        each.grad = torch.randn(each.shape, generator=generator)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon of its own")
def test_matrices_move_as_by_the_muon_of_torch() -> None:
    ours, theirs = matrices(), [nn.Parameter(each) for each in matrices()]
    flat = flatten(ours)
    gradient = torch.zeros_like(flat)
    muon = Muon(flat, gradient, ours, 0.1, torch.bfloat16)
    oracle = torch.optim.Muon(theirs, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for update in range(5):
        gradients = [torch.randn(shape) for shape in SHAPES]
        gradient.copy_(torch.cat([each.reshape(-1) for each in gradients]))
        for each, of in zip(theirs, gradients, strict=True):
            each.grad = of.clone()
        oracle.param_groups[0]["lr"] = 0.02 / (1 + update)
        muon.step(0.02 / (1 + update))
        oracle.step()
    for found, expected, start in zip(ours, theirs, matrices(), strict=True):
        moved = (expected - start).norm()
        assert (found - expected).norm() < 0.01 * moved  # bfloat16 products, in another order


@pytest.mark.parametrize("shape", [(3, 48, 80), (2, 80, 48), (1, 64, 64)])
def test_singular_values_of_what_muon_takes_are_about_one(shape: tuple[int, ...]) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(given))
    assert values.min() > 0.3
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    nearest = left @ right
    turned = orthogonal(given)
    assert (turned * nearest).sum() > 0.95 * turned.norm() * nearest.norm()


def test_muon_moves_the_matrices_inside_a_network_and_adamw_all_else() -> None:
    alone, both = network(), network()
    groups = [{"params": list(alone.parameters()), "weight_decay": 0.0}]
    adamw = FlatOptimizer(groups, 1e-2, (0.9, 0.999))
    groups = [{"params": list(both.parameters()), "weight_decay": 0.0}]
    muon = FlatOptimizer(groups, 1e-2, (0.9, 0.999), muon=torch.float32)
    for module, optimizer in ((alone, adamw), (both, muon)):
        set_gradients(module, 0)
        optimizer.step(1e-2)
    for one, other in zip(alone.parameters(), both.parameters(), strict=True):
        assert torch.equal(one, other) is not is_matrix(one)
    assert [is_matrix(each) for each in both.parameters()] == [False, False, True] + [False] * 3


def test_a_side_below_the_smallest_makes_a_layer_an_outer_one() -> None:
    assert is_matrix(torch.zeros(SMALLEST_SIDE, SMALLEST_SIDE))
    assert not is_matrix(torch.zeros(SMALLEST_SIDE - 1, 500))
    assert not is_matrix(torch.zeros(SMALLEST_SIDE, SMALLEST_SIDE, 3))

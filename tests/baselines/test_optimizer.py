"""AdamW on one buffer: the numbers of PyTorch's AdamW and average, tensor by tensor."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import baselines.muon
from baselines.ema import EMA, ema_decay
from baselines.flat import flatten
from baselines.nets.attention import parameter_groups
from baselines.optimizer import FlatOptimizer

BETAS = (0.95, 0.999)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Tanh(), nn.Linear(7, 3))
    layers.register_buffer("scale", torch.tensor(2.0))
    return layers.double()


def set_gradients(module: nn.Module, update: int) -> None:
    generator = torch.Generator().manual_seed(update)
    for each in module.parameters():
        each.grad = torch.randn(each.shape, generator=generator, dtype=each.dtype)


def flat_adamw(module: nn.Module, clip: float = 0.0) -> FlatOptimizer:
    return FlatOptimizer(parameter_groups(module, 0.1), 1e-2, BETAS, clip)


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_weights_and_their_average_are_those_of_torch(clip: float) -> None:
    ours, theirs = network(), network()
    optimizer = flat_adamw(ours, clip)
    ema = EMA(ours, flat=optimizer.flat, parameters=optimizer.parameters)
    adamw = torch.optim.AdamW(parameter_groups(theirs, 0.1), lr=1e-2, betas=BETAS)
    averaged = AveragedModel(theirs, avg_fn=lambda a, p, n: a.lerp(p, 1 - ema_decay(int(n))))
    for update in range(20):
        rate = 1e-2 / (1 + update)
        set_gradients(ours, update)
        set_gradients(theirs, update)
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        for group in adamw.param_groups:
            group["lr"] = rate
        optimizer.step(rate)
        adamw.step()
        ema.update()
        averaged.update_parameters(theirs)
    pairs = [(ours, theirs), (ema.module, averaged.module)]
    for mine, other in pairs:
        for found, expected in zip(mine.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    state, moments = optimizer.state_dict(), adamw.state_dict()["state"]
    for index, each in moments.items():
        for name, value in each.items():
            torch.testing.assert_close(
                state[f"{index}.{name}"].double(), value.double(), rtol=0, atol=1e-12
            )
    assert len(state) == 3 * len(moments)
    assert set(ema.state_dict()) == set(averaged.state_dict())


@pytest.mark.parametrize("muon", [None, torch.float64])
def test_a_restored_optimiser_continues_to_the_bit(
    muon: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines.muon, "SMALLEST_SIDE", 3)  # these layers are small

    def optimizer(module: nn.Module) -> FlatOptimizer:
        return FlatOptimizer(parameter_groups(module, 0.1), 1e-2, BETAS, 1.0, muon)

    unbroken, broken = network(), network()
    whole, first = optimizer(unbroken), optimizer(broken)
    assert any("momentum" in name for name in whole.state_dict()) is (muon is not None)
    for update in range(6):
        set_gradients(unbroken, update)
        whole.step(1e-2)
        if update == 3:
            state = {name: value.clone() for name, value in first.state_dict().items()}
            broken = copy.deepcopy(broken)
            first = optimizer(broken)
            first.load_state_dict(state)
        set_gradients(broken, update)
        first.step(1e-2)
    for found, expected in zip(broken.parameters(), unbroken.parameters(), strict=True):
        assert torch.equal(found, expected)


def test_parameters_become_parts_of_the_buffer_and_keep_their_values() -> None:
    module, before = network(), network()
    flat = flatten(list(module.parameters()))
    assert flat.numel() == sum(each.numel() for each in before.parameters())
    for found, expected in zip(module.parameters(), before.parameters(), strict=True):
        assert torch.equal(found, expected)
    flat.zero_()
    assert not any(each.any() for each in module.parameters())


def test_a_parameter_without_a_gradient_stays_where_it_does_not_decay() -> None:
    module = network()
    optimizer = FlatOptimizer(
        [{"params": list(module.parameters()), "weight_decay": 0.0}], 1.0, BETAS
    )
    before = [each.clone() for each in module.parameters()]
    first: Tensor = next(iter(module.parameters()))
    first.grad = torch.ones_like(first)
    optimizer.step(1e-2)
    changed = [not torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True)]
    assert changed == [True, *[False] * (len(before) - 1)]
    assert first.grad is None

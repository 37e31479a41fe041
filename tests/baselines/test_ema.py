"""The moving average of weights."""

import pytest
import torch
from torch import nn

from baselines.ema import EMA, ema_decay


@pytest.mark.parametrize(
    ("update", "decay"),
    [(0, 0.0), (1, 0.4054), (10, 0.8345), (100, 0.9686), (1000, 0.99438), (10_000, 0.999)],
)
def test_the_decay_warms_up_as_published(update: int, decay: float) -> None:
    assert ema_decay(update) == pytest.approx(decay, abs=1e-4)


def test_the_decay_stops_at_its_maximum() -> None:
    assert ema_decay(10**6) == 0.9999
    assert ema_decay(10**6, maximum=0.99) == 0.99


def test_a_smaller_power_looks_back_less_far() -> None:
    assert ema_decay(100, power=0.5) == pytest.approx(1 - 101**-0.5)
    assert ema_decay(100, power=0.5) < ema_decay(100, power=0.75)


def moving(module: nn.Linear, values: list[float]) -> EMA[nn.Linear]:
    """The average of a module whose weight takes `values`, one an update."""
    ema = EMA(module)
    for value in values:
        nn.init.constant_(module.weight, value)
        ema.update()
    return ema


def test_the_average_is_that_of_a_hand_computation() -> None:
    values = [1.0, 3.0, -2.0, 5.0]
    expected = values[0]  # the first update copies
    for update, value in enumerate(values[1:], 1):
        decay = 1 - (1 + update) ** -0.75
        expected = decay * expected + (1 - decay) * value
    ema = moving(nn.Linear(2, 2), values)
    torch.testing.assert_close(ema.module.weight, torch.full((2, 2), expected))


def test_the_trained_module_is_left_alone() -> None:
    module = nn.Linear(2, 2)
    ema = moving(module, [1.0, 2.0])
    torch.testing.assert_close(module.weight, torch.full((2, 2), 2.0))
    assert ema.module is not module


def test_buffers_are_copied_and_not_averaged() -> None:
    module = nn.BatchNorm1d(2)
    ema = EMA(module)
    for value in (1.0, 3.0):
        nn.init.constant_(module.running_mean, value)  # type: ignore[arg-type]
        ema.update()
    torch.testing.assert_close(ema.module.running_mean, torch.full((2,), 3.0))


def test_a_restored_average_continues_with_the_same_decay() -> None:
    values = [1.0, 3.0, -2.0, 5.0, 4.0]
    unbroken = moving(nn.Linear(2, 2), values)
    first = moving(nn.Linear(2, 2), values[:2])
    module = nn.Linear(2, 2)
    second = EMA(module)
    second.load_state_dict(first.state_dict())
    for value in values[2:]:
        nn.init.constant_(module.weight, value)
        second.update()
    torch.testing.assert_close(second.module.weight, unbroken.module.weight, rtol=0, atol=0)


def test_a_largest_decay_of_nought_keeps_the_weights_themselves() -> None:
    module = nn.Linear(3, 2)
    ema = EMA(module, maximum=0.0)
    for _ in range(3):
        with torch.no_grad():
            module.weight.normal_()
        ema.update()
        assert torch.equal(ema.module.weight, module.weight)

"""A measurement, how much effort goes into one, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines.processor import multiplies_bfloat16

LEAST_REPETITIONS = 3
SIDE = 2048  # of the matrices that are multiplied
RATE_SHARE = "% of product rate"
"""Unit: operations of products a second, of what `product_rate` measures."""


@dataclass(frozen=True)
class Effort:
    """How much is measured; the defaults take some minutes on two cores."""

    rounds: int = 5
    """Repetitions of environment steps and of trainings."""
    seconds: float = 2.5
    """Spent on predictions of one kind; LEAST_REPETITIONS of them may take longer."""
    block_seconds: float = 0.4
    """Of training between two looks at the clock, so that a GPU is not kept waiting."""
    episodes: int = 50
    """Tables of the batched environment, and episodes of the evaluation."""
    length: int = 100
    """Steps of each episode that environments are timed with."""


@dataclass(frozen=True)
class Measurement:
    """One row of the table."""

    what: str
    """What was done."""
    how: str
    """By whom, or with which settings."""
    unit: str
    """Of the values."""
    values: tuple[float, ...]
    """One a repetition."""
    threads: int
    """CPU threads in use."""
    device: str = "cpu"
    """Where policies ran."""

    def record(self) -> dict[str, str | float | int]:
        """The row's numbers."""
        return {
            "what": self.what,
            "how": self.how,
            "median": float(np.median(self.values)),
            "lowest": min(self.values),
            "highest": max(self.values),
            "unit": self.unit,
            "threads": self.threads,
            "device": self.device,
            "repetitions": len(self.values),
        }


def repeat(act: Callable[[], object], seconds: float) -> tuple[float, ...]:
    """Seconds of each repetition of `act`, until together they have taken `seconds`.

    The first call, which allocates, is not counted; there are LEAST_REPETITIONS at least.
    """
    act()
    times: list[float] = []
    while len(times) < LEAST_REPETITIONS or sum(times) < seconds:
        begin = time.perf_counter()
        act()
        times.append(time.perf_counter() - begin)
    return tuple(times)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many CPU threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def product_rate(device: torch.device) -> float:
    """Operations a second of one large product of matrices, the best of some.

    They are of bfloat16 where the device multiplies it in hardware, of float32 elsewhere: what
    trainings use, too.
    """
    dtype = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    left, right = torch.randn(2, SIDE, SIDE, device=device).to(dtype)

    multiply = timed(device, lambda: torch.mm(left, right))
    return 2 * SIDE**3 / min(repeat(multiply, 0.0))


def timed(device: torch.device, act: Callable[[], object]) -> Callable[[], None]:
    """`act`, waited for: elsewhere than on a CPU it is only queued."""

    def run() -> None:
        act()
        if device.type != "cpu":
            torch.accelerator.synchronize()

    return run


def products(network: nn.Module, act: Callable[[], object]) -> int:
    """Floating-point operations of all matrix products of `act`, those of its gradients included.

    PyTorch's counter sees no product of an LSTM, which is one operation to it.
    """
    of_lstm = 0

    def add(lstm: nn.Module, given: tuple[Tensor, ...], _: object) -> None:
        nonlocal of_lstm
        steps = given[0].shape[:-1].numel()
        passes = 3 if torch.is_grad_enabled() else 1
        weights = sum(p.numel() for p in lstm.parameters() if p.ndim == 2)
        of_lstm += passes * 2 * steps * weights

    lstms = [each for each in network.modules() if isinstance(each, nn.LSTM)]
    hooks = [each.register_forward_hook(add) for each in lstms]
    with FlopCounterMode(display=False) as counter:
        act()
    for hook in hooks:
        hook.remove()
    return int(counter.get_total_flops()) + of_lstm

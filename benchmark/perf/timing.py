"""A measurement, how much effort goes into one, and the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

LEAST_REPETITIONS = 3


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

"""Bars of what takes long. Whoever runs it may show them in a way of their own."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

_kind: list[type[tqdm[Any]]] = [tqdm]


def progress_bar(total: int, what: str, unit: str, done: int = 0) -> tqdm[Any]:
    """A bar with an estimate of the time left.

    Args:
        total: Units in all.
        what: Is done.
        unit: That is counted.
        done: Units done before.
    """
    return _kind[-1](total=total, desc=what, unit=unit, initial=done, leave=False, mininterval=0.5)


def show_bars_as(kind: type[tqdm[Any]]) -> None:
    """From now on, make bars of this kind."""
    _kind[:] = [kind]

"""What is allowed of a setting: one of a few values, or no less than a number."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

Scaling = Literal["min-max", "quantile", "standard", "min-max-xyz", "max-abs", "none"]
"""How numbers are scaled to a network's range, see `baselines.normalizer`."""


LATER: Mapping[str, bool] = MappingProxyType({"later": True})
"""Metadata of a config's field that is younger than trained cells: at its default it means what
they did without it, so it is no part of a cell's id there."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        ValueError: With the name, the value and what is allowed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")


def check_least(config: object, **least: int) -> None:
    """Refuse numbers of a config that are below the least allowed.

    Raises:
        ValueError: Naming the number.
    """
    for name, limit in least.items():
        if getattr(config, name) < limit:
            raise ValueError(f"{name} is {getattr(config, name)}; allowed: {limit} or more")


def check_multiple(name: str, value: int, of: str, unit: int) -> None:
    """Refuse a number that is no positive multiple of another setting.

    Raises:
        ValueError: Naming both.
    """
    if value < 1 or value % unit:
        raise ValueError(f"{name} is {value}; allowed: multiples of {of} = {unit}")

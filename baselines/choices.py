"""What is allowed of a setting: one of a few values, or no less than a number."""

import difflib
import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Literal

Scaling = Literal["min-max", "quantile", "standard", "min-max-xyz", "max-abs", "none"]
"""How numbers are scaled to a network's range, see `baselines.normalizer`."""


LATER: Mapping[str, bool] = MappingProxyType({"later": True})
"""Metadata of a config's field that is younger than trained cells: at its default it means what
they did without it, so it is no part of a cell's id there."""


LARGEST = 10**6
"""A setting that is a whole number is never above it."""


def unknown(kind: str, name: str, known: Iterable[str], plural: str = "") -> str:
    """That there is nothing of a name, what there is instead, and the nearest of that.

    Args:
        kind: Of thing, such as "task".
        name: That was given.
        known: The names there are.
        plural: Of the kind; empty for the regular one.
    """
    known = tuple(known)
    listed = ", ".join(known) or "none"
    return f"no {kind} {name!r}; {plural or f'{kind}s'}: {listed}{nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, as the end of a sentence; empty if none is near."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, 1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


def check_numbers(value: Any, name: str = "") -> None:
    """Refuse numbers that no setting has, before anything counts up to them.

    Args:
        value: A number, or a dict or list of such; anything else is left alone.
        name: Of it.

    Raises:
        ValueError: Naming the number.
    """
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{name} is {value}; allowed: {LARGEST:,} at most")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}; allowed: finite numbers")
    if isinstance(value, dict):
        for key, entry in value.items():
            check_numbers(entry, str(key))
    if isinstance(value, (list, tuple)):
        for entry in value:
            check_numbers(entry, name)


def check_within(config: object, low: float, high: float, *names: str) -> None:
    """Refuse numbers of a config that are not from `low` to `high`.

    Raises:
        ValueError: Naming the number.
    """
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            allowed = f"{low:,} or more" if high == math.inf else f"{low:,} to {high:,}"
            raise ValueError(f"{name} is {value}; allowed: {allowed}")


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        ValueError: With the name, the value and what is allowed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        near = nearest(str(value), allowed)
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}{near}")


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

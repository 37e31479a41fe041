"""Settings with a few allowed values."""

from collections.abc import Iterable
from typing import Literal

Scaling = Literal["min-max", "quantile", "standard"]
"""How numbers are scaled to a network's range, see `baselines.normalizer`."""


def check_choice(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        ValueError: With the name, the value and what is allowed.
    """
    allowed = tuple(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")

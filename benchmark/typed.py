"""What was typed: as it stands, flags given twice, a device, and what was probably meant."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from baselines.choices import nearest


def as_typed() -> str:
    """The command as it was given, for the report."""
    return shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])


def compute_on(device: str | None) -> None:
    """Have this process and its workers compute on a device; None leaves the choice as it is."""
    if device is not None:
        os.environ["DPBENCH_DEVICE"] = device


def gathered(arguments: Sequence[str], flag: str) -> list[str]:
    """Arguments with the values of a repeated flag put together: `--set A --set B` as `--set A B`.

    The parser would keep the last one alone and drop the others without a word.
    """
    if list(arguments).count(flag) < 2:
        return list(arguments)
    rest: list[str] = []
    values: list[str] = []
    target = rest
    for argument in arguments:
        if argument == flag:
            target = values
        else:
            target = rest if argument.startswith("--") else target
            target.append(argument)
    return [*rest, flag, *values]


def meant(command: Callable[..., Any] | None, given: Sequence[str]) -> Iterator[str]:
    """A line for each flag or choice that the command does not have: the nearest that it has.

    And for values that are parted by commas, how to part them.
    """
    choices = _choices(command) if command else {}
    flag = ""
    for each in given:
        is_flag = each.startswith("--")
        flag = each if is_flag else flag
        known = list(choices) if is_flag else choices.get(flag, [])
        parts = each.split(",")
        if len(parts) > 1 and all(part in known or part.isdecimal() for part in parts):
            yield f"{flag} {each}; part values by spaces: {flag} {' '.join(parts)}\n"
            continue
        if each not in known and (near := nearest(each, known)):
            yield f"{each}{near}\n"


def _choices(command: Callable[..., Any]) -> dict[str, list[str]]:
    """The flags of a command, each with the words that it lets one choose from, if it does."""
    kinds = dict(get_type_hints(command))
    for kind in list(kinds.values()):
        if dataclasses.is_dataclass(kind):
            kinds |= get_type_hints(kind)
    return {
        f"--{name.replace('_', '-')}": [
            word
            for part in (kind, *get_args(kind))
            if get_origin(part) is Literal
            for word in get_args(part)
        ]
        for name, kind in kinds.items()
    }

"""What was typed: flags given twice, and what was probably meant by those that there are not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from baselines.choices import nearest


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
    """For each flag or choice that the command does not have, the nearest that it has, a line."""
    flags, choices = _vocabulary(command) if command else ([], [])
    for each in given:
        known = flags if each.startswith("--") else choices
        if each not in known and (near := nearest(each, known)):
            yield f"{each}{near}\n"


def _vocabulary(command: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The flags of a command, and the words that it lets one choose from."""
    kinds = dict(get_type_hints(command))
    for kind in list(kinds.values()):
        if dataclasses.is_dataclass(kind):
            kinds |= get_type_hints(kind)
    flags = [f"--{name.replace('_', '-')}" for name in kinds]
    words = [
        word
        for kind in kinds.values()
        for part in (kind, *get_args(kind))
        if get_origin(part) is Literal
        for word in get_args(part)
    ]
    return flags, words

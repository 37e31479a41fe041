"""A training that goes on from the policy of a finished run, as a run of its own.

It takes over weights, scaling and all else that the policy was fitted with. Learning rate, average
of the weights and order of batches begin anew, as its own settings and seed say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from baselines.agent import Agent
from baselines.checkpoints import load_agent
from benchmark.plan.config import Cell
from benchmark.running.store import Run
from benchmark.sealed import read_sealed
from envs.demos.files import decoding

SHARED = (
    "task",
    "method",
    "control",
    "obs_type",
    "obs_horizon",
    "pred_horizon",
    "action_scaling",
    "obs_scaling",
    "agent",
    "encoder",
)
"""Settings that a policy cannot change when it is trained further."""


def origin_of(cell: Cell, store: Path) -> Agent | None:
    """The policy that the training of a cell starts from; None where it starts from fresh weights.

    Raises:
        ValueError: If there is no such run, it is not finished, or its policy is another one.
    """
    if not cell.origin:
        return None
    folder = store / cell.origin
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"no run {cell.origin} to start from in {store}; name one of its folders by --from"
        )
    with decoding(folder / "config.json", "config of a cell"):
        origin = Cell.from_json(read_sealed(folder / "config.json").decode())
    if other := [each for name in SHARED for each in _differences(name, cell, origin)]:
        raise ValueError(
            f"{cell.origin} has {'; '.join(other)}: give the same to train it "
            "further (--preset, --control, --obs-type, --set)"
        )
    if not cell.train.updates:
        raise ValueError(f"{cell.method} learns nothing: it cannot be trained further")
    run = Run(origin, store)
    if not run.is_trained:
        raise ValueError(f"{cell.origin} is not finished; run its command again first")
    return load_agent(run.checkpoint())


def _differences(name: str, given: Any, origin: Any, owner: str = "") -> Iterator[str]:
    """What a setting is in the origin and is not in what is asked for, down to single fields."""
    asked, expected = getattr(given, name), getattr(origin, name)
    if asked == expected:
        return
    if is_dataclass(asked) and type(asked) is type(expected):
        for field in fields(asked):
            yield from _differences(field.name, asked, expected, f"{name}.")
    else:
        yield f"{owner}{name} {expected}, not {asked}"

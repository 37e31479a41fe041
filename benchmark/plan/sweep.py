"""Which cells a command means."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from baselines.choices import nearest
from benchmark.errors import usage_errors
from benchmark.plan.config import CHOSEN, KEPT, Cell, EvalConfig, check_horizon, override
from benchmark.plan.network import check_network
from benchmark.plan.presets import (
    EPISODES,
    PRESETS,
    PUBLISHED_EPISODES,
    Described,
    make_cell,
    published_horizon,
)
from benchmark.plan.request import SweepConfig
from benchmark.plan.tasks import get_task
from envs.demos.demonstrations import DataSet, Demonstrations, Metadata


def evaluation(config: SweepConfig, cell: Cell) -> EvalConfig:
    """How a cell is evaluated: its last checkpoint on test seeds."""
    return EvalConfig(
        CHOSEN if config.action_horizon is None else config.action_horizon,
        config.latency,
        config.inference_steps,
        episodes=EPISODES[cell.preset] if config.episodes is None else config.episodes,
    )


def evaluations(config: SweepConfig, cell: Cell) -> tuple[EvalConfig, ...]:
    """Everything that is played of a cell, the headline first.

    Beside it stand the same episodes at the published action horizon and, on demand, the published
    protocol: its episodes at every one of the last checkpoints.
    """
    headline, published = evaluation(config, cell), published_horizon(cell)
    found = [headline]
    if headline.action_horizon == CHOSEN and published is not None:
        found.append(replace(headline, action_horizon=published))
    if config.checkpoints and cell.train.updates:
        protocol = EvalConfig(
            published or cell.action_horizon, split="published", episodes=PUBLISHED_EPISODES
        )
        found += [replace(protocol, checkpoint=number) for number in range(1, KEPT + 1)]
    return tuple(found)


def plan(config: SweepConfig) -> list[Cell]:
    """The cells of a sweep, position control first.

    A mistake is said before demonstrations are read, and none are made.

    Raises:
        UsageError: If a task, method, preset, setting or file does not exist.
    """
    with usage_errors():
        known = described(config)
        if known is not None:
            return _cells(config, known)
        unread = DataSet(Metadata(config.task, config.data, version="", seed=None), 1)
        _cells(config, unread)
        # What policies observe changes nothing about what they are, and pictures take time.
        plain = replace(config, obs_type=None)
        return _cells(config, load_demonstrations(plain))


def described(config: SweepConfig) -> DataSet | None:
    """What the cells of a sweep are trained on; None where only reading it tells."""
    known = get_task(config.task).catalogue(config.data) if config.data_path is None else None
    if known is None or config.num_demonstrations is None:
        # The published trainings are so many passes over all steps.
        needs_steps = config.preset == "paper" and known is not None and not known.num_steps
        return None if needs_steps else known
    if config.data == "human" and config.num_demonstrations > known.num_episodes:
        raise ValueError(
            f"{config.num_demonstrations} human demonstrations of {config.task} asked for; "
            f"there are {known.num_episodes}"
        )
    if config.preset == "paper":
        return None
    return replace(known, num_episodes=config.num_demonstrations, num_steps=0)


def load_demonstrations(config: SweepConfig) -> Demonstrations:
    """The demonstrations that all cells of a sweep are trained on."""
    task = get_task(config.task)
    load = task.with_key(task.load, config.filter_key)
    return load(config.data, _obs_type(config), config.data_path, config.num_demonstrations, 0)


def _obs_type(config: SweepConfig) -> str:
    task = get_task(config.task)
    if config.obs_type is not None and config.obs_type not in task.obs_types:
        raise ValueError(
            f"{task.name} has no obs_type {config.obs_type!r}; allowed: {', '.join(task.obs_types)}"
            f"{nearest(config.obs_type, task.obs_types)}"
        )
    return config.obs_type or task.obs_types[0]


def _cells(config: SweepConfig, demos: Described) -> list[Cell]:
    changes = {}
    for change in config.set:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change!r}: write NAME=VALUE, such as train.updates=500")
        changes[key] = value
    cells = [
        override(make_cell(config.preset, method, control, seed, _obs_type(config), demos), changes)
        for seed in config.seeds
        for control in config.control
        for method in config.methods or tuple(PRESETS[config.preset])
    ]
    if config.origin:
        cells = [replace(cell, origin=Path(config.origin).name) for cell in cells]
    asked = Counter(cell.id for cell in cells)
    if twice := [name for name, count in asked.items() if count > 1]:
        raise ValueError(
            f"asked for more than once: {', '.join(twice)}; name each method, control mode and "
            "seed once, and vary seeds by --seeds instead of --set seed="
        )
    for cell in cells:
        for found in evaluations(config, cell):
            check_horizon(cell, found)
        if changes or config.inference_steps:
            check_network(cell, config.inference_steps)
    return cells

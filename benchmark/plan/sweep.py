"""Many cells into one table: what is not on disk yet is run, then everything is reported."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.tables import present, results_table
from benchmark.plan.config import Cell, EvalConfig, override
from benchmark.plan.presets import EPISODES, PRESETS, make_cell
from benchmark.plan.tasks import get_task
from benchmark.progress import say
from benchmark.report.page import write_report
from benchmark.report.record import Record, beside, read_beside
from benchmark.running.references import references
from benchmark.running.run import best_device
from benchmark.running.store import Run
from benchmark.running.workers import Job, default_workers, run_jobs
from envs.control import CONTROLS, Control
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.sources import Source


@dataclass(frozen=True)
class SweepConfig:
    """Which cells are compared."""

    task: str = "pusht"
    """Name of the task."""
    preset: str = "quick"
    """smoke, quick, laptop or paper."""
    methods: tuple[str, ...] = ()
    """Names of methods; none means all that the preset has."""
    control: tuple[Control, ...] = CONTROLS
    """Control modes."""
    seeds: tuple[int, ...] = (42,)
    """Training seeds."""
    data: Source = "scripted"
    """Source of the demonstrations."""
    data_path: Path | None = None
    """File of human demonstrations."""
    num_demonstrations: int | None = None
    """Episodes to train on, drawn from all; None takes all."""
    obs_type: str | None = None
    """What policies observe; None takes the task's default."""
    set: tuple[str, ...] = ()
    """Changed settings, such as train.updates=500 or agent.channels=[64,128]."""
    action_horizon: int | None = None
    """Actions executed before the next prediction; None takes the preset's."""
    latency: int = 0
    """Steps between the newest observation a policy sees and its first executed action."""
    inference_steps: int = 0
    """Denoising steps of a prediction (IBC: rounds of its search); 0 takes the preset's."""
    episodes: int | None = None
    """Test episodes; None takes the preset's."""
    workers: int | None = None
    """Policies trained side by side, each on its share of the cores; None takes one a core, or one
    in all where a GPU does the work."""
    beside: tuple[Path, ...] = ()
    """Folders of earlier reports whose policies stand in this one too, without being trained."""
    out: Path | None = None
    """Folder of the report; None takes one in the run store."""

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"workers is {self.workers}; allowed: 1 or more")

    @property
    def label(self) -> str:
        """The preset, and what was changed in it: a row of a table says both."""
        return f"{self.preset} with {' '.join(self.set)}" if self.set else self.preset

    def evaluation(self, cell: Cell) -> EvalConfig:
        """How a cell is evaluated: its last checkpoint on test seeds."""
        return EvalConfig(
            cell.action_horizon if self.action_horizon is None else self.action_horizon,
            self.latency,
            self.inference_steps,
            episodes=EPISODES[cell.preset] if self.episodes is None else self.episodes,
        )


def load_demonstrations(config: SweepConfig) -> Demonstrations:
    """The demonstrations that all cells of a sweep are trained on."""
    task = get_task(config.task)
    obs_type = config.obs_type or task.obs_types[0]
    if obs_type not in task.obs_types:
        raise ValueError(
            f"{task.name} has no obs_type {obs_type!r}; allowed: {', '.join(task.obs_types)}"
        )
    return task.load(config.data, obs_type, config.data_path, config.num_demonstrations, 0)


def prepare(config: SweepConfig) -> tuple[Demonstrations, list[Cell]]:
    """The demonstrations and the cells of a sweep.

    Raises:
        UsageError: If a task, method, preset, setting or file does not exist.
    """
    check(config)
    with usage_errors():
        demos = load_demonstrations(config)
        return demos, plan(config, demos)


def check(config: SweepConfig) -> list[Cell]:
    """What a mistake would spoil, before demonstrations are generated, which takes minutes.

    Returns:
        The cells but for the demonstrations, of which only the task and the source are known yet.

    Raises:
        UsageError: If a task, method, preset or setting does not exist, or an earlier report.
    """
    with usage_errors():
        read_beside(config.beside, config.task)
        one_step = np.zeros((1, 1))
        source = Metadata(config.task, config.data, version="", seed=None)
        cells = plan(config, Demonstrations(one_step, one_step, np.array([1]), {}, source))
        for cell in cells:
            config.evaluation(cell)
        return cells


def plan(config: SweepConfig, demos: Demonstrations) -> list[Cell]:
    """The cells of a sweep, position control first."""
    if config.preset not in PRESETS:
        raise ValueError(f"no preset {config.preset!r}; presets: {', '.join(PRESETS)}")
    changes = {}
    for change in config.set:
        key, equals, value = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change!r}: write NAME=VALUE, such as train.updates=500")
        changes[key] = value
    obs_type = config.obs_type or get_task(config.task).obs_types[0]
    cells = [
        override(make_cell(config.preset, method, control, seed, obs_type, demos), changes)
        for seed in config.seeds
        for control in config.control
        for method in config.methods or tuple(PRESETS[config.preset])
    ]
    asked = Counter(cell.id for cell in cells)
    if twice := [name for name, count in asked.items() if count > 1]:
        raise ValueError(
            f"asked for more than once: {', '.join(twice)}; name each method, control mode and "
            "seed once, and vary seeds by --seeds instead of --set seed="
        )
    return cells


def sweep(
    config: SweepConfig, store: Path, commands: Sequence[str], only_done: bool = False
) -> bool:
    """Run every cell of a sweep that is not done yet; print the table after each.

    A cell that fails is named with its cause, its traceback kept in its folder, and the others go
    on. With `only_done` nothing is run: what is done already is reported.

    Returns:
        Whether all cells succeeded.
    """
    demos, cells = prepare(config)
    if only_done:
        cells = [cell for cell in cells if state(cell, config, store) == "done"]
        if not cells:
            raise UsageError("none of these cells is done yet; make bench runs them")
    device = best_device()
    workers = config.workers or default_workers(device)
    say(
        f"{config.task}, preset {config.preset}, {demos.num_episodes} {config.data} "
        f"demonstrations, {len(cells)} cells, {min(workers, len(cells))} at a time, on {device}"
    )
    frame = [
        reference.assign(preset=config.label)
        for reference in references(cells[0], demos, config.evaluation(cells[0]), store)
    ]
    frames = [*frame]
    todo = [cell for cell in cells if state(cell, config, store) != "done"]
    # What is done already comes first, so that the table begins with it.
    ended = [(cell, "") for cell in cells if cell not in todo]
    alone = min(workers, len(todo)) <= 1
    load = (lambda: demos) if alone else partial(load_demonstrations, config)
    jobs = [Job(cell, (config.evaluation(cell),), load) for cell in todo]
    failures = []
    for number, (cell, cause) in enumerate(chain(ended, run_jobs(jobs, store, device, workers)), 1):
        if cause:
            failures.append((cell, cause))
            say(f"\n[{number}/{len(cells)}] {cell.id}\n  failed: {cause}")
            continue
        frames.append(_episodes(cell, config, store))
        table = present(results_table(pd.concat(frames, ignore_index=True)))
        if number < len(cells):
            table = replace(table, notes=())  # once, below the last one
        say(f"\n[{number}/{len(cells)}] {cell.id}\n{table.text()}")
    failed = {cell.id for cell, _ in failures}
    # In the order of the plan, not in that of ending: a page that is made again is the same page.
    runs = [Run(cell, store) for cell in cells if cell.id not in failed]
    if runs:
        out = config.out or store / "reports" / f"{config.task}-{config.data}-{config.preset}"
        played = [_episodes(run.cell, config, store) for run in runs]
        episodes = pd.concat([*frame, *played], ignore_index=True)
        histories = pd.concat([run.history() for run in runs])
        record = Record(episodes, histories, tuple(commands), machine(device))
        if config.beside:
            record = beside(record, read_beside(config.beside, config.task))
            table = present(results_table(record.episodes))
            say(f"\nBeside {', '.join(map(str, config.beside))}\n{table.text()}")
        page = write_report(record, out)
        print(f"\nReport: {page}")
    for cell, cause in failures:
        print(f"Failed: {cell.id}: {cause} (traceback: {Run(cell, store).folder / 'error.txt'})")
    return not failures


def _episodes(cell: Cell, config: SweepConfig, store: Path) -> pd.DataFrame:
    """The test episodes of a cell that is done, a row an episode."""
    return Run(cell, store).episodes(config.evaluation(cell)).assign(preset=config.label)


def show_plan(config: SweepConfig, store: Path) -> None:
    """Print the cells of a sweep and which of them are done."""
    for cell in prepare(config)[1]:
        print(f"{state(cell, config, store):8} {cell.id}  {cell.train.updates} updates")


def state(cell: Cell, config: SweepConfig, store: Path) -> str:
    """How far a cell is: to do, begun, trained or done."""
    run = Run(cell, store)
    if run.is_trained:
        return "done" if run.evaluation_path(config.evaluation(cell)).is_file() else "trained"
    return "begun" if run.state_path.is_file() else "to do"


def machine(device: torch.device) -> dict[str, str]:
    """What a report says of the machine and the versions, without naming the machine."""
    accelerator = torch.cuda.get_device_name() if device.type == "cuda" else "none"
    simulators = filter(find_spec, ("pymunk", "mujoco", "robosuite"))  # the last two are optional
    packages = ("dpbench", "torch", "numpy", "gymnasium", *simulators)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "accelerator": accelerator,
        "system": platform.system(),
        "Python": platform.python_version(),
    } | {name: version(name) for name in packages}

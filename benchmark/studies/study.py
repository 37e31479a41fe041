"""What a study is: a claim of the paper, the runs that test it, and what they show.

jobs          cells to train and how to play them    shared with every other study and sweep
measurements  what else is to be measured of them    kept in the run's folder
findings      verdicts, tables and figures           computed from what is on disk
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from baselines.agent import agent_class
from baselines.diffusion.agent import DiffusionAgent
from benchmark.errors import UsageError
from benchmark.evidence.text_table import Table
from benchmark.evidence.verdicts import Verdict
from benchmark.plan.config import CHOSEN, Cell, EvalConfig
from benchmark.plan.presets import (
    EPISODES,
    HOME_CONTROL,
    PRESETS,
    Described,
    horizon_trials,
    make_cell,
)
from benchmark.plan.request import StudyRequest, SweepConfig
from benchmark.plan.sweep import described
from benchmark.plan.tasks import Motion, get_task
from benchmark.running.store import Run
from benchmark.running.workers import Job
from envs.control import Control
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import Source

Key = TypeVar("Key")
Option = TypeVar("Option")
MARGIN = 0.05
"""Loss of score that counts as none, where the paper says "keeps its performance" and gives no
number: less than what sets its two best methods apart on Push-T (DP-C .91, IBC .84; DP Table 1), so
that it could not turn their order round."""
Other = tuple[Described, Callable[[], Demonstrations]]
"""Other demonstrations than the task's: what they are, and what gives them in any process."""


@dataclass(frozen=True)
class StudyConfig(StudyRequest):
    """What a study is run on, and what follows from it."""

    @property
    def is_smoke(self) -> bool:
        """Whether the chain is to be shown and not the claim to be tested."""
        return self.preset == "smoke"

    @property
    def label(self) -> str:
        """Task, data and preset, for captions and folders."""
        return f"{self.task}-{self.data}-{self.preset}"

    @property
    def obs_type(self) -> str:
        """What policies observe: the task's default."""
        return get_task(self.task).obs_types[0]

    @property
    def motion(self) -> Motion:
        """How the agent's motion is measured.

        Raises:
            UsageError: If the task does not say.
        """
        motion = get_task(self.task).motion
        if motion is None:
            raise UsageError(f"task {self.task} does not say how its agent moves (Task.motion)")
        return motion

    def chosen(self, methods: Iterable[str]) -> list[str]:
        """Those of `methods` that were asked for, in their order.

        Raises:
            UsageError: If none is left.
        """
        known = list(methods)
        chosen = [method for method in known if not self.methods or method in self.methods]
        if not chosen:
            raise UsageError(
                f"methods {', '.join(self.methods)}: this study compares {', '.join(known)}"
            )
        return chosen

    def named_or(self, methods: Iterable[str]) -> list[str]:
        """The methods that were asked for, else those a study compares by itself.

        Raises:
            UsageError: If the preset has none of those asked for.
        """
        return self.chosen(PRESETS[self.preset]) if self.methods else list(methods)

    @property
    def diffusion_methods(self) -> list[str]:
        """The methods of the preset that denoise."""
        return [m for m in PRESETS[self.preset] if issubclass(agent_class(m), DiffusionAgent)]

    def loader(self, num_demonstrations: int | None = None) -> partial[Demonstrations]:
        """Gives the demonstrations, also in another process."""
        source = self.data, self.obs_type, self.data_path, num_demonstrations
        return partial(_load, self.task, self.filter_key, *source)

    def described(self, num_demonstrations: int | None = None) -> Described:
        """What the demonstrations are; they are read only where nothing else tells."""
        config = SweepConfig(
            task=self.task,
            preset=self.preset,
            data=self.data,
            data_path=self.data_path,
            filter_key=self.filter_key,
            num_demonstrations=num_demonstrations,
        )
        return described(config) or self.loader(num_demonstrations)()

    def cell(
        self, method: str, control: Control, seed: int, demos: Described | None = None
    ) -> Cell:
        """A cell as a sweep makes it, so that both share one training."""
        return make_cell(
            self.preset, method, control, seed, self.obs_type, demos or self.described()
        )

    def evaluation(self, action_horizon: int | None = None) -> EvalConfig:
        """How a sweep plays cells, so that both share one evaluation; or at a given Ta."""
        horizon = CHOSEN if action_horizon is None else action_horizon
        return EvalConfig(horizon, episodes=self.episodes or EPISODES[self.preset])

    def job(self, method: str, control: Control, seed: int, on: Other | None = None) -> Job:
        """A cell as a sweep makes and plays it, on other demonstrations if given."""
        demos, load = on or (self.described(), self.loader())
        cell = self.cell(method, control, seed, demos)
        return Job(cell, (self.evaluation(),), load)


@lru_cache(maxsize=8)
def _load(
    name: str,
    filter_key: str | None,
    data: Source,
    obs_type: str,
    path: Path | None,
    num_demonstrations: int | None,
) -> Demonstrations:
    task = get_task(name)
    return task.with_key(task.load, filter_key)(data, obs_type, path, num_demonstrations, 0)


@dataclass(frozen=True)
class Sheet:
    """A table and the numbers behind it, kept under the file name `stem`."""

    stem: str
    table: Table
    data: pd.DataFrame


@dataclass(frozen=True)
class Drawing:
    """A figure and the numbers behind it, kept under the file name `stem`."""

    stem: str
    figure: Figure
    data: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class Findings:
    """What a study shows."""

    verdicts: Sequence[Verdict]
    sheets: Sequence[Sheet]
    drawings: Sequence[Drawing]
    remarks: Sequence[str] = ()
    """What a reader must know besides, a sentence each."""

    def __post_init__(self) -> None:
        parts: tuple[Drawing | Sheet, ...] = (*self.drawings, *self.sheets)
        data: dict[str, pd.DataFrame] = {}
        for part in parts:
            # Both are written to STEM.csv.
            if not data.setdefault(part.stem, part.data).equals(part.data):
                raise ValueError(f"different data under one name, {part.stem}; give it another")


class Study(ABC):
    """A claim of the paper as a command.

    Attributes:
        name: As in STUDY=name.
        claim: What was published, a sentence.
        source: Where.
        seeds: Training seeds, unless others are asked for.
    """

    name: ClassVar[str]
    claim: ClassVar[str]
    source: ClassVar[str]
    seeds: ClassVar[tuple[int, ...]] = (42, 43, 44)

    def label(self, config: StudyConfig) -> str:
        """What its page is of, for captions and folders: task, data and preset."""
        return config.label

    @abstractmethod
    def jobs(self, config: StudyConfig) -> list[Job]:
        """Cells to train and how to play them; the same cell may come more than once."""

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:  # noqa: ARG002 - usually none
        """What no rollout of a job tells of a trained cell: names, and what measures each.

        They are kept with the cell under these names and never measured twice.
        """
        return {}

    def measured(self, config: StudyConfig, run: Run) -> dict[str, bytes]:
        """All `measurements` of a cell, measured now where they are not yet."""
        wanted = self.measurements(config, run)
        return {name: run.measured(name, make) for name, make in wanted.items()}

    @abstractmethod
    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Draw the conclusions from what is in the store."""

    def training_seeds(self, config: StudyConfig) -> tuple[int, ...]:
        """Those asked for, else the study's own."""
        return config.seeds or (self.seeds[:1] if config.is_smoke else self.seeds)

    def home_jobs(
        self,
        config: StudyConfig,
        methods: Iterable[str] | None = None,
        on: Other | None = None,
    ) -> list[Job]:
        """Every method under the control mode that it was published with, as a sweep plays it.

        Args:
            config: What the study is run on.
            methods: Those that the study compares; None for all.
            on: Other demonstrations than the task's.
        """
        chosen = config.chosen(PRESETS[config.preset] if methods is None else methods)
        return [
            config.job(method, HOME_CONTROL.get(method, "position"), seed, on)
            for seed in self.training_seeds(config)
            for method in chosen
        ]


def chosen_on_validation(
    cells: Iterable[Cell],
    store: Path,
    of: Callable[[Cell], Key],
    option: Callable[[Cell], Option],
) -> dict[Key, Option]:
    """The option that did best on validation episodes; of equals the one that comes first.

    Every policy is taken at the action horizon that suits it, its trainings by their mean.

    Args:
        cells: Trained and played at the chosen action horizon.
        store: The run store.
        of: What an option is chosen for, such as the method.
        option: What is chosen, such as the control mode.
    """
    scores: dict[Key, dict[Option, list[float]]] = {}
    for cell in cells:
        run = Run(cell, store)
        best = max(float(run.episodes(t)["score"].mean()) for t in horizon_trials(cell))
        scores.setdefault(of(cell), {}).setdefault(option(cell), []).append(best)
    return {
        key: max(found, key=lambda name: sum(found[name]) / len(found[name]))
        for key, found in scores.items()
    }


def merged(jobs: Iterable[Job]) -> list[Job]:
    """One job a cell, with all evaluations asked for, in the order of their first mention."""
    by_cell: dict[str, Job] = {}
    for job in jobs:
        known = by_cell.get(job.cell.id, replace(job, evaluations=()))
        new = tuple(e for e in job.evaluations if e not in known.evaluations)
        by_cell[job.cell.id] = replace(known, evaluations=known.evaluations + new)
    return list(by_cell.values())


def played(
    jobs: Sequence[Job], store: Path, **columns: Callable[[Cell], str | float]
) -> pd.DataFrame:
    """The episodes of all evaluations of all jobs, with what `columns` say of their cells."""
    frames = [
        Run(job.cell, store)
        .episodes(evaluation)
        .assign(**{name: of(job.cell) for name, of in columns.items()})
        for job in merged(jobs)
        for evaluation in job.evaluations
    ]
    return pd.concat(frames, ignore_index=True)

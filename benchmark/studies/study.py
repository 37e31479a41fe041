"""What a study is: a claim of the paper, the runs that test it, and what they show.

jobs        cells to train and how to play them      shared with every other study and sweep
measure     what else is to be measured of them      kept in the run's folder
findings    verdicts, tables and figures             computed from what is on disk
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
import torch
from matplotlib.figure import Figure

from baselines.agent import agent_class
from baselines.diffusion.agent import DiffusionAgent
from benchmark.errors import UsageError
from benchmark.evidence.stats import Interval
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.presets import EPISODES, HOME_CONTROL, PRESETS, make_cell
from benchmark.plan.tasks import Motion, get_task
from benchmark.running.store import Run
from benchmark.running.workers import Job
from envs.control import Control
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import Source

Answer = Literal["holds", "does not hold", "undecided"]
Loader = Callable[[], Demonstrations]


@dataclass(frozen=True)
class StudyConfig:
    """What a study is run on."""

    task: str = "pusht"
    """Name of the task."""
    preset: str = "quick"
    """smoke, quick, laptop or paper; smoke also takes a smaller grid."""
    methods: tuple[str, ...] = ()
    """Names of methods; none means all that the study compares."""
    seeds: tuple[int, ...] = ()
    """Training seeds; none means the study's own."""
    data: Source = "scripted"
    """Source of the demonstrations."""
    data_path: Path | None = None
    """File of human demonstrations."""
    episodes: int | None = None
    """Test episodes of each evaluation; None takes the preset's."""
    workers: int | None = None
    """Policies trained side by side; None takes one a core, or one in all on a GPU."""
    out: Path | None = None
    """Folder that each study gets a folder in; None takes one in the run store."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"no preset {self.preset!r}; presets: {', '.join(PRESETS)}")
        for name in ("episodes", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; allowed: 1 or more")

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

    @property
    def diffusion_methods(self) -> list[str]:
        """The methods of the preset that denoise."""
        return [m for m in PRESETS[self.preset] if issubclass(agent_class(m), DiffusionAgent)]

    def loader(self, num_demonstrations: int | None = None) -> partial[Demonstrations]:
        """Gives the demonstrations, also in another process."""
        return partial(
            _load, self.task, self.data, self.obs_type, self.data_path, num_demonstrations
        )

    def cell(
        self, method: str, control: Control, seed: int, demos: Demonstrations | None = None
    ) -> Cell:
        """A cell as a sweep makes it, so that both share one training."""
        demos = self.loader()() if demos is None else demos
        return make_cell(self.preset, method, control, seed, self.obs_type, demos)

    def evaluation(self, cell: Cell, action_horizon: int | None = None) -> EvalConfig:
        """How a sweep plays a cell, so that both share one evaluation."""
        horizon = cell.action_horizon if action_horizon is None else action_horizon
        return EvalConfig(horizon, episodes=self.episodes or EPISODES[self.preset])

    def job(self, method: str, control: Control, seed: int, demos: Loader | None = None) -> Job:
        """A cell as a sweep makes and plays it, on other demonstrations if given."""
        demos = demos or self.loader()
        cell = self.cell(method, control, seed, demos())
        return Job(cell, (self.evaluation(cell),), demos)


@lru_cache(maxsize=8)
def _load(
    task: str, data: Source, obs_type: str, path: Path | None, num_demonstrations: int | None
) -> Demonstrations:
    return get_task(task).load(data, obs_type, path, num_demonstrations, 0)


@dataclass(frozen=True)
class Verdict:
    """A published claim beside what was measured here.

    Attributes:
        claim: What is said to hold, a sentence.
        answer: Whether it does.
        effect: What the interval is of, with its unit.
        interval: The effect size.
    """

    claim: str
    answer: Answer
    effect: str
    interval: Interval


def judge(claim: str, effect: str, interval: Interval, above: float = 0.0) -> Verdict:
    """Say whether an effect lies above a value: undecided while its interval holds the value.

    An effect without an interval (one observation) decides nothing.
    """
    answer: Answer = "undecided"
    if interval.low > above:
        answer = "holds"
    elif interval.high < above:
        answer = "does not hold"
    return Verdict(claim, answer, effect, interval)


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
    seeds: ClassVar[tuple[int, ...]] = (42,)

    def label(self, config: StudyConfig) -> str:
        """What its page is of, for captions and folders: task, data and preset."""
        return config.label

    @abstractmethod
    def jobs(self, config: StudyConfig) -> list[Job]:
        """Cells to train and how to play them; the same cell may come more than once."""

    def measure(self, config: StudyConfig, store: Path, device: torch.device) -> None:  # noqa: B027
        """Measure what no rollout of a job does, and keep it in the store; usually nothing."""

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
        demos: Loader | None = None,
    ) -> list[Job]:
        """Every method under the control mode that it was published with, as a sweep plays it.

        Args:
            config: What the study is run on.
            methods: Those that the study compares; None for all.
            demos: Gives other demonstrations than the task's.
        """
        chosen = config.chosen(PRESETS[config.preset] if methods is None else methods)
        return [
            config.job(method, HOME_CONTROL.get(method, "position"), seed, demos)
            for seed in self.training_seeds(config)
            for method in chosen
        ]


def merged(jobs: Iterable[Job]) -> list[Job]:
    """One job a cell, with all evaluations asked for, in the order of their first mention."""
    by_cell: dict[str, Job] = {}
    for job in jobs:
        known = by_cell.get(job.cell.id, replace(job, evaluations=()))
        new = tuple(e for e in job.evaluations if e not in known.evaluations)
        by_cell[job.cell.id] = replace(known, evaluations=known.evaluations + new)
    return list(by_cell.values())


def played(jobs: Iterable[Job], store: Path) -> pd.DataFrame:
    """The episodes of all evaluations of all jobs."""
    frames = [
        Run(job.cell, store).episodes(evaluation)
        for job in merged(jobs)
        for evaluation in job.evaluations
    ]
    return pd.concat(frames, ignore_index=True)

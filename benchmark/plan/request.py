"""What a user can ask for: the arguments of `bench`, `run`, `report` and `study`.

Nothing heavy is imported here: `--help` shows these fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import tyro

from baselines.choices import unknown
from benchmark.errors import UsageError
from benchmark.files import check_writable

# As in envs.control and envs.demos.sources, which would import Gymnasium and numpy.
Control = Literal["position", "velocity"]
CONTROLS: tuple[Control, ...] = get_args(Control)
Source = Literal["scripted", "human"]
EngineName = Literal["local", "ray"]
TrackerName = Literal["tensorboard", "wandb", "trackio"]
PRESET_NAMES = ("smoke", "quick", "laptop", "paper")


@dataclass(frozen=True)
class Request:
    """What a sweep and a study are both asked for."""

    task: str = "pusht"
    """Name of the task."""
    preset: str = "quick"
    """smoke, quick, laptop or paper; in a study smoke also takes a smaller grid."""
    methods: tuple[str, ...] = ()
    """Names of methods; none means all that the preset has, or that the study compares."""
    data: Source = "scripted"
    """Source of the demonstrations."""
    data_path: Path | None = None
    """File of human demonstrations."""
    filter_key: str | None = None
    """Only what a robomimic file lists under this key, such as train."""
    episodes: int | None = None
    """Test episodes of each evaluation; None takes the preset's."""
    workers: int | None = None
    """Policies trained side by side, each on its share of the cores; None takes one a core, or one
    a GPU where there is one."""
    device: str | None = None
    """cpu, mps, cuda or cuda:N; None takes $DPBENCH_DEVICE, else the fastest there is."""
    engine: EngineName = "local"
    """local: processes of this machine; ray: tasks of the Ray cluster at RAY_ADDRESS, or of one
    that is started on this machine (docs/cluster.md)."""
    out: Path | None = None
    """Folder of the report, or that studies get folders in; None takes one in the run store."""

    def __post_init__(self) -> None:
        if self.preset not in PRESET_NAMES:
            raise UsageError(unknown("preset", self.preset, PRESET_NAMES))
        if self.filter_key is not None and self.data_path is None:
            raise UsageError(
                f"filter_key {self.filter_key!r} given, but no file: name one with --data-path"
            )
        for name in ("episodes", "workers", "num_demonstrations"):
            value = getattr(self, name, None)
            if value is not None and value < 1:
                raise UsageError(f"{name} is {value}; allowed: 1 or more")
        for method in self.methods:
            if "," in method:
                raise UsageError(
                    f"no method {method!r}; part several by spaces: --methods "
                    f"{' '.join(method.split(','))} (with make: METHODS={method})"
                )
        for seed in getattr(self, "seeds", ()):
            if not 0 <= seed < 2**63:
                raise UsageError(f"a seed is {seed}; allowed: 0 to 2**63 - 1")
        if self.out is not None:
            check_writable(self.out, "--out")


@dataclass(frozen=True)
class SweepConfig(Request):
    """Which cells are compared."""

    control: tuple[Control, ...] = CONTROLS
    """Control modes."""
    seeds: tuple[int, ...] = (42,)
    """Training seeds."""
    num_demonstrations: int | None = None
    """Episodes to train on, drawn from all; None takes all."""
    obs_type: str | None = None
    """What policies observe; None takes the task's default."""
    set: tuple[str, ...] = ()
    """Changed settings, such as train.updates=500 or agent.channels=[64,128]."""
    origin: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """Name or folder of a finished run, whose policy is trained further as a run of its own."""
    action_horizon: int | None = None
    """Actions executed before the next prediction; None takes, of 1, 2, 4 and 8, the one that does
    best on the policy's own validation episodes."""
    latency: int = 0
    """Steps between the newest observation a policy sees and its first executed action."""
    inference_steps: int = 0
    """Denoising steps of a prediction (IBC: rounds of its search); 0 takes the preset's."""
    checkpoints: int = 0
    """10 also plays the last ten checkpoints as published, for the optimistic columns."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("control", "seeds"):
            if not getattr(self, name):
                raise UsageError(f"--{name} is given without a value; name one or more")
        if self.action_horizon is not None and self.action_horizon < 1:
            raise UsageError(f"action_horizon is {self.action_horizon}; allowed: 1 or more")
        if self.checkpoints not in (0, 10):
            raise UsageError(f"checkpoints is {self.checkpoints}; allowed: 0 or 10, as published")

    @property
    def label(self) -> str:
        """The preset, what was changed in it and where training began, for the rows of a table."""
        changed = f" with {' '.join(self.set)}" if self.set else ""
        began = f", trained further from {Path(self.origin).name}" if self.origin else ""
        return self.preset + changed + began


@dataclass(frozen=True)
class BenchConfig(SweepConfig):
    """Which cells are run and compared, and what is shown of them."""

    with_evidence: bool = False
    """Show the committed policies of this task, data and preset in the table too."""
    track: TrackerName | None = None
    """Tell each cell that ends to tensorboard, wandb or trackio, an extra of that name each."""
    video: int = 0
    """Film each policy from so many initial states; the films lie beside its checkpoint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.video < 0:
            raise UsageError(f"video is {self.video}; allowed: 0 or more")
        if self.video and self.latency:
            raise UsageError(
                f"films know no latency: leave out --video or --latency {self.latency}"
            )


@dataclass(frozen=True)
class StudyRequest(Request):
    """What a study is run on."""

    seeds: tuple[int, ...] = ()
    """Training seeds; none means the study's own."""
    without_evidence: bool = False
    """Train and play also what results/evidence holds already."""


@dataclass(frozen=True)
class PlayRequest:
    """What is played at the table."""

    task: str = "pusht"
    """Name of the task; only pusht and pusht-image can be played by hand."""
    policy: tuple[str, ...] = ()
    """Policies to watch: folders or names of runs, checkpoints, or shipped; Tab switches."""
    record: Path | None = None
    """File .npz that your successful episodes are added to; train on it by DATA_PATH=."""
    seed: int | None = None
    """Initial state of the first episode; None takes 400000, or the first not recorded yet."""
    action_horizon: int | None = None
    """Ta of the policies; None takes what each was trained for."""
    paths: int = 12
    """Action sequences drawn of each prediction, the one that is followed among them."""

    def __post_init__(self) -> None:
        if self.paths < 1:
            raise UsageError(f"paths is {self.paths}; allowed: 1 or more")
        if self.seed is not None and not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; allowed: 0 to 2**32 - 1")

"""The tasks: what an environment is called, where its demonstrations come from, what is measured.

A task never names a method. Tasks of other packages come in through the entry-point group
`dpbench.tasks`: a module-level `Task` under its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from baselines.choices import Scaling, unknown
from baselines.plugins import TASKS, load_plugin, plugin_names
from benchmark.plan.demo_facts import pusht_facts, pusht_figure, robosuite_facts
from envs import linear_system
from envs.control import Control, to_velocity
from envs.demos import linear_system_lqr, pusht_human, pusht_idle, robosuite_sources, sources
from envs.demos.demonstrations import DataSet, Demonstrations
from envs.demos.sources import Source, load_pusht
from envs.linear_system import SYSTEMS, SystemName
from envs.robosuite import scenes
from envs.robosuite.actions import ACTION_DIM
from envs.robosuite.cameras import CAMERAS, IMAGE_SIZE
from envs.robosuite.observations import OBS_TYPES, robot_part
from envs.robosuite.scenes import ROBOT_DIM, SCENES, TaskName
from envs.robosuite.simulation import MAX_DELTA

if TYPE_CHECKING:
    from matplotlib.figure import Figure

gymnasium.register_envs(envs)


class Loader(Protocol):
    """Reads or generates the demonstrations of a task."""

    def __call__(
        self,
        source: Source,
        obs_type: Any,
        path: Path | None,
        num_episodes: int | None,
        seed: int,
    ) -> Demonstrations:
        """Demonstrations of `source`; see `envs.demos.sources.load_pusht`."""


@dataclass(frozen=True)
class Motion:
    """How an agent's motion is measured on a task; see `benchmark.running.motion`."""

    position: Callable[[NDArray[np.float64], str], NDArray[np.float64]]
    """`state` observations (..., Do) of an observation type to where the agent is, (..., D)."""
    commanded: Callable[[NDArray[np.float64], Control], NDArray[np.float64]]
    """Actions (T, ..., Da) to the path of the set-point, (T, ..., D), up to a constant."""
    hz: int
    """Control steps a second."""
    still: float
    """Distance that does not count as motion, in the unit of a position."""
    unit: str
    """Of a position."""
    action_per_unit: Mapping[Control, float] = field(
        default_factory=lambda: {"position": 1.0, "velocity": 1.0}
    )
    """What is added to the first D numbers of an action to command one unit of position more."""


@dataclass(frozen=True)
class Task:
    """One task of the benchmark."""

    name: str
    """As in TASK=pusht."""
    env_id: str
    """Gymnasium id."""
    obs_types: tuple[str, ...]
    """What can be observed, the default first."""
    max_steps: int
    """Steps after which an episode is cut."""
    action_dim: dict[Control, int]
    """Da under each control mode."""
    action_scaling: dict[Control, Scaling]
    """How a policy scales actions; heavy-tailed differences of set-points suit no min-max."""
    obs_shapes: Callable[[str], dict[str, tuple[int, ...]]]
    """Shape of one observation by name, for an observation type."""
    load: Loader
    """The demonstrations, with the observations of an observation type."""
    reference: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None
    """States (E, Ds) to what the first velocity of an episode is relative to, (E, Da); None where
    velocities are no differences of set-points and are recorded, as the array `delta`."""
    obs_scaling: Scaling = "min-max"
    """How a policy scales the observed numbers."""
    motion: Motion | None = None
    """How the agent's motion is measured; None leaves that out."""
    catalogue: Callable[[Source], DataSet | None] = lambda _: None
    """What the demonstrations of a source are, without reading or making them; None where only
    reading tells."""
    recorded: Callable[[Source, Path | None], Demonstrations] | None = None
    """Demonstrations of a source, or in a file, with all that was recorded; None takes `load`."""
    has_filter_keys: bool = False
    """Whether files list demonstrations under filter keys; `load` and `recorded` then take one as
    `filter_key`."""
    public_path: Callable[[], Path] | None = None
    """Where the public human demonstrations are kept once imported."""
    demo_facts: Callable[[Demonstrations], list[tuple[str, str]]] | None = None
    """What `python -m benchmark demos` says of recorded demonstrations, a name and a text each."""
    demo_figure: Callable[[Demonstrations], Figure] | None = None
    """Some recorded demonstrations, drawn."""
    shown_by: Literal["states", "frames"] | None = None
    """What recorded episodes hold: the `state` observation, which the report knows how to draw, or
    what the environment renders; None where none are recorded."""
    with_pauses: Callable[[Demonstrations, float, Any, int], Demonstrations] | None = None
    """Demonstrations, rate of idle steps, observation type and seed to the same with pauses."""

    def with_key(
        self, read: Callable[..., Demonstrations], filter_key: str | None
    ) -> Callable[..., Demonstrations]:
        """`load` or `recorded`, held to what a file lists under a filter key.

        Raises:
            ValueError: If there is a key, and files of this task have none.
        """
        if filter_key is None:
            return read
        if not self.has_filter_keys:
            raise ValueError(
                f"--filter-key {filter_key} given, but files of {self.name} have no filter keys: "
                "drop it"
            )
        return partial(read, filter_key=filter_key)

    def actions_of(self, demos: Demonstrations, control: Control) -> NDArray[np.float64]:
        """The actions of demonstrations under a control mode, (N, Da)."""
        if control == "position":
            return demos.actions
        if self.reference is None:
            return demos.observations["delta"]
        first = self.reference(demos.states[demos.starts])
        return to_velocity(demos.actions, demos.episode_ends, first)

    def make_vec(self, count: int, obs_type: str, control: Control) -> gymnasium.vector.VectorEnv:
        """`count` environments that are stepped together and stay where they ended."""
        return gymnasium.make_vec(
            self.env_id,
            num_envs=count,
            vectorization_mode="vector_entry_point",
            obs_type=obs_type,
            control=control,
        )

    def make(self, obs_type: str, control: Control, **options: Any) -> gymnasium.Env[Any, Any]:
        """One environment."""
        return gymnasium.make(self.env_id, obs_type=obs_type, control=control, **options)


def _pusht_shapes(obs_type: str) -> dict[str, tuple[int, ...]]:
    if obs_type == "pixels":
        return {"pixels": (96, 96, 3), "state": (2,)}
    return {"state": (20,) if obs_type == "keypoints" else (5,)}


def _added_up(actions: NDArray[np.float64], control: Control) -> NDArray[np.float64]:
    return actions if control == "position" else np.cumsum(actions, axis=0)


def _pusht_agent(states: NDArray[np.float64], obs_type: str) -> NDArray[np.float64]:
    return states[..., :2] if obs_type == "state" else states[..., -2:]


PUSHT = Task(
    name="pusht",
    env_id="dpbench/PushT-v1",
    obs_types=("keypoints", "state", "pixels"),
    max_steps=300,
    action_dim={"position": 2, "velocity": 2},
    action_scaling={"position": "min-max", "velocity": "quantile"},
    obs_shapes=_pusht_shapes,
    load=load_pusht,
    reference=lambda states: states[:, :2],
    motion=Motion(_pusht_agent, _added_up, hz=10, still=3.0, unit="px"),
    catalogue=sources.catalogue,
    recorded=sources.recorded_pusht,
    public_path=pusht_human.imported_path,
    demo_facts=pusht_facts,
    demo_figure=pusht_figure,
    shown_by="states",
    with_pauses=pusht_idle.with_pauses,
)


def _load_pusht_images(
    source: Source, obs_type: Any, path: Path | None, num_episodes: int | None, seed: int
) -> Demonstrations:
    found = load_pusht(source, obs_type, path, num_episodes, seed)
    return replace(found, metadata=replace(found.metadata, task=PUSHT_IMAGE.name))


def _pusht_image_catalogue(source: Source) -> DataSet:
    known = sources.catalogue(source)
    return replace(known, metadata=replace(known.metadata, task=PUSHT_IMAGE.name))


# As published: the picture, and where the agent is. The demonstrations are those of PUSHT.
PUSHT_IMAGE = replace(
    PUSHT,
    name="pusht-image",
    obs_types=("pixels",),
    load=_load_pusht_images,
    catalogue=_pusht_image_catalogue,
)


@dataclass(frozen=True)
class LinearSystemTask(Task):
    """A task of `dpbench/LinearSystem-v1`, which holds several systems."""

    system: SystemName = "unstable"
    """Which one."""

    def make_vec(self, count: int, obs_type: str, control: Control) -> gymnasium.vector.VectorEnv:
        """See `Task.make_vec`; a step takes 20 us, so single ones are stepped in turn."""
        return gymnasium.make_vec(
            self.env_id,
            num_envs=count,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.DISABLED},
            system=self.system,
            obs_type=obs_type,
            control=control,
        )

    def make(self, obs_type: str, control: Control, **options: Any) -> gymnasium.Env[Any, Any]:
        """See `Task.make`."""
        return super().make(obs_type, control, system=self.system, **options)


def _linear_system(name: SystemName) -> LinearSystemTask:
    Ds, Da = SYSTEMS[name].B.shape
    return LinearSystemTask(
        name=linear_system_lqr.task_name(name),
        env_id="dpbench/LinearSystem-v1",
        obs_types=("state",),
        max_steps=linear_system.MAX_EPISODE_STEPS,
        action_dim={"position": Da, "velocity": Da},
        action_scaling={"position": "min-max", "velocity": "min-max"},
        obs_shapes=lambda _: {"state": (Ds,)},
        load=partial(linear_system_lqr.load, name),
        reference=lambda states: np.zeros((len(states), Da)),
        motion=Motion(
            lambda states, _: states[..., :1], _added_up, linear_system.CONTROL_HZ, 0.01, "m"
        ),
        catalogue=partial(linear_system_lqr.catalogue, name),
        system=name,
    )


LINEAR_SYSTEMS = tuple(_linear_system(name) for name in SYSTEMS)


def _robosuite_shapes(state_dim: int, obs_type: str) -> dict[str, tuple[int, ...]]:
    if obs_type == "pixels":
        image = (IMAGE_SIZE, IMAGE_SIZE, 3)
        return {**dict.fromkeys(CAMERAS, image), "state": (ROBOT_DIM,)}
    return {"state": (state_dim,)}


def _robosuite(name: TaskName) -> Task:
    scene = SCENES[name]
    return Task(
        name=name,
        env_id=f"dpbench/{name.capitalize()}-v1",
        obs_types=OBS_TYPES,
        max_steps=scenes.MAX_EPISODE_STEPS,
        action_dim=ACTION_DIM,
        action_scaling={"position": "min-max-xyz", "velocity": "none"},
        obs_shapes=partial(_robosuite_shapes, scene.state_dim),
        load=partial(robosuite_sources.load_robosuite, name),
        reference=None,
        obs_scaling="max-abs",
        motion=Motion(
            lambda states, _: robot_part(states)[..., :3],
            _robosuite_path,
            scenes.CONTROL_HZ,
            still=0.003,
            unit="m",
            action_per_unit={"position": 1.0, "velocity": 1.0 / float(MAX_DELTA[0])},
        ),
        catalogue=partial(robosuite_sources.catalogue, name),
        recorded=partial(robosuite_sources.recorded_robosuite, name),
        has_filter_keys=True,
        demo_facts=partial(robosuite_facts, name),
        shown_by="frames",
    )


def _robosuite_path(actions: NDArray[np.float64], control: Control) -> NDArray[np.float64]:
    """Where the gripper is sent; under velocity control the sum of all moves asked for.

    There a move is relative to where the gripper is, and the gripper has never made the whole of
    the one before, so their sum is longer than the way it goes.
    """
    if control == "position":
        return actions[..., :3]
    path: NDArray[np.float64] = np.cumsum(actions[..., :3] * MAX_DELTA[:3], axis=0)
    return path


LIFT, CAN, SQUARE = _robosuite("lift"), _robosuite("can"), _robosuite("square")

_TASKS = {task.name: task for task in (PUSHT, PUSHT_IMAGE, LIFT, CAN, SQUARE, *LINEAR_SYSTEMS)}


def tasks() -> dict[str, Task]:
    """All tasks by name: the built-in ones and those of installed packages that work."""
    for name in plugin_names(TASKS):
        with suppress(ValueError):  # named by `list` and by whoever asks for it
            get_task(name)
    return dict(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: If there is none, the message lists the names there are; or if the package that
            brings it cannot be imported.
    """
    if name not in _TASKS:
        found = load_plugin(TASKS, name)
        if found is None:
            known = sorted({*_TASKS, *plugin_names(TASKS)})
            raise ValueError(unknown("task", name, known))
        _TASKS[name] = found
    return _TASKS[name]

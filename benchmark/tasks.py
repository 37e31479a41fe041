"""The tasks: what an environment is called, where its demonstrations come from, what is measured.

A task never names a method. Tasks of other packages come in through the entry-point group
`dpbench.tasks`: a module-level `Task` under its name.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from baselines.normalizer import Scaling
from envs.control import Control, to_velocity
from envs.demos.demonstrations import Demonstrations
from envs.demos.robosuite_sources import load_robosuite
from envs.demos.sources import Source, load_pusht
from envs.robosuite.actions import ACTION_DIM
from envs.robosuite.scenes import CONTROL_HZ, MAX_EPISODE_STEPS, SCENES, TaskName
from envs.robosuite.simulation import MAX_DELTA

gymnasium.register_envs(envs)

ENTRY_POINTS = "dpbench.tasks"


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
    agent_position: Callable[[NDArray[np.float64], str], NDArray[np.float64]]
    """`state` observations (..., Do) of an observation type to where the agent is, (..., D)."""
    commanded: Callable[[NDArray[np.float64], Control], NDArray[np.float64]]
    """Actions (T, ..., Da) to the path of the set-point, (T, ..., D), up to a constant."""
    hz: int
    """Control steps a second."""
    still: float
    """Distance that does not count as motion, in the unit of a position."""

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
    agent_position=_pusht_agent,
    commanded=lambda actions, control: (
        actions if control == "position" else np.cumsum(actions, axis=0)
    ),
    hz=10,
    still=3.0,
)


def _robosuite(name: TaskName) -> Task:
    scene = SCENES[name]
    gripper = scene.slices["robot0_eef_pos"]
    return Task(
        name=name,
        env_id=f"dpbench/{name.capitalize()}-v1",
        obs_types=("state",),
        max_steps=MAX_EPISODE_STEPS,
        action_dim=ACTION_DIM,
        action_scaling={"position": "min-max", "velocity": "min-max"},
        obs_shapes=lambda _: {"state": (scene.state_dim,)},
        load=partial(load_robosuite, name),
        reference=None,
        agent_position=lambda states, _: states[..., gripper],
        commanded=_robosuite_path,
        hz=CONTROL_HZ,
        still=0.003,
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

_TASKS = {task.name: task for task in (PUSHT, LIFT, CAN, SQUARE)}


def tasks() -> dict[str, Task]:
    """All tasks by name: the built-in ones and those of installed packages."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if entry.name not in _TASKS:
            _TASKS[entry.name] = entry.load()
    return dict(_TASKS)


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: If there is none; the message lists the names there are.
    """
    known = tasks()
    if name not in known:
        raise ValueError(f"no task {name!r}; tasks: {', '.join(sorted(known))}")
    return known[name]

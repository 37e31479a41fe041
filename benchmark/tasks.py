"""The tasks: what an environment is called, where its demonstrations come from, what is measured.

A task never names a method. Tasks of other packages come in through the entry-point group
`dpbench.tasks`: a module-level `Task` under its name.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from baselines.normalizer import Scaling
from envs.control import Control
from envs.demos.demonstrations import Demonstrations
from envs.demos.sources import Source, load_pusht

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
    reference: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """States (E, Ds) to what the first velocity of an episode is relative to, (E, Da)."""

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
)

_TASKS = {task.name: task for task in (PUSHT,)}


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

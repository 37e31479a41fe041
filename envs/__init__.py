"""The tasks of dpbench as Gymnasium environments.

Gymnasium finds no entry points of environments by itself: `gymnasium.register_envs(envs)`, or
merely importing this package, registers every id of `ENVIRONMENTS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium


@dataclass(frozen=True)
class Environment:
    """What Gymnasium has to know of an environment."""

    id: str
    """Its name for `gymnasium.make`."""
    entry_point: str
    """The class, imported when the first one is made."""
    vector_entry_point: str | None
    """The batched class for `gymnasium.make_vec`; None to step single ones in turn."""
    max_episode_steps: int
    """Steps after which TimeLimit truncates an episode."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the classes are made with, beside what the user asks for."""


def _robosuite(name: str, task: str) -> Environment:
    """One of robosuite's tasks; needs the extra `robosuite`."""
    return Environment(
        id=f"dpbench/{name}-v1",
        entry_point="envs.robosuite.env:RobosuiteEnv",
        vector_entry_point="envs.robosuite.vector:RobosuiteVectorEnv",
        max_episode_steps=400,
        arguments={"task": task},
    )


ENVIRONMENTS = (
    Environment(
        id="dpbench/PushT-v1",
        entry_point="envs.pusht.env:PushTEnv",
        vector_entry_point="envs.pusht.vector:PushTVectorEnv",
        max_episode_steps=300,
    ),
    Environment(
        id="dpbench/LinearSystem-v1",
        entry_point="envs.linear_system:LinearSystemEnv",
        vector_entry_point=None,
        max_episode_steps=100,
    ),
    _robosuite("Lift", "lift"),
    _robosuite("Can", "can"),
    _robosuite("Square", "square"),
)


def register_envs() -> None:
    """Register every environment that is not registered yet."""
    for environment in ENVIRONMENTS:
        if environment.id not in gymnasium.registry:
            gymnasium.register(
                id=environment.id,
                entry_point=environment.entry_point,
                vector_entry_point=environment.vector_entry_point,
                max_episode_steps=environment.max_episode_steps,
                kwargs=dict(environment.arguments),
            )


register_envs()

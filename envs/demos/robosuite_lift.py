"""How the scripted demonstrator lifts the cube: from above, by two of its sides."""

from collections.abc import Iterator

import numpy as np

from envs.demos.robosuite_hand import (
    CLOSED,
    OPEN,
    Phase,
    Pose,
    downward,
    nearest_yaw,
    stay,
    yaw_of,
)
from envs.robosuite.simulation import Simulation

_ATTEMPTS = 4


def script(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Lift the cube; again if it was lost."""
    for _ in range(_ATTEMPTS):
        yield from _attempt(simulation, rng)


def _attempt(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Approach, grasp, lift."""
    now = yaw_of(simulation.eef_pose[1])
    yaw = nearest_yaw(yaw_of(simulation.object_pose[1]), now, 4, rng)
    rotation = downward(yaw + rng.normal(0.0, 0.05), rng.normal(0.0, 0.04, 2))
    above = np.array([*rng.normal(0.0, 0.015, 2), rng.uniform(0.04, 0.09)])
    grasp = np.array([*rng.normal(0.0, 0.003, 2), rng.uniform(-0.006, 0.006)])

    def over() -> Pose:
        return simulation.object_pose[0] + above, rotation

    def at() -> Pose:
        return simulation.object_pose[0] + grasp, rotation

    yield Phase(over, OPEN, near=rng.uniform(0.015, 0.03), turned=0.2)
    yield Phase(at, OPEN, near=0.008, turned=0.12)
    yield Phase(stay(simulation.eef_pose), CLOSED, near=0.03, limit=15, until_shut=True)
    position, held = simulation.eef_pose
    up = np.array([*rng.normal(0.0, 0.02, 2), rng.uniform(0.1, 0.15)])
    yield Phase(stay((position + up, held)), CLOSED, limit=20)

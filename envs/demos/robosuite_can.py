"""How the scripted demonstrator brings the can into its bin."""

from collections.abc import Iterator

import numpy as np

from envs.demos.robosuite_hand import CLOSED, OPEN, Phase, Pose, downward, stay, yaw_of
from envs.robosuite.simulation import Simulation

_ATTEMPTS = 4
# The can's part of the second bin is x 0.1 to 0.295 and y 0.28 to 0.525; its far half is out of
# reach of a hand that points down.
_BIN = np.array([0.16, 0.345])  # m
_SPREAD = np.array([0.03, 0.035])  # m, how far from there it may be let go
_FLOOR = 0.86  # m, height of a can that stands in a bin
_HELD = 0.05  # m from the hand to the middle of a can that it holds


def script(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Bring the can over; again if it was lost on the way."""
    for _ in range(_ATTEMPTS):
        yield from _attempt(simulation, rng)


def _attempt(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Approach, grasp, lift, carry, lower, let go."""
    yaw = yaw_of(simulation.eef_pose[1]) + rng.normal(0.0, 0.3)
    rotation = downward(yaw, rng.normal(0.0, 0.04, 2))
    above = np.array([*rng.normal(0.0, 0.015, 2), rng.uniform(0.08, 0.12)])
    grasp = np.array([*rng.normal(0.0, 0.003, 2), rng.uniform(0.0, 0.025)])

    def over() -> Pose:
        return simulation.object_pose[0] + above, rotation

    def at() -> Pose:
        return simulation.object_pose[0] + grasp, rotation

    yield Phase(over, OPEN, near=rng.uniform(0.015, 0.03), turned=0.25)
    yield Phase(at, OPEN, near=0.008, turned=0.15)
    yield Phase(stay(simulation.eef_pose), CLOSED, near=0.03, limit=15, until_shut=True)
    position, rotation = simulation.eef_pose
    up = position + np.array([*rng.normal(0.0, 0.02, 2), rng.uniform(0.12, 0.2)])

    def held() -> bool:
        return float(np.linalg.norm(simulation.eef_pose[0] - simulation.object_pose[0])) < _HELD

    yield Phase(stay((up, rotation)), CLOSED, near=0.03, held=held)
    if not held():
        return
    to = np.array([*(_BIN + rng.uniform(-1.0, 1.0, 2) * _SPREAD), up[2]])
    low = np.array([*to[:2], _FLOOR + rng.uniform(0.0, 0.03) + grasp[2]])
    turned = downward(yaw_of(rotation) + rng.normal(0.0, 0.2), rng.normal(0.0, 0.04, 2))
    yield Phase(stay((to, turned)), CLOSED, near=0.03, turned=0.3, limit=80, held=held)
    if not held():
        return
    yield Phase(stay((low, turned)), CLOSED, near=0.02, turned=0.3, held=held)
    yield Phase(stay((low, turned)), OPEN, near=0.05, turned=np.pi, limit=6, until_shut=True)
    yield Phase(stay((to, turned)), OPEN, limit=20)

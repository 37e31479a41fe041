"""How the scripted demonstrator puts the square nut onto its peg: held by the handle."""

from collections.abc import Iterator

import numpy as np

from envs.demos.robosuite_hand import CLOSED, OPEN, Phase, Pose, downward, stay, yaw_of
from envs.robosuite.simulation import Simulation

_ATTEMPTS = 4
_HANDLE = 0.054  # m from the nut's middle along its x axis to that of its handle
_PEG = np.array([0.23, 0.1])  # m
_PEG_TOP = 0.95  # m
_LOWERED = 0.85  # m, height of the nut's middle when it is on the peg for good
_REST_YAW = np.pi / 2.0  # rad, of the hand when an episode starts
_AWAY = 2.5  # rad, effort that a handle pointing away from the robot is worth
_HELD = 0.03  # m from the hand to where it took the handle, while it holds it


def script(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Put the nut onto the peg; again if it was lost."""
    for _ in range(_ATTEMPTS):
        yield from _attempt(simulation, rng)


def _attempt(simulation: Simulation, rng: np.random.Generator) -> Iterator[Phase]:
    """Approach, grasp the handle, lift, carry over the peg, lower, let go."""
    yaw, nut_yaw = _yaws(yaw_of(simulation.object_pose[1]), rng)
    rotation = downward(yaw, rng.normal(0.0, 0.03, 2))
    above = np.array([*rng.normal(0.0, 0.015, 2), rng.uniform(0.05, 0.1)])
    along, height = _HANDLE + rng.uniform(-0.004, 0.014), rng.uniform(-0.004, 0.006)

    def at() -> Pose:
        nut, turned = simulation.object_pose
        return nut + along * turned[:, 0] + [0.0, 0.0, height], rotation

    def over() -> Pose:
        return at()[0] + above, rotation

    def held() -> bool:
        return float(np.linalg.norm(simulation.eef_pose[0] - at()[0])) < _HELD

    yield Phase(over, OPEN, near=rng.uniform(0.015, 0.03), turned=0.15)
    yield Phase(at, OPEN, near=0.006, turned=0.08)
    yield Phase(stay(simulation.eef_pose), CLOSED, near=0.03, limit=15, until_shut=True)
    position, rotation = simulation.eef_pose
    up = position + np.array([*rng.normal(0.0, 0.02, 2), rng.uniform(0.12, 0.2)])
    yield Phase(stay((up, rotation)), CLOSED, near=0.03, held=held)
    if not held():
        return
    hover = np.array([*_PEG, _PEG_TOP + rng.uniform(0.025, 0.06)])
    lowered = np.array([*_PEG, _LOWERED])

    def carried() -> Pose:
        return _hand_for_nut(simulation, hover, nut_yaw)

    def put() -> Pose:
        return _hand_for_nut(simulation, lowered, nut_yaw)

    yield Phase(carried, CLOSED, near=0.03, turned=0.2, limit=80, held=held)
    yield Phase(carried, CLOSED, near=0.008, turned=0.1, limit=40, held=held)
    if not held():
        return
    yield Phase(put, CLOSED, near=0.01, hurry=0.7, held=held)
    position, rotation = simulation.eef_pose
    yield Phase(stay((position, rotation)), OPEN, near=0.05, turned=np.pi, limit=8, until_shut=True)
    yield Phase(stay((np.add(position, [0.0, 0.0, 0.1]), rotation)), OPEN, limit=20)


def _yaws(nut_yaw: float, rng: np.random.Generator) -> tuple[float, float]:
    """How to take the nut and how to put it down.

    The handle can be taken in two ways and the nut put down in four. A wrist turns little more than
    a quarter turn either way, and a handle that points away from the robot is out of its reach over
    the peg; among the rest people differ.

    Returns:
        Yaw of the hand when it takes the handle and yaw of the nut on the peg, rad.
    """
    choices = []
    for across in (nut_yaw + np.pi / 2.0, nut_yaw - np.pi / 2.0):
        turn = _wrapped(across - _REST_YAW)
        for put in (0.0, np.pi / 2.0, np.pi, -np.pi / 2.0):
            change = _wrapped(put - nut_yaw)
            effort = max(abs(turn), abs(turn + change)) + 0.2 * abs(change)
            effort += _AWAY * (put == 0.0) + rng.gumbel(0.0, 0.05)
            choices.append((effort, _REST_YAW + turn, put))
    _, hand, put = min(choices)
    return hand, put


def _wrapped(angle: float) -> float:
    return (angle + np.pi) % (2.0 * np.pi) - np.pi


def _hand_for_nut(simulation: Simulation, nut_position: np.ndarray, nut_yaw: float) -> Pose:
    """The hand's pose that brings the nut, held as it is, to a position and a yaw."""
    position, rotation = simulation.eef_pose
    nut, turned = simulation.object_pose
    cos, sin = np.cos(nut_yaw), np.sin(nut_yaw)
    wanted = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    change = wanted @ turned.T
    return nut_position + change @ (position - nut), change @ rotation

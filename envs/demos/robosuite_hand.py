"""The hand of the scripted robosuite demonstrators: it moves like a person's on a space mouse.

A task's script yields one `Phase` after another: where the hand goes next as a function of what is
seen, and when that is reached. The hand steers there step by step from wherever it is, so it makes
up for its own noise, for objects that slip and for the disturbances that some episodes have. What
people differ in is drawn once an episode (`Manner`): how fast they move and turn and how steady
their hand is.

Commands are those of velocity control; the pose that each of them meant is recorded beside it, so
that one demonstration serves both control modes. While something pushes the hand aside, what is
recorded is what it would have done, not what it suffered: a policy learns to make up for a push and
never to push.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.robosuite.actions import absolute, pose_action
from envs.robosuite.observations import observe
from envs.robosuite.rotations import from_axis_angle, to_axis_angle
from envs.robosuite.simulation import MAX_DELTA, Simulation

Floats = NDArray[np.float64]
Pose = tuple[Floats, Floats]
"""Position (3,), m, and rotation matrix (3, 3)."""

OPEN, CLOSED = -1.0, 1.0

_EAGERNESS = 1.6  # commanded of what is missing: the controller gives way to weights and friction
_STEADINESS = 0.8  # of the noise from step to step
_DISTURBED = 0.3  # of the episodes
_DISTURBANCE_STEPS = 4
_DISTURBANCE = 0.6  # of the largest translation
_REST = 2e-4  # m a step; fingers slower than that have closed on something


@dataclass(frozen=True)
class Phase:
    """One stretch of a demonstration.

    Attributes:
        aim: Where the hand shall be, from what is the case now.
        gripper: OPEN or CLOSED.
        near: Distance at which the aim counts as reached, m.
        turned: Angle at which it does, rad.
        hurry: Speed, of the episode's own.
        limit: Steps after which the phase ends, reached or not.
        until_shut: Whether the fingers must have come to rest as well.
        held: Whether the object is still in the hand; the phase ends when it is not.
    """

    aim: Callable[[], Pose]
    gripper: float
    near: float = 0.01
    turned: float = 0.1
    hurry: float = 1.0
    limit: int = 60
    until_shut: bool = False
    held: Callable[[], bool] = lambda: True


Script = Callable[[Simulation, np.random.Generator], Iterator[Phase]]


@dataclass(frozen=True)
class Manner:
    """How one episode is played.

    Attributes:
        speed: Largest translation commanded, of 0.05 m.
        turn: Largest rotation commanded, of 0.5 rad.
        noise: Standard deviation of the hand's noise, of 0.05 m.
        disturbed_at: Step at which something pushes the hand aside; None for never.
        push: Where to, (3,), of 0.05 m, in place of what the hand commands.
    """

    speed: float
    turn: float
    noise: float
    disturbed_at: int | None
    push: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Manner":
        """The manner of an episode."""
        push = rng.standard_normal(3) * [1.0, 1.0, 0.3]
        disturbed = rng.random() < _DISTURBED
        return cls(
            speed=rng.uniform(0.7, 1.0),
            turn=rng.uniform(0.25, 0.4),
            noise=rng.uniform(0.01, 0.05),
            disturbed_at=int(rng.integers(5, 60)) if disturbed else None,
            push=_DISTURBANCE * push / np.linalg.norm(push),
        )

    def is_pushed(self, step: int) -> bool:
        """Whether something pushes the hand aside at a step."""
        at = self.disturbed_at
        return at is not None and at <= step < at + _DISTURBANCE_STEPS


@dataclass(frozen=True)
class Episode:
    """What one episode gave.

    Attributes:
        seed: Of the episode.
        states: MuJoCo's before each action, (T, Ds).
        observations: A policy's before each action, (T, Do).
        deltas: Actions of velocity control, (T, 7).
        actions: Actions of position control that mean the same, (T, 10).
        is_success: Whether the task was solved.
    """

    seed: int
    states: Floats
    observations: Floats
    deltas: Floats
    actions: Floats
    is_success: bool


def perform(simulation: Simulation, script: Script, seed: int, max_steps: int) -> Episode:
    """Play a script from the initial state of a seed until success, its end, or `max_steps`.

    Args:
        simulation: Of the script's task, under velocity control.
        script: What to do.
        seed: Of the initial state and of all chance.
        max_steps: The task's limit.
    """
    simulation.start(simulation.initial_state(seed))
    rng = np.random.default_rng(seed)
    manner = Manner.draw(rng)
    rows: list[tuple[Floats, Floats, Floats, Floats]] = []
    noise = np.zeros(3)
    for phase in script(simulation, rng):
        for step in range(phase.limit):
            noise = _STEADINESS * noise + np.sqrt(1 - _STEADINESS**2) * rng.standard_normal(3)
            delta = _steer(simulation.eef_pose, phase, manner)
            delta[:3] += manner.noise * noise
            delta = np.clip(delta, -1.0, 1.0)
            state, seen = simulation.state, observe(simulation)
            fingers = simulation.data.qpos[simulation.gripper_qpos].copy()
            if manner.is_pushed(len(rows)):
                meant = absolute(delta, *simulation.eef_pose)
                simulation.step(np.concatenate([manner.push, delta[3:]]))
            else:
                simulation.step(delta)
                meant = pose_action(*simulation.goal, delta[6])
            rows.append((state, seen, delta, meant))
            if simulation.is_success or len(rows) == max_steps:
                return _episode(seed, rows, simulation.is_success)
            moved = np.abs(simulation.data.qpos[simulation.gripper_qpos] - fingers).max()
            shut = not phase.until_shut or (step >= 3 and moved < _REST)
            if not phase.held() or (shut and _reached(simulation.eef_pose, phase)):
                break
    return _episode(seed, rows, is_success=False)


def _episode(
    seed: int, rows: list[tuple[Floats, Floats, Floats, Floats]], is_success: bool
) -> Episode:
    states, seen, deltas, actions = (np.array(column) for column in zip(*rows, strict=True))
    return Episode(seed, states, seen, deltas, actions, is_success)


def _steer(pose: Pose, phase: Phase, manner: Manner) -> Floats:
    """The command (7,) that brings a hand at `pose` nearer to the aim."""
    position, rotation = phase.aim()
    way = _EAGERNESS * (position - pose[0]) / MAX_DELTA[:3]
    turn = _EAGERNESS * to_axis_angle(rotation @ pose[1].T) / MAX_DELTA[3:]
    return np.concatenate(
        [
            _shortened(way, phase.hurry * manner.speed),
            _shortened(turn, manner.turn),
            [phase.gripper],
        ]
    )


def _shortened(vector: Floats, longest: float) -> Floats:
    shortened: Floats = vector * min(1.0, longest / max(float(np.linalg.norm(vector)), 1e-9))
    return shortened


def _reached(pose: Pose, phase: Phase) -> bool:
    position, rotation = phase.aim()
    away = float(np.linalg.norm(position - pose[0]))
    askew = float(np.linalg.norm(to_axis_angle(rotation @ pose[1].T)))
    return away < phase.near and askew < phase.turned


def stay(pose: Pose) -> Callable[[], Pose]:
    """An aim that does not move."""
    return lambda: pose


def downward(yaw: float, tilt: Floats | None = None) -> Floats:
    """Rotation (3, 3) of a hand that points down, its fingers `yaw` rad from the world's x axis.

    Args:
        yaw: Of the line between the fingers.
        tilt: Lean about the world's x and y axes, (2,), rad.
    """
    x = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    z = np.array([0.0, 0.0, -1.0])
    upright = np.column_stack([x, np.cross(z, x), z])
    return upright if tilt is None else from_axis_angle([*tilt, 0.0]) @ upright


def yaw_of(rotation: Floats) -> float:
    """Angle of the x axis of a rotation (3, 3) in the plane, rad."""
    return float(np.arctan2(rotation[1, 0], rotation[0, 0]))


def nearest_yaw(yaw: float, now: float, symmetry: int, rng: np.random.Generator) -> float:
    """The angle nearest to `now` among those that look like `yaw`.

    Where two are about as near either is taken, as people do.

    Args:
        yaw: One of the angles, rad.
        now: The present one, rad.
        symmetry: How many there are in a full turn.
        rng: Decides between two.
    """
    step = 2.0 * np.pi / symmetry
    away = (yaw - now + step / 2.0) % step - step / 2.0
    if abs(away) > 0.42 * step and rng.random() < 0.5:
        away -= np.sign(away) * step
    return now + away

"""The scripted Push-T demonstrator: plan a push, drive round the block to it, push, look again.

Made to be learnt from by a policy that sees the block, the agent and the step before. The set-point
is a function of what is seen: a point ahead of the agent on its path, nearer when the agent is
slow. It moves evenly, never jumps, and never waits. The plan (pusht_pushes.py) is one and the same
for the same state. What is left to chance is what people differ in too: which way round the block
when both are about as long, decided once a push, and by a px or two where and how far to push, so
that the demonstrations also show what to do after a push that did not go as planned.

An episode is determined by its seed: initial state and chance, both.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.demos.pusht_pushes import Push, block_pose, plan, to_block, to_world, turned, turning
from envs.demos.pusht_routes import CLEARANCE, both_ways, resample, retreat, way_length
from envs.pusht.geometry import AGENT_RADIUS, SUCCESS_COVERAGE, WORLD_SIZE, coverage
from envs.pusht.physics import PushTPhysics, initial_state

Array = NDArray[np.float64]

VERSION = 2  # raised when a change here or in what it imports changes an episode
MAX_STEPS = 300  # the task's limit

_LEAD_TRAVEL = 30.0  # px between agent and set-point: 12 px a step
_LEAD_PUSH = 20.0  # 8 px a step
_LEAD_REST, _LEAD_GAIN = 12.0, 2.0  # px, steps: lead of an agent at rest, and growth with its speed
_SEARCH = 60  # px of the path ahead in which the agent's place on it is looked for
_SLOW_DOWN = 20.0  # px before the contact at which the agent has slowed to pushing speed
_FOLLOW_THROUGH = 0.3  # of its distance that the path of a push goes on beyond the end
_COAST = 0.15  # of its lead that the agent goes on when the set-point turns back at the end
_ARRIVED = 1.0  # px before its end that a push counts as made
_EITHER_WAY = 0.8  # ratio of lengths above which left and right are as good as each other
_STRAIGHT_ON, _IN_LINE = 40.0, 3.0  # px behind a contact and beside its normal: no way round
_OFFSET_NOISE = 2.0  # px along the face, standard deviation
_DISTANCE_NOISE = 0.05  # of the distance, standard deviation
_EDGE = 4.0  # px that a way round the block keeps from the edge of the world


@dataclass(frozen=True)
class Episode:
    """What one episode gave.

    Attributes:
        states: Before each action, (T, 5).
        actions: Set-points, (T, 2), px.
        contacts: Contact points in the step that led to each state, (T,).
        is_success: Whether the block was brought to its goal.
    """

    states: Array
    actions: Array
    contacts: NDArray[np.int64]
    is_success: bool


def demonstrate(seed: int, start: Array | None = None) -> Episode:
    """Solve the task from the initial state of `seed`, or from `start` (5,) with its chance."""
    rng = np.random.default_rng(seed)
    physics = PushTPhysics()
    physics.reset_to(initial_state(seed) if start is None else start)
    states, actions, contacts = [], [], [0]
    while True:
        course = _plan_course(physics.state, rng)
        here = 0
        while True:  # a step at least, or a push shorter than the coast would be planned for ever
            state = physics.state
            ahead = course.points[here : here + _SEARCH]
            here += int(np.hypot(*(ahead - state[:2]).T).argmin())
            target = _set_point(course, here, physics.agent_velocity)
            states.append(state)
            actions.append(target)
            contacts.append(physics.step(target))
            is_success = coverage(physics.state) > SUCCESS_COVERAGE
            if is_success or len(actions) == MAX_STEPS:
                return Episode(
                    np.array(states), np.array(actions), np.array(contacts[:-1]), is_success
                )
            if here >= course.end:
                break


@dataclass(frozen=True)
class _Course:
    """The way to and through one push.

    Attributes:
        points: 1 px apart in the world, (P, 2).
        contact: Index of the point where the push begins.
        end: Index of the point where it is made.
    """

    points: Array
    contact: int
    end: float


def _set_point(course: _Course, here: int, velocity: Array) -> Array:
    """Where an agent at point `here` of its course, with a velocity (2,) in px/s, is sent; (2,)."""
    points = course.points
    step = points[min(here + 1, len(points) - 1)] - points[max(here - 1, 0)]
    direction = step / max(float(np.hypot(*step)), 1e-9)
    speed = 0.1 * max(0.0, float(velocity @ direction))  # px a step
    lead = min(
        _LEAD_TRAVEL,
        _LEAD_REST + _LEAD_GAIN * speed,
        _LEAD_PUSH + max(0.0, course.contact - _SLOW_DOWN - here),
    )
    target: Array = np.clip(points[min(here + int(lead), len(points) - 1)], 0.0, WORLD_SIZE)
    return target


def _plan_course(state: Array, rng: np.random.Generator) -> _Course:
    """Choose the next push and the way to it.

    The course of a push that others follow goes on beyond its end, so that the set-point need not
    wait there for the agent; the agent turns back before. In the last push it comes to rest.
    """
    pose = block_pose(state)
    push = plan(pose, state[:2])
    along_face = np.array([-push.normal[1], push.normal[0]])
    offset, stretch = np.clip(rng.standard_normal(2), -2.0, 2.0)
    push = Push(
        push.point + _OFFSET_NOISE * offset * along_face,
        push.normal,
        push.distance * (1.0 + _DISTANCE_NOISE * stretch),
        push.is_last,
    )
    way = resample(to_world(pose, _way_to(push, to_block(pose, state[:2]), pose, rng)))
    beyond = 0.0 if push.is_last else min(_FOLLOW_THROUGH * push.distance, _LEAD_PUSH)
    points = np.vstack([way, _arc_of(push, pose, push.distance + beyond)])
    return _Course(points, len(way), len(way) + push.distance - max(_COAST * beyond, _ARRIVED))


def _way_to(push: Push, agent: Array, pose: Array, rng: np.random.Generator) -> Array:
    """Polyline (P, 2) from the agent to the push's contact, in the block's frame."""
    contact = push.point - AGENT_RADIUS * push.normal
    behind = -(agent - contact) @ push.normal
    aside = np.hypot(*(agent - contact + behind * push.normal))
    if 0.0 <= behind < _STRAIGHT_ON and aside < _IN_LINE:
        return np.array([agent, contact])
    ways = both_ways(retreat(agent), push.point - CLEARANCE * push.normal)
    lengths = [way_length(way) for way in ways]
    beyond = [_beyond_edge(to_world(pose, way)) for way in ways]
    if beyond[0] != beyond[1]:
        chosen = int(np.argmin(beyond))
    elif min(lengths) > _EITHER_WAY * max(lengths):
        chosen = int(rng.integers(2))
    else:
        chosen = int(np.argmin(lengths))
    return np.vstack([agent, ways[chosen], contact])


def _beyond_edge(way: Array) -> float:
    """How far a way (P, 2) leads beyond the edge of the world, px."""
    return max(0.0, float(np.maximum(_EDGE - way, way - (WORLD_SIZE - _EDGE)).max()))


def _arc_of(push: Push, pose: Array, length: float) -> Array:
    """Positions (P, 2) of the agent in the push, 1 px apart and the last at its end, world."""
    centre, rate = turning(push.point, push.normal)
    centre = to_world(pose, centre)
    contact = to_world(pose, push.point - AGENT_RADIUS * push.normal)
    advanced = np.append(np.arange(0.0, length, 1.0), length)
    return centre + turned((contact - centre)[None], rate * advanced)

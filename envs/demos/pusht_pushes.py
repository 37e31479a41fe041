"""Pushes of the Push-T block in closed form, and the plan of which to make.

The block stops as soon as nothing pushes it, and its surfaces have no friction. So a contact at
point p with inward normal n and lever arm l = (p - g) x n about the centre of gravity g, whose
agent follows the normal as the block turns, turns the block about a centre that stays where it is:

    centre = g + perp(n) I / l        perp((x, y)) = (-y, x), I: inertia of the unit mass
    angle  = l d / (I + l²)           d: distance that the agent advances

How far to push until the block is as near to its goal as this contact can bring it is then an
arctangent, and looking several pushes ahead costs no simulation. In the engine the block ends up
within 0.1 px and 0.001 rad of this after 60 px of pushing.

A pose is (x, y, angle) with x, y of the centre of gravity; points of the block are in its frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.demos.pusht_routes import CLEARANCE, outline_distance, ring_gap
from envs.pusht.geometry import AGENT_RADIUS, CENTER_OF_GRAVITY, GOAL_POSE, WORLD_SIZE
from envs.pusht.physics import BLOCK_INERTIA

Array = NDArray[np.float64]

# Points of contact on each face of the T, with room to its corners and notches, and its normal.
_FACES: list[tuple[list[tuple[float, float]], tuple[float, float]]] = [
    ([(-48, 0), (-24, 0), (0, 0), (24, 0), (48, 0)], (0, 1)),
    ([(60, 15)], (-1, 0)),
    ([(-60, 15)], (1, 0)),
    ([(-52, 30), (-38, 30), (38, 30), (52, 30)], (0, -1)),
    ([(15, 50), (15, 70), (15, 90), (15, 110)], (-1, 0)),
    ([(-15, 50), (-15, 70), (-15, 90), (-15, 110)], (1, 0)),
    ([(-8, 120), (0, 120), (8, 120)], (0, -1)),
]
CONTACTS = np.array([p for points, _ in _FACES for p in points], dtype=np.float64)  # (C, 2)
NORMALS = np.array([n for points, n in _FACES for _ in points], dtype=np.float64)  # (C, 2)

# The plan minimises px of travel; these turn everything else into px.
_PLAN_DEPTH = 2  # pushes ahead
_BEAM = 40  # plans kept at each depth
_PUSH_PRICE = 2.0  # a push is driven at half the speed of travel
_TURN_PRICE = 60.0  # of braking, turning and starting again for a push
_ERROR_PRICE = 80.0  # for each px of what is left: above what a push costs, or it pecks for ever
_MIN_DISTANCE, _MAX_DISTANCE = 1.0, 250.0  # px of one push
_WALL_MARGIN = 8.0  # px from the world's edge that the agent keeps when it pushes
RADIUS_OF_GYRATION = 44.0  # px, of the T's area: what a radian is worth

_COG = np.asarray(CENTER_OF_GRAVITY)
_MIN_LEVER = 0.03  # px; below it the centre of turning is numerically at infinity


@dataclass(frozen=True)
class Push:
    """One push: where, which way and how far.

    Attributes:
        point: Point of contact on the outline, (2,), px in the block's frame.
        normal: Inward normal there, (2,).
        distance: px that the agent advances in contact.
        is_last: Whether the plan ends with it.
    """

    point: Array
    normal: Array
    distance: float
    is_last: bool


def block_pose(state: Array) -> Array:
    """Pose (3,) of the block in a state (5,)."""
    return np.append(state[2:4] + turned(_COG, state[4]), state[4])


def turned(points: Array, angle: Array | float) -> Array:
    """Points (..., 2) turned about the origin by angles (...), rad."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = points[..., 0], points[..., 1]
    rotated: Array = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return rotated


def to_world(pose: Array, points: Array) -> Array:
    """Points (..., 2) of the block's frame in the world; poses (..., 3)."""
    placed: Array = pose[..., :2] + turned(points - _COG, pose[..., 2])
    return placed


def to_block(pose: Array, points: Array) -> Array:
    """Points (..., 2) of the world in the block's frame; one pose (3,)."""
    local: Array = turned(points - pose[:2], -pose[2]) + _COG
    return local


def turning(points: Array, normals: Array) -> tuple[Array, Array]:
    """Centre of turning (..., 2) in the block's frame and rad a px for contacts (..., 2)."""
    lever = _cross(points - _COG, normals)
    lever = np.where(np.abs(lever) < _MIN_LEVER, _MIN_LEVER, lever)
    rate = lever / (BLOCK_INERTIA + lever**2)
    perpendicular = np.stack([-normals[..., 1], normals[..., 0]], axis=-1)
    return _COG + perpendicular * (BLOCK_INERTIA / lever)[..., None], rate


def _cross(a: Array, b: Array) -> Array:
    cross: Array = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return cross


_CENTRES, _RATES = turning(CONTACTS, NORMALS)
_GOAL = block_pose(np.array([0.0, 0.0, *GOAL_POSE]))
_TRAVEL = ring_gap(
    (CONTACTS - CLEARANCE * NORMALS)[:, None], (CONTACTS - CLEARANCE * NORMALS)[None]
) + 2.0 * (CLEARANCE - AGENT_RADIUS) * ~np.eye(len(CONTACTS), dtype=bool)  # (C, C)


def goal_error(poses: Array) -> Array:
    """Root mean square distance (...) of the block's points to where they belong, px."""
    offset = poses[..., :2] - _GOAL[:2]
    turn = 1.0 - np.cos(poses[..., 2] - _GOAL[2])
    error: Array = np.sqrt((offset**2).sum(axis=-1) + 2.0 * RADIUS_OF_GYRATION**2 * turn)
    return error


def _best_distances(poses: Array) -> Array:
    """Distance (P, C) of each contact's push that brings poses (P, 3) nearest to the goal."""
    centres = to_world(poses[:, None], _CENTRES)  # (P, C, 2)
    arm, goal = poses[:, None, :2] - centres, _GOAL[:2] - centres
    turn = (poses[:, 2] - _GOAL[2])[:, None]
    inertia = RADIUS_OF_GYRATION**2
    along = (arm * goal).sum(axis=-1) + inertia * np.cos(turn)
    across = _cross(arm, goal) - inertia * np.sin(turn)
    distances: Array = np.clip(np.arctan2(across, along) / _RATES, 0.0, _MAX_DISTANCE)
    return distances


def pushed(poses: Array, contacts: NDArray[np.int64], distances: Array) -> Array:
    """Poses (P, 3) after pushes at contacts (P,) over distances (P,)."""
    centres = to_world(poses, _CENTRES[contacts])
    angle = _RATES[contacts] * distances
    position = centres + turned(poses[:, :2] - centres, angle)
    return np.column_stack([position, poses[:, 2] + angle])


def plan(pose: Array, agent: Array) -> Push:
    """The first push of the cheapest plan, found by beam search over the closed form.

    The price counts travel, pushing and what is left at the end, so a plan stays the best while it
    is carried out, and the same state gives the same push.

    Args:
        pose: Of the block, (3,).
        agent: Position in the world, (2,), px.

    Raises:
        RuntimeError: If no push brings the block nearer to its goal.
    """
    travel = _travel_from(to_block(pose, agent))[None]  # (P, C)
    poses, price = pose[None], np.zeros(1)
    first: NDArray[np.int64] | None = None
    best_price, best = np.inf, None
    for depth in range(_PLAN_DEPTH):
        reach = _best_distances(poses)  # (P, C)
        parent, contact = (index.ravel() for index in np.indices(reach.shape))
        distance = reach.ravel()
        after = pushed(poses[parent], contact, distance)
        allowed = (distance > _MIN_DISTANCE) & _within_walls(poses[parent], after, contact)
        if not allowed.any():
            break
        parent, contact, distance = parent[allowed], contact[allowed], distance[allowed]
        poses = after[allowed]
        price = price[parent] + travel[parent, contact] + _PUSH_PRICE * distance + _TURN_PRICE
        first = np.arange(len(parent)) if first is None else first[parent]
        if depth == 0:
            openings = contact, distance
        total = price + _ERROR_PRICE * goal_error(poses)
        kept = np.argsort(total, kind="stable")[:_BEAM]
        if total[kept[0]] < best_price:
            best_price, best = total[kept[0]], (int(first[kept[0]]), depth == 0)
        poses, price, first, travel = poses[kept], price[kept], first[kept], _TRAVEL[contact[kept]]
    if best is None:
        raise RuntimeError(f"no push brings the block at {pose} nearer to its goal")
    opening, is_last = best
    contact_index, distance = openings[0][opening], openings[1][opening]
    return Push(CONTACTS[contact_index], NORMALS[contact_index], float(distance), is_last)


def _travel_from(agent: Array) -> Array:
    """About how far (C,) the agent (2,), in the block's frame, has to go to each contact, px."""
    around = ring_gap(agent, CONTACTS - CLEARANCE * NORMALS)
    off = np.abs(outline_distance(agent) - CLEARANCE) + CLEARANCE - AGENT_RADIUS
    straight = np.hypot(*(agent - CONTACTS + AGENT_RADIUS * NORMALS).T)
    return np.where(straight < 20.0, straight, around + off)


def _within_walls(before: Array, after: Array, contacts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether (P,) the agent has room behind the contact, and at it when the push ends."""
    within = np.ones(len(contacts), dtype=bool)
    for poses, gap in ((before, AGENT_RADIUS + 10.0), (after, AGENT_RADIUS)):
        agent = to_world(poses, CONTACTS[contacts] - gap * NORMALS[contacts])
        within &= ((agent > _WALL_MARGIN) & (agent < WORLD_SIZE - _WALL_MARGIN)).all(axis=1)
    return within

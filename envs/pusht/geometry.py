"""The T, its goal, how much of the goal it covers, and its nine keypoints.

Lengths are in px and angles in rad; the y axis points down. A state is five numbers: agent x,
agent y, block x, block y, block angle. The block's position is that of the origin of its body
frame, the middle of the bar's outer edge, and not that of its centre of gravity.

Coverage is exact. In the goal's own frame the goal is two axis-parallel boxes, and the area that
a polygon shares with a box is the integral of y dx along the polygon's outline with x and y clamped
to the box (Green's theorem), which every edge contributes to in closed form. No polygon has to be
cut, touching edges need no special case, and it vectorises. `coverage` and `coverage_batch` do the
same operations in the same order, so they agree to the bit; cosines come from `math` in both,
because numpy may round its vectorised ones differently.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = tuple[tuple[float, float], ...]

WORLD_SIZE = 512.0
IMAGE_SIZE = 96  # px of a picture that a policy sees of the world
AGENT_RADIUS = 15.0

BAR: Points = ((-60.0, 0.0), (60.0, 0.0), (60.0, 30.0), (-60.0, 30.0))
STEM: Points = ((-15.0, 30.0), (15.0, 30.0), (15.0, 120.0), (-15.0, 120.0))
OUTLINE: Points = (*BAR[:3], *STEM[1:], STEM[0], BAR[3])
T_AREA = 120.0 * 30.0 + 30.0 * 90.0

# The plain mean of the centroids of bar and stem, as if both weighed the same: kept from the
# original, since it decides about which point the block turns.
CENTER_OF_GRAVITY = (0.0, 45.0)
REACH = math.hypot(15.0, 75.0)  # from the centre of gravity to the farthest corner

GOAL_POSE = (256.0, 256.0, math.pi / 4)
SUCCESS_COVERAGE = 0.95

# The protocol's keypoints, in the block's frame and in the order of the recorded data. Where they
# come from: farthest-point sampling over the integer pixels of a drawing of the block (whose drawn
# border is 2 px wider than the T), then a shift of each inside its pixel by the 2nd to 19th numbers
# of numpy.random.default_rng(0).random().
_KEYPOINT_PIXELS = np.array(
    [[9, 90], [-61, -2], [60, -2], [-1, 25], [-15, 122], [39, 32], [-40, 32], [-17, 62], [23, -2]]
)
_SHIFTS_IN_PIXEL = np.array(
    [
        [0.2697867137638703, 0.04097352393619469],
        [0.016527635528529094, 0.8132702392002724],
        [0.9127555772777217, 0.6066357757671799],
        [0.7294965609839984, 0.5436249914654229],
        [0.9350724237877682, 0.8158535541215322],
        [0.002738500170148095, 0.8574042765875693],
        [0.033585575305464355, 0.7296554464299441],
        [0.17565562060255901, 0.8631789223498866],
        [0.5414612202490917, 0.2997118905373848],
    ]
)
LOCAL_KEYPOINTS: NDArray[np.float64] = _KEYPOINT_PIXELS + _SHIFTS_IN_PIXEL  # (9, 2)
_KEYPOINT_PAIRS: list[tuple[float, float]] = [(u, v) for u, v in LOCAL_KEYPOINTS.tolist()]

# The goal's bar and stem as x_min, x_max, y_min, y_max in the goal's frame.
GOAL_BOXES = ((-60.0, 60.0, 0.0, 30.0), (-15.0, 15.0, 30.0, 120.0))
GOAL_COS, GOAL_SIN = math.cos(GOAL_POSE[2]), math.sin(GOAL_POSE[2])
TOUCHING_DISTANCE_SQUARED = (2.0 * REACH) ** 2


def cos_sin(angles: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosines and sines of `angles` (...), each rounded as `math` rounds it."""
    flat = angles.ravel().tolist()
    cosines = np.array([math.cos(angle) for angle in flat])
    sines = np.array([math.sin(angle) for angle in flat])
    return cosines.reshape(angles.shape), sines.reshape(angles.shape)


def place(points: ArrayLike, poses: ArrayLike) -> NDArray[np.float64]:
    """Carry points from the block's frame into the world.

    Args:
        points: Points in the block's frame, (P, 2), px.
        poses: Block x, y (px) and angle (rad), (..., 3).

    Returns:
        The points in the world, (..., P, 2), px.
    """
    points, poses = np.asarray(points, dtype=np.float64), np.asarray(poses, dtype=np.float64)
    cos, sin = cos_sin(poses[..., 2, None])  # (..., 1)
    placed = np.empty((*poses.shape[:-1], len(points), 2))
    placed[..., 0] = poses[..., 0, None] + cos * points[:, 0] - sin * points[:, 1]
    placed[..., 1] = poses[..., 1, None] + sin * points[:, 0] + cos * points[:, 1]
    return placed


def keypoints(states: ArrayLike) -> NDArray[np.float64]:
    """The nine keypoints of the block in the world for states (..., 5): (..., 9, 2), px."""
    return place(LOCAL_KEYPOINTS, np.asarray(states, dtype=np.float64)[..., 2:])


def block_keypoints(x: float, y: float, angle: float) -> list[float]:
    """`keypoints` of one block pose as 18 numbers x, y, x, y, ..., equal to the bit and faster."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [
        coordinate
        for u, v in _KEYPOINT_PAIRS
        for coordinate in (x + cos * u - sin * v, y + sin * u + cos * v)
    ]


def coverage(state: Sequence[float] | NDArray[np.float64]) -> float:
    """The share of the goal's area that the block covers, 0 to 1, for one state of five numbers."""
    dx, dy = float(state[2]) - GOAL_POSE[0], float(state[3]) - GOAL_POSE[1]
    turn = float(state[4]) - GOAL_POSE[2]
    cos, sin = math.cos(turn), math.sin(turn)
    x = GOAL_COS * dx + GOAL_SIN * dy
    y = GOAL_COS * dy - GOAL_SIN * dx
    from_goal_x = x - sin * CENTER_OF_GRAVITY[1]
    from_goal_y = y + cos * CENTER_OF_GRAVITY[1] - CENTER_OF_GRAVITY[1]
    if from_goal_x * from_goal_x + from_goal_y * from_goal_y > TOUCHING_DISTANCE_SQUARED:
        return 0.0
    corners = [(x + cos * u - sin * v, y + sin * u + cos * v) for u, v in OUTLINE]
    area = 0.0
    for x_min, x_max, y_min, y_max in GOAL_BOXES:
        x0, y0 = corners[-1]
        left = x_min if x0 < x_min else min(x0, x_max)
        for x1, y1 in corners:
            right = x_min if x1 < x_min else min(x1, x_max)
            if left != right:
                slope = (y1 - y0) / (x1 - x0)
                area += (left - right) * _mean_clamped(
                    y0 + slope * (left - x0), y0 + slope * (right - x0), y_min, y_max
                )
            x0, y0, left = x1, y1, right
    return min(max(area / T_AREA, 0.0), 1.0)


def _mean_clamped(start: float, end: float, low: float, high: float) -> float:
    """The mean of clamp(y, low, high) while y runs evenly from `start` to `end`."""
    first = low if start < low else min(start, high)
    last = low if end < low else min(end, high)
    if first == last:
        return first
    clamped = first * abs(first - start) + last * abs(end - last)
    return (clamped + 0.5 * (first + last) * abs(last - first)) / abs(end - start)


def coverage_batch(states: ArrayLike) -> NDArray[np.float64]:
    """`coverage` of many states at once, equal to it to the bit: states (N, 5) to (N,)."""
    states = np.asarray(states, dtype=np.float64)
    dx, dy = states[:, 2] - GOAL_POSE[0], states[:, 3] - GOAL_POSE[1]
    cos, sin = cos_sin(states[:, 4] - GOAL_POSE[2])
    x = GOAL_COS * dx + GOAL_SIN * dy
    y = GOAL_COS * dy - GOAL_SIN * dx
    from_goal_x = x - sin * CENTER_OF_GRAVITY[1]
    from_goal_y = y + cos * CENTER_OF_GRAVITY[1] - CENTER_OF_GRAVITY[1]
    distance_squared = from_goal_x * from_goal_x + from_goal_y * from_goal_y
    near = np.flatnonzero(distance_squared <= TOUCHING_DISTANCE_SQUARED)
    covered = np.zeros(len(states))
    if len(near):
        covered[near] = _overlap_batch(x[near], y[near], cos[near], sin[near]) / T_AREA
    return np.clip(covered, 0.0, 1.0)


_CORNERS = np.array(OUTLINE).T[:, :, None]  # (2, 8, 1)
_LAST_CORNER = np.arange(len(OUTLINE)) - 1
_BOXES = np.array(GOAL_BOXES).T[:, :, None, None]  # (4, 2, 1, 1)


def _overlap_batch(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cos: NDArray[np.float64],
    sin: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Area shared by block and goal, (N,) px², for block poses (N,) in the goal's frame."""
    x1 = x + cos * _CORNERS[0] - sin * _CORNERS[1]  # (8, N), the end of each edge
    y1 = y + sin * _CORNERS[0] + cos * _CORNERS[1]
    x0, y0 = x1[_LAST_CORNER], y1[_LAST_CORNER]  # its start
    x_min, x_max, y_min, y_max = _BOXES
    left = np.clip(x0, x_min, x_max)  # (2, 8, N)
    right = np.clip(x1, x_min, x_max)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (y1 - y0) / (x1 - x0)
        start, end = y0 + slope * (left - x0), y0 + slope * (right - x0)
        first, last = np.clip(start, y_min, y_max), np.clip(end, y_min, y_max)
        clamped = first * np.abs(first - start) + last * np.abs(end - last)
        mean = (clamped + 0.5 * (first + last) * np.abs(last - first)) / np.abs(end - start)
    mean = np.where(first == last, first, mean)
    # Edges outside the box have no width and, if they are vertical, no slope either.
    areas = np.where(left != right, (left - right) * mean, 0.0).reshape(-1, len(x))
    # accumulate adds one after the other, as `coverage` does; sum would add in pairs.
    total: NDArray[np.float64] = np.add.accumulate(areas, axis=0)[-1]
    return total

"""The one meaning of position and velocity control, and the conversion of recorded actions.

Position control: an action is the set-point itself. Velocity control: an action is the difference
between this set-point and the last one, and the first of an episode is relative to a reference
(on Push-T the agent's position). Demonstrations hold position actions; a policy under velocity
control is trained on `to_velocity` of them, and the environment adds its actions up again.

The conversion loses nothing: each difference is taken from the set-point that the environment will
have reached by adding up the differences before it, so rounding errors never accumulate. Set-points
that were recorded in float32 come back to the bit; any others within one rounding error.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Control = Literal["position", "velocity"]
CONTROLS: tuple[Control, ...] = get_args(Control)


def to_velocity(
    actions: ArrayLike, episode_ends: ArrayLike, first_reference: ArrayLike
) -> NDArray[np.float64]:
    """Turn the set-points of consecutive episodes into differences of set-points.

    Args:
        actions: Set-points, (N, Da).
        episode_ends: Index after the last step of each episode, (E,), strictly increasing to N.
        first_reference: What the first action of each episode is relative to, (E, Da).

    Returns:
        Differences of set-points, (N, Da), in the unit of the actions.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    set_points, ends, references = _checked(actions, episode_ends, first_reference)
    differences = np.empty_like(set_points)
    for start, end, reference in zip(np.r_[0, ends[:-1]], ends, references, strict=True):
        reached = reference
        for step in range(start, end):
            differences[step] = set_points[step] - reached
            reached = reached + differences[step]
    return differences


def to_position(
    actions: ArrayLike, episode_ends: ArrayLike, first_reference: ArrayLike
) -> NDArray[np.float64]:
    """Add differences of set-points up again, the inverse of `to_velocity`.

    Args:
        actions: Differences of set-points, (N, Da).
        episode_ends: Index after the last step of each episode, (E,), strictly increasing to N.
        first_reference: What the first action of each episode is relative to, (E, Da).

    Returns:
        Set-points, (N, Da), in the unit of the actions.

    Raises:
        ValueError: If the shapes do not fit together.
    """
    differences, ends, references = _checked(actions, episode_ends, first_reference)
    set_points = np.empty_like(differences)
    for start, end, reference in zip(np.r_[0, ends[:-1]], ends, references, strict=True):
        # cumsum adds from left to right, as the environment does step by step.
        episode = np.concatenate([reference[None], differences[start:end]])
        set_points[start:end] = np.cumsum(episode, axis=0)[1:]
    return set_points


def _checked(
    actions: ArrayLike, episode_ends: ArrayLike, first_reference: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    actions = np.asarray(actions, dtype=np.float64)
    ends = np.asarray(episode_ends, dtype=np.int64)
    references = np.asarray(first_reference, dtype=np.float64)
    if actions.ndim != 2:
        raise ValueError(f"actions have shape {actions.shape}; give (N, Da)")
    if ends.ndim != 1 or np.any(np.diff(ends, prepend=0) <= 0) or ends[-1:] != len(actions):
        raise ValueError(
            f"episode_ends {ends} must increase strictly and end at the number of actions, "
            f"{len(actions)}"
        )
    if references.shape != (len(ends), actions.shape[1]):
        raise ValueError(
            f"first_reference has shape {references.shape}; give one row an episode, "
            f"{(len(ends), actions.shape[1])}"
        )
    return actions, ends, references

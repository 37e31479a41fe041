"""Why control modes differ: demonstrated actions as set-points and as differences of set-points.

modes           how many ways to go on similar states show in each space
error growth    where the agent is after one action was wrong and the rest as recorded
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scipy.spatial import cKDTree
from scipy.stats import gaussian_kde

from benchmark.plan.tasks import Motion, Task
from benchmark.running.references import replay, side_by_side
from benchmark.running.rollout import Trace
from envs.control import CONTROLS, Control
from envs.demos.demonstrations import Demonstrations

NEIGHBOURS = 40
PROBES = 400
PROMINENCE = 0.1  # of a mode, in shares of the highest
ERROR_STEPS = 24  # steps that an error is followed for
REPLAYED = 50  # demonstrations at most
ERROR_SHARE = 0.05  # size of the error, in shares of the range of set-points

Floats = NDArray[np.float64]


def count_modes(task: Task, demos: Demonstrations, offset: int, seed: int = 0) -> pd.DataFrame:
    """Count the modes of the actions that people took in similar states.

    The actions of the nearest observations of other episodes are projected on their first principal
    component; modes are the peaks of a kernel density there (Silverman's bandwidth).

    Args:
        task: Gives the meaning of actions.
        demos: With `state` observations.
        offset: Steps between the state and the action that is looked at.
        seed: Of the choice of states.

    Returns:
        A row a probed state and control mode: control, offset, modes.
    """
    states = np.asarray(demos.observations["state"], dtype=np.float64)
    spread = states.max(axis=0) - states.min(axis=0)
    scaled = states / np.where(spread > 0, spread, 1.0)
    episode = np.repeat(np.arange(demos.num_episodes), demos.lengths)
    later = np.minimum(np.arange(len(states)) + offset, demos.episode_ends[episode] - 1)
    tree, most = cKDTree(scaled), min(4 * NEIGHBOURS, len(states))
    probes = np.random.default_rng(seed).permutation(len(states))[:PROBES]
    rows = []
    for control in CONTROLS:
        actions = task.actions_of(demos, control)[later]
        for probe in probes:
            near = np.atleast_1d(tree.query(scaled[probe], most)[1])
            near = near[episode[near] != episode[probe]]
            values = _principal(actions[near[:NEIGHBOURS]])
            rows.append({"control": control, "offset": offset, "modes": _peaks(values)})
    return pd.DataFrame(rows)


def _principal(actions: Floats) -> Floats:
    centred = actions - actions.mean(axis=0)
    values: Floats = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return values


def _peaks(values: Floats) -> int:
    """Number of modes of one-dimensional samples."""
    if len(values) < 2 or np.ptp(values) < 1e-9:
        return 1
    density = gaussian_kde(values, "silverman")
    margin = 0.3 * np.ptp(values)
    heights = density(np.linspace(values.min() - margin, values.max() + margin, 200))
    return len(find_peaks(heights, prominence=PROMINENCE * heights.max())[0])


def error_growth(
    task: Task, motion: Motion, demos: Demonstrations, obs_type: str, seed: int = 0
) -> pd.DataFrame:
    """Replay up to 50 demonstrations with one wrong action and follow the agent's error.

    The same error, in a random direction, is added to the same action under each control mode; the
    following actions are as recorded.

    Returns:
        A row an episode, control mode and step after the error: control, episode, step, error
        (distance of the agent from where it is without the error, in units of a position).
    """
    rng = np.random.default_rng(seed)
    demos = demos.subset(np.arange(min(REPLAYED, demos.num_episodes)))
    set_points = motion.commanded(demos.actions, "position")  # (S, D)
    size = ERROR_SHARE * float(np.ptp(set_points, axis=0).max())
    direction = rng.normal(size=(demos.num_episodes, set_points.shape[1]))
    error = size * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    # Early enough that the error can be followed until the recording ends.
    at = np.maximum(0, (demos.lengths - ERROR_STEPS) * rng.uniform(0.1, 1.0, len(error))).astype(
        int
    )
    rows = []
    for control in CONTROLS:
        right = side_by_side(task.actions_of(demos, control), demos, control)
        wrong = right.copy()
        wrong[np.arange(len(wrong)), at, : error.shape[1]] += (
            motion.action_per_unit[control] * error
        )
        (path, ends), (wrong_path, wrong_ends) = (
            _replay(task, motion, demos, obs_type, control, actions) for actions in (right, wrong)
        )
        for episode, end in enumerate(np.minimum(ends, wrong_ends)):
            for step in range(1, min(ERROR_STEPS, end - at[episode]) + 1):
                apart = wrong_path[at[episode] + step, episode] - path[at[episode] + step, episode]
                rows.append((control, episode, step, float(np.linalg.norm(apart))))
    return pd.DataFrame(rows, columns=["control", "episode", "step", "error"])


def _replay(
    task: Task,
    motion: Motion,
    demos: Demonstrations,
    obs_type: str,
    control: Control,
    actions: Floats,
) -> tuple[Floats, NDArray[np.int64]]:
    """Where the agent is before the first step and after each, (T + 1, E, D), and lengths (E,)."""
    trace = Trace()
    episodes = replay(task, demos, actions, obs_type, control, trace)
    states = np.stack([frame["state"] for frame in trace.frames])
    return motion.position(states, obs_type), episodes["length"].to_numpy()

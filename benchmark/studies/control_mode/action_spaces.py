"""Why control modes differ: demonstrated actions as set-points and as differences of set-points.

modes                       how many ways to go on similar states show in each space
error growth, open loop     where the agent is after one action was wrong and the rest as recorded;
                            that a difference stays wrong holds by construction
error growth, closed loop   the same with a policy that sees where it is and goes on from there
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import find_peaks
from scipy.spatial import cKDTree
from scipy.stats import gaussian_kde

from benchmark.plan.config import EvalConfig
from benchmark.plan.seeding import derive, episode_seeds
from benchmark.plan.tasks import Motion, Task, get_task
from benchmark.running.machine import best_device
from benchmark.running.references import replay, side_by_side
from benchmark.running.rollout import AgentPolicy, Frame, Policy, Trace, play
from benchmark.running.store import Run
from envs.control import CONTROLS, Control
from envs.demos.demonstrations import Demonstrations

NEIGHBOURS = 40
PROBES = 400
PROMINENCE = 0.1  # of a mode, in shares of the highest
ERROR_STEPS = 24  # steps that an error is followed for
REPLAYED = 50  # demonstrations at most
ERROR_SHARE = 0.05  # size of the error, in shares of the range of set-points
ERROR_AT = 20  # step of a policy's episode whose action is wrong

Floats = NDArray[np.float64]


def count_modes(
    task: Task, motion: Motion, demos: Demonstrations, offset: int, seed: int = 0
) -> pd.DataFrame:
    """Count the modes of the actions that people took in similar states.

    The actions of the nearest observations of other episodes are projected on their first principal
    component; modes are the peaks of a kernel density there (Silverman's bandwidth). Only what
    commands a position counts, in its unit: a component of metres, rotations and a gripper's
    opening would compare what has no common measure.

    Args:
        task: Gives the meaning of actions.
        motion: Says which of an action's numbers command a position.
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
    rows, D = [], motion.commanded(demos.actions[:1], "position").shape[-1]
    for control in CONTROLS:
        actions = task.actions_of(demos, control)[later, :D] / motion.action_per_unit[control]
        for probe in probes:
            near = np.atleast_1d(tree.query(scaled[probe], most)[1])
            near = near[episode[near] != episode[probe]]
            values = principal(actions[near[:NEIGHBOURS]])
            rows.append({"control": control, "offset": offset, "modes": peaks(values)})
    return pd.DataFrame(rows)


def principal(actions: Floats) -> Floats:
    """Actions (N, D) along their first principal component, (N,)."""
    centred = actions - actions.mean(axis=0)
    values: Floats = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return values


def peaks(values: Floats) -> int:
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
    error = _errors(set_points, demos.num_episodes, rng)
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


def _errors(set_points: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Errors (count, D) of one size in random directions."""
    direction = rng.normal(size=(count, set_points.shape[1]))
    size = ERROR_SHARE * float(np.ptp(set_points, axis=0).max())
    errors: Floats = size * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    return errors


class OneWrongAction:
    """A policy whose action at step ERROR_AT of an episode is off.

    Args:
        policy: What it does otherwise.
        config: How it is played.
        error: Added to the first numbers of that action, (E, D).
    """

    def __init__(self, policy: Policy, config: EvalConfig, error: Floats) -> None:
        self.obs_horizon, self.pred_horizon = policy.obs_horizon, policy.pred_horizon
        self._policy, self._config, self._error = policy, config, error
        self._step = 0

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Floats:
        """See `Policy.predict`."""
        chunk = self._policy.predict(window, episodes)
        ahead, Ta = ERROR_AT - self._step, self._config.action_horizon
        if 0 <= ahead < Ta:
            first = self.obs_horizon - 1 + self._config.latency
            chunk[:, first + ahead, : self._error.shape[1]] += self._error[episodes]
        self._step += Ta
        return chunk


def closed_loop_growth(
    run: Run, config: EvalConfig, motion: Motion, demos: Demonstrations
) -> pd.DataFrame:
    """Play episodes with and without one wrong action and follow the agent's error.

    Both are played with the same noise, so that without the error they would be one.

    Returns:
        A row an episode and step after the error: seed, step, error (distance of the agents).
        Episodes that ended by then are left out.
    """
    cell, seeds = run.cell, episode_seeds(config.split, config.episodes)
    agent, task = run.agent().to(best_device()), get_task(cell.task)
    set_points = motion.commanded(demos.actions, "position")
    rng = np.random.default_rng(derive("one wrong action"))
    error = motion.action_per_unit[cell.control] * _errors(set_points, len(seeds), rng)
    paths, lengths = [], []
    for size in (0.0, 1.0):
        policy, trace = OneWrongAction(AgentPolicy(agent, seeds), config, size * error), Trace()
        until = np.full(len(seeds), ERROR_AT + ERROR_STEPS)
        what = f"{cell.method} {cell.control}: {'one wrong action' if size else 'as it is'}"
        episodes = play(
            policy, task, cell.obs_type, cell.control, seeds, config, what, None, until, trace
        )
        states = np.stack([frame["state"] for frame in trace.frames])
        paths.append(motion.position(states, cell.obs_type))
        lengths.append(episodes["length"].to_numpy())
    whole = np.minimum(*lengths) == ERROR_AT + ERROR_STEPS
    steps = range(1, ERROR_STEPS + 1)
    rows = [
        (
            seeds[e],
            step,
            float(np.linalg.norm(np.subtract(*(p[ERROR_AT + step, e] for p in paths)))),
        )
        for e in np.flatnonzero(whole)
        for step in steps
    ]
    return pd.DataFrame(rows, columns=["seed", "step", "error"])


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

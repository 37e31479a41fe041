"""A Push-T policy without any training, which asks how much demonstrations alone say.

It looks up the most similar step of the demonstrations (block, agent, agent's movement), carries
the set-points that followed there over to the block's present pose, and looks again. What it solves
needs no learning.
"""

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_pushes import block_pose, turned
from envs.pusht.geometry import SUCCESS_COVERAGE, coverage
from envs.pusht.physics import PushTPhysics, initial_state

Array = NDArray[np.float64]

LONGEST = 8  # set-points that are carried out before it looks again, at most
_TURN_WEIGHT, _MOVE_WEIGHT = 44.0, 2.0  # px a rad of the block; agent's movement against its place
_MAX_STEPS = 300  # the task's limit


class LookUp:
    """The most similar demonstrated step, in the block's frame."""

    def __init__(self, demonstrations: Demonstrations) -> None:
        rows = np.arange(demonstrations.num_steps)
        before = np.maximum(rows - 1, np.repeat(demonstrations.starts, demonstrations.lengths))
        last = np.repeat(demonstrations.episode_ends - 1, demonstrations.lengths)
        following = np.minimum(rows[:, None] + np.arange(LONGEST), last[:, None])
        self._states = demonstrations.states
        self._actions = demonstrations.actions[following]  # (N, LONGEST, 2)
        pairs = zip(self._states, self._states[before], strict=True)
        self._features = np.array([_features(*pair) for pair in pairs])  # (N, 8)

    def __call__(self, state: Array, before: Array) -> Array:
        """The next set-points (LONGEST, 2) in a state (5,), given the one before (5,)."""
        nearest = int(((self._features - _features(state, before)) ** 2).sum(axis=1).argmin())
        there = self._states[nearest]
        relative = self._actions[nearest] - there[2:4]
        return state[2:4] + turned(relative, state[4] - there[4])


def _features(state: Array, before: Array) -> Array:
    pose = block_pose(state)
    heading = _TURN_WEIGHT * np.array([np.cos(pose[2]), np.sin(pose[2])])
    moved = _MOVE_WEIGHT * (state - before)[:2]
    return np.concatenate([pose[:2], heading, state[:2], moved])


def max_coverage(policy: LookUp, seed: int, action_horizon: int = LONGEST) -> float:
    """The largest coverage of an episode of the look-up.

    Args:
        policy: What is played.
        seed: Of the initial state.
        action_horizon: Set-points carried out before it looks again.
    """
    physics = PushTPhysics()
    physics.reset_to(initial_state(seed))
    before = state = physics.state
    best = 0.0
    for step in range(_MAX_STEPS):
        if step % action_horizon == 0:
            targets = policy(state, before)
        physics.step(targets[step % action_horizon])
        before, state = state, physics.state
        best = max(best, coverage(state))
        if best > SUCCESS_COVERAGE:
            break
    return best

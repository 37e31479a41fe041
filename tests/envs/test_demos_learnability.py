"""How much the scripted demonstrations alone say about what to do: a policy without any training.

It looks up the most similar step of the demonstrations (block, agent, agent's movement), carries
the eight set-points that followed there over to the block's present pose, and looks again. A hidden
strategy, jitter or pauses in the demonstrations show at once in its score.
"""

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_pushes import block_pose, turned
from envs.demos.sources import recorded_pusht
from envs.pusht.geometry import SUCCESS_COVERAGE, coverage
from envs.pusht.physics import PushTPhysics, initial_state

EXECUTED = 8
EPISODES = range(200_000, 200_100)  # validation seeds
TURN_WEIGHT, MOVE_WEIGHT = 44.0, 2.0  # px a rad of the block; agent's movement against its position

Array = NDArray[np.float64]


def features(state: Array, before: Array) -> Array:
    pose = block_pose(state)
    heading = TURN_WEIGHT * np.array([np.cos(pose[2]), np.sin(pose[2])])
    return np.concatenate([pose[:2], heading, state[:2], MOVE_WEIGHT * (state - before)[:2]])


class NearestStep:
    def __init__(self, demonstrations: Demonstrations) -> None:
        rows = np.arange(demonstrations.num_steps)
        before = np.maximum(rows - 1, np.repeat(demonstrations.starts, demonstrations.lengths))
        last = np.repeat(demonstrations.episode_ends - 1, demonstrations.lengths)
        following = np.minimum(rows[:, None] + np.arange(EXECUTED), last[:, None])
        self.states = demonstrations.states
        self.actions = demonstrations.actions[following]  # (N, EXECUTED, 2)
        pairs = zip(self.states, self.states[before], strict=True)
        self.features = np.array([features(*pair) for pair in pairs])

    def __call__(self, state: Array, before: Array) -> Array:
        nearest = int(((self.features - features(state, before)) ** 2).sum(axis=1).argmin())
        there = self.states[nearest]
        relative = self.actions[nearest] - there[2:4]
        return state[2:4] + turned(relative, state[4] - there[4])


def max_coverage(policy: NearestStep, seed: int) -> float:
    physics = PushTPhysics()
    physics.reset_to(initial_state(seed))
    before = state = physics.state
    best = steps = 0.0
    while steps < 300 and best <= SUCCESS_COVERAGE:
        for target in policy(state, before):
            physics.step(target)
            before, state = state, physics.state
            best = max(best, coverage(state))
            steps += 1
    return best


@pytest.mark.slow
def test_looking_up_the_nearest_step_solves_most_episodes(tmp_path, monkeypatch):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    policy = NearestStep(recorded_pusht("scripted"))
    best = np.array([max_coverage(policy, seed) for seed in EPISODES])
    score, success = (
        np.minimum(best / SUCCESS_COVERAGE, 1.0).mean(),
        (best > SUCCESS_COVERAGE).mean(),
    )
    print(f"score {score:.3f}, success {success:.2f}")
    assert score > 0.95
    assert success > 0.85

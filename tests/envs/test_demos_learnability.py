"""How much the scripted demonstrations alone say about what to do: a look-up, without training.

What a look-up solves tells no policies apart; `benchmark demos pusht --check` prints how often it
succeeds, at which action horizons, and everything else that is asked. A hidden strategy, jitter or
pauses in the demonstrations show at once in its score.
"""

import numpy as np
import pytest

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.pusht_lookup import LONGEST, LookUp, max_coverage
from envs.demos.pusht_scripted import Episode, demonstrate
from envs.demos.sources import recorded_pusht
from envs.pusht.geometry import SUCCESS_COVERAGE

EPISODES = range(200_000, 200_100)  # validation seeds


def shown(episode: Episode) -> Demonstrations:
    """One episode as all demonstrations that there are."""
    about = Metadata("pusht", "import", "made up", None)
    ends = np.array([len(episode.actions)])
    return Demonstrations(episode.states, episode.actions, ends, {}, about)


def test_a_look_up_repeats_what_it_was_shown_and_carries_it_over_to_another_pose():
    episode = demonstrate(0)
    policy = LookUp(shown(episode))
    state, before = episode.states[20], episode.states[19]
    np.testing.assert_allclose(policy(state, before), episode.actions[20 : 20 + LONGEST], atol=1e-9)
    moved = np.array([1.0, -1.0, 1.0, -1.0, 0.0])  # less than a step, so the nearest stays
    shifted = policy(state + moved, before + moved) - policy(state, before)
    np.testing.assert_allclose(shifted, np.tile(moved[:2], (LONGEST, 1)), atol=1e-9)


def test_a_look_up_solves_an_episode_that_it_was_shown():
    episode = demonstrate(3)
    policy = LookUp(shown(episode))
    assert max_coverage(policy, 3) > SUCCESS_COVERAGE


@pytest.mark.slow
def test_looking_up_the_nearest_step_solves_most_episodes(tmp_path, monkeypatch):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    policy = LookUp(recorded_pusht("scripted"))
    best = np.array([max_coverage(policy, seed) for seed in EPISODES])
    score = np.minimum(best / SUCCESS_COVERAGE, 1.0).mean()
    success = (best > SUCCESS_COVERAGE).mean()
    print(f"score {score:.3f}, success {success:.2f}")
    assert score > 0.95
    assert success > 0.85

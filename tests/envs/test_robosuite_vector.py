"""Many episodes at once: the numbers of single ones, frozen when they end, however spread."""

import threading
from importlib.util import find_spec

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import envs
from envs.robosuite.processes import Processes
from envs.robosuite.vector import RobosuiteVectorEnv

pytestmark = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
gymnasium.register_envs(envs)

SEEDS = [100000, 100001, 100002]
ACTIONS = np.random.default_rng(0).uniform(-1.0, 1.0, (5, len(SEEDS), 7))


def make(processes: int = 1, count: int = len(SEEDS), **options) -> RobosuiteVectorEnv:
    env = gymnasium.make_vec(
        "dpbench/Lift-v1",
        num_envs=count,
        vectorization_mode="vector_entry_point",
        obs_type="state",
        control="velocity",
        processes=processes,
        **options,
    )
    assert isinstance(env, RobosuiteVectorEnv)
    return env


def play(env: RobosuiteVectorEnv) -> np.ndarray:
    """Observations of a few steps, (T + 1, N, Do)."""
    seen = [env.reset(seed=SEEDS)[0], *[env.step(actions)[0] for actions in ACTIONS]]
    env.close()
    return np.array(seen)


def test_numbers_equal_those_of_single_environments_to_the_bit():
    seen = play(make())
    single = gymnasium.make("dpbench/Lift-v1", control="velocity")
    for index, seed in enumerate(SEEDS):
        np.testing.assert_array_equal(single.reset(seed=seed)[0], seen[0, index])
        for step, actions in enumerate(ACTIONS, 1):
            np.testing.assert_array_equal(single.step(actions[index])[0], seen[step, index])


def test_the_number_of_processes_changes_no_number():
    np.testing.assert_array_equal(play(make(processes=2)), play(make()))


def test_an_ended_episode_is_frozen_until_it_is_reset():
    env = make(count=2, max_episode_steps=4)
    assert env.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    env.reset(seed=0)
    state = env._moments[0].snapshot.physics[:32].copy()
    lifted = np.stack([state, state])
    lifted[0, 12] = 0.95  # the cube's height
    _, info = env.reset(options={"state": lifted})
    assert info["is_success"].tolist() == [True, False]
    still = np.zeros((2, 7))
    first, rewards, terminated, truncated, _ = env.step(still)
    assert rewards.tolist() == [1.0, 0.0]
    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [False, False]
    moving = np.full((2, 7), 0.5)
    for _ in range(3):
        seen, rewards, terminated, truncated, info = env.step(moving)
    np.testing.assert_array_equal(seen[0], first[0])
    assert (seen[1] != first[1]).any()
    assert rewards.tolist() == [0.0, 0.0]
    assert truncated.tolist() == [False, True]
    assert info["is_success"].tolist() == [True, False]
    again, _ = env.reset(seed=[5, 6], options={"reset_mask": np.array([False, True])})
    np.testing.assert_array_equal(again[0], first[0])
    assert env.step(moving)[2].tolist() == [False, False]


def test_states_of_episodes_are_taken_one_each():
    env = make(count=2)
    env.reset(seed=[3, 4])
    starts = np.stack([moment.snapshot.physics[:32] for moment in env._moments])
    expected, _ = env.reset(seed=[3, 4])
    got, _ = env.reset(options={"state": starts})
    np.testing.assert_array_equal(got, expected)


def test_a_frame_of_each_episode_is_that_of_its_single_environment():
    env = make(count=2, render_mode="rgb_array")
    env.reset(seed=SEEDS[:2])
    env.step(ACTIONS[0, :2])
    for seed, action, frame in zip(SEEDS, ACTIONS[0], env.render(), strict=False):
        single = gymnasium.make("dpbench/Lift-v1", control="velocity", render_mode="rgb_array")
        single.reset(seed=seed)
        single.step(action)
        assert frame.shape == (480, 480, 3)
        np.testing.assert_array_equal(frame, single.render())
        single.close()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="num_envs is 0; give at least 1"):
        RobosuiteVectorEnv(0)
    with pytest.raises(ValueError, match="shows one episode"):
        RobosuiteVectorEnv(render_mode="human")
    with pytest.raises(ValueError, match="0 processes asked for; give at least 1"):
        Processes(0)
    env = RobosuiteVectorEnv(2, processes=1)
    with pytest.raises(ValueError, match="leaves episodes out that have never begun"):
        env.reset(seed=0, options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="1 seeds for 2 episodes"):
        env.reset(seed=[0])
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(2, 7\); give \(2, 10\)"):
        env.step(np.zeros((2, 7)))


def test_a_step_that_draws_no_pictures_keeps_the_last_ones_and_is_the_same_step():
    actions = np.tile([0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0], (1, 1))
    drawn, bare = (
        gymnasium.make_vec(
            "dpbench/Lift-v1", 1, obs_type="pixels", control="velocity", processes=1
        ).unwrapped
        for _ in range(2)
    )
    first = bare.reset(seed=[5])[0]
    drawn.reset(seed=[5])
    drawn.step(actions)
    bare.draws = False
    kept = bare.step(actions)[0]
    for camera in ("agentview", "wrist"):
        np.testing.assert_array_equal(kept[camera], first[camera])
    drawn_again = drawn.step(actions)[0]
    bare.draws = True
    again = bare.step(actions)[0]
    for name, value in drawn_again.items():
        np.testing.assert_array_equal(again[name], value)
    assert np.any(again["wrist"] != kept["wrist"])
    for env in (drawn, bare):
        env.close()


def test_processes_that_nobody_holds_have_ended_with_their_threads():
    before = set(threading.enumerate())
    processes = Processes(2)
    assert processes.submit(abs, -1).result() == 1
    assert set(threading.enumerate()) > before
    del processes
    assert set(threading.enumerate()) <= before

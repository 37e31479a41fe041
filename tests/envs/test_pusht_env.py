"""Push-T's Gymnasium interface: spaces, rewards, resets, control and errors."""

import math
import pickle
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import envs
from envs.pusht.env import MAX_EPISODE_STEPS, PushTEnv
from envs.pusht.geometry import GOAL_POSE, SUCCESS_COVERAGE, coverage
from envs.pusht.observations import OBS_TYPES, observe, observe_one

gymnasium.register_envs(envs)

SOLVED = [50.0, 50.0, *GOAL_POSE]


def test_observations_hold_the_protocols_numbers_in_its_order():
    state = [10.0, 20.0, 300.0, 200.0, -1.0]
    seen = {key: PushTEnv(key).reset(options={"state": state})[0] for key in OBS_TYPES}
    np.testing.assert_allclose(seen["state"], [10, 20, 300, 200, 2 * math.pi - 1], atol=1e-12)
    assert seen["keypoints"].shape == (20,)
    np.testing.assert_array_equal(seen["keypoints"][18:], [10, 20])
    cos, sin = math.cos(-1.0), math.sin(-1.0)
    u, v = 9.26978671, 90.04097352  # the first keypoint in the block's frame
    first = [300 + cos * u - sin * v, 200 + sin * u + cos * v]
    np.testing.assert_allclose(seen["keypoints"][:2], first, atol=1e-6)
    assert seen["pixels"]["pixels"].shape == (96, 96, 3)
    np.testing.assert_array_equal(seen["pixels"]["agent_pos"], [10, 20])


@pytest.mark.parametrize("obs_type", ["state", "keypoints"])
def test_observations_of_one_state_equal_those_of_many_to_the_bit(obs_type):
    states = np.random.default_rng(0).uniform([0, 0, 0, 0, -9], [512, 512, 512, 512, 9], (300, 5))
    many = observe(states, obs_type)["state"]
    for state, expected in zip(states, many, strict=True):
        np.testing.assert_array_equal(observe_one(state.tolist(), obs_type)["state"], expected)


@pytest.mark.parametrize("control", ["position", "velocity"])
@pytest.mark.parametrize("obs_type", ["state", "keypoints"])
def test_observations_stay_in_their_space_however_wild_the_actions(obs_type, control):
    env = PushTEnv(obs_type, control)
    env.action_space.seed(0)
    for seed in range(4):
        env.reset(seed=seed)
        for _ in range(300):
            observation, *_ = env.step(env.action_space.sample())
            assert observation in env.observation_space


def test_reward_is_coverage_over_the_threshold_up_to_one():
    env = PushTEnv("state")
    state = [50.0, 50.0, GOAL_POSE[0] + 20.0, GOAL_POSE[1], GOAL_POSE[2]]
    _, info = env.reset(options={"state": state})
    assert 0.5 < info["coverage"] < 0.9
    assert not info["is_success"]
    _, reward, terminated, truncated, info = env.step([50.0, 50.0])
    assert info["coverage"] == pytest.approx(coverage(state), abs=1e-12)
    assert reward == info["coverage"] / 0.95
    assert (terminated, truncated, info["is_success"]) == (False, False, False)


def test_episode_terminates_with_success_above_the_threshold():
    env = PushTEnv("state")
    _, info = env.reset(options={"state": SOLVED})
    assert info["is_success"] is True
    _, reward, terminated, truncated, info = env.step([50.0, 50.0])
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)
    below = [50.0, 50.0, GOAL_POSE[0] + 2.0, GOAL_POSE[1], GOAL_POSE[2]]
    assert 0.94 < coverage(below) < SUCCESS_COVERAGE
    env.reset(options={"state": below})
    _, reward, terminated, _, info = env.step([50.0, 50.0])
    assert reward < 1.0
    assert not terminated
    assert not info["is_success"]


def test_info_keeps_the_highest_coverage_that_a_step_has_reached():
    env = PushTEnv("state")
    _, info = env.reset(options={"state": [160.0, 330.0, 256.0, 226.0, math.pi / 4]})
    assert info["max_coverage"] == 0.0
    seen = []
    for step in range(40):
        *_, info = env.step([160.0 + 4.0 * step, 330.0 - 4.0 * step])
        seen.append(info["coverage"])
        assert info["max_coverage"] == max(seen)
    assert seen[-1] < max(seen)
    _, info = env.reset(seed=1)
    assert info["max_coverage"] == 0.0


def test_info_counts_contacts_and_gives_the_pose_of_the_block():
    env = PushTEnv("state")
    _, info = env.reset(options={"state": [256.0, 100.0, 256.0, 200.0, 0.0]})
    assert info["n_contacts"] == 0
    contacts = [env.step([256.0, 100.0 + 20.0 * step])[4]["n_contacts"] for step in range(8)]
    assert contacts[0] == 0
    assert contacts[-1] == 1
    _, info = env.reset(options={"state": [256.0, 100.0, 256.0, 200.0, 7.0]})
    np.testing.assert_allclose(info["block_pose"], [256.0, 200.0, 7.0], atol=1e-12, rtol=0)


def test_make_truncates_after_300_steps():
    env = gymnasium.make("dpbench/PushT-v1")
    observation, _ = env.reset(seed=0)
    flags = [env.step(observation[18:])[2:4] for _ in range(300)]
    assert flags == [(False, False)] * 299 + [(False, True)]
    assert gymnasium.spec("dpbench/PushT-v1").max_episode_steps == MAX_EPISODE_STEPS


def test_a_seed_alone_determines_the_episode():
    first, second = PushTEnv(), PushTEnv()
    second.reset(seed=5)
    second.step([1.0, 2.0])
    rng = np.random.default_rng(0)
    expected, _ = first.reset(seed=100003)
    got, _ = second.reset(seed=100003)
    np.testing.assert_array_equal(got, expected)
    for action in rng.uniform(0.0, 512.0, (100, 2)):
        np.testing.assert_array_equal(second.step(action)[0], first.step(action)[0])


def test_resets_without_a_seed_differ_and_follow_from_the_last_seed():
    def three(env: PushTEnv) -> list[list[float]]:
        return [env.reset(seed=seed)[0].tolist() for seed in (7, None, None)]

    starts = three(PushTEnv("state"))
    assert starts[0] != starts[1] != starts[2]
    assert three(PushTEnv("state")) == starts


def test_reset_to_a_state_knows_both_orders():
    state = [100.0, 100.0, 300.0, 250.0, 1.0]
    env = PushTEnv("state")
    observation, _ = env.reset(options={"state": state})
    np.testing.assert_allclose(observation, state, atol=1e-12, rtol=0)
    turned, _ = env.reset(options={"state": state, "order": "position-first"})
    shift = np.array([0.0, 45.0]) - 45.0 * np.array([-math.sin(1.0), math.cos(1.0)])
    np.testing.assert_allclose(turned[2:4], state[2:4] + shift, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": [1, 2, 3, 4]}, "not five finite numbers"),
        ({"state": [1, 2, 3, 4, math.nan]}, "not five finite numbers"),
        ({"state": [1, 2, 3, 4, 5], "order": "angle"}, "choose one of angle-first, position-first"),
        ({"order": "angle-first"}, "order needs the option state"),
        ({"reset_to_state": [1, 2, 3, 4, 5]}, r"\['reset_to_state'\]; choose from state, order"),
    ],
)
def test_wrong_reset_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PushTEnv().reset(options=options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"obs_type": "image"}, "obs_type 'image'; choose one of state, keypoints, pixels"),
        ({"control": "torque"}, "control 'torque'; choose one of position, velocity"),
        ({"render_mode": "ansi"}, "render_mode 'ansi'; choose one of None, human, rgb_array"),
    ],
)
def test_unknown_arguments_are_refused_with_the_known_ones(arguments, message):
    with pytest.raises(ValueError, match=message):
        PushTEnv(**arguments)


@pytest.mark.parametrize("control", ["position", "velocity"])
@pytest.mark.parametrize("action", [[1.0], [1.0, 2.0, 3.0], [math.nan, 1.0], [[1.0, 2.0]]])
def test_actions_that_are_not_two_finite_numbers_are_refused_and_change_nothing(control, action):
    env, untouched = PushTEnv(control=control), PushTEnv(control=control)
    env.reset(seed=0)
    untouched.reset(seed=0)
    with pytest.raises(ValueError, match=r"give \(2,\)|not finite"):
        env.step(action)
    np.testing.assert_array_equal(env.step([3.0, 4.0])[0], untouched.step([3.0, 4.0])[0])


def test_velocity_control_moves_the_set_point_from_the_agent_on():
    position, velocity = PushTEnv("state"), PushTEnv("state", "velocity")
    start, _ = position.reset(seed=3)
    velocity.reset(seed=3)
    moves = np.array([[10.0, -5.0], [20.0, 4.0], [0.0, 0.0], [-7.0, 30.0]])
    for move, set_point in zip(moves, start[:2] + np.cumsum(moves, axis=0), strict=True):
        np.testing.assert_allclose(
            velocity.step(move)[0], position.step(set_point)[0], atol=1e-9, rtol=0
        )


def test_velocity_control_holds_the_set_point_inside_the_table():
    env = PushTEnv("state", "velocity")
    env.reset(options={"state": [400.0, 100.0, 100.0, 400.0, 0.0]})
    for _ in range(60):
        observation, *_ = env.step([500.0, -500.0])
    np.testing.assert_allclose(observation[:2], [512.0, 0.0], atol=1e-6)
    # Had the set-point run away to 30,000 px, 200 px back would not show.
    env.step([-200.0, 200.0])
    for _ in range(60):
        observation, *_ = env.step([0.0, 0.0])
    np.testing.assert_allclose(observation[:2], [312.0, 200.0], atol=1e-6)


def test_position_control_does_not_clip_as_the_original_does_not():
    env = PushTEnv("state")
    env.reset(options={"state": [500.0, 100.0, 100.0, 400.0, 0.0]})
    for _ in range(60):
        observation, *_ = env.step([530.0, 100.0])
    np.testing.assert_allclose(observation[:2], [530.0, 100.0], atol=1e-6)


@pytest.mark.parametrize("control", ["position", "velocity"])
def test_a_pickle_of_an_episode_under_way_continues_to_the_bit(control):
    env = PushTEnv("keypoints", control)
    env.reset(seed=0)
    lowest, highest = (0.0, 512.0) if control == "position" else (-40.0, 40.0)
    actions = np.random.default_rng(1).uniform(lowest, highest, (80, 2))
    for action in actions[:50]:
        env.step(action)
    again = pickle.loads(pickle.dumps(env))
    for action in actions[50:]:
        expected, reward, *_, info = env.step(action)
        got, got_reward, *_, got_info = again.step(action)
        np.testing.assert_array_equal(got, expected)
        assert (got_reward, got_info["max_coverage"]) == (reward, info["max_coverage"])


def test_states_of_a_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(5,\); give \(N, 5\)"):
        observe(np.zeros(5), "state")


def test_numbers_need_no_pygame():
    # In a process of its own, since other tests import pygame.
    script = (
        "import sys, gymnasium, envs\n"
        "env = gymnasium.make('dpbench/PushT-v1')\n"
        "env.reset(seed=0); env.step(env.action_space.sample())\n"
        "print(sorted({'pygame', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"

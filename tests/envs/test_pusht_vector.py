"""The batched Push-T gives the numbers of single ones and freezes what has ended."""

import gymnasium
import numpy as np
import pytest

import envs
from envs.pusht.geometry import GOAL_POSE
from envs.pusht.vector import PushTVectorEnv

gymnasium.register_envs(envs)

SEEDS = [100007, 3, 100001, 12]
SOLVED = [50.0, 50.0, *GOAL_POSE]
FAR = [50.0, 50.0, 400.0, 400.0, 0.0]
FREE = [50.0, 50.0, 300.0, 300.0, 0.0]  # nothing touches anything


def assert_equal(observations, index, expected) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            np.testing.assert_array_equal(observations[key][index], value)
    else:
        np.testing.assert_array_equal(observations[index], expected)


@pytest.mark.parametrize("control", ["position", "velocity"])
@pytest.mark.parametrize("obs_type", ["state", "keypoints", "pixels"])
def test_batched_tables_equal_single_ones_to_the_bit(obs_type, control):
    steps = 8 if obs_type == "pixels" else 300
    batch = gymnasium.make_vec("dpbench/PushT-v1", len(SEEDS), obs_type=obs_type, control=control)
    assert isinstance(batch, PushTVectorEnv)
    singles = [
        gymnasium.make("dpbench/PushT-v1", obs_type=obs_type, control=control) for _ in SEEDS
    ]
    observations, infos = batch.reset(seed=SEEDS)
    assert observations in batch.observation_space
    for index, (single, seed) in enumerate(zip(singles, SEEDS, strict=True)):
        expected, info = single.reset(seed=seed)
        assert_equal(observations, index, expected)
        assert {key: np.all(infos[key][index] == info[key]) for key in info} == dict.fromkeys(
            info, True
        )
    pushed = 0
    for _ in range(steps):
        # Towards the block, so that much of this is pushing.
        aims = infos["block_pose"][:, :2] + batch.np_random.normal(0.0, 60.0, (len(SEEDS), 2))
        agents = np.array([single.unwrapped._physics.coordinates[:2] for single in singles])
        actions = (
            np.clip(aims, 0.0, 512.0) if control == "position" else np.clip(aims - agents, -40, 40)
        )
        observations, rewards, terminations, truncations, infos = batch.step(actions)
        pushed += np.count_nonzero(infos["n_contacts"])
        for index, single in enumerate(singles):
            expected, reward, terminated, truncated, info = single.step(actions[index])
            assert_equal(observations, index, expected)
            assert (rewards[index], terminations[index], truncations[index]) == (
                reward,
                terminated,
                truncated,
            )
            for key, value in info.items():
                np.testing.assert_array_equal(infos[key][index], value)
    assert pushed > 0.2 * steps
    assert truncations.all() == (steps == 300)


def test_an_ended_episode_is_frozen_until_it_is_reset():
    env = PushTVectorEnv(2, "state")
    env.reset(options={"state": [SOLVED, FAR]})
    actions = np.full((2, 2), 50.0)
    before, rewards, terminations, *_ = env.step(actions)
    assert terminations.tolist() == [True, False]
    assert rewards.tolist() == [1.0, 0.0]
    after, rewards, terminations, _, infos = env.step(actions + 30.0)
    np.testing.assert_array_equal(after[0], before[0])
    assert after[1][0] > before[1][0]
    assert rewards.tolist() == [0.0, 0.0]
    assert not terminations.any()  # an end is told once
    assert infos["is_success"].tolist() == [True, False]

    mask = np.array([True, False])
    again, _ = env.reset(options={"state": [FAR, FAR], "reset_mask": mask})
    np.testing.assert_allclose(again[0], FAR, atol=1e-12)
    np.testing.assert_array_equal(again[1], after[1])
    moved, _, terminations, *_ = env.step(actions + 30.0)
    assert not terminations.any()
    assert moved[0][0] > again[0][0]


def test_an_ended_episode_is_not_simulated(monkeypatch):
    env = PushTVectorEnv(3, "state")
    env.reset(options={"state": [SOLVED, FAR, SOLVED]})
    env.step(np.full((3, 2), 50.0))

    def refuse(*_: object) -> None:
        raise AssertionError("a frozen table was simulated")

    for table in env._tables[::2]:  # both ways of stepping tell the table
        monkeypatch.setattr(table, "remember", refuse)
    *_, infos = env.step(np.zeros((3, 2)))
    assert infos["is_success"].tolist() == [True, False, True]


def test_episodes_are_truncated_after_their_steps_or_never():
    env = PushTVectorEnv(1, "state", max_episode_steps=3)
    env.reset(seed=0)
    assert [bool(env.step(np.array([[9.0, 9.0]]))[3][0]) for _ in range(3)] == [False, False, True]
    endless = PushTVectorEnv(1, "state", max_episode_steps=None)
    endless.reset(seed=0)
    assert not any(endless.step(np.array([[9.0, 9.0]]))[3][0] for _ in range(310))


def test_one_seed_gives_consecutive_seeds_to_the_tables():
    one, _ = PushTVectorEnv(3, "state").reset(seed=41)
    each, _ = PushTVectorEnv(3, "state").reset(seed=[41, 42, 43])
    np.testing.assert_array_equal(one, each)


def test_what_was_returned_does_not_change_later():
    env = PushTVectorEnv(2, "state")
    observations, infos = env.reset(seed=0)
    kept = observations.copy(), infos["block_pose"].copy()
    env.step(np.full((2, 2), 250.0))
    np.testing.assert_array_equal(observations, kept[0])
    np.testing.assert_array_equal(infos["block_pose"], kept[1])


def test_wrong_arguments_are_refused():
    env = PushTVectorEnv(3, "state")
    with pytest.raises(ValueError, match="2 seeds for 3 episodes"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"state has shape \(5,\); give \(3, 5\)"):
        env.reset(options={"state": FAR})
    with pytest.raises(ValueError, match="give 3 booleans"):
        env.reset(options={"reset_mask": np.array([1, 0, 1])})
    with pytest.raises(ValueError, match="leaves episodes out that have never begun"):
        env.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(ValueError, match="chooses no episode"):
        env.reset(options={"reset_mask": np.zeros(3, dtype=bool)})
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"actions have shape \(2,\); give \(3, 2\)"):
        env.step(np.zeros(2))
    with pytest.raises(ValueError, match="not finite"):
        env.step(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="num_envs is 0"):
        PushTVectorEnv(0)
    with pytest.raises(ValueError, match="shows one table"):
        PushTVectorEnv(2, render_mode="human")


def test_frames_show_each_table_with_its_own_set_point():
    env = PushTVectorEnv(2, "state", render_mode="rgb_array")
    env.reset(options={"state": [FAR, FAR]})
    red = (255, 0, 0)
    assert not any((frame == red).all(axis=-1).any() for frame in env.render())
    env.step(np.array([[100.0, 200.0], [300.0, 150.0]]))
    first, second = env.render()
    assert tuple(first[200, 100]) == tuple(second[150, 300]) == red
    assert tuple(second[200, 100]) != red


def test_a_displaced_block_lies_where_it_was_put_and_the_agent_goes_on():
    tables = PushTVectorEnv(2, "state")
    tables.reset(options={"state": np.array([FREE, FREE])})
    for _ in range(3):
        tables.step(np.full((2, 2), 120.0))
    velocity = tables._velocities.copy()
    assert (velocity > 10).all()
    tables.displace(np.array([1]), np.array([[200.0, 330.0, 1.0]]))
    np.testing.assert_array_equal(tables._velocities, velocity)
    observed, _, _, _, info = tables.step(np.full((2, 2), 120.0))
    np.testing.assert_allclose(observed[:, 2:], [FREE[2:], [200.0, 330.0, 1.0]])
    np.testing.assert_allclose(observed[0, :2], observed[1, :2])
    np.testing.assert_array_equal(info["block_pose"], observed[:, 2:])


def test_a_held_agent_does_not_move_and_a_reset_lets_go_of_it():
    tables = PushTVectorEnv(2, "state", "velocity")
    tables.reset(options={"state": np.array([FREE, FREE])})
    tables.step(np.full((2, 2), 30.0))
    tables.hold(np.array([True, False]))
    before = tables.states
    for _ in range(4):
        observed, *_ = tables.step(np.full((2, 2), 10.0))
    np.testing.assert_array_equal(observed[0], before[0])
    assert (observed[1, :2] > before[1, :2] + 20).all()
    # Its set-point went on.
    np.testing.assert_allclose(tables._set_points[0], tables._set_points[1])
    tables.reset(options={"state": np.array([FREE, FREE])})
    assert not tables._held.any()
    tables.hold(np.array([True, False]))
    tables.hold(np.array([False, False]))
    observed, *_ = tables.step(np.full((2, 2), 10.0))
    np.testing.assert_array_equal(observed[0], observed[1])

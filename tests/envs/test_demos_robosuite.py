"""Scripted robosuite demonstrations: solved, repeatable, of use under both control modes."""

import itertools
from dataclasses import replace
from importlib.util import find_spec

import gymnasium
import numpy as np
import pytest

import envs
from envs.demos import robosuite_pictures, robosuite_scripted, robosuite_sources
from envs.demos.robosuite_hand import Manner, downward, nearest_yaw, yaw_of
from envs.demos.robosuite_pictures import draw, pictures
from envs.demos.robosuite_replay import replay
from envs.demos.robosuite_square import _yaws
from envs.robosuite.actions import absolute
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import TASK_NAMES

needs_robosuite = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
gymnasium.register_envs(envs)
RATES = {"lift": 0.95, "can": 0.90, "square": 0.70}


@pytest.fixture(scope="module")
def episodes():
    """Episodes by task and seed, each played once."""

    class Played(dict):
        def __missing__(self, key):
            self[key] = robosuite_scripted.demonstrate(*key)
            return self[key]

    return Played()


@needs_robosuite
@pytest.mark.parametrize("task", TASK_NAMES)
def test_episodes_without_a_push_are_solved_and_replay_under_either_control(task, episodes):
    calm = (seed for seed in itertools.count() if Manner.draw(rng_of(seed)).disturbed_at is None)
    played = [episodes[task, seed] for seed in itertools.islice(calm, 3)]
    assert all(episode.is_success and len(episode.actions) < 250 for episode in played)
    demonstrations = robosuite_scripted.assemble(task, played)
    assert replay(demonstrations, task, "velocity", processes=1).all()
    # Rotations pass through another form there: a grasp by a hair's breadth may slip.
    assert replay(demonstrations, task, "position", processes=1).sum() >= 2


@needs_robosuite
def test_a_seed_determines_an_episode_to_the_bit(episodes):
    first, again = episodes["lift", 0], robosuite_scripted.demonstrate("lift", 0)
    np.testing.assert_array_equal(again.states, first.states)
    np.testing.assert_array_equal(again.deltas, first.deltas)
    other = robosuite_scripted.demonstrate("lift", 1)
    assert other.deltas.shape != first.deltas.shape or (other.deltas != first.deltas).any()


@needs_robosuite
def test_pictures_of_demonstrations_are_those_of_the_environment_and_drawn_once(
    episodes, monkeypatch, tmp_path
):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    episode = episodes["lift", 0]
    parts = ("states", "observations", "deltas", "actions")
    begun = replace(episode, **{part: getattr(episode, part)[[0, 20]] for part in parts})
    two_steps = robosuite_scripted.assemble("lift", [begun])
    env = gymnasium.make("dpbench/Lift-v1", obs_type="pixels")
    try:
        seen = pictures(two_steps, "lift")
        shown = [env.reset(options={"state": state})[0] for state in two_steps.states]
    except RuntimeError as error:
        pytest.skip(str(error))
    env.close()
    for name in ("agentview", "wrist"):
        assert seen[name].shape == (2, 84, 84, 3)
        np.testing.assert_array_equal(seen[name], [picture[name] for picture in shown])
        assert (seen[name][0] != seen[name][1]).any()
    spread = draw(np.tile(two_steps.states, (26, 1)), "lift", processes=1)  # more than one chunk
    np.testing.assert_array_equal(spread["wrist"][50:], seen["wrist"])
    monkeypatch.setattr(robosuite_pictures, "draw", None)  # nothing can be drawn
    again = pictures(two_steps, "lift")
    np.testing.assert_array_equal(again["agentview"], seen["agentview"])


@needs_robosuite
def test_both_actions_of_a_step_mean_the_same_pose(episodes):
    episode = episodes["lift", 0]
    simulation = shared_simulation("lift", "velocity")
    for state, delta, action in zip(episode.states, episode.deltas, episode.actions, strict=True):
        simulation.show(state)
        np.testing.assert_allclose(absolute(delta, *simulation.eef_pose), action, atol=2e-7)


def rng_of(seed):
    return np.random.default_rng(seed)


def with_push(monkeypatch, disturbed_at):
    """Let every hand be steady, and pushed aside at a step or never."""
    push = np.array([0.0, 0.6, 0.0])
    monkeypatch.setattr(
        Manner, "draw", classmethod(lambda cls, _: cls(0.8, 0.3, 0.0, disturbed_at, push))
    )


@needs_robosuite
def test_a_push_is_suffered_and_what_is_recorded_makes_up_for_it(monkeypatch):
    with_push(monkeypatch, None)
    calm = robosuite_scripted.demonstrate("lift", 0)
    with_push(monkeypatch, 6)
    pushed = robosuite_scripted.demonstrate("lift", 0)
    np.testing.assert_array_equal(pushed.states[:7], calm.states[:7])
    np.testing.assert_array_equal(pushed.deltas[:7], calm.deltas[:7])
    assert (pushed.deltas[6:10, 1] < 0.0).all(), "the push itself is no action of the hand"
    assert (pushed.deltas[8:10, 1] < calm.deltas[8:10, 1] - 0.03).all(), "the hand steers back"
    assert pushed.is_success


def test_three_of_ten_hands_are_pushed_for_four_steps_and_the_others_never():
    manners = [Manner.draw(rng_of(seed)) for seed in range(300)]
    pushed = [sum(manner.is_pushed(step) for step in range(100)) for manner in manners]
    assert set(pushed) == {0, 4}
    assert 0.2 < np.mean(np.array(pushed) > 0) < 0.4


@needs_robosuite
def test_scripted_demonstrations_are_kept_and_hold_what_a_policy_sees(tmp_path, monkeypatch):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(robosuite_scripted, "NUM_EPISODES", 2)
    made = robosuite_sources.recorded_robosuite("lift", "scripted", num_scripted=2)
    monkeypatch.setattr(robosuite_scripted, "generate", lambda *_: pytest.fail("made again"))
    kept = robosuite_sources.recorded_robosuite("lift", "scripted", num_scripted=2)
    np.testing.assert_array_equal(kept.actions, made.actions)
    np.testing.assert_array_equal(np.unique(kept.observations["seed"]), [0, 1])
    seen = robosuite_sources.load_robosuite("lift", num_episodes=1)
    assert seen.num_episodes == 1
    assert seen.observations["state"].shape == (seen.num_steps, 19)
    assert seen.observations["delta"].shape == (seen.num_steps, 7)
    assert seen.actions.shape == (seen.num_steps, 10)


def test_seeds_that_were_not_solved_are_left_out(monkeypatch):
    def demonstrate(task, seed):
        rows = np.full((3, 4), float(seed))
        return robosuite_scripted.Episode(seed, rows, rows, rows, rows, is_success=seed % 2 == 1)

    monkeypatch.setattr(robosuite_scripted, "demonstrate", demonstrate)
    made = robosuite_scripted.generate("can", 3, processes=1)
    np.testing.assert_array_equal(made.states[::3, 0], [1, 3, 5])
    assert made.observations["seed"][-1, 0] == 5, "the last of six that were tried"


def test_missing_and_needless_paths_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"download low_dim_v141\.hdf5 of can"):
        robosuite_sources.load_robosuite("can", "human")
    with pytest.raises(ValueError, match="come from no file: drop it"):
        robosuite_sources.load_robosuite("can", "scripted", path=tmp_path / "mine.hdf5")


def test_a_hand_points_down_with_its_fingers_where_they_should_be():
    rotation = downward(0.7)
    np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=1e-15)
    assert yaw_of(rotation) == pytest.approx(0.7)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_the_nearest_of_equal_angles_is_taken_unless_two_are_as_near():
    rng = np.random.default_rng(0)
    assert nearest_yaw(np.pi / 2 + 0.1, 0.0, 4, rng) == pytest.approx(0.1)
    either = {round(nearest_yaw(np.pi / 4 - 0.01, 0.0, 4, rng), 6) for _ in range(30)}
    assert either == {round(np.pi / 4 - 0.01, 6), round(-np.pi / 4 - 0.01, 6)}


def test_the_nut_is_taken_and_put_down_without_winding_the_wrist_up():
    rng = np.random.default_rng(0)
    for nut in np.linspace(-np.pi, np.pi, 25):
        hand, put = _yaws(nut, rng)
        across = (hand - nut) % np.pi
        assert across == pytest.approx(np.pi / 2)
        assert abs(hand - np.pi / 2) < np.pi / 2 + 0.4
        assert put != 0.0


@needs_robosuite
@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("task", TASK_NAMES)
def test_the_demonstrator_solves_enough_of_a_hundred_seeds(task):
    from envs.robosuite.processes import Processes

    pool = Processes()
    attempts = robosuite_scripted.attempts(task, pool)
    solved = [next(attempts).is_success for _ in range(100)]
    pool.close()
    assert np.mean(solved) >= RATES[task]

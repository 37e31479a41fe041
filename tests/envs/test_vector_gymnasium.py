"""Our vector environments are Gymnasium's: SyncVectorEnv over single ones is the oracle."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import vector as wrappers

import envs
from envs.pusht.geometry import GOAL_POSE
from envs.pusht.vector import PushTVectorEnv

gymnasium.register_envs(envs)

COUNT = 3
LONGEST = 5  # steps of an episode
SOLVED = [50.0, 50.0, *GOAL_POSE]
FAR = [50.0, 50.0, 400.0, 400.0, 0.0]

needs_robosuite = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
ENVIRONMENTS: list[Any] = [
    pytest.param("dpbench/PushT-v1", {"obs_type": "keypoints"}, id="keypoints"),
    pytest.param("dpbench/PushT-v1", {"obs_type": "pixels"}, id="pixels"),
    pytest.param("dpbench/PushT-v1", {"obs_type": "state", "control": "velocity"}, id="velocity"),
    pytest.param("dpbench/Lift-v1", {"control": "velocity"}, id="lift", marks=needs_robosuite),
]


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def make(env_id: str, mode: AutoresetMode, **arguments: Any) -> tuple[VectorEnv, VectorEnv]:
    """Ours, and Gymnasium's over single environments."""
    arguments = {"max_episode_steps": LONGEST, "num_envs": COUNT, **arguments}
    alone = {"processes": 1} if env_id == "dpbench/Lift-v1" else {}
    ours = gymnasium.make_vec(env_id, autoreset_mode=mode, **arguments, **alone)
    theirs = gymnasium.make_vec(
        env_id, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}, **arguments
    )
    assert isinstance(theirs, SyncVectorEnv)
    assert type(ours).__module__.startswith("envs.")
    return ours, theirs


def assert_same(ours: Any, theirs: Any, at: str) -> None:
    """Equal numbers of equal types; where Gymnasium masks infos, ours where it says so."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys(), at
        for name, value in theirs.items():
            mask = theirs.get(f"_{name}")
            if mask is None or isinstance(value, dict):
                assert_same(ours[name], value, f"{at} {name}")
            else:
                assert_same(np.asarray(ours[name])[mask], np.asarray(value)[mask], f"{at} {name}")
    elif isinstance(theirs, list | tuple) or np.asarray(theirs).dtype.kind == "O":
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other, at)
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype, at
        np.testing.assert_array_equal(ours, theirs, err_msg=at)
    else:
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs), err_msg=at)


def without_times(step: Any) -> Any:
    """What a step or reset gave, without how long an episode took on the clock."""
    infos = step[-1]
    for info in infos if isinstance(infos, list) else [infos]:
        if "episode" in info:
            info["episode"].pop("t")
            info["episode"].pop("_t", None)
    return step


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("env_id", "arguments"), ENVIRONMENTS)
def test_every_autoreset_mode_is_that_of_the_sync_vector_env(env_id, arguments, mode):
    ours, theirs = make(env_id, mode, **arguments)
    assert_same(ours.reset(seed=4), theirs.reset(seed=4), "reset")
    ours.action_space.seed(0)
    ended = np.zeros(COUNT, dtype=np.bool_)
    ends = 0
    for step in range(1, 2 * LONGEST + 2):
        at = f"step {step}"
        if step == 3 or ended.any():
            # One is begun again on the way, so that episodes end at different times.
            mask = (
                ended if mode is AutoresetMode.DISABLED and ended.any() else np.arange(COUNT) == 1
            )
            if step == 3 or mode is AutoresetMode.DISABLED:
                again = [one.reset(options={"reset_mask": mask.copy()}) for one in (ours, theirs)]
                assert_same(*again, f"{at}, reset")
        actions = ours.action_space.sample() * 0.1
        given, expected = ours.step(actions), theirs.step(actions)
        assert_same(given, expected, at)
        ended = given[2] | given[3]
        assert not ended.all()
        ends += np.count_nonzero(ended)
    assert ends >= 4
    for env in (ours, theirs):
        env.close()


@pytest.mark.parametrize(("env_id", "arguments"), ENVIRONMENTS)
def test_attributes_are_those_of_the_sync_vector_env(env_id, arguments):
    for mode in AutoresetMode:
        ours, theirs = make(env_id, mode, render_mode="rgb_array", **arguments)
        for name in ("num_envs", "render_mode", "closed", "autoreset_mode"):
            assert getattr(ours, name) == getattr(theirs, name), name
        for kind in ("observation_space", "action_space"):
            for name in (kind, f"single_{kind}"):
                assert getattr(ours, name) == getattr(theirs, name), name
        assert ours.metadata["autoreset_mode"] is theirs.metadata["autoreset_mode"] is mode
        assert ours.metadata["render_fps"] == theirs.metadata["render_fps"]
        assert ours.spec is not None
        assert (ours.spec.id, ours.spec.max_episode_steps) == (
            env_id,
            theirs.spec.max_episode_steps,
        )
        again = gymnasium.make_vec(ours.spec)
        assert type(again) is type(ours)
        assert (again.num_envs, again.metadata) == (ours.num_envs, ours.metadata)
        for env in (ours, theirs, again):
            env.close()
            assert env.closed
            env.close()


def test_the_metadata_of_one_environment_are_not_those_of_another():
    one = PushTVectorEnv(1, autoreset_mode="SameStep")
    assert one.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert PushTVectorEnv(1).metadata["autoreset_mode"] is AutoresetMode.DISABLED
    with pytest.raises(ValueError, match="choose one of NextStep, SameStep, Disabled"):
        PushTVectorEnv(1, autoreset_mode="same step")


@pytest.mark.parametrize("seed", [7, np.int64(7), np.uint8(7), [7, 8, 9], np.array([7, 8, 9])])
def test_a_seed_may_be_of_any_integer_type(seed):
    expected, _ = PushTVectorEnv(COUNT).reset(seed=7)
    np.testing.assert_array_equal(PushTVectorEnv(COUNT).reset(seed=seed)[0], expected)
    for env_id in ("dpbench/PushT-v1", "dpbench/LinearSystem-v1"):
        one, other = gymnasium.make(env_id), gymnasium.make(env_id)
        first = np.int16(seed if np.ndim(seed) == 0 else seed[0])
        np.testing.assert_array_equal(one.reset(seed=first)[0], other.reset(seed=7)[0])


def test_some_seeds_may_be_left_open_and_none_may_be_a_fraction():
    env = PushTVectorEnv(COUNT, "state")
    first, _ = env.reset(seed=[7, None, 9])
    second, _ = env.reset(seed=[7, None, 9])
    assert (first == second).all(axis=1).tolist() == [True, False, True]
    for seed in (1.5, [1, 2.5, 3], "7"):
        with pytest.raises(TypeError, match="give an integer"):
            env.reset(seed=seed)
    with pytest.raises(TypeError, match=r"seed is 1\.5; give an integer"):
        gymnasium.make("dpbench/PushT-v1").reset(seed=1.5)


def test_an_end_is_told_once_and_names_the_episodes_that_it_is_news_of():
    env = PushTVectorEnv(2, "state")
    env.reset(options={"state": [SOLVED, FAR]})
    stays = np.full((2, 2), 50.0)
    _, _, terminated, _, infos = env.step(stays)
    assert terminated.tolist() == [True, False]
    assert infos["_is_success"].tolist() == [True, True]
    _, _, terminated, truncated, infos = env.step(stays)
    assert not (terminated | truncated).any()
    assert infos["is_success"].tolist() == [True, False]
    assert infos["_is_success"].tolist() == [False, True]


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_a_solved_table_begins_the_next_episode_by_itself(mode):
    env = PushTVectorEnv(2, "state", autoreset_mode=mode)
    env.reset(seed=0, options={"state": [SOLVED, FAR]})
    stays = np.full((2, 2), 50.0)
    seen, rewards, terminated, _, infos = env.step(stays)
    assert (rewards.tolist(), terminated.tolist()) == ([1.0, 0.0], [True, False])
    if mode == "SameStep":
        assert infos["final_info"]["is_success"].tolist() == [True, False]
        np.testing.assert_allclose(infos["final_obs"][0], SOLVED, atol=1e-9)
        assert infos["final_obs"][1] is None
    else:
        seen, rewards, terminated, _, infos = env.step(stays)
        assert (rewards.tolist(), terminated.tolist()) == ([0.0, 0.0], [False, False])
    expected = gymnasium.make("dpbench/PushT-v1", obs_type="state")
    expected.reset(seed=0, options={"state": SOLVED})
    np.testing.assert_array_equal(seen[0], expected.reset()[0])
    assert infos["is_success"].tolist() == [False, False]


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.value)
def test_statistics_count_each_episode_once_with_its_own_length(mode):
    env = wrappers.RecordEpisodeStatistics(
        PushTVectorEnv(2, "state", max_episode_steps=4, autoreset_mode=mode)
    )
    env.reset(options={"state": [SOLVED, FAR]})
    for _ in range(4):
        env.step(np.full((2, 2), 50.0))
    assert env.episode_count == 2
    assert list(env.length_queue) == [1, 4]
    assert list(env.return_queue) == [1.0, 0.0]


def test_a_step_with_nothing_to_play_says_what_to_do():
    env = PushTVectorEnv(2, "state")
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        env.step(np.zeros((2, 2)))
    env.reset(options={"state": [SOLVED, SOLVED]})
    env.step(np.full((2, 2), 50.0))
    with pytest.raises(gymnasium.error.ResetNeeded, match="all 2 episodes have ended"):
        env.step(np.zeros((2, 2)))


# ---- the wrappers ----


def double(array: np.ndarray) -> np.ndarray:
    return array * 2.0


def pixels(env: VectorEnv) -> VectorEnv:
    """Of the pictures alone, for wrappers of images."""
    one, all_ = env.single_observation_space["pixels"], env.observation_space["pixels"]
    return wrappers.TransformObservation(env, lambda obs: obs["pixels"], all_, one)


WRAPPERS: dict[str, Callable[[VectorEnv], VectorEnv]] = {
    "VectorizeTransformObservation": lambda env: wrappers.VectorizeTransformObservation(
        env, gymnasium.wrappers.RescaleObservation, min_obs=-1.0, max_obs=1.0
    ),
    "VectorizeTransformAction": lambda env: wrappers.VectorizeTransformAction(
        env, gymnasium.wrappers.RescaleAction, min_action=-1.0, max_action=1.0
    ),
    "VectorizeTransformReward": lambda env: wrappers.VectorizeTransformReward(
        env, gymnasium.wrappers.TransformReward, func=double
    ),
    "DictInfoToList": lambda env: wrappers.DictInfoToList(env),
    "TransformObservation": lambda env: wrappers.TransformObservation(env, double),
    "FilterObservation": lambda env: wrappers.FilterObservation(env, ["agent_pos"]),
    "FlattenObservation": lambda env: wrappers.FlattenObservation(env),
    "GrayscaleObservation": lambda env: wrappers.GrayscaleObservation(pixels(env)),
    "ResizeObservation": lambda env: wrappers.ResizeObservation(pixels(env), (48, 48)),
    "ReshapeObservation": lambda env: wrappers.ReshapeObservation(env, (4, 5)),
    "RescaleObservation": lambda env: wrappers.RescaleObservation(env, -1.0, 1.0),
    "DtypeObservation": lambda env: wrappers.DtypeObservation(env, np.float32),
    "NormalizeObservation": lambda env: wrappers.NormalizeObservation(env),
    "TransformAction": lambda env: wrappers.TransformAction(env, double),
    "ClipAction": lambda env: wrappers.ClipAction(env),
    "RescaleAction": lambda env: wrappers.RescaleAction(env, -1.0, 1.0),
    "TransformReward": lambda env: wrappers.TransformReward(env, double),
    "ClipReward": lambda env: wrappers.ClipReward(env, 0.1, 0.2),
    "NormalizeReward": lambda env: wrappers.NormalizeReward(env),
    "RecordEpisodeStatistics": lambda env: wrappers.RecordEpisodeStatistics(env),
    "HumanRendering": lambda env: wrappers.HumanRendering(env),
    "NumpyToTorch": lambda env: wrappers.NumpyToTorch(env),
    "ArrayConversion": lambda env: wrappers.ArrayConversion(env, np, pytest.importorskip("torch")),
    "JaxToNumpy": lambda env: wrappers.JaxToNumpy(env),
    "JaxToTorch": lambda env: wrappers.JaxToTorch(env),
}
WITH_PICTURES = ("FilterObservation", "FlattenObservation", "Grayscale", "ResizeObservation")
NEEDS = {
    "HumanRendering": "cv2",
    "ResizeObservation": "cv2",
    "RecordVideo": "moviepy",
    "NumpyToTorch": "array_api_compat",
    "ArrayConversion": "array_api_compat",
    "JaxToNumpy": "jax",
    "JaxToTorch": "jax",
}


def test_every_vector_wrapper_of_gymnasium_is_tried():
    assert set(wrappers.__all__) <= {*WRAPPERS, "RecordVideo"}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.filterwarnings("ignore:.*(precision lowered|float32|same-step).*")
def test_a_wrapper_round_ours_does_what_it_does_round_theirs(name, mode):
    pytest.importorskip(NEEDS.get(name, "gymnasium"))
    if NEEDS.get(name) == "array_api_compat" and mode is AutoresetMode.SAME_STEP:
        pytest.skip("Gymnasium's own conversion stops at final_obs")
    pair = make(
        "dpbench/PushT-v1",
        mode,
        obs_type="pixels" if name.startswith(WITH_PICTURES) else "keypoints",
        render_mode="rgb_array" if name == "HumanRendering" else None,
    )
    actions = pair[0].action_space
    actions.seed(0)
    try:
        theirs = WRAPPERS[name](pair[1])
    except (ValueError, AssertionError) as refusal:  # some wrappers take no same-step mode
        with pytest.raises(type(refusal)):
            WRAPPERS[name](pair[0])
        return
    ours = WRAPPERS[name](pair[0])
    assert isinstance(ours.single_observation_space, spaces.Space)
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    given, expected = ours.reset(seed=1), theirs.reset(seed=1)
    assert_same(without_times(given), without_times(expected), "reset")
    for step in range(2 * LONGEST):
        action = actions.sample()
        if ours.action_space != actions:
            action = action / 256.0 - 1.0
        given, expected = ours.step(action), theirs.step(action)
        assert_same(without_times(given), without_times(expected), f"step {step}")
    for env in (ours, theirs):
        env.close()


def test_a_video_of_all_tables_is_recorded(tmp_path):
    pytest.importorskip("moviepy")
    env = PushTVectorEnv(
        2, "state", render_mode="rgb_array", max_episode_steps=3, autoreset_mode="NextStep"
    )
    recorded = wrappers.RecordVideo(env, str(tmp_path), episode_trigger=lambda _: True)
    recorded.reset(seed=0)
    for _ in range(5):
        recorded.step(np.full((2, 2), 250.0))
    recorded.close()
    assert len(list(tmp_path.glob("*.mp4"))) == 2

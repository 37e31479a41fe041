"""What every registered environment promises, over every id and every way to make it."""

import itertools
import multiprocessing
import pickle
import warnings
from importlib.util import find_spec
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

gymnasium.register_envs(envs)

ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "dpbench/PushT-v1": {
        "obs_type": ("state", "keypoints", "pixels"),
        "control": ("position", "velocity"),
    },
    "dpbench/LinearSystem-v1": {
        "system": ("stable", "unstable"),
        "control": ("position", "velocity"),
    },
    **{
        f"dpbench/{name}-v1": {"obs_type": ("state",), "control": ("position", "velocity")}
        for name in ("Lift", "Can", "Square")
    },
}
NEEDS = {f"dpbench/{name}-v1": "robosuite" for name in ("Lift", "Can", "Square")}


def needs(env_id: str) -> pytest.MarkDecorator:
    package = NEEDS.get(env_id, "gymnasium")
    return pytest.mark.skipif(find_spec(package) is None, reason=f"needs {package}")


IDS = [pytest.param(env_id, marks=needs(env_id)) for env_id in ARGUMENTS]
CASES = [
    pytest.param(
        env_id,
        dict(zip(options, values, strict=True)),
        id="-".join((env_id, *values)),
        marks=needs(env_id),
    )
    for env_id, options in ARGUMENTS.items()
    for values in itertools.product(*options.values())
]

# check_env recommends actions between -1 and 1. The tasks keep their units, and the normaliser
# of the policies does the rest.
EXPECTED_WARNING = ".*we recommend using a symmetric and normalized space.*"


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


def flat(observation: Any) -> list[np.ndarray]:
    return list(observation.values()) if isinstance(observation, dict) else [observation]


def play(env_id: str, arguments: dict[str, str], seed: int, steps: int) -> list[np.ndarray]:
    """Everything seen in an episode of random actions."""
    env = gymnasium.make(env_id, **arguments)
    env.action_space.seed(0)
    seen = flat(env.reset(seed=seed)[0])
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        seen += [*flat(observation), np.array(reward)]
    env.close()
    return seen


def assert_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_id_of_the_table_is_registered_and_tested():
    ours = {env_id for env_id in gymnasium.registry if env_id.startswith("dpbench/")}
    assert ours == {environment.id for environment in envs.ENVIRONMENTS} == set(ARGUMENTS)


def test_registering_again_changes_nothing():
    before = {env_id: gymnasium.spec(env_id) for env_id in ARGUMENTS}
    envs.register_envs()
    assert all(gymnasium.spec(env_id) is spec for env_id, spec in before.items())


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_gymnasium_finds_no_fault(env_id, arguments):
    env = gymnasium.make(env_id, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=EXPECTED_WARNING)
        check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_info_tells_success_on_reset_and_step(env_id, arguments):
    env = gymnasium.make(env_id, **arguments)
    _, info = env.reset(seed=0)
    assert type(info["is_success"]) is bool
    *_, info = env.step(env.action_space.sample())
    assert type(info["is_success"]) is bool


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_a_seed_determines_the_episode(env_id, arguments):
    first = play(env_id, arguments, seed=100000, steps=10)
    assert_same(play(env_id, arguments, seed=100000, steps=10), first)
    other = play(env_id, arguments, seed=100001, steps=1)
    assert any((one != two).any() for one, two in zip(first, other, strict=False))


@pytest.mark.parametrize(("env_id", "arguments"), CASES)
def test_a_pickle_plays_the_same_episode(env_id, arguments):
    env = gymnasium.make(env_id, **arguments)
    again = pickle.loads(pickle.dumps(env))
    assert_same(flat(again.reset(seed=3)[0]), flat(env.reset(seed=3)[0]))
    action = env.action_space.sample()
    assert_same(flat(again.step(action)[0]), flat(env.step(action)[0]))


@pytest.mark.parametrize("env_id", IDS)
def test_a_spawned_process_plays_the_same_episode(env_id):
    # Spawned processes share nothing with this one and import everything anew.
    arguments = {name: values[0] for name, values in ARGUMENTS[env_id].items()}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        theirs = pool.apply(play_in_a_new_process, (env_id, arguments))
    assert_same(theirs, play(env_id, arguments, seed=7, steps=5))


def play_in_a_new_process(env_id: str, arguments: dict[str, str]) -> list[np.ndarray]:
    return play(env_id, arguments, seed=7, steps=5)

"""The batched step in C gives Python's bits, and Python steps where it cannot be had."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from envs.pusht import compiled
from envs.pusht.geometry import GOAL_POSE
from envs.pusht.vector import PushTVectorEnv

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler here")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache in a process that has not asked for the compiled step yet."""
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    compiled.status.cache_clear()
    yield tmp_path / "cache"
    compiled.status.cache_clear()


def make(tables: int, python: bool = False, **settings: object) -> PushTVectorEnv:
    env = PushTVectorEnv(tables, **settings)
    if python:
        env._compiled = None
    else:
        assert env._compiled is not None
    return env


def starts(tables: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low, high = [100, 100, 200, 200, -7], [400, 400, 320, 320, 7]
    return rng.uniform(low, high, (tables, 5))


def aims(state: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Set-points that keep pushing the blocks to and fro, about the goal."""
    through = np.where(rng.random((len(state), 1)) < 0.7, state[:, 2:4], GOAL_POSE[:2])
    return through + rng.normal(0.0, 50.0, (len(state), 2))


def assert_same_bits(one: object, other: object) -> None:
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same_bits(one[key], other[key])
    elif isinstance(one, tuple):
        for each, twin in zip(one, other, strict=True):
            assert_same_bits(each, twin)
    else:
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()


@needs_compiler
@pytest.mark.parametrize("control", ["position", "velocity"])
def test_ten_thousand_contact_rich_steps_equal_those_of_python_to_the_bit(cache, control):
    env, reference = (
        make(50, python, control=control, max_episode_steps=None) for python in (False, True)
    )
    rng, contacts, covered, ended = np.random.default_rng(2), [], [], np.zeros(50, dtype=bool)
    for step in range(220):
        again = ended | (step % 10 == 0)  # before a block has been flung off the table
        if again.any():
            options = {"state": starts(50, step), "reset_mask": again}
            assert_same_bits(env.reset(options=options), reference.reset(options=options))
        actions = aims(reference._states, rng)
        if control == "velocity":
            actions -= reference._states[:, :2]
        result = env.step(actions)
        assert_same_bits(result, reference.step(actions))
        assert_same_bits(env._states, reference._states)
        assert_same_bits(env._velocities, reference._velocities)
        ended = result[2]
        contacts.append(result[4]["n_contacts"])
        covered.append(result[4]["coverage"])
    assert np.size(contacts) >= 10_000
    assert np.mean(np.array(contacts) > 0) > 0.5
    assert np.mean(np.array(covered) > 0) > 0.5


@needs_compiler
@pytest.mark.parametrize("obs_type", ["state", "pixels"])
def test_other_observations_equal_those_of_python(cache, obs_type):
    env, reference = (make(3, python, obs_type=obs_type) for python in (False, True))
    rng = np.random.default_rng(3)
    for each in (env, reference):
        each.reset(options={"state": starts(3)})
    for _ in range(8):
        actions = aims(reference._states, rng)
        assert_same_bits(env.step(actions), reference.step(actions))


@needs_compiler
def test_tables_know_their_state_after_a_compiled_step(cache):
    env = make(2)
    env.reset(seed=0)
    env.step(np.full((2, 2), 250.0))
    assert [table.coordinates for table in env._tables] == [*map(tuple, env._states.tolist())]
    assert [table.velocity for table in env._tables] == [*map(tuple, env._velocities.tolist())]


@needs_compiler
@pytest.mark.parametrize("clone", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
@pytest.mark.parametrize("python", [False, True], ids=["compiled", "python"])
def test_a_copy_in_the_middle_of_pushes_continues_to_the_bit(cache, clone, python):
    env, rng = make(4), np.random.default_rng(4)
    env.reset(options={"state": starts(4)})
    for _ in range(30):
        env.step(aims(env._states, rng))
    copied = clone(env)
    assert copied._compiled is not None
    if python:  # as in a process that has no compiled step
        copied._compiled = None
    for _ in range(20):
        actions = aims(env._states, rng)
        result = env.step(actions)
        assert_same_bits(copied.step(actions), result)
    assert result[4]["n_contacts"].any()


@needs_compiler
def test_one_table_is_reset_and_the_others_go_on(cache):
    env, reference = (make(3, python) for python in (False, True))
    rng, mask = np.random.default_rng(5), np.array([False, True, False])
    for each in (env, reference):
        each.reset(options={"state": starts(3)})
    for step in range(40):
        if step == 20:
            options = {"state": starts(3)[::-1], "reset_mask": mask}
            assert_same_bits(env.reset(options=options), reference.reset(options=options))
        actions = aims(reference._states, rng)
        assert_same_bits(env.step(actions), reference.step(actions))


@needs_compiler
def test_set_points_that_are_not_finite_are_refused_and_move_nothing(cache):
    env = make(2)
    env.reset(seed=0)
    before = env._states.copy()
    with pytest.raises(ValueError, match="not finite"):
        env.step(np.array([[100.0, 100.0], [np.nan, 1.0]]))
    assert_same_bits(env._states, before)


@needs_compiler
def test_it_is_compiled_once_and_found_again(cache, monkeypatch):
    made = compiled.status()
    assert made.in_use
    assert [path.suffix for path in (cache / "compiled").iterdir()] == [".so"]
    compiled.status.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    found = compiled.status()
    assert found.in_use
    assert found.text == made.text


@needs_compiler
def test_a_broken_file_in_the_cache_is_replaced(cache, monkeypatch):
    path = cache / "compiled" / f"pusht-{compiled._key()}.so"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half of")
    assert compiled.status().in_use
    assert path.stat().st_size > 1000


def assert_python_steps() -> None:
    assert not compiled.status().in_use
    env = PushTVectorEnv(2)
    assert env._compiled is None
    env.reset(options={"state": starts(2)})
    before = env._states.copy()
    for _ in range(5):
        env.step(env._states[:, 2:4])
    assert (env._states[:, :2] != before[:, :2]).all()


@pytest.mark.parametrize("constant", ["DAMPING", "T_AREA"])
@needs_compiler
def test_what_does_not_give_pythons_bits_is_neither_used_nor_kept(cache, monkeypatch, constant):
    off = np.nextafter(compiled.CONSTANTS[constant], np.inf).item()
    monkeypatch.setitem(compiled.CONSTANTS, constant, off)
    assert_python_steps()
    assert "does not give Python's numbers" in compiled.status().text
    assert not [*(cache / "compiled").iterdir()]


@needs_compiler
def test_a_source_that_does_not_compile_is_told_with_the_compilers_words(cache, monkeypatch):
    monkeypatch.setitem(compiled.CONSTANTS, "T_AREA", float("inf"))
    assert_python_steps()
    assert "cannot compile" in compiled.status().text
    assert "error" in compiled.status().text


def test_without_a_compiler_python_steps(cache, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert_python_steps()
    assert "no-such-compiler" in compiled.status().text


def test_without_a_folder_to_write_to_python_steps(cache, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert_python_steps()
    assert str(tmp_path / "file") in compiled.status().text


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_in_a_folder_that_is_read_only_python_steps(cache):
    (cache / "compiled").mkdir(parents=True)
    (cache / "compiled").chmod(0o500)
    assert_python_steps()


@needs_compiler
def test_processes_that_start_at_once_all_use_it_and_leave_one_file(cache):
    ask = "from envs.pusht import compiled; print(compiled.status().in_use)"
    asked = [
        subprocess.Popen([sys.executable, "-c", ask], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in asked] == ["True"] * 3
    assert len([*(cache / "compiled").iterdir()]) == 1

"""The cache of generated demonstrations: made once, made anew when it must be, never half."""

from dataclasses import replace

import numpy as np
import pytest

from envs.cache import cache_dir
from envs.demos import cache, npz
from envs.demos.demonstrations import Demonstrations, Metadata

FIRST = Metadata("pusht", "scripted", "v1-PushT-v1", 0)
SECOND = replace(FIRST, version="v2-PushT-v1")


class Maker:
    """Makes demonstrations of the given version and counts how often."""

    def __init__(self, metadata: Metadata) -> None:
        self.metadata, self.count = metadata, 0

    def __call__(self) -> Demonstrations:
        self.count += 1
        return Demonstrations(
            states=np.ones((4, 5)),
            actions=np.full((4, 2), float(self.count)),
            episode_ends=np.array([4]),
            observations={},
            metadata=self.metadata,
        )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_demonstrations_are_made_once_and_then_read(folder):
    make = Maker(FIRST)
    made, read = (cache.cached(FIRST, 1, make) for _ in range(2))
    assert make.count == 1
    np.testing.assert_array_equal(made.actions, read.actions)
    assert read.metadata == FIRST


def test_the_file_name_tells_task_source_version_seed_and_count(folder):
    cache.cached(FIRST, 1, Maker(FIRST))
    assert names(folder) == ["pusht-scripted-v1-PushT-v1-seed0-1.npz"]


def test_another_number_of_episodes_is_another_file(folder):
    cache.cached(FIRST, 1, Maker(FIRST))
    cache.cached(FIRST, 2, Maker(FIRST))
    assert len(names(folder)) == 2


def test_a_new_version_is_made_anew_and_removes_the_old_one_but_nothing_else(folder):
    cache.cached(FIRST, 1, Maker(FIRST))
    npz.write(Maker(FIRST)(), folder / "pusht-human.npz")
    make = Maker(SECOND)
    assert cache.cached(SECOND, 1, make).metadata == SECOND
    assert make.count == 1
    assert names(folder) == ["pusht-human.npz", "pusht-scripted-v2-PushT-v1-seed0-1.npz"]


def test_a_corrupt_file_is_made_anew_with_a_warning(folder):
    path = cache.cache_path(FIRST, 1)
    path.write_bytes(b"half a file")
    make = Maker(FIRST)
    with pytest.warns(UserWarning, match="not a readable NPZ file.*set aside as .* and made"):
        cache.cached(FIRST, 1, make)
    assert make.count == 1
    assert npz.read(path, SECOND).metadata == FIRST
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"half a file"


@pytest.mark.parametrize("keep_checksum", [True, False])
def test_a_changed_number_is_noticed_and_the_file_made_anew(folder, keep_checksum):
    cache.cached(FIRST, 1, Maker(FIRST))
    path = cache.cache_path(FIRST, 1)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["action"][2, 1] += 1e-9
    if not keep_checksum:
        del arrays["metadata"]
    np.savez_compressed(path, **arrays)
    make = Maker(FIRST)
    expected = "checksum is" if keep_checksum else "has no checksum"
    with pytest.warns(UserWarning, match=f"{expected}.*set aside"):
        found = cache.cached(FIRST, 1, make)
    assert make.count == 1
    np.testing.assert_array_equal(found.actions, make().actions - 1.0)


def test_a_whole_file_of_other_demonstrations_is_not_taken_for_ours(folder):
    npz.write(Maker(SECOND)(), cache.cache_path(FIRST, 1))
    with pytest.warns(UserWarning, match="holds Metadata.*v2.*set aside"):
        assert cache.cached(FIRST, 1, Maker(FIRST)).metadata == FIRST


def test_an_interruption_while_demonstrations_are_made_leaves_nothing(folder):
    def interrupted() -> Demonstrations:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.cached(FIRST, 1, interrupted)
    assert names(folder) == []


def test_two_that_make_the_same_at_once_leave_one_whole_file(folder):
    def slower() -> Demonstrations:
        cache.cached(FIRST, 1, Maker(FIRST))  # another process finishes first
        return Maker(FIRST)()

    cache.cached(FIRST, 1, slower)
    assert names(folder) == ["pusht-scripted-v1-PushT-v1-seed0-1.npz"]
    assert npz.read(cache.cache_path(FIRST, 1), SECOND).metadata == FIRST


def test_the_cache_is_in_the_users_cache_folder_unless_told_otherwise(
    monkeypatch, folder, tmp_path
):
    assert cache_dir() == folder
    monkeypatch.delenv("DPBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "given"))
    assert cache_dir() == tmp_path / "given" / "dpbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache" / "dpbench"


def test_what_is_kept_is_private_to_the_user(folder, monkeypatch):
    monkeypatch.setenv("DPBENCH_CACHE", str(folder / "new"))
    cache.cached(FIRST, 1, Maker(FIRST))
    path = cache.cache_path(FIRST, 1)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_folder_that_cannot_be_written_is_said_before_anything_is_made(folder, monkeypatch):
    monkeypatch.setattr(cache.os, "access", lambda *_: False)
    make = Maker(FIRST)
    with pytest.raises(PermissionError, match=str(folder)):
        cache.cached(FIRST, 1, make)
    assert make.count == 0

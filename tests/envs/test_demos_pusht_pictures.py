"""Pictures of recorded states: drawn once, kept, mapped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from envs.demos import pusht_pictures
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.render import observation_images


@pytest.fixture
def demonstrations(tmp_path, monkeypatch) -> Demonstrations:
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    states = np.column_stack([rng.uniform(50, 450, (6, 4)), rng.uniform(0, 6, 6)])
    return Demonstrations(
        states, states[:, :2], np.array([4, 6]), {}, Metadata("pusht", "import", "made up", None)
    )


def kept(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_pictures_are_those_of_the_states_and_drawn_once(demonstrations, tmp_path, monkeypatch):
    monkeypatch.setattr(pusht_pictures, "CHUNK", 4)
    found = pusht_pictures.pictures(demonstrations)
    np.testing.assert_array_equal(found, observation_images(demonstrations.states))
    assert isinstance(found, np.memmap)
    [file] = kept(tmp_path)
    written = file.stat().st_mtime_ns
    pusht_pictures.pictures(demonstrations)
    assert [file] == kept(tmp_path)
    assert file.stat().st_mtime_ns == written


def test_what_is_written_to_them_does_not_reach_the_file(demonstrations):
    found = pusht_pictures.pictures(demonstrations)
    before = found.copy()
    found[:] = 0
    np.testing.assert_array_equal(pusht_pictures.pictures(demonstrations), before)


def test_a_file_that_was_cut_off_is_drawn_again(demonstrations, tmp_path):
    before = pusht_pictures.pictures(demonstrations).copy()
    [file] = kept(tmp_path)
    file.write_bytes(file.read_bytes()[:1000])
    np.testing.assert_array_equal(pusht_pictures.pictures(demonstrations), before)


def test_other_states_have_pictures_of_their_own(demonstrations, tmp_path):
    pusht_pictures.pictures(demonstrations)
    pusht_pictures.pictures(replace(demonstrations, states=demonstrations.states + 1.0))
    assert len(kept(tmp_path)) == 2

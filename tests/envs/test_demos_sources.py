"""The sources of Push-T demonstrations: what a policy sees, and what recorded files must hold."""

import functools
import http.server
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from envs.control import to_position, to_velocity
from envs.demos import npz, pusht_human, sources
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.pusht_replay import replay
from envs.pusht.geometry import keypoints
from envs.pusht.observations import observe


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("DPBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def few_scripted(monkeypatch):
    monkeypatch.setattr(sources, "NUM_SCRIPTED", 3)


@pytest.fixture
def resting() -> Demonstrations:
    """Two episodes in which nothing happens."""
    states = np.tile([100.0, 100.0, 256.0, 256.0, 0.5], (6, 1))
    return Demonstrations(
        states=states,
        actions=np.full((6, 2), 100.0),
        episode_ends=np.array([2, 6]),
        observations={"keypoint": keypoints(states)},
        metadata=Metadata("pusht", "import", "made up", None),
    )


@pytest.fixture
def public(resting, monkeypatch) -> Demonstrations:
    """Stands in for the public data: their checksum is that of `resting`."""
    monkeypatch.setattr(pusht_human, "SHA256", resting.digest())
    return resting


def test_scripted_demonstrations_are_generated_once_and_read_from_then_on(
    few_scripted, cache_folder, monkeypatch
):
    first = sources.load_pusht()
    assert first.num_episodes == 3
    assert first.metadata.source == "scripted"
    monkeypatch.setattr(sources.pusht_scripted, "demonstrate", None)
    np.testing.assert_array_equal(sources.load_pusht().actions, first.actions)
    assert len(list(cache_folder.iterdir())) == 1


def test_more_scripted_demonstrations_begin_with_the_fewer_ones():
    few, more = (sources.recorded_pusht("scripted", num_scripted=n) for n in (2, 3))
    assert more.num_episodes == 3
    np.testing.assert_array_equal(more.actions[: few.num_steps], few.actions)


def test_scripted_demonstrations_succeed_when_replayed_and_do_not_drift():
    replayed = replay(sources.recorded_pusht("scripted", num_scripted=3))
    assert replayed.is_success.all()
    assert replayed.drift.max() == 0.0
    np.testing.assert_array_equal(replayed.final_coverage, replayed.max_coverage)


@pytest.mark.parametrize("obs_type", ["keypoints", "state", "pixels"])
def test_observations_are_those_of_the_environment_for_each_type(few_scripted, obs_type):
    demonstrations = sources.load_pusht(obs_type=obs_type, num_episodes=1)
    expected = observe(demonstrations.states, obs_type)
    assert demonstrations.num_episodes == 1
    assert demonstrations.observations.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(demonstrations.observations[name], array)


def test_a_path_for_the_scripted_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="scripted demonstrations come from no file"):
        sources.load_pusht("scripted", path=tmp_path / "mine.npz")


def test_a_file_of_ones_own_is_called_import_and_not_human(resting, tmp_path):
    path = tmp_path / "mine.npz"
    npz.write(resting, path)
    assert sources.load_pusht("human", path=path).metadata.source == "import"


def test_files_of_ones_own_are_told_apart_by_content_and_not_by_name(resting, tmp_path):
    """robomimic's files of experts and of mixed people have one name: no run may be shared."""
    files = [tmp_path / folder / "low_dim.npz" for folder in ("experts", "mixed", "copy")]
    other = replace(resting, actions=resting.actions + 1.0)
    for file, demonstrations in zip(files, (resting, other, resting), strict=True):
        npz.write(demonstrations, file)
    experts, mixed, copy = (sources.load_pusht("human", path=file).metadata for file in files)
    assert experts != mixed
    assert experts == copy


def test_the_public_data_are_known_by_their_content_in_any_file(public, tmp_path):
    path = tmp_path / "renamed.npz"
    npz.write(public, path)
    found = sources.load_pusht("human", path=path)
    assert found.metadata == Metadata("pusht", "human", "pusht_cchi_v7", None)


@pytest.mark.parametrize(
    ("shift", "message"), [(0.002, "keypoints of row 0 are 0.002 px from"), (5e-4, None)]
)
def test_keypoints_of_another_block_are_refused(resting, tmp_path, shift, message):
    path = tmp_path / "other.npz"
    shifted = resting.observations["keypoint"] + shift
    npz.write(replace(resting, observations={"keypoint": shifted}), path)
    if message is None:
        assert pusht_human.read(path).num_episodes == 2
    else:
        with pytest.raises(ValueError, match=message):
            pusht_human.read(path)


def test_keypoints_of_a_moving_block_are_not_compared(resting, tmp_path):
    states = resting.states.copy()
    states[:, 2] += np.arange(6.0)
    ahead = {"keypoint": keypoints(states) + 0.1}
    path = tmp_path / "moving.npz"
    npz.write(replace(resting, states=states, observations=ahead), path)
    assert pusht_human.read(path).num_episodes == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"states": np.zeros((6, 4))}, "states have 4 numbers and actions 2; Push-T has 5"),
        ({"actions": np.zeros((6, 3))}, "states have 5 numbers and actions 3"),
        ({"observations": {"keypoint": np.zeros((6, 8, 2))}}, r"shape \(6, 8, 2\)"),
    ],
)
def test_demonstrations_of_another_task_are_refused(resting, tmp_path, changed, message):
    path = tmp_path / "other.npz"
    npz.write(replace(resting, **changed), path)
    with pytest.raises(ValueError, match=message):
        pusht_human.read(path)


@pytest.mark.parametrize(
    ("states", "actions", "message"),
    [
        ([1, 1, 1, 1, 180 / np.pi], 1, "episode 0: state's angle goes from 28.65 to 171.9; exp"),
        ([1 / 256, 1 / 256, 1 / 256, 1 / 256, 1], 1, "episode 0: state's positions never leaves"),
        ([1] * 5, 1 / 512, "episode 0: action never leaves 0.195 to 0.195; expected px"),
        ([10, 1, 1, 1, 1], 1, "episode 0: state's positions goes from 100 to 1000; expected px"),
    ],
)
def test_states_and_actions_in_other_units_are_refused_by_episode_and_array(
    resting, tmp_path, states, actions, message
):
    path = tmp_path / "units.npz"
    scaled = resting.states * states
    if states[4] > 1:
        scaled[1, 4] = np.degrees(3.0)
    np.savez(path, state=scaled, action=resting.actions * actions, episode_ends=[2, 6])
    with pytest.raises(ValueError, match=message):
        pusht_human.read(path)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that a web server on this machine serves as the project site."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/pusht.zip"
        monkeypatch.setattr(pusht_human, "URL", address)
        yield folder
        server.shutdown()
        thread.join()


def pack(demonstrations: Demonstrations, folder) -> None:
    """Write pusht.zip with the public layout into a folder."""
    zarr = pytest.importorskip("zarr")
    store = folder / "pusht_cchi_v7_replay.zarr"
    group = zarr.open_group(str(store), mode="w", zarr_format=2)
    group.create_array("data/action", data=demonstrations.actions)
    group.create_array("data/state", data=demonstrations.states)
    group.create_array("meta/episode_ends", data=demonstrations.episode_ends)
    with zipfile.ZipFile(folder / "pusht.zip", "w") as archive:
        for file in store.rglob("*"):
            archive.write(file, file.relative_to(folder))


def test_the_public_data_are_downloaded_once_and_kept(public, served, cache_folder):
    pytest.importorskip("pooch")
    pack(public, served)
    assert sources.load_pusht("human").num_episodes == 2
    (served / "pusht.zip").unlink()
    found = sources.load_pusht("human")
    np.testing.assert_array_equal(found.states, public.states)
    assert [path.name for path in cache_folder.iterdir()] == ["pusht-human.npz"]


def test_a_download_with_another_content_is_refused_and_not_kept(resting, served, cache_folder):
    pytest.importorskip("pooch")
    pack(resting, served)
    with pytest.raises(ValueError, match=f"checksum {resting.digest()}"):
        sources.load_pusht("human")
    assert not cache_folder.exists()


def test_a_failed_download_says_where_the_data_are_and_how_to_pass_a_file(served, cache_folder):
    pytest.importorskip("pooch")
    with pytest.raises(ConnectionError, match=r"could not be downloaded from .*DATA_PATH="):
        sources.load_pusht("human")
    assert not cache_folder.exists()


def test_the_human_demonstrations_at_hand_are_the_public_ones(human_npz):
    found = sources.load_pusht("human", path=human_npz)
    assert (found.num_episodes, found.num_steps) == (206, 25650)
    assert found.metadata.source == "human"
    assert found.observations["state"].shape == (25650, 20)
    assert sources.load_pusht("human", path=human_npz, num_episodes=90, seed=1).num_episodes == 90


def recorded_of(source, request) -> Demonstrations:
    if source == "human":
        return sources.recorded_pusht("human", request.getfixturevalue("human_npz"))
    return sources.recorded_pusht("scripted", num_scripted=3)


@pytest.mark.parametrize(("source", "tolerance"), [("scripted", 1e-12), ("human", 0.0)])
def test_recorded_actions_survive_the_way_to_velocity_control_and_back(source, tolerance, request):
    recorded = recorded_of(source, request)
    first = recorded.states[recorded.starts, :2]
    velocities = to_velocity(recorded.actions, recorded.episode_ends, first)
    back = to_position(velocities, recorded.episode_ends, first)
    np.testing.assert_allclose(back, recorded.actions, rtol=0, atol=tolerance)

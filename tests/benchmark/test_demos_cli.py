"""The functions behind `python -m benchmark demos`."""

import numpy as np
import pytest

from benchmark import demos_cli
from envs.demos import npz, pusht_human, sources
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.pusht_replay import Replay
from envs.pusht.geometry import keypoints


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("DPBENCH_CACHE", str(folder))
    return folder


@pytest.fixture
def resting() -> Demonstrations:
    """Two episodes of 2 and 4 steps; the agent's set-point moves 3 px once."""
    states = np.tile([100.0, 100.0, 256.0, 256.0, 0.5], (6, 1))
    actions = np.full((6, 2), 100.0)
    actions[5, 0] = 103.0
    return Demonstrations(
        states=states,
        actions=actions,
        episode_ends=np.array([2, 6]),
        observations={
            "keypoint": keypoints(states),
            "n_contacts": np.array([[0], [0], [1], [2], [1], [0]]),
        },
        metadata=Metadata("pusht", "import", "made up", None),
    )


@pytest.fixture
def own_file(resting, tmp_path):
    path = tmp_path / "mine.npz"
    npz.write(resting, path)
    return path


def test_the_list_tells_how_to_get_what_is_not_there(capsys):
    demos_cli.list_demonstrations("pusht")
    printed = capsys.readouterr().out
    assert "not here yet: demos pusht" in printed
    assert "not here yet: demos pusht --from pusht.zip" in printed


def test_the_list_shows_what_is_there(resting, monkeypatch, own_file, capsys):
    monkeypatch.setattr(pusht_human, "SHA256", resting.digest())
    demos_cli.import_file("pusht", own_file)
    capsys.readouterr()
    demos_cli.list_demonstrations("pusht")
    row = next(line for line in capsys.readouterr().out.splitlines() if "pusht-human.npz" in line)
    assert row.split()[:5] == ["pusht", "human", "2", "6", "pusht_cchi_v7"]


def test_the_public_data_are_imported_to_where_the_human_source_finds_them(
    resting, monkeypatch, own_file
):
    monkeypatch.setattr(pusht_human, "SHA256", resting.digest())
    demos_cli.import_file("pusht", own_file)
    assert sources.load_pusht("human").num_episodes == 2


def test_data_of_ones_own_are_imported_only_to_a_named_file(own_file, tmp_path, cache_folder):
    with pytest.raises(ValueError, match=r"mine\.npz does not hold the public .*--to FILE"):
        demos_cli.import_file("pusht", own_file)
    assert not cache_folder.exists()
    demos_cli.import_file("pusht", own_file, tmp_path / "kept.npz")
    assert sources.load_pusht("human", path=tmp_path / "kept.npz").metadata.source == "import"


def test_the_summary_counts_steps_moves_contact_and_success(resting):
    replayed = Replay(np.array([0.9, 0.96]), np.array([0.9, 0.96]), np.array([0.0, 0.5]))
    rows = dict(demos_cli.summary(resting, replayed).rows)
    assert rows["episodes"] == "2"
    assert rows["steps an episode"] == "2 to 4, median 3"
    assert rows["set-point moves"].startswith("median 0.0")
    assert rows["set-point rests"] == "75.0% of steps"  # 3 of the 4 moves within episodes
    assert rows["in contact"] == "50% of steps"
    assert rows["final coverage"] == "0.900 to 0.960, median 0.930"
    assert rows["success"] == "1 of 2"
    assert rows["replay drift"] == "median 0.25, max 0.5 px"


def test_an_inspection_draws_every_episode_up_to_a_dozen(own_file, tmp_path, capsys):
    figure = tmp_path / "trajectories.svg"
    demos_cli.inspect("pusht", "human", own_file, figure)
    printed = capsys.readouterr().out
    assert f"trajectories: {figure}" in printed
    assert "Demonstrations of pusht, import, sha256-" in printed
    drawn = figure.read_text()
    assert "episode 1: 4 steps" in drawn
    assert "episode 2" not in drawn


def test_a_figure_of_an_unknown_kind_is_refused(own_file, tmp_path):
    with pytest.raises(ValueError, match=r"no figure of kind '\.gif'.*use \.png, \.svg, \.pdf"):
        demos_cli.inspect("pusht", "human", own_file, tmp_path / "a.gif")


@pytest.mark.parametrize(
    "command",
    [
        demos_cli.list_demonstrations,
        demos_cli.inspect,
        lambda task: demos_cli.import_file(task, None),
    ],
)
def test_an_unknown_task_is_refused_with_those_there_are(command):
    with pytest.raises(ValueError, match="no demonstrations of a task 'chess'; choose from pusht"):
        command("chess")


def test_a_filter_key_for_files_that_have_none_is_refused_by_name(tmp_path):
    for call in (
        lambda: demos_cli.inspect("pusht", filter_key="train"),
        lambda: demos_cli.import_file("pusht", tmp_path / "a.npz", filter_key="train"),
    ):
        with pytest.raises(ValueError, match="--filter-key train given, but files of pusht have"):
            call()

"""The functions behind `python -m benchmark demos`."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.commands import demos as demos_cli
from benchmark.plan import demo_facts
from benchmark.plan.tasks import PUSHT
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


def test_the_list_tells_how_to_get_what_is_not_there():
    printed = demos_cli.listing(PUSHT).text()
    assert "not here yet: demos pusht" in printed
    assert "not here yet: demos pusht --from FILE" in printed


def test_the_list_shows_what_is_there(resting, monkeypatch, own_file):
    monkeypatch.setattr(pusht_human, "SHA256", resting.digest())
    demos_cli.import_file(PUSHT, own_file)
    printed = demos_cli.listing(PUSHT).text()
    row = next(line for line in printed.splitlines() if "pusht-human.npz" in line)
    assert row.split()[:5] == ["pusht", "human", "2", "6", "pusht_cchi_v7"]


def test_the_public_data_are_imported_to_where_the_human_source_finds_them(
    resting, monkeypatch, own_file
):
    monkeypatch.setattr(pusht_human, "SHA256", resting.digest())
    demos_cli.import_file(PUSHT, own_file)
    assert sources.load_pusht("human").num_episodes == 2


def test_data_of_ones_own_are_imported_only_to_a_named_file(own_file, tmp_path, cache_folder):
    with pytest.raises(ValueError, match=r"mine\.npz does not hold the public .*--to FILE"):
        demos_cli.import_file(PUSHT, own_file)
    assert not cache_folder.exists()
    demos_cli.import_file(PUSHT, own_file, tmp_path / "kept.npz")
    assert sources.load_pusht("human", path=tmp_path / "kept.npz").metadata.source == "import"


def test_the_summary_counts_steps_moves_contact_and_success(resting, monkeypatch):
    replayed = Replay(np.array([0.9, 0.96]), np.array([0.9, 0.96]), np.array([0.0, 0.5]))
    monkeypatch.setattr(demo_facts.pusht_replay, "replay", lambda _: replayed)
    rows = dict(demos_cli.summary(PUSHT, resting).rows)
    assert rows["episodes"] == "2"
    assert rows["steps an episode"] == "2 to 4, median 3"
    assert rows["set-point moves"].startswith("median 0.0")
    assert rows["set-point rests"] == "75.0% of steps"  # 3 of the 4 moves within episodes
    assert rows["in contact"] == "50% of steps"
    assert rows["final coverage"] == "0.900 to 0.960, median 0.930"
    assert rows["success"] == "1 of 2"
    assert rows["replay drift"] == "median 0.25, max 0.5 px"


def test_an_inspection_draws_no_bars_where_nobody_watches(own_file):
    command = [sys.executable, "-m", "benchmark", "demos", "pusht", "--data-path", str(own_file)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Demonstrations of pusht, import, sha256-" in found.stdout
    assert "\r" not in found.stdout
    assert found.stderr == ""


def test_an_inspection_draws_every_episode_up_to_a_dozen(own_file, tmp_path, capsys):
    figure = tmp_path / "trajectories.svg"
    demos_cli.inspect(PUSHT, "human", own_file, figure)
    printed = capsys.readouterr().out
    assert f"trajectories: {figure}" in printed
    assert "Demonstrations of pusht, import, sha256-" in printed
    drawn = figure.read_text()
    assert "episode 1: 4 steps" in drawn
    assert "episode 2" not in drawn


def test_a_figure_of_an_unknown_kind_is_refused(own_file, tmp_path):
    with pytest.raises(ValueError, match=r"no figure of kind '\.gif'.*use \.png, \.svg, \.pdf"):
        demos_cli.inspect(PUSHT, "human", own_file, tmp_path / "a.gif")


def test_a_task_of_another_package_is_listed_and_inspected_by_what_it_loads(resting, capsys):
    task = replace(
        PUSHT,
        name="reach",
        load=lambda *_: resting,
        catalogue=lambda _: None,
        recorded=None,
        demo_facts=None,
        demo_figure=None,
    )
    assert demos_cli.listing(task).rows == ()
    demos_cli.inspect(task, "scripted", None, None)
    printed = capsys.readouterr().out
    assert "2 to 4, median 3" in printed
    with pytest.raises(ValueError, match="there is no figure of reach"):
        demos_cli.inspect(task, "scripted", None, Path("a.png"))


def test_a_filter_key_for_files_that_have_none_is_refused_by_name(tmp_path):
    for call in (
        lambda: demos_cli.inspect(PUSHT, "scripted", None, None, "train"),
        lambda: demos_cli.import_file(PUSHT, tmp_path / "a.npz", None, "train"),
    ):
        with pytest.raises(ValueError, match="--filter-key train given, but files of pusht have"):
            call()

"""Films of policies: what is on their frames, and the files that they become."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from benchmark.commands.video import film_policies
from benchmark.errors import UsageError
from benchmark.play import film, session
from benchmark.play.film import check_kind, episode, side_by_side, write_film
from benchmark.play.policies import Trained, load_policy

STEPS = 10


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """The shipped policy, quick rather than good, in episodes of ten steps."""
    monkeypatch.setattr(session, "MAX_EPISODE_STEPS", STEPS)
    found = load_policy("shipped")
    found.agent.set_inference_steps(1)
    return found


def test_an_episode_shows_every_step_and_the_sequences_that_are_drawn(trained: Trained) -> None:
    alone, with_others = episode(trained, 400_000, 0), episode(trained, 400_000, 8)
    assert alone.shape == with_others.shape == (1 + STEPS, film.TILE, film.TILE, 3)
    assert (alone[0] == with_others[0]).all()  # nothing is predicted yet
    reddish = alone[1].astype(int)
    assert ((reddish[..., 0] - reddish[..., 2]) > 100).any()  # the followed path
    assert (alone[1] != with_others[1]).any(axis=-1).sum() > 10  # the others


def test_a_prediction_that_is_executed_to_its_end_is_filmed(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = trained.agent.spec
    whole = replace(trained, action_horizon=spec.pred_horizon - spec.obs_horizon + 1)
    monkeypatch.setattr(session, "MAX_EPISODE_STEPS", whole.action_horizon)
    assert len(episode(whole, 400_000, 0)) == 1 + whole.action_horizon


def test_policies_stand_beside_each_other_on_the_same_initial_states(
    trained: Trained, tmp_path: Path
) -> None:
    other = replace(trained, action_horizon=2)
    path = film_policies([trained, other], tmp_path / "film.gif", episodes=2, seed=400_000)
    with Image.open(path) as found:
        assert found.size == (2 * film.TILE, 2 * film.TILE + film.CAPTION_HEIGHT + 4)
        assert found.info["duration"] == 100
        first = np.asarray(found.convert("RGB"))[film.CAPTION_HEIGHT + 4 :]
    left, right = first[:, : film.TILE], first[:, film.TILE :]
    assert (left == right).all()
    assert (left[: film.TILE] != left[film.TILE :]).any()


def test_more_policies_than_stand_in_a_row_go_on_below_on_the_same_initial_states(
    trained: Trained, tmp_path: Path
) -> None:
    path = film_policies([trained] * 5, tmp_path / "film.gif", episodes=1, seed=400_000)
    height = film.TILE + film.CAPTION_HEIGHT + 4
    with Image.open(path) as found:
        assert found.size == (3 * film.TILE, 2 * height)
        found.seek(found.n_frames - 1)
        last = np.asarray(found.convert("RGB"))
    assert (last[:height, : 2 * film.TILE] == last[height:, : 2 * film.TILE]).all()
    assert last[height:, 2 * film.TILE :].min() > 240  # white, as near as the palette has it


def test_a_shorter_film_ends_with_a_still() -> None:
    short = np.full((1, film.TILE, film.TILE, 3), 9, np.uint8)
    long = np.arange(3, dtype=np.uint8).repeat(film.TILE**2 * 3).reshape(3, film.TILE, film.TILE, 3)
    grid = side_by_side([[short, long]], ["a", "b"])
    assert grid[:, -1, 0, 0].tolist() == [9, 9, 9]
    assert grid[:, -1, -1, 0].tolist() == [0, 1, 2]


# imageio-ffmpeg leaves the pipes of the process that it ends to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_film_is_written_as_mp4(tmp_path: Path) -> None:
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    frames = np.zeros((10, 65, 64, 3), np.uint8)
    frames[5:] = 200
    path = write_film(frames, tmp_path / "film.mp4", 10.0)
    reader = imageio_ffmpeg.read_frames(str(path))
    said = next(reader)
    read = [np.frombuffer(frame, np.uint8).mean() for frame in reader]
    assert said["size"] == (64, 64)
    assert len(read) == 20  # the last frame stays for a second
    assert read[0] < 10
    assert read[-1] == pytest.approx(200, abs=10)


def test_what_no_film_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["video", "shipped", "--to", str(tmp_path / "film.avi")]) == 2
    assert "ends in none of .gif, .mp4" in capsys.readouterr().err
    monkeypatch.setattr(film, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"dpbench\[video\]"):
        check_kind(Path("film.mp4"))

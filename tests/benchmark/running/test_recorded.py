"""Recorded episodes: which are chosen, that they are what was played, and how they are kept."""

import base64
import gzip
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.plan.config import EvalConfig
from benchmark.plan.tasks import PUSHT
from benchmark.running.recorded import (
    ACTIONS,
    FRAME_SIZE,
    FRAMES,
    record,
    recorded,
    recorded_name,
)
from benchmark.running.rollout import Trace, play
from benchmark.running.store import MEASURED, Run
from envs.pusht.geometry import coverage


class Wander:
    """Set-points drawn anew for every step."""

    obs_horizon, pred_horizon = 1, 8

    def __init__(self) -> None:
        self._rng = np.random.default_rng(3)

    def predict(self, window: Any, episodes: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self._rng.uniform(100, 400, (len(episodes), 8, 2))


@pytest.fixture(scope="module")
def played() -> pd.DataFrame:
    """Five episodes of 60 steps, and the actions that were executed."""
    trace = Trace()
    config = EvalConfig(8, episodes=5)
    lengths = np.full(5, 60)
    episodes = play(
        Wander(),
        PUSHT,
        "keypoints",
        "position",
        range(300_000, 300_005),
        config,
        "",
        None,
        lengths,
        trace,
    )
    return episodes.assign(**{ACTIONS: list(np.stack(trace.actions, axis=1))})


def told(content: bytes | None) -> list[dict[str, Any]]:
    assert content is not None
    found: list[dict[str, Any]] = json.loads(gzip.decompress(content))
    return found


def test_the_recorded_states_are_those_of_the_rollout(
    played: pd.DataFrame,
) -> None:
    for episode in told(record(PUSHT, "position", played)):
        row = played.set_index("seed").loc[episode["seed"]]
        states = np.array(episode["states"])
        assert states.shape == (31, 5)  # every second of 60 steps, and the first
        assert coverage(states[-1]) == pytest.approx(row["final_coverage"], abs=2e-3)
        assert max(map(coverage, states)) <= row["max_coverage"] + 2e-3


def test_best_median_and_worst_are_told_by_success_then_score_then_length() -> None:
    episodes = pd.DataFrame(
        {
            "seed": [10, 11, 12, 13, 14],
            "is_success": [False, True, True, False, False],
            "score": [0.2, 1.0, 1.0, 0.7, 0.1],
            "length": [3, 3, 2, 3, 3],
            ACTIONS: [np.full((3, 2), 200.0)] * 5,
        }
    )
    found = told(record(PUSHT, "position", episodes))
    assert {episode["kind"]: episode["seed"] for episode in found} == {
        "best": 12,
        "median": 13,
        "worst": 14,
    }
    alone = told(record(PUSHT, "position", episodes[:1]))
    assert [episode["kind"] for episode in alone] == ["best"]


def test_a_task_that_is_shown_by_frames_keeps_few_and_small_ones(
    played: pd.DataFrame,
) -> None:
    episode, *_ = told(record(replace(PUSHT, shown_by="frames"), "position", played))
    _, _, content = episode["frames"].partition("base64,")
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        looks = 1 + -(-60 // episode["every"])
        assert picture.size == (looks * FRAME_SIZE, FRAME_SIZE)
    assert looks <= FRAMES


def test_what_cannot_be_drawn_or_shown_is_not_recorded(
    played: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert record(replace(PUSHT, shown_by=None), "position", played) is None

    def no_graphics(*_: Any, **__: Any) -> None:
        raise RuntimeError("no EGL here")

    monkeypatch.setattr("gymnasium.make", no_graphics)
    assert record(replace(PUSHT, shown_by="frames"), "position", played) is None
    assert (
        "no episodes of pusht are recorded for the report: no EGL here" in capsys.readouterr().out
    )


def test_recorded_episodes_are_read_from_the_run(
    played: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))

    class Known(Run):
        def __init__(self) -> None:
            self.folder = tmp_path / "run"

        evidence = None

    config = EvalConfig(8, episodes=5)
    assert recorded(Known(), config) == []
    content = record(PUSHT, "position", played)
    assert content is not None
    path = tmp_path / "run" / MEASURED / recorded_name(config)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert recorded(Known(), config) == told(content)

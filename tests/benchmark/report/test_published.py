"""Published scores: of the right task and observations, with what sets them apart."""

from collections.abc import Callable

import pandas as pd
import pytest

from benchmark.evidence.tables import results_table
from benchmark.plan.presets import PRESETS
from benchmark.plan.tasks import get_task
from benchmark.report.published import PUBLISHED, published_table

EpisodesMaker = Callable[..., pd.DataFrame]
COLUMNS = {"task": "lift", "data": "scripted", "obs_type": "state", "preset": "quick"}


@pytest.mark.parametrize(
    ("method", "columns", "cells"),
    [
        (
            "ibc",
            {"control": "velocity"},
            ("0.79", "0.41", "scripted demonstrations; quick preset"),
        ),
        (
            "ibc",
            {"obs_type": "pixels", "data": "human", "preset": "paper"},
            ("0.94", "0.73", "position control (published: velocity)"),
        ),
        (
            "diffusion-unet",
            {"task": "square", "data": "human", "preset": "paper"},
            ("1.00", "0.93", "-"),
        ),
    ],
)
def test_a_score_stands_beside_that_of_its_task_and_observations(
    make_episodes: EpisodesMaker,
    method: str,
    columns: dict[str, str],
    cells: tuple[str, ...],
) -> None:
    episodes = make_episodes(method, [[1.0, 0.0]], **COLUMNS | columns)
    table = published_table(results_table(episodes))
    assert table is not None
    (row,) = table.rows
    assert row[2:] == cells
    assert (COLUMNS | columns)["task"] in table.caption


def test_success_rates_of_robomimic_are_not_called_scores_of_push_t(
    make_episodes: EpisodesMaker,
) -> None:
    notes = {
        task: " ".join(
            published_table(  # type: ignore[union-attr]
                results_table(make_episodes("bet", [[1.0]], **COLUMNS | {"task": task}))
            ).notes
        )
        for task in ("pusht", "lift")
    }
    assert "90 of the 206" in notes["pusht"]
    assert "success rates" in notes["lift"]
    assert "overlap" not in notes["lift"]


@pytest.mark.parametrize(("method", "task"), [("bc-mlp", "lift"), ("bet", "linear-system-stable")])
def test_what_was_not_published_has_no_row(
    make_episodes: EpisodesMaker, method: str, task: str
) -> None:
    episodes = make_episodes(method, [[1.0]], **COLUMNS | {"task": task})
    assert published_table(results_table(episodes)) is None


def test_all_that_is_listed_exists_and_no_average_is_above_its_best() -> None:
    for (task, _, method), score in PUBLISHED.items():
        get_task(task)
        assert method in PRESETS["paper"]
        assert 0 <= score.average <= score.best <= 1

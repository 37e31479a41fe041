"""What a page draws are the numbers of its episodes."""

import json
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from benchmark.evidence.tables import results_table
from benchmark.plan import tasks
from benchmark.report.drawn import POINTS, drawn, last_checkpoints, success_times

EpisodesMaker = Callable[..., pd.DataFrame]
NONE = pd.DataFrame()


@pytest.fixture
def two(make_episodes: EpisodesMaker) -> pd.DataFrame:
    """A policy of two training seeds that solves two of four states, and one that solves none."""
    solves = make_episodes(
        "bet", [[1.0, 1.0, 0.5, 0.2], [1.0, 0.4, 0.5, 0.2]], length=[50, 100, 300, 300] * 2
    )
    solves.loc[5, "length"] = 300
    return pd.concat([solves, make_episodes("ibc", [[0.1] * 4], length=300)], ignore_index=True)


def test_curves_give_the_share_solved_by_a_time(two: pd.DataFrame) -> None:
    data = drawn(two, NONE, {}, results_table(two))
    assert (data["time"], data["limit"], data["rate"]) == ("s", 30.0, 10.0)
    assert data["at"][0] == 0
    assert data["at"][-1] == 30
    solved = dict(zip(data["at"], data["policies"][0]["curve"]["solved"], strict=True))
    assert (solved[4.5], solved[5.0], solved[10.0], solved[30.0]) == (0, 0.25, 0.375, 0.375)
    assert data["policies"][1]["curve"]["solved"] == [0.0] * (POINTS + 1)
    assert json.loads(json.dumps(data))["at"] == data["at"]  # plain values only


def test_the_table_of_times_says_the_same(two: pd.DataFrame) -> None:
    table = success_times(two, results_table(two))
    assert table.head == ("method", "3 s", "7.5 s", "15 s", "22.5 s", "30 s", "median")
    assert table.rows[0] == ("bet, position", "0 %", "25 %", "38 %", "38 %", "38 %", "-")


def test_episodes_are_means_over_training_seeds(two: pd.DataFrame) -> None:
    own = drawn(two, NONE, {}, results_table(two))["policies"][0]["episodes"]
    assert own["seed"] == [300_000, 300_001, 300_002, 300_003]
    assert own["score"] == [1.0, 0.7, 0.5, 0.2]
    assert own["success"] == [1.0, 0.5, 0.0, 0.0]
    assert own["time"] == [5.0, 20.0, 30.0, 30.0]


def test_recorded_episodes_go_to_the_policy_of_their_cell(two: pd.DataFrame) -> None:
    seen = [{"kind": "best", "seed": 300_000}]
    policies = drawn(two, NONE, {"bet-43": seen}, results_table(two))["policies"]
    assert [policy["recorded"] for policy in policies] == [seen, []]


def test_trainings_are_thinned_and_know_their_policy(
    two: pd.DataFrame, pusht_history: pd.DataFrame
) -> None:
    long = pusht_history[pusht_history["method"] == "ibc"].iloc[[0]].assign(cell="ibc-42")
    long = pd.concat([long.assign(update=update) for update in range(0, 5000, 10)])
    (training,) = drawn(two, long, {}, results_table(two))["trainings"]
    assert training["policy"] == 1
    assert len(training["loss"]) == POINTS
    assert training["loss"][0][0] == 0
    assert training["loss"][-1][0] == 4990
    nothing = long.iloc[[0]].assign(update=0)  # of a method that learns nothing
    assert drawn(two, nothing, {}, results_table(two))["trainings"] == []


def test_the_last_known_values_of_every_training_are_told(pusht_history: pd.DataFrame) -> None:
    table = last_checkpoints(pusht_history)
    assert table is not None
    assert len(table.rows) == pusht_history["cell"].nunique()
    row = next(row for row in table.rows if row[0] == "bet")
    own = pusht_history[
        (pusht_history["method"] == "bet") & pusht_history["validation_score"].notna()
    ]
    assert row[5] == f"{own['validation_score'].iloc[-1]:.3g}"
    assert last_checkpoints(NONE) is None


def test_curves_of_a_task_without_a_rate_are_in_steps(
    two: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tasks._TASKS, "pusht", replace(tasks.PUSHT, motion=None))
    data = drawn(two, NONE, {}, results_table(two))
    assert (data["time"], data["limit"], data["rate"]) == ("steps", 300.0, 1.0)


def test_a_single_episode_has_no_curve(make_episodes: EpisodesMaker) -> None:
    one = make_episodes("bet", [[0.5]])
    assert drawn(one, NONE, {}, results_table(one))["policies"][0]["curve"] is None
    assert success_times(one, results_table(one)).rows == ()

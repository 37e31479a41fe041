"""What a report is drawn from, and policies of earlier reports in the table of a sweep."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from benchmark.errors import UsageError
from benchmark.report.page import write_report
from benchmark.report.record import Record, beside, read_beside, read_record, write_record

EpisodesMaker = Callable[..., pd.DataFrame]


def record(*episodes: pd.DataFrame) -> Record:
    """The episodes and one line of history for each policy."""
    together = pd.concat(episodes, ignore_index=True)
    history = together.groupby(["cell", "method", "control", "data", "train_seed"], as_index=False)
    command = f"sweep --methods {' '.join(dict.fromkeys(together['method']))}"
    return Record(
        together,
        history.agg(loss=("score", "mean")).assign(update=1),
        (command,),
        {"torch": "2.13.0", "date": f"day {len(together)}"},
    )


def scores(found: Record) -> dict[str, float]:
    """The mean score of every method."""
    return found.episodes.groupby("method")["score"].mean().to_dict()


def test_policies_of_earlier_reports_follow_those_of_the_sweep(
    make_episodes: EpisodesMaker,
) -> None:
    own = record(make_episodes("diffusion-unet", [[1.0, 0.8]]))
    first = record(make_episodes("bet", [[0.5, 0.5]]))
    second = record(make_episodes("ibc", [[0.4]]))
    both = beside(own, [first, second])
    assert scores(both) == pytest.approx({"diffusion-unet": 0.9, "bet": 0.5, "ibc": 0.4})
    assert both.history["method"].tolist() == ["diffusion-unet", "bet", "ibc"]
    assert both.commands == tuple(f"sweep --methods {name}" for name in both.history["method"])
    assert both.machine == {"torch": "2.13.0", "date": "day 2 / day 1"}


def test_a_policy_is_taken_from_the_first_that_has_it(make_episodes: EpisodesMaker) -> None:
    own = record(make_episodes("bet", [[1.0]]))
    first = record(
        make_episodes("bet", [[0.2]], cell="other settings"), make_episodes("ibc", [[0.5]])
    )
    second = record(make_episodes("ibc", [[0.1]]))
    assert scores(beside(own, [first, second])) == {"bet": 1.0, "ibc": 0.5}
    assert beside(own, [first]).history["cell"].tolist() == ["bet-42", "ibc-42"]
    assert beside(own, [own]) == own  # nothing is taken, no command of it named twice


def test_other_seeds_controls_and_horizons_are_other_policies(make_episodes: EpisodesMaker) -> None:
    own = record(make_episodes("bet", [[1.0]]))
    earlier = [
        record(make_episodes("bet", [[0.0]], train_seeds=[43])),
        record(make_episodes("bet", [[0.0]], control="velocity")),
        record(make_episodes("bet", [[0.0]], action_horizon=4)),
    ]
    assert scores(beside(own, earlier)) == {"bet": 0.25}


def test_a_table_has_one_ceiling_and_one_floor(make_episodes: EpisodesMaker) -> None:
    def framed(method: str, preset: str, action_horizon: int) -> Record:
        rows = {"train_seed": -1, "preset": preset, "action_horizon": action_horizon}
        return record(
            make_episodes(method, [[0.5]]),
            make_episodes("demonstrator", [[1.0]], **rows),
            make_episodes("hold-still", [[0.1]], **rows),
        )

    both = beside(framed("bet", "laptop with x=1", 8), [framed("ibc", "laptop", 1)])
    assert both.episodes["method"].value_counts().to_dict() == {
        "bet": 1,
        "ibc": 1,
        "demonstrator": 1,
        "hold-still": 1,
    }


def test_a_written_report_is_read_again(
    pusht_episodes: pd.DataFrame, pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    made = Record(pusht_episodes, pusht_history, ("make bench", "sweep"), {"torch": "2.13.0"})
    write_report(made, tmp_path)
    found = read_record(tmp_path)
    pd.testing.assert_frame_equal(found.episodes, pusht_episodes.reset_index(drop=True))
    assert found.history["loss"].to_numpy() == pytest.approx(pusht_history["loss"].to_numpy(), 1e-5)
    assert (found.commands, found.machine) == (made.commands, made.machine)


def test_a_folder_without_a_report_or_of_another_task_is_refused(
    make_episodes: EpisodesMaker, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no report .* episodes.parquet is missing; allowed"):
        read_record(tmp_path)
    write_record(record(make_episodes("bet", [[1.0]])), tmp_path)
    (found,) = read_beside([tmp_path], "pusht")
    assert found.history.empty
    with pytest.raises(UsageError, match=r"is a report of pusht; allowed: of lift"):
        read_beside([tmp_path], "lift")
    (tmp_path / "made.json").unlink()
    with pytest.raises(UsageError, match=r"made.json is missing"):
        read_record(tmp_path)

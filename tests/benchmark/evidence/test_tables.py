"""The results table: what stands in which row, what its notes admit, and how it is written."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence import crossed
from benchmark.evidence.tables import paired_table, present, results_table, score_text
from benchmark.evidence.text_table import Table

EpisodesMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def two_checkpoints(make_episodes: EpisodesMaker) -> pd.DataFrame:
    """One method, two training seeds, three checkpoints of which the last is not the best."""
    return pd.concat(
        [
            make_episodes("ibc", [[0.4, 0.6], [0.9, 0.9]], checkpoint="1000", updates=1000),
            make_episodes("ibc", [[0.8, 0.8], [0.1, 0.1]], checkpoint="2000", updates=2000),
            make_episodes("ibc", [[0.5, 0.5], [0.5, 0.7]], updates=3000),
        ]
    )


def test_rows_run_from_the_demonstrations_over_falling_scores_to_the_floor(
    pusht_episodes: pd.DataFrame,
) -> None:
    shuffled = pusht_episodes.sample(frac=1, random_state=0)
    results = results_table(shuffled)
    assert list(results["role"]) == ["replay"] + ["method"] * 10 + ["floor"]
    assert results["method"].iloc[0] == "demonstrations, replayed"
    assert results["method"].iloc[-1] == "hold-still"
    scores = results["score"][results["role"] == "method"]
    assert scores.is_monotonic_decreasing
    assert scores.iloc[0] > scores.iloc[-1]


def test_a_row_holds_means_counts_and_intervals(make_episodes: EpisodesMaker) -> None:
    episodes = make_episodes(
        "ibc", [[1.0, 0.5], [1.0, 0.7]], seconds_per_prediction=[0.1, 0.1, 0.3, 0.3]
    ).assign(length=[100, 300, 200, 300], updates=[900, 900, 1100, 1100])
    (row,) = results_table(episodes).to_dict("records")
    assert row["score"] == pytest.approx(0.8)
    assert row["score_low"] < 0.8 < row["score_high"]
    rate = crossed.mean(np.array([[1.0, 0.0], [1.0, 0.0]])).interval()
    assert (row["success"], row["success_low"], row["success_high"]) == (0.5, rate.low, rate.high)
    assert (row["train_seeds"], row["episodes"]) == (2, 4)
    assert row["length"] == pytest.approx(225)
    assert row["seconds_per_prediction"] == pytest.approx(0.2)
    assert row["updates"] == pytest.approx(1000)


def test_other_rows_do_not_change_the_interval_of_a_row(make_episodes: EpisodesMaker) -> None:
    rng = np.random.default_rng(0)
    ibc, bet = make_episodes("ibc", rng.random((3, 20))), make_episodes("bet", rng.random((3, 20)))
    alone = results_table(ibc).iloc[0]
    together = results_table(pd.concat([bet, ibc])).set_index("method").loc["ibc"]
    assert alone["score_low"] == together["score_low"]


def test_the_headline_is_the_last_checkpoint_on_test_seeds(two_checkpoints: pd.DataFrame) -> None:
    validation = two_checkpoints.assign(split="validation", score=0.99)
    (row,) = results_table(pd.concat([two_checkpoints, validation])).to_dict("records")
    assert row["score"] == pytest.approx(0.55)
    assert row["updates"] == 3000


def test_shared_settings_are_named_once_and_mixed_ones_become_columns(
    make_episodes: EpisodesMaker,
) -> None:
    laptop = make_episodes("ibc", [[0.5, 0.6]])
    quick = make_episodes("ibc", [[0.4, 0.5]], preset="quick")
    alone, mixed = (
        present(results_table(laptop)),
        present(results_table(pd.concat([laptop, quick]))),
    )
    assert "preset" not in alone.head
    assert "All methods: data human, observations keypoints, preset laptop." in alone.notes
    assert [row[mixed.head.index("preset")] for row in mixed.rows] == ["laptop", "quick"]
    assert any("differ in preset" in note for note in mixed.notes)
    assert "All methods: data human, observations keypoints." in mixed.notes


def test_evaluation_settings_are_shown_only_where_one_method_ran_under_several(
    make_episodes: EpisodesMaker,
) -> None:
    ibc = make_episodes("ibc", [[0.5, 0.6]], inference_steps=5)
    bet = make_episodes("bet", [[0.2, 0.3]], inference_steps=0)
    longer = make_episodes("ibc", [[0.4, 0.5]], inference_steps=10)
    assert "steps" not in present(results_table(pd.concat([ibc, bet]))).head
    table = present(results_table(pd.concat([ibc, bet, longer])))
    assert [row[table.head.index("steps")] for row in table.rows] == ["5", "10", "0"]


def test_numbers_are_written_one_way(make_episodes: EpisodesMaker) -> None:
    scores = [[1.0] * 32 + [0.9] * 18]
    table = present(results_table(make_episodes("ibc", scores)))
    cells = dict(zip(table.head, table.rows[0], strict=True))
    assert cells["score"] == "0.964 [0.89, 0.97]"
    assert cells["success"] == "64 % [49, 77]"
    assert cells["n"] == "1 x 50"
    assert cells["length"] == "150"
    assert cells["s/pred"] == "0.012"
    assert cells["updates"] == "6000"


def test_what_was_not_measured_is_a_dash(make_episodes: EpisodesMaker) -> None:
    episodes = make_episodes("ibc", [[0.5]], seconds_per_prediction=np.nan)
    table = present(results_table(episodes))
    cells = dict(zip(table.head, table.rows[0], strict=True))
    assert cells["s/pred"] == "-"
    assert cells["score"] == "0.500"  # one episode gives no interval


def test_the_notes_say_what_the_ranges_are_and_what_they_leave_out(
    make_episodes: EpisodesMaker,
) -> None:
    one = " ".join(present(results_table(make_episodes("ibc", [[0.5, 0.6]]))).notes)
    assert "95 % intervals over training seeds and episodes (score: t, success: exact)" in one
    assert "One training seed" in one
    three = " ".join(present(results_table(make_episodes("ibc", np.ones((3, 4)) / 2))).notes)
    assert "(score: t, success: t)" in three
    assert "One training seed" not in three


def test_the_policies_that_cannot_be_told_from_the_best_are_marked(
    pusht_results: pd.DataFrame,
) -> None:
    best = pusht_results[pusht_results["best"]]
    assert set(best["judged_by"]) == {"is_success"}  # the highest score lies above 0.9
    assert "diffusion-unet" in set(best["method"])
    assert not set(best["method"]) & {"lstm-gmm", "hold-still", "demonstrator"}
    table = present(pusht_results)
    marked = {row[:2] for row in table.rows if row[0].endswith(" *")}
    assert marked == {(f"{m} *", c) for m, c in zip(best["method"], best["control"], strict=True)}
    assert "* Cannot be told from the best, by success (scores saturate)." in table.notes


def test_the_table_says_what_difference_it_could_have_shown(pusht_results: pd.DataFrame) -> None:
    methods = pusht_results[pusht_results["role"] == "method"]
    (success,) = set(methods["detectable_success"])
    assert 0.05 < success < 0.5
    notes = " ".join(present(pusht_results).notes)
    assert f"truly differ by {100 * success:.0f} percentage points of success" in notes
    alone = pusht_results[pusht_results["method"] == "hold-still"]
    assert not any("truly differ" in note for note in present(alone).notes)


def test_every_method_is_compared_with_the_first(
    pusht_episodes: pd.DataFrame, pusht_results: pd.DataFrame
) -> None:
    table = paired_table(pusht_episodes, pusht_results)
    assert table is not None
    first = pusht_results[pusht_results["role"] == "method"].iloc[0]
    assert f"to {first['method']}, {first['control']}," in table.caption
    verdicts = {row[0]: row[-1] for row in table.rows}
    assert len(verdicts) == 9
    assert verdicts["lstm-gmm, velocity"] == "worse than the best"
    undecided = sum(verdict == "undecided" for verdict in verdicts.values())
    assert undecided == pusht_results["best"].sum() - 1


def test_equal_differences_keep_a_width_and_few_episodes_decide_nothing(
    make_episodes: EpisodesMaker,
) -> None:
    best = make_episodes("ibc", [[1.0, 0.9, 1.0, 0.9]])
    other = make_episodes("bet", [[0.8, 0.7, 0.8, 0.7]])
    episodes = pd.concat([best, other])
    table = paired_table(episodes, results_table(episodes))
    assert table is not None
    name, score, success, p, n, verdict = table.rows[0]
    assert name == "bet, position"
    assert score.startswith("-0.200 [-0.")
    assert score != "-0.200 [-0.200, -0.200]"
    assert success.startswith("-50 [-")
    assert (p, n, verdict) == ("0.5", "1 x 4", "undecided")


def test_methods_are_compared_within_their_preset_only(make_episodes: EpisodesMaker) -> None:
    episodes = pd.concat(
        [
            make_episodes(method, [[score, score - 0.1]], preset=preset)
            for method, score, preset in (
                ("ibc", 0.9, "laptop"),
                ("bet", 0.8, "laptop"),
                ("ibc", 0.7, "quick"),
                ("bet", 0.6, "quick"),
            )
        ]
    )
    table = paired_table(episodes, results_table(episodes))
    assert table is not None
    assert [row[:2] for row in table.rows] == [
        ("bet, position, laptop", "ibc, position, laptop"),
        ("bet, position, quick", "ibc, position, quick"),
    ]


def test_nothing_is_compared_where_no_episode_seed_is_shared(
    make_episodes: EpisodesMaker,
) -> None:
    one = make_episodes("ibc", [[0.9, 0.8]])
    other = make_episodes("bet", [[0.9, 0.8]], seed=[7, 8])
    assert paired_table(one, results_table(one)) is None
    both = pd.concat([one, other])
    assert paired_table(both, results_table(both)) is None


def test_the_whole_benchmark_fits_a_terminal_of_120_columns(pusht_episodes: pd.DataFrame) -> None:
    lines = present(results_table(pusht_episodes)).text().splitlines()
    assert max(map(len, lines)) <= 120
    rows = [line for line in lines if "position" in line]
    assert len({line.rindex("6000") for line in rows}) == 1  # columns are aligned


def test_frames_without_a_last_checkpoint_on_test_seeds_are_an_error(
    make_episodes: EpisodesMaker,
) -> None:
    episodes = make_episodes("ibc", [[0.5, 0.6]], split="validation")
    with pytest.raises(ValueError, match="none of 2 episodes"):
        results_table(episodes)


def test_markdown_latex_and_csv_hold_every_row(
    make_episodes: EpisodesMaker, tmp_path: Path
) -> None:
    episodes = pd.concat(
        [make_episodes("ibc", [[0.5, 1.0]]), make_episodes("hold-still", [[0.1, 0.2]], [-1])]
    )
    results = results_table(episodes)
    table = present(results, caption="50 % of A & B")
    paths = table.write(results, tmp_path, "results")
    assert [path.name for path in paths] == [
        f"results.{kind}" for kind in ("txt", "md", "tex", "csv")
    ]
    text, markdown, latex, numbers = (path.read_text() for path in paths)
    assert "hold-still" in text
    pipes = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len(pipes) == 4
    assert len({line.count("|") for line in pipes}) == 1
    assert r"\caption{50 \% of A \& B}" in latex
    assert latex.count(r"\midrule") == 2  # below the head and above the floor
    assert r"50 \% [" in latex
    read = list(csv.DictReader(io.StringIO(numbers)))
    assert [float(row["score"]) for row in read] == pytest.approx([0.75, 0.15])


def test_a_row_of_the_wrong_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 entries"):
        Table("caption", ("a", "b"), (("1",),), "ll")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.9731, 0.951, 0.988), "0.973 [0.95, 0.99]"),
        ((0.9978, 0.9949, 0.9999), "0.998 [0.99, 1.00]"),
        ((0.9978, 0.9951, 0.9999), "0.998 [0.995, 1.000]"),
        ((0.0024, 0.0011, 0.0049), "0.002 [0.001, 0.005]"),
        ((0.5, float("nan"), float("nan")), "0.500"),
    ],
)
def test_a_score_never_lies_outside_the_interval_written_beside_it(
    interval: tuple[float, float, float], expected: str
) -> None:
    assert score_text(*interval) == expected


def test_too_few_episodes_to_tell_anything_are_said_to_be_that(
    make_episodes: EpisodesMaker,
) -> None:
    rng = np.random.default_rng(0)
    frames = [make_episodes(name, rng.random((2, 2))) for name in ("bet", "ibc")]
    notes = present(results_table(pd.concat(frames, ignore_index=True))).notes
    assert "So few trainings and episodes tell no two policies of this table apart." in notes


def test_a_table_says_how_many_seeds_the_demonstrator_tried(make_episodes: EpisodesMaker) -> None:
    replayed = make_episodes(
        "demonstrations, replayed", [[1.0] * 3], data="scripted", seed=[0, 4, 7]
    )
    policy = make_episodes("bet", [[0.5, 0.7, 0.9]], data="scripted")
    notes = present(results_table(pd.concat([replayed, policy]))).notes
    assert any(note.startswith("The demonstrations (3 solved of 8 tried) are") for note in notes)
    people = [each.assign(data="human") for each in (replayed, policy)]
    assert not any("tried" in note for note in present(results_table(pd.concat(people))).notes)

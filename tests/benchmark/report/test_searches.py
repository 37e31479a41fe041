"""The table of searches in the documentation."""

from pathlib import Path

import pandas as pd

from benchmark.report.searches import searches_table


def keep(folder: Path, method: str, settings: list[str], gains: list[float], taken: int) -> None:
    frame = pd.DataFrame(
        {
            "settings": settings,
            "score": [0.9 + (gain if gain == gain else 0) for gain in gains],
            "success": 0.5,
            "minutes": 2.5,
            "gain": gains,
            "gain_low": [gain - 0.01 for gain in gains],
            "is_taken": [i == taken for i in range(len(settings))],
        }
    )
    frame.to_csv(folder / f"pusht-human-{method}-position-quick.csv", index=False)


def test_a_search_says_what_it_compared_and_took(tmp_path: Path) -> None:
    keep(tmp_path, "bet", ["a=1", "the preset", "b=2"], [0.03, float("nan"), -0.1], taken=0)
    assert searches_table(tmp_path).splitlines()[2:] == [
        f"| `bet` ([log](../../results/search/{tmp_path.name}/pusht-human-bet-position-quick.md)) "
        "| pusht-human, position, quick | 3 of 8 | 0.900, 50% "
        "| `a=1`: +0.030 (> +0.020) | `a=1` | 8 |"
    ]


def test_a_method_whose_name_begins_another_has_its_own_row_alone(tmp_path: Path) -> None:
    for method in ("ibc", "ibc-informed"):
        keep(tmp_path, method, ["the preset"], [float("nan")], taken=-1)
    rows = searches_table(tmp_path).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == ["ibc", "ibc-informed"]
    assert all("| - | not yet |" in row for row in rows)


def test_without_logs_there_is_no_table(tmp_path: Path) -> None:
    assert searches_table(tmp_path) == ""

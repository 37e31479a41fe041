"""A page in five sentences: what was compared, who leads, by how much, and what could be seen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from benchmark.evidence.tables import policy_name, rate_text, score_text, settings_shown
from benchmark.plan.request import PRESET_NAMES
from benchmark.report.marked import TITLES

NAMED = 6  # policies in a sentence
GROUP = ["task", "data", "obs_type", "preset"]
"""What policies must share to be compared with each other."""

Row = Mapping[Hashable, Any]


def summary(results: pd.DataFrame) -> list[str]:
    """Five sentences on a frame of `results_table`, fewer where something was not measured.

    With several groups of equal data and preset, the numbers are of the most thorough one.
    """
    methods = results[results["role"] == "method"]
    if methods.empty:
        return []
    groups = [group for _, group in methods.groupby(GROUP, sort=False)]
    main = max(groups, key=_weight)
    shown = ["control", *settings_shown(main)]
    sentences = [_compared(methods, main, len(groups)), _first(main, shown)]
    return [*sentences, *_families(main, shown), *_frame(results, main), _seen(main)]


def _weight(group: pd.DataFrame) -> tuple[int, bool, int]:
    """The larger, the more a group says: its preset, its data, how many policies it holds."""
    preset = str(group["preset"].iloc[0]).split()[0]
    known = PRESET_NAMES.index(preset) if preset in PRESET_NAMES else -1
    return known, str(group["data"].iloc[0]).startswith("human"), len(group)


def _compared(methods: pd.DataFrame, main: pd.DataFrame, groups: int) -> str:
    row = main.iloc[0]
    modes = " and ".join(sorted(set(main["control"])))
    seeds = int(main["train_seeds"].max())
    task = TITLES.get(row["task"], row["task"])
    text = (
        f"{_count(len(main), 'policy', 'policies')} ({_count(main['method'].nunique(), 'method')}, "
        f"{modes} control) learned {task} from {row['data']} demonstrations "
        f"({row['obs_type']}, {row['preset']} preset, {_count(seeds, 'training seed')}) and play "
        f"{_count(int(row['episodes']) // seeds, 'test episode')} each"
    )
    if groups == 1:
        return f"{text}."
    more = _count(len(methods) - len(main), "policy", "policies")
    return f"{text}; below, also {more} in {_count(groups - 1, 'other group')} of data and preset."


def _first(main: pd.DataFrame, shown: list[str]) -> str:
    first = main.iloc[0].to_dict()
    best = [policy_name(row, shown) for row in main[main["best"]].to_dict("records")]
    text = (
        f"First is {policy_name(first, shown)}: success {_rate(first)}, score {_score(first)}; "
        f"{len(best)} of {len(main)} policies cannot be told from the best"
    )
    return f"{text} ({'; '.join(best)})." if 1 < len(best) <= NAMED else f"{text}."


def _families(main: pd.DataFrame, shown: list[str]) -> list[str]:
    """The best diffusion policy beside the best of the other methods."""
    diffuses = main["method"].astype(str).str.startswith("diffusion-")
    if diffuses.all() or not diffuses.any():
        return []
    ours, other = main[diffuses].iloc[0].to_dict(), main[~diffuses].iloc[0].to_dict()
    return [
        f"The best diffusion policy ({policy_name(ours, shown)}) succeeds in {_rate(ours)} of its "
        f"episodes, the best other method ({policy_name(other, shown)}) in {_rate(other)}."
    ]


def _frame(results: pd.DataFrame, main: pd.DataFrame) -> list[str]:
    shared = ["task", "data"]  # the frame has observations and a preset of its own
    same = results.merge(main[shared].drop_duplicates())
    found = {row["role"]: row for row in same.to_dict("records") if row["role"] != "method"}
    if len(found) < 2:
        return []
    return [
        f"The demonstrations, replayed, succeed in {_rate(found['replay'])} with score "
        f"{_score(found['replay'])}, and a policy that never moves in {_rate(found['floor'])} "
        f"with score {_score(found['floor'])}."
    ]


def _seen(main: pd.DataFrame) -> str:
    known = main["detectable_success"].dropna()
    single = bool((main["train_seeds"] == 1).any())
    alone = "one training seed leaves out how much another training would differ"
    if known.empty:
        return f"No two policies here can be compared{f', and {alone}' * single}."
    return (
        f"Two policies that differ by less than {100 * known.max():.0f} percentage points of "
        f"success may look the same here{f', and {alone}' * single}."
    )


def _rate(row: Row) -> str:
    return rate_text(row["success"], row["success_low"], row["success_high"])


def _score(row: Row) -> str:
    return score_text(row["score"], row["score_low"], row["score_high"])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"

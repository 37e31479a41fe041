"""What the search for each method's settings found, a row a search, for the documentation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from baselines import METHODS
from benchmark.plan.candidates import CANDIDATES


def searches_table(folder: Path) -> str:
    """A Markdown table of the logs of `search` in a folder; empty where there is none.

    Args:
        folder: Holds TASK-DATA-METHOD-CONTROL-PRESET.csv, as `search` writes them.
    """
    lines = []
    for method in METHODS:
        for path in sorted(folder.glob(f"*-{method}-*.csv")):
            task_data, _, control_preset = path.stem.partition(f"-{method}-")
            if control_preset.count("-") != 1:  # of a method whose name begins with this one's
                continue
            control, preset = control_preset.split("-")
            found = pd.read_csv(path)
            of = len(CANDIDATES.get(method, found))
            first = found[found["settings"] == "the preset"].iloc[0]
            taken = found[found["is_taken"]]
            others = found.dropna(subset=["gain"]).sort_values("gain", ascending=False)
            cells = [
                f"`{method}` ([log](../../results/search/{folder.name}/{path.stem}.md))",
                f"{task_data}, {control}, {preset}",
                f"{len(found)} of {of}",
                f"{first['score']:.3f}, {first['success']:.0%}",
                next((_gain(row) for row in others.to_dict("records")), "-"),
                "not yet" if taken.empty else f"`{taken['settings'].iloc[0]}`",
                f"{found['minutes'].sum():.0f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return ""
    head = [
        "| method | demonstrations, control, preset | candidates | first: score, success "
        "| best other: gain (limit) | taken | minutes |",
        "|---|---|---:|---|---|---|---:|",
    ]
    return "\n".join([*head, *lines]) + "\n"


def _gain(row: Mapping[Hashable, Any]) -> str:
    return f"`{row['settings']}`: {row['gain']:+.3f} (> {row['gain_low']:+.3f})"

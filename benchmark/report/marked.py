"""Tables of the documentation, drawn between markers from the results.

<!-- table policies pusht human laptop -->      a row a method: score and success by control mode
<!-- table success scripted laptop -->          a row a method and control mode, a column a task
<!-- table method ibc -->                       all results of a method
<!-- table claims -->                           a row a study: what was published, and the verdicts
<!-- table searches -->                         a row a search: candidates, and what was taken
<!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd

from baselines import METHODS
from benchmark.evidence.tables import rate_text, score_text
from benchmark.plan.request import SweepConfig
from envs.control import CONTROLS

_MARKED = re.compile(r"(<!-- table (?P<what>[^>]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
TITLES = {
    "pusht": "Push-T",
    "pusht-image": "Push-T from images",
    "lift": "Lift",
    "can": "Can",
    "square": "Square",
}
WHOLE = ("claims", "searches")
NONE = "No policy of today's settings has been played yet.\n"


@dataclass(frozen=True)
class Drawn:
    """The results of one page."""

    config: SweepConfig
    results: pd.DataFrame
    """As `results_table` gives them."""


def fill_marked(
    text: str, drawn: Sequence[Drawn], whole: Mapping[str, str] = MappingProxyType({})
) -> str:
    """A document with its marked tables drawn again.

    Args:
        text: The document.
        drawn: What the pages of results show.
        whole: Tables that are drawn elsewhere, by name: claims and searches.

    Raises:
        ValueError: If a marker asks for a table that does not exist.
    """

    def fill(found: re.Match[str]) -> str:
        kind, *words = found["what"].split()
        if kind == "policies" and len(words) == 3:
            table = _policies(drawn, *words)
        elif kind == "success" and len(words) == 2:
            table = _success(drawn, *words)
        elif kind == "method" and len(words) == 1:
            table = _method(drawn, *words)
        elif kind in WHOLE and not words:
            table = whole.get(kind, "")
        else:
            raise ValueError(
                f"<!-- table {found['what']} -->: allowed are `policies TASK DATA PRESET`, "
                "`success DATA PRESET`, `method NAME`, `claims` and `searches`"
            )
        return f"{found[1]}\n{table or NONE}\n{found[3]}"

    return _MARKED.sub(fill, text)


def _whole(drawn: Sequence[Drawn], data: str, preset: str) -> list[Drawn]:
    """Pages of all demonstrations of a source and of the task's default observations."""
    return [
        page
        for page in drawn
        if (page.config.data, page.config.preset) == (data, preset)
        and page.config.num_demonstrations is None
    ]


def _policies(drawn: Sequence[Drawn], task: str, data: str, preset: str) -> str:
    pages = [page for page in _whole(drawn, data, preset) if page.config.task == task]
    if not pages:
        return ""
    results = pages[0].results
    lines = [
        "| method | score, position | success, position | score, velocity | success, velocity "
        "| n |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for method in dict.fromkeys(results["method"]):
        own = results[results["method"] == method].set_index("control")
        cells = [f"`{method}`"]
        for control in CONTROLS:
            if control in own.index:
                row = own.loc[control].to_dict()
                cells += [_score(row), _rate(row)]
            else:
                cells += ["-", "-"]
        seeds, episodes = (int(own[name].max()) for name in ("train_seeds", "episodes"))
        cells.append(f"{seeds} x {episodes // seeds}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _method(drawn: Sequence[Drawn], method: str) -> str:
    lines = []
    for page in drawn:
        rows = page.results[page.results["method"] == method].to_dict("records")
        for row in sorted(rows, key=lambda row: str(row["control"])):
            number = page.config.num_demonstrations
            where = f"{TITLES.get(page.config.task, page.config.task)}, {page.config.data}"
            seeds, episodes = int(row["train_seeds"]), int(row["episodes"])
            cells = [
                where if number is None else f"{where}, {number} demonstrations",
                page.config.preset,
                str(row["control"]),
                _score(row),
                _rate(row),
                f"{seeds} x {episodes // seeds}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return ""
    head = ["| task, demonstrations | preset | control | score | success | n |"]
    return "\n".join([*head, "|---|---|---|---:|---:|---:|", *lines]) + "\n"


def _success(drawn: Sequence[Drawn], data: str, preset: str) -> str:
    pages = [page for page in _whole(drawn, data, preset) if page.config.task in TITLES]
    found = {
        (page.config.task, str(row["method"]), str(row["control"])): _rate(row)
        for page in pages
        for row in page.results.to_dict("records")
    }
    tasks = [task for task in TITLES if any(key[0] == task for key in found)]
    policies = dict.fromkeys(
        (name, control)
        for name in sorted({key[1] for key in found}, key=_place)
        for control in CONTROLS
        if any(key[1:] == (name, control) for key in found)
    )
    if not policies:
        return ""
    head = ["method", "control", *(TITLES[task] for task in tasks)]
    lines = [f"| {' | '.join(head)} |"]
    lines += [f"|---|---|{'---:|' * len(tasks)}"]
    for name, control in policies:
        cells = [f"`{name}`", control]
        cells += [found.get((task, name, control), "-") for task in tasks]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _place(method: str) -> tuple[int, str]:
    """Where a method stands in a table that is not ordered by its numbers."""
    known = list(METHODS)
    return (known.index(method) if method in known else len(known)), method


def _score(row: Mapping[Hashable, Any]) -> str:
    return score_text(row["score"], row["score_low"], row["score_high"])


def _rate(row: Mapping[Hashable, Any]) -> str:
    return rate_text(row["success"], row["success_low"], row["success_high"])

"""The page of all results: a line for each task, data and preset, and a link to the task's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark.evidence.tables import (
    policy_name,
    rate_text,
    results_table,
    score_text,
    settings_shown,
)
from benchmark.files import write_whole
from benchmark.report.marked import TITLES
from benchmark.report.page import Record, fill, limits, page
from benchmark.report.shown_study import ShownStudy
from benchmark.report.summary import GROUP

Range = tuple[float, float, float]


@dataclass(frozen=True)
class Line:
    """One task, data and preset."""

    page: str
    filters: Mapping[str, str]
    task: str
    data: str
    preset: str
    policies: int
    first: str
    success: str
    success_range: Range
    score: str
    score_range: Range
    best: int


def write_pages(
    records: Mapping[str, Record], studies: Mapping[str, Sequence[ShownStudy]], folder: Path
) -> list[Path]:
    """Write a page a task and the page that links to all of them.

    Args:
        records: What each task's page is drawn from, by task.
        studies: What was tested, by task; they stand on the task's page, if it has one.
        folder: Where to.

    Returns:
        The paths of all pages, that of all tasks last; none without records.
    """
    if not records:
        return []
    lines: list[Line] = []
    pages = []
    for task, record in records.items():
        results = results_table(record.episodes)
        record = replace(record, studies=studies.get(task, ()))
        html = page(record, results, "index.html")
        pages.append(write_whole(folder / f"{task}.html", html))
        lines += _lines(results, f"{task}.html")
    policies = sum(line.policies for line in lines)
    tasks = ", ".join(TITLES.get(task, task) for task in records)
    text = f"{policies} policies on {tasks}. Each page says what was run and how."
    html = fill(
        "index.html.jinja",
        ("theme.js", "scroll.js"),
        lines=lines,
        summary=text,
        studies=_verdicts(studies, set(records)),
        overview="README.md" if (folder / "README.md").is_file() else "",
    )
    return [*pages, write_whole(folder / "index.html", html)]


def _verdicts(
    studies: Mapping[str, Sequence[ShownStudy]], tasks: set[str]
) -> list[tuple[str, str, dict[str, str]]]:
    """A row for each claim: the study, a link to it where its task has a page, and what it says."""
    return [
        (
            study.name,
            f"{task}.html#{study.name}" if task in tasks else "",
            dict(zip(study.verdicts.head, row, strict=True)),
        )
        for task, own in studies.items()
        for study in own
        for row in study.verdicts.rows
    ]


def _lines(results: pd.DataFrame, file: str) -> list[Line]:
    methods = results[results["role"] == "method"]
    lines = []
    for (task, data, obs_type, preset), group in methods.groupby(GROUP, sort=False):
        first = group.iloc[0].to_dict()
        success, score = limits(first, "success"), limits(first, "score")
        lines.append(
            Line(
                file,
                {"data": str(data), "obs_type": str(obs_type), "preset": str(preset)},
                TITLES.get(str(task), str(task)),
                str(data),
                str(preset),
                len(group),
                policy_name(first, ["control", *settings_shown(group)]),
                rate_text(first["success"], first["success_low"], first["success_high"]),
                success,
                score_text(first["score"], first["score_low"], first["score_high"]),
                score,
                int(group["best"].sum()),
            )
        )
    return lines

"""The report: one HTML page a task, which holds all that it shows and needs no network.

The tables stand in the page as text; its scripts sort and filter them and draw the figures.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from benchmark.evidence.tables import (
    REFERENCES,
    headline_episodes,
    paired_table,
    present,
    results_table,
)
from benchmark.evidence.text_table import Table
from benchmark.files import write_whole
from benchmark.report.drawn import drawn, last_checkpoints, success_times
from benchmark.report.marked import TITLES
from benchmark.report.plots import results_figure, save_figure
from benchmark.report.published import published_table
from benchmark.report.shown_study import ShownStudy
from benchmark.report.summary import summary
from benchmark.running.recorded import Recorded

SCRIPTS = (
    "theme.js",
    "scroll.js",
    "table.js",
    "survival.js",
    "scatter.js",
    "training.js",
    "explorer.js",
)
"""Of a page; one whose part a page lacks is left out."""
TEMPLATES = Path(__file__).parent / "templates"
FILTERS = {
    "method": "method",
    "control": "control",
    "data": "data",
    "obs_type": "observations",
    "preset": "preset",
}
"""Columns of the results that rows are filtered by, and what they are called."""


@dataclass(frozen=True)
class Record:
    """Episodes and trainings, and how they came about.

    Attributes:
        episodes: A row an episode, as the store returns them.
        history: Training history, a row a checkpoint; may be empty.
        commands: The commands that made the episodes.
        machine: What they ran on, such as processor, versions and date, by name.
        recorded: Recorded episodes by cell.
        studies: What was tested on the task.
    """

    episodes: pd.DataFrame
    history: pd.DataFrame
    commands: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    recorded: Mapping[str, Sequence[Recorded]] = field(default_factory=dict)
    studies: Sequence[ShownStudy] = ()


@dataclass(frozen=True)
class Row:
    """A row of the results table.

    Attributes:
        cells: Its texts.
        filters: What it is filtered by; empty texts pass every filter.
        ranges: Lower limit, estimate and upper limit, from 0 to 1, of the columns that have them.
        is_best: Whether it cannot be told from the best.
    """

    cells: tuple[str, ...]
    filters: Mapping[str, str]
    ranges: Mapping[int, tuple[float, float, float]]
    is_best: bool


def write_report(record: Record, folder: Path) -> Path:
    """Write the page of a benchmark, with its table and figure as files beside it.

    Every file is written whole or not at all, and the page last. Equal input gives the same page.

    Returns:
        The path of the page.

    Raises:
        ValueError: If no episode of a last checkpoint on test seeds is there.
    """
    results = results_table(record.episodes)
    present(results).write(results, folder, "results")
    save_figure(results_figure(results), results, folder, "results")
    return write_whole(folder / "report.html", page(record, results))


def page(record: Record, results: pd.DataFrame, index: str = "") -> str:
    """The page of a record as HTML.

    Args:
        record: What it is drawn from.
        results: `results_table` of its episodes.
        index: Where the page of all tasks is, relative to this one; none where empty.
    """
    task = str(results["task"].iloc[0])
    table = present(results)
    headline = headline_episodes(record.episodes)
    seeds = headline["seed"][headline["method"].map(REFERENCES) != "replay"]
    data = drawn(record.episodes, record.history, record.recorded, results)
    policies = list(enumerate(data["policies"]))
    methods = [(number, policy) for number, policy in policies if policy["control"]]
    explored = [(number, policy["name"]) for number, policy in methods if policy["recorded"]]
    lacking = {"training.js"} if not data["trainings"] else set()
    lacking |= {"explorer.js"} if not explored else set()
    return fill(
        "page.html.jinja",
        tuple(name for name in SCRIPTS if name not in lacking),
        title=TITLES.get(task, task),
        index=index,
        summary=summary(results),
        filters=_filters(results),
        filter_names=FILTERS,
        table=table,
        rows=_rows(results, table),
        paired=paired_table(record.episodes, results),
        published=published_table(results),
        data=data,
        times=success_times(record.episodes, results),
        explored=explored,
        unrecorded=len(methods) - len(explored),
        compared=[
            (number, policies[number][1]["name"])
            for number, role in enumerate(results["role"])
            if role != "replay"  # from initial states of their own
        ],
        trainings=last_checkpoints(record.history) if data["trainings"] else None,
        studies=[
            (study, [(caption, _uri(drawing)) for caption, drawing in study.pictures])
            for study in record.studies
        ],
        first_seed=int(seeds.min()),
        last_seed=int(seeds.max()),
        is_pusht=task.startswith("pusht"),
        commands=list(record.commands),
        machine=dict(record.machine),
    )


def fill(template: str, scripts: tuple[str, ...], **values: Any) -> str:
    """A page of the templates, with its style and scripts inside; every text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    # A block each, so that scripts share no names but those of the charts.
    texts = [f"{{\n{(TEMPLATES / name).read_text()}}}" for name in scripts]
    if "data" in values:
        texts.insert(0, (TEMPLATES / "charts.js").read_text())
    script = "\n".join(texts)
    style = (TEMPLATES / "style.css").read_text()
    return environment.get_template(template).render(style=style, script=script, **values)


def limits(row: Mapping[Any, Any], column: str) -> tuple[float, float, float]:
    """Lower limit, estimate and upper limit; an estimate without interval is its own limits."""
    at = float(row[column])
    low, high = (float(row[f"{column}_{side}"]) for side in ("low", "high"))
    return (at, at, at) if pd.isna(low) or pd.isna(high) else (low, at, high)


def _code(text: str) -> str:
    """A text, escaped, in which what stands between backquotes is code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _uri(drawing: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing).decode()


def _filters(results: pd.DataFrame) -> dict[str, list[str]]:
    """What rows can be filtered by, where they differ in it."""
    methods = results[results["role"] == "method"]
    values = {name: list(dict.fromkeys(methods[name].astype(str))) for name in FILTERS}
    return {name: found for name, found in values.items() if len(found) > 1}


def _rows(results: pd.DataFrame, table: Table) -> list[Row]:
    rows = []
    for row, cells in zip(results.to_dict("records"), table.rows, strict=True):
        own = FILTERS if row["role"] == "method" else ("data",)
        filters = {name: str(row[name]) for name in own}
        ranges = {table.head.index(name): limits(row, name) for name in ("score", "success")}
        rows.append(Row(cells, filters, ranges, bool(row["best"])))
    return rows

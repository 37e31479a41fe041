"""One setting varied, everything else equal: the numbers, the table and the figure of an ablation.

A policy is a method under a control mode. Every group of its episodes that shares a value of the
setting is one point, with the intervals of `effects`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmark.evidence import effects
from benchmark.evidence.effects import Effect
from benchmark.evidence.stats import NOT_MEASURED
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.evidence.verdicts import Verdict
from benchmark.report.plots import DASHES, empty_figure, estimates, grid, legend, points
from benchmark.studies.sheets import told_apart
from benchmark.studies.study import Drawing, Findings, Sheet, StudyConfig

POLICY = ("method", "control")


@dataclass(frozen=True)
class Setting:
    """What is varied.

    Attributes:
        column: Its column in a frame of episodes.
        title: Its name on an axis, with its unit.
        short: Its name before a value in a table, such as "Ta".
        is_log: Whether an axis of it is scaled by the logarithm.
    """

    column: str
    title: str
    short: str
    is_log: bool = False


@dataclass(frozen=True)
class Measure:
    """What a table and a figure show of a point.

    Attributes:
        name: In a table.
        title: On an axis, with its unit.
        column: In a summary; its limits, if it has any, are beside it as _low and _high.
        text: Writes an estimate with its limits.
        scale: Factor on an axis.
        is_share: Whether it lies between 0 and 1.
    """

    name: str
    title: str
    column: str
    text: Callable[[float, float, float], str]
    scale: float = 1.0
    is_share: bool = False

    def of(self, row: Mapping[Hashable, Any]) -> str:
        """Write the point of a row of a summary."""
        limits = (row.get(self.column + side, np.nan) for side in ("_low", "_high"))
        return self.text(row[self.column], *limits)


SCORE = Measure("score", "mean score", "score", score_text, is_share=True)
SUCCESS = Measure("success", "success rate (%)", "success", rate_text, 100.0, is_share=True)


def change_of(
    a: pd.DataFrame,
    a_before: pd.DataFrame,
    b: pd.DataFrame,
    b_before: pd.DataFrame,
    column: str = "score",
) -> Effect:
    """How much more `a` changed than `b`, on the episodes that all four have."""
    terms = ((1.0, a), (-1.0, a_before), (-1.0, b), (1.0, b_before))
    return effects.contrast(terms, column)


def by_method(
    episodes: pd.DataFrame, only: Container[str] | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each method, or only some of them, in the order of the episodes, with its episodes."""
    for method, own in episodes.groupby("method", sort=False):
        if only is None or str(method) in only:
            yield str(method), own


def summarise(episodes: pd.DataFrame, by: Sequence[str], more: Sequence[str] = ()) -> pd.DataFrame:
    """Give score and success with their limits, a row for every group of episodes.

    Args:
        episodes: Rows of rollouts.
        by: Columns that tell groups apart, in the order of their first mention.
        more: Other columns to take the mean of.

    Returns:
        Columns `by`; train_seeds, episodes; score, success and `more`, each with _low and _high
        (NaN where it was not measured).
    """
    rows = []
    for key, group in episodes.groupby(list(by), sort=False):
        row = dict(zip(by, key, strict=True)) | {
            "train_seeds": group["train_seed"].nunique(),
            "episodes": len(group),
            **effects.mean(group).interval().columns("score"),
            **effects.mean(group, "is_success").interval().columns("success"),
        }
        for name in more:
            known = not group[name].isna().all()
            found = effects.mean(group, name).interval() if known else NOT_MEASURED
            row |= found.columns(name)
        rows.append(row)
    return pd.DataFrame(rows)


def ablation_findings(
    config: StudyConfig,
    episodes: pd.DataFrame,
    setting: Setting,
    title: str,
    stem: str,
    verdicts: Sequence[Verdict],
    notes: Sequence[str] = (),
    measures: Sequence[Measure] = (SCORE, SUCCESS),
) -> Findings:
    """The table and the figure of an ablation beside its verdicts.

    Args:
        config: What the study was run on.
        episodes: Of every method, control mode and value of the setting.
        setting: What was varied.
        title: What a caption calls the ablation.
        stem: File name.
        verdicts: What follows.
        notes: What a reader must know besides.
        measures: What is shown of a point.
    """
    more = [measure.column for measure in measures if measure not in (SCORE, SUCCESS)]
    summary = summarise(episodes, [*POLICY, setting.column], more)
    caption = f"{title} on {config.label}"
    shown = ", ".join(measure.name for measure in measures)
    series = [
        [own for _, own in policy.groupby(setting.column)]
        for _, policy in episodes.groupby(list(POLICY), sort=False)
    ]
    table = ablation_table(summary, setting, caption, [told_apart(*series), *notes], measures)
    figure = ablation_figure(summary, setting, measures)
    return Findings(
        verdicts=verdicts,
        sheets=[Sheet(stem, table, summary)],
        drawings=[Drawing(stem, figure, summary, f"{caption}: {shown}; 95 % intervals.")],
    )


def ablation_table(
    summary: pd.DataFrame,
    setting: Setting,
    caption: str,
    notes: Sequence[str] = (),
    measures: Sequence[Measure] = (SCORE, SUCCESS),
) -> Table:
    """A row a policy and a column a value, a block of rows for each measure.

    Args:
        summary: From `summarise` by method, control and the setting's column.
        setting: What is varied.
        caption: Of the table.
        notes: What a reader must know besides.
        measures: What is shown.
    """
    values = sorted(set(summary[setting.column]))
    rows: list[tuple[str, ...]] = []
    breaks: list[int] = []
    for measure in measures:
        breaks.append(len(rows))
        for (method, control), group in summary.groupby(list(POLICY), sort=False):
            known = {row[setting.column]: measure.of(row) for row in group.to_dict("records")}
            cells = [known.get(value, "-") for value in values]
            rows.append((str(method), str(control), measure.name, *cells))
    return Table(
        caption=caption,
        head=("method", "control", "", *(f"{setting.short} {value:g}" for value in values)),
        rows=tuple(rows),
        align="lll" + "r" * len(values),
        notes=(_sizes(summary), *filter(None, notes)),
        breaks=frozenset(breaks[1:]),
    )


def _sizes(summary: pd.DataFrame) -> str:
    seeds = int(summary["train_seeds"].min())
    each = int(summary["episodes"].min() // seeds)
    return (
        f"At least {seeds} training seed{'s' * (seeds > 1)} x {each} test episodes a number. "
        "Ranges are 95 % intervals"
        + (" over episodes: one training seed." if seeds == 1 else " over trainings and episodes.")
    )


def ablation_figure(
    summary: pd.DataFrame, setting: Setting, measures: Sequence[Measure] = (SCORE, SUCCESS)
) -> Figure:
    """A line a policy over the values of the setting, one panel for each measure.

    Where methods were run under both control modes, each mode has a row of panels. Arguments are
    those of `ablation_table`.
    """
    has_both = bool((summary.groupby("method")["control"].nunique() > 1).any())
    parts = {"": summary}
    if has_both:
        parts = {str(control): part for control, part in summary.groupby("control", sort=False)}
    methods = list(dict.fromkeys(summary["method"]))
    figure = empty_figure(4.2 * len(measures), 0.6 + 3.0 * len(parts))
    panels = figure.subplots(len(parts), len(measures), squeeze=False)
    for (control, part), row in zip(parts.items(), panels, strict=True):
        for axes, measure in zip(row, measures, strict=True):
            _panel(axes, part, setting, measure, methods)
            if has_both:
                axes.set_title(f"{control} control", fontsize=10)
    legend(figure, *panels[0][0].get_legend_handles_labels())
    return figure


def _panel(
    axes: Axes, summary: pd.DataFrame, setting: Setting, measure: Measure, methods: Sequence[str]
) -> None:
    """Draw one measure of some policies; a method keeps its colour from panel to panel."""
    several = summary["control"].nunique() > 1
    scale = measure.scale
    policies = list(summary.groupby(list(POLICY), sort=False))
    for index, ((method, control), group) in enumerate(policies):
        part = group.sort_values(setting.column)
        points(
            axes,
            _spread(part[setting.column].to_numpy(dtype=float), index, len(policies), setting),
            estimates(part, measure.column, scale),
            methods.index(method),
            f"{method}, {control}" if several else str(method),
            dashes=DASHES[1] if several and control == "velocity" else DASHES[0],
        )
    axes.set_xlabel(setting.title)
    axes.set_ylabel(measure.title)
    if measure.is_share:
        axes.set_ylim(-0.02 * scale, 1.02 * scale)
    scale_setting(axes, sorted(set(summary[setting.column])), setting.is_log)
    grid(axes, "both")


def scale_setting(axes: Axes, values: Sequence[float], is_log: bool) -> None:
    """Mark the values on the horizontal axis, evenly where they grow by factors."""
    if is_log:
        axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([float(value) for value in values]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _spread(values: np.ndarray, index: int, count: int, setting: Setting) -> np.ndarray:
    """Move the points of policies apart a little, so that no interval covers another."""
    place = (index - (count - 1) / 2) / max(1, count)
    if setting.is_log:
        moved: np.ndarray = values * 2 ** (0.3 * place)
        return moved
    gaps = np.diff(np.unique(values))
    return values + (0.3 * gaps.min() if gaps.size else 0.0) * place


def pick(episodes: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The episodes whose columns have these values."""
    for column, value in values.items():
        episodes = episodes[episodes[column] == value]
    return episodes

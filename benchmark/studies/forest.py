"""Differences of score and success with their intervals, a row each."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from benchmark.evidence.effects import Effect
from benchmark.report.plots import empty_figure, estimates, grid, legend, points
from benchmark.studies.ablation import pick
from benchmark.studies.sheets import Column, measured, signed

MEASURES = {"score": "score", "is_success": "success"}
"""Columns of episodes that differences are taken of, and what they are called."""
_PANELS = (
    ("score", 1.0, "difference of score"),
    ("success", 100.0, "difference of success (points)"),
)


def effect_columns(effects: dict[str, Effect]) -> dict[str, float]:
    """Estimates and limits of effects by name, as a row of a frame has them."""
    return {k: v for name, e in effects.items() for k, v in e.interval().columns(name).items()}


def difference_columns() -> list[Column]:
    """The columns of a table of differences."""

    def in_points(estimate: float, low: float, high: float) -> str:
        return signed("+.0f")(100 * estimate, 100 * low, 100 * high)

    return [
        measured("score", "score", signed("+.3f")),
        measured("success", "success (points)", in_points),
    ]


def forest_figure(effects: pd.DataFrame, row: str, series: str, sides: str) -> Figure:
    """Draw differences of score and success, their zero marked.

    Args:
        effects: A row a difference, with score and success and their limits.
        row: Column that gives a difference its row.
        series: Column that gives it its colour.
        sides: What lies left and right of zero, such as "worse  |  better".
    """
    rows = list(dict.fromkeys(effects[row]))
    kinds = list(dict.fromkeys(effects[series]))
    figure = empty_figure(8.0, 1.4 + 0.3 * max(2, len(rows)) * max(2, len(kinds)))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, scale, title) in zip(panels, _PANELS, strict=True):
        for number, kind in enumerate(kinds):
            part = pick(effects, **{series: kind})
            shift = (number - (len(kinds) - 1) / 2) * 0.6 / len(kinds)
            heights = part[row].map(rows.index).to_numpy(dtype=float) + shift
            points(axes, heights, estimates(part, name, scale), number, str(kind), True)
        axes.axvline(0.0, color="#555555", linewidth=1.0)
        axes.set_xlabel(f"{title}\n{sides}")
        grid(axes, "x")
    panels[0].set_yticks(range(len(rows)), [str(name) for name in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[1].tick_params(left=False)
    if len(kinds) > 1:
        legend(figure, *panels[0].get_legend_handles_labels())
    return figure

"""Figures of files: the results of a comparison, curves of trainings, and what studies draw with.

Readable in print and by colour-blind people: the palette of Okabe and Ito, told apart by marker and
line style as well. Figures are built without pyplot, so that drawing changes no global state and
needs no screen.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from benchmark.evidence.tables import policy_name, settings_shown
from benchmark.files import write_whole
from envs.control import CONTROLS

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# Offset, and lengths of strokes and gaps in line widths.
Dashes = tuple[float, tuple[float, ...]]
DASHES: tuple[Dashes, ...] = (
    (0, ()),
    (0, (4, 2)),
    (0, (1, 1.5)),
    (0, (6, 2, 1, 2)),
)

_REFERENCE_STYLES = {"replay": ("#555555", "--"), "floor": ("#555555", ":")}
_PANELS = (
    ("loss", "training loss"),
    ("action_error", "action error\n(units of the action)"),
    ("validation_score", "validation score"),
)


def results_figure(results: pd.DataFrame) -> Figure:
    """Draw score and success rate of every method and control mode with their intervals.

    Args:
        results: Frame of `results_table`.

    Returns:
        Two panels that share their rows, a row for every method (and for every other setting that
        differs); the demonstrations and the floor are lines through all rows.
    """
    methods = results[results["role"] == "method"]
    shown = settings_shown(results)
    labels = pd.Series(
        # Changed settings can be many; a label that fills the figure would leave no room to plot.
        [fill(policy_name(row, shown), 36) for row in methods.to_dict("records")],
        methods.index,
        dtype=str,
    )
    rows = list(dict.fromkeys(labels))
    controls = [control for control in CONTROLS if (methods["control"] == control).any()]
    lines = sum(row.count("\n") for row in rows)
    figure = empty_figure(8.5, 1.6 + 0.5 * max(len(rows), 2) + 0.15 * lines)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, column, scale, title in zip(
        panels, ("score", "success"), (1.0, 100.0), ("mean score", "success rate (%)"), strict=True
    ):
        _draw_references(axes, results, column, scale)
        for i, control in enumerate(controls):
            chosen = methods["control"] == control
            part = methods[chosen]
            heights = np.array([rows.index(label) for label in labels[chosen]], dtype=np.float64)
            heights += 0.28 * (i - (len(controls) - 1) / 2)
            values = estimates(part, column, scale)
            points(axes, heights, values, CONTROLS.index(control), f"{control} control", True)
        axes.set_xlim(-0.02 * scale, 1.02 * scale)
        axes.set_xlabel(title)
        grid(axes, "x")
    if rows:
        panels[0].set_yticks(range(len(rows)), rows)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)  # the best row on top
    panels[1].tick_params(left=False)
    legend(figure, *panels[0].get_legend_handles_labels())
    return figure


def curves_figure(history: pd.DataFrame, styles: Mapping[str, tuple[str, Dashes]]) -> Figure:
    """Draw loss, action error and validation score against updates, a column for every method.

    Args:
        history: One row a checkpoint, with the columns method, cell, update, loss, action_error,
            validation_score (NaN where not evaluated), and kind, the style of its run.
        styles: Colour and dashes of each kind.
    """
    methods = list(dict.fromkeys(history["method"]))
    figure = empty_figure(max(4.5, 0.6 + 2.3 * len(methods)), 6.4)
    axes_grid = figure.subplots(len(_PANELS), len(methods), sharex="col", squeeze=False)
    for (column, title), row in zip(_PANELS, axes_grid, strict=True):
        for method, axes in zip(methods, row, strict=True):
            part = history[history["method"] == method]
            for kind, updates, values in _curves(part, column):
                colour, line = styles[kind]
                # The dots show a run of a single checkpoint too.
                axes.plot(updates, values, ".", color=colour, linestyle=line, lw=1.1, ms=4)
            if column == "loss" and (part["loss"] > 0).all():
                log_scale(axes)
            grid(axes, "both")
        row[0].set_ylabel(title)
        if column != "loss":
            _share_scale(row, (0.0, 1.0) if column == "validation_score" else None)
    for method, top, bottom in zip(methods, axes_grid[0], axes_grid[-1], strict=True):
        top.set_title(method, fontsize=10)
        bottom.set_xlabel("updates")
        bottom.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    handles = [Line2D([], [], color=colour, linestyle=line) for colour, line in styles.values()]
    legend(figure, handles, list(styles))
    return figure


def points(
    axes: Axes,
    at: np.ndarray,
    values: np.ndarray,
    number: int,
    label: str,
    is_sideways: bool = False,
    dashes: Dashes | Literal["none"] = "none",
) -> None:
    """Draw N estimates with their intervals; where there are no limits, a bar of no length.

    Args:
        axes: Where.
        at: Places, (N,).
        values: Estimates with their lower and upper limits, (N, 3).
        number: Of the series, which gives its colour and marker.
        label: In the legend.
        is_sideways: Whether values run from left to right.
        dashes: Of the line between the points.
    """
    errors = np.nan_to_num(np.abs(values[:, 1:] - values[:, :1])).T  # (2, N)
    x, y = (values[:, 0], at) if is_sideways else (at, values[:, 0])
    axes.errorbar(
        x,
        y,
        xerr=errors if is_sideways else None,
        yerr=None if is_sideways else errors,
        marker=MARKERS[number % len(MARKERS)],
        color=OKABE_ITO[number % len(OKABE_ITO)],
        linestyle=dashes,
        markersize=5,
        capsize=2.5,
        linewidth=1.2,
        label=label,
    )


def estimates(frame: pd.DataFrame, column: str, scale: float = 1.0) -> np.ndarray:
    """A column times `scale` with its limits, (N, 3); NaN where the frame has no limits."""
    wanted = [column, f"{column}_low", f"{column}_high"]
    found: np.ndarray = scale * frame.reindex(columns=wanted).to_numpy(dtype=np.float64)
    return found


def save_figure(
    figure: Figure,
    data: pd.DataFrame,
    folder: Path,
    stem: str,
    kinds: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write a figure as PNG and SVG and the data behind it as CSV, in this order.

    Equal figures give equal files.
    """
    with _as_written(figure):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # keeps the layout: finding it takes longer than drawing
    pictures = [write_whole(folder / f"{stem}.{kind}", _render(figure, kind)) for kind in kinds]
    csv = data.to_csv(index=False, float_format="%.6g")
    return [*pictures, write_whole(folder / f"{stem}.csv", csv)]


def svg_of(figure: Figure) -> bytes:
    """A figure as SVG, to stand inside a page."""
    return _render(figure, "svg")


def _render(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # Without a fixed salt and date every drawing would differ in its ids and its time.
    with _as_written(figure), matplotlib.rc_context({"svg.hashsalt": "dpbench"}):
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _as_written(figure: Figure) -> Iterator[None]:
    """Within it no text is taken for a formula, whatever signs a name has."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with matplotlib.rc_context({"text.parse_math": False}):  # of texts that drawing makes
        yield


def empty_figure(width: float, height: float) -> Figure:
    """A figure without panels, inches, drawn without a screen."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_references(axes: Axes, results: pd.DataFrame, column: str, scale: float) -> None:
    for row in results[results["role"] != "method"].to_dict("records"):
        colour, line = _REFERENCE_STYLES[row["role"]]
        label = str(row["method"])
        axes.axvline(
            scale * row[column], color=colour, linestyle=line, linewidth=1.2, label=label, zorder=1
        )


def _curves(part: pd.DataFrame, column: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield kind, updates and values of every run, where the value is known."""
    known = part[part[column].notna()].sort_values("update")
    for (kind, _), run in known.groupby(["kind", "cell"], sort=False):
        yield str(kind), run["update"].to_numpy(), run[column].to_numpy()


def log_scale(axes: Axes) -> None:
    """Scale the values by their logarithm, with plain numbers on the axis."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.minorticks_off()


def _share_scale(row: np.ndarray, limits: tuple[float, float] | None) -> None:
    """Give all axes of a row one scale, and only the first its numbers."""
    if limits is None:
        limits = (0.0, max(axes.get_ylim()[1] for axes in row))
    for axes in row:
        axes.set_ylim(limits[0], 1.02 * limits[1])
    for axes in row[1:]:
        axes.tick_params(labelleft=False)


def grid(axes: Axes, which: Literal["x", "y", "both"]) -> None:
    """Draw a light grid behind the data and no frame above and to the right of it."""
    axes.grid(axis=which, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put one entry a label above all panels, where it covers no data."""
    entries = dict(zip(labels, handles, strict=True))
    wide = 0.6 + 0.08 * max(map(len, entries), default=0)  # inches of an entry
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper center",
        ncols=max(1, min(4, int(figure.get_figwidth() / wide))),  # none beyond the figure's edge
        frameon=False,
        fontsize=9,
    )

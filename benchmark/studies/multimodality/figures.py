"""Pictures of many rollouts from one state on the Push-T table.

Left and right are told apart by colour (Okabe and Ito) and by line style.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch, Polygon
from numpy.typing import NDArray

from benchmark.report.plots import OKABE_ITO, empty_figure
from benchmark.studies.multimodality.paths import SIDES
from envs.pusht.geometry import AGENT_RADIUS, GOAL_POSE, OUTLINE, WORLD_SIZE, place

Floats = NDArray[np.float64]

STYLES: dict[str, tuple[str, Literal["-"] | tuple[float, tuple[float, ...]]]] = {
    "left": (OKABE_ITO[0], "-"),
    "right": (OKABE_ITO[1], (0, (4, 1.5))),
    "undecided": ("#444444", (0, (1, 1.2))),
}
_GOAL, _BLOCK, _AGENT = "lightgreen", "lightslategray", "royalblue"  # as the task is drawn
_SIZE = 2.35  # inches of a panel


@dataclass(frozen=True)
class Panel:
    """One picture of the table.

    Attributes:
        title: Two lines at most.
        lines: Points of N lines, (N, P, 2), px.
        sides: Side of each line, (N,).
        lengths: Points of each line that count, (N,); None for all.
    """

    title: str
    lines: Floats
    sides: Sequence[str]
    lengths: NDArray[np.int64] | None = None


def panels_figure(rows: Sequence[Sequence[Panel]], state: Floats) -> Figure:
    """Draw panels in rows, each on goal, block and agent in a state (5,).

    Args:
        rows: Panels of each row, from the left; rows may differ in length.
        state: Where all lines begin.
    """
    columns = max(len(row) for row in rows)
    figure = empty_figure(0.5 + _SIZE * columns, 0.8 + (_SIZE + 0.4) * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for row, below, line in zip(rows, [*rows[1:], []], grid, strict=True):
        for number, axes in enumerate(line):
            if number >= len(row):
                axes.set_axis_off()
                continue
            _draw_table(axes, state)
            _draw_lines(axes, row[number])
            if number:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel("y (px)", fontsize=9)
            if number >= len(below):
                axes.set_xlabel("x (px)", fontsize=9)
    shown = {side for row in rows for panel in row for side in panel.sides}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=STYLES[side][0], linestyle=STYLES[side][1], label=side)
        for side in SIDES
        if side in shown
    ]
    handles.append(Patch(facecolor=_GOAL, label="goal"))
    handles.append(Patch(facecolor=_BLOCK, alpha=0.6, label="block at the start"))
    handles.append(
        Line2D([], [], marker="o", ls="", mfc="white", mec=_AGENT, ms=9, label="agent at the start")
    )
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=6 if columns > 2 else 3,
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
    )
    return figure


def panels_data(panels: Sequence[Panel]) -> pd.DataFrame:
    """The numbers of panels: a row each point."""
    frames = []
    for panel in panels:
        count, points = panel.lines.shape[:2]
        line, step = np.indices((count, points))
        kept = step < (points if panel.lengths is None else panel.lengths[:, None])
        frames.append(
            pd.DataFrame(
                {
                    "panel": panel.title.replace("\n", ", "),
                    "line": line[kept],
                    "side": np.asarray(panel.sides, dtype=object)[line[kept]],
                    "step": step[kept],
                    "x": panel.lines[..., 0][kept].round(1),
                    "y": panel.lines[..., 1][kept].round(1),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _draw_table(axes: Axes, state: Floats) -> None:
    for pose, colour, alpha in ((GOAL_POSE, _GOAL, 1.0), (state[2:], _BLOCK, 0.6)):
        axes.add_patch(Polygon(place(OUTLINE, pose), facecolor=colour, alpha=alpha, zorder=1))
    axes.add_patch(
        Circle((state[0], state[1]), AGENT_RADIUS, fc="white", ec=_AGENT, lw=1.5, zorder=1.5)
    )
    axes.set_xlim(0.0, WORLD_SIZE)
    axes.set_ylim(WORLD_SIZE, 0.0)  # y points down
    axes.set_aspect("equal")
    axes.set_xticks([0, 256, 512])
    axes.set_yticks([0, 256, 512])
    axes.tick_params(labelsize=8)


def _draw_lines(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, fontsize=8)
    for number, (line, side) in enumerate(zip(panel.lines, panel.sides, strict=True)):
        points = line if panel.lengths is None else line[: panel.lengths[number]]
        colour, style = STYLES[side]
        axes.plot(*points.T, color=colour, ls=style, lw=0.8, alpha=0.6, zorder=2)
        axes.plot(*points[-1:].T, "o", color=colour, ms=2.8, alpha=0.8, mew=0, zorder=3)

"""What the scripts of a page draw: the policies of its table, episode by episode, as plain values.

The numbers that a figure shows stand in the page as a table, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evidence.stats import Array, episode_table
from benchmark.evidence.survival import time_to_success
from benchmark.evidence.tables import SETTINGS, headline_episodes, policy_name, settings_shown
from benchmark.evidence.text_table import Table
from benchmark.plan.tasks import PUSHT, Task, get_task
from benchmark.running.recorded import Recorded
from envs.pusht import geometry

POINTS = 60  # of a curve
QUANTITIES = ("validation_score", "action_error", "loss")
TOLD = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Shares of the time limit at which the table of time to success gives the curves."""


def drawn(
    episodes: pd.DataFrame,
    history: pd.DataFrame,
    recorded: Mapping[str, Sequence[Recorded]],
    results: pd.DataFrame,
) -> dict[str, Any]:
    """All that the scripts of a page draw, ready for JSON.

    Args:
        episodes: The frame that `results` came from.
        history: A row a checkpoint; may be empty.
        recorded: Recorded episodes by cell.
        results: Frame of `results_table`, of one task.

    Returns:
        policies: a row of `results` each, with its curve, episodes, and recorded episodes;
        at: the times of the curves (s, or steps where the task says no rate); time: their unit;
        limit: of an episode, in that unit; rate: control steps in that unit; trainings: one a cell,
        by the number of its policy; scene: the shapes that states are drawn with.
    """
    task = get_task(str(results["task"].iloc[0]))
    groups = _groups(episodes)
    shown = ["control", *settings_shown(results)]
    steps = np.linspace(0, task.max_steps, POINTS + 1).round()
    policies: list[dict[str, Any]] = []
    cells: dict[str, int] = {}
    for number, row in enumerate(results.to_dict("records")):
        own = groups[tuple(row[key] for key in SETTINGS)]
        is_method = row["role"] == "method"
        cells |= dict.fromkeys(own["cell"], number)
        policies.append(
            {
                "name": policy_name(row, shown) if is_method else str(row["method"]),
                "method": str(row["method"]),
                "control": str(row["control"]) if is_method else "",
                "curve": _curve(own, steps, task) if is_method else None,
                "episodes": _outcomes(own, task),
                "recorded": next((recorded[c] for c in own["cell"].unique() if c in recorded), []),
            }
        )
    return {
        "policies": policies,
        "at": _rounded(steps / _rate(task)),
        "time": "s" if task.motion else "steps",
        "limit": task.max_steps / _rate(task),
        "rate": _rate(task),
        "trainings": _trainings(history, cells),
        "scene": _scene(task),
    }


def success_times(episodes: pd.DataFrame, results: pd.DataFrame) -> Table:
    """The curves of time to success as a table: the share of episodes solved by some times."""
    task = get_task(str(results["task"].iloc[0]))
    groups = _groups(episodes)
    shown = ["control", *settings_shown(results)]
    at = np.array([round(share * task.max_steps) for share in TOLD], dtype=np.float64)
    unit = "s" if task.motion else "steps"
    rows = []
    for row in results[results["role"] == "method"].to_dict("records"):
        times = _times(groups[tuple(row[key] for key in SETTINGS)])
        if times.shape[1] < 2:
            continue
        solved = time_to_success(times, task.max_steps, at).solved
        median = np.median(times) / _rate(task)
        rows.append(
            (
                policy_name(row, shown),
                *(f"{100 * share:.0f} %" for share in solved),
                f"{median:.1f} {unit}" if np.isfinite(median) else "-",
            )
        )
    return Table(
        caption=f"Episodes solved by a time, {task.name}",
        head=("method", *(f"{time / _rate(task):g} {unit}" for time in at), "median"),
        rows=tuple(rows),
        align="l" + "r" * (len(at) + 1),
        notes=("Median: the time by which half of all episodes is solved; - where fewer are.",),
    )


def last_checkpoints(history: pd.DataFrame) -> Table | None:
    """Where every training ended, as a table; None without trainings."""
    if history.empty:
        return None
    ends = history.sort_values("update").groupby("cell", sort=False).last()  # the last known values
    ends = ends.sort_values(["method", "control", "train_seed"], kind="stable")
    rows = tuple(
        (
            str(row["method"]),
            str(row["control"]),
            str(row["data"]),
            str(row["train_seed"]),
            str(row["update"]),
            *("-" if pd.isna(row[name]) else f"{row[name]:.3g}" for name in QUANTITIES),
        )
        for row in ends.to_dict("records")
    )
    head = (
        "method",
        "control",
        "data",
        "seed",
        "updates",
        *(q.replace("_", " ") for q in QUANTITIES),
    )
    return Table("Where the trainings ended", head, rows, "lllrrrrr")


def _groups(episodes: pd.DataFrame) -> dict[tuple[Any, ...], pd.DataFrame]:
    by = list(SETTINGS)
    return dict(iter(headline_episodes(episodes).groupby(by, sort=False, dropna=False)))


def _rate(task: Task) -> float:
    """Control steps in a unit of time."""
    return float(task.motion.hz) if task.motion else 1.0


def _times(own: pd.DataFrame) -> Array:
    """Steps to success (S, E), infinite where the episode was not solved."""
    steps = own["length"].where(own["is_success"], np.inf).astype(np.float64)
    return episode_table(own.assign(steps=steps), "steps").to_numpy()


def _curve(own: pd.DataFrame, steps: Array, task: Task) -> dict[str, list[float]] | None:
    """Solved by a time, with its limits; None of a single episode, which has none."""
    times = _times(own)
    if times.shape[1] < 2:
        return None
    curve = time_to_success(times, task.max_steps, steps)
    return {name: _rounded(getattr(curve, name)) for name in ("solved", "low", "high")}


def _outcomes(own: pd.DataFrame, task: Task) -> dict[str, list[float]]:
    """Means over training seeds for each initial state."""
    means = own.groupby("seed")[["score", "is_success", "length"]].mean()
    return {
        "seed": means.index.tolist(),
        "score": _rounded(means["score"]),
        "success": _rounded(means["is_success"]),
        "time": _rounded(means["length"] / _rate(task)),
    }


def _trainings(history: pd.DataFrame, cells: Mapping[str, int]) -> list[dict[str, Any]]:
    if history.empty:
        return []
    return [
        {
            "policy": cells[str(cell)],
            "seed": int(run["train_seed"].iloc[0]),
            **{name: _points(run, name) for name in QUANTITIES},
        }
        for cell, run in history.groupby("cell", sort=False)
        if cell in cells and run["update"].max() > 0  # some methods learn nothing
    ]


def _points(run: pd.DataFrame, name: str) -> list[list[float]]:
    """Updates and values where the value is known, thinned out evenly."""
    known = run[run[name].notna()].sort_values("update")
    chosen = np.unique(np.linspace(0, len(known) - 1, min(len(known), POINTS)).round().astype(int))
    return [
        [int(update), float(f"{value:.4g}")]
        for update, value in known[["update", name]].iloc[chosen].itertuples(index=False)
    ]


def _scene(task: Task) -> dict[str, Any] | None:
    """The shapes that states of Push-T are drawn with."""
    if task.env_id != PUSHT.env_id:
        return None
    return {
        "size": geometry.WORLD_SIZE,
        "outline": geometry.OUTLINE,
        "goal": geometry.GOAL_POSE,
        "radius": geometry.AGENT_RADIUS,
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]

"""Position against velocity control for every method, and why they differ (DP Fig. 4)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from baselines.choices import Scaling
from benchmark.evidence.effects import independent, ratio
from benchmark.evidence.stats import Interval, Share
from benchmark.evidence.tables import difference_text, rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.plan.tasks import get_task
from benchmark.report.plots import DASHES, OKABE_ITO, empty_figure, grid, legend, points
from benchmark.running.store import Run, kept_frame
from benchmark.running.workers import Job
from benchmark.studies.ablation import difference, pick, summarise
from benchmark.studies.control_mode.action_spaces import ERROR_STEPS, count_modes, error_growth
from benchmark.studies.study import (
    Drawing,
    Findings,
    Sheet,
    Study,
    StudyConfig,
    judge,
    merged,
    played,
)
from envs.control import CONTROLS, Control

SCALINGS: tuple[Scaling, ...] = ("min-max", "quantile")
GAINS = ("diffusion-unet", "diffusion-transformer")
LOSES = ("lstm-gmm", "bet")
SCALED = "diffusion-unet"
"""The method that is trained at every scaling; the others take the task's own."""
OFFSETS = (0, 7)  # the action of now, and the last one of a published action horizon


class ControlMode(Study):
    """Diffusion Policy gains by position control, the others lose."""

    name = "control-mode"
    claim = (
        "Going from velocity to position control, Diffusion Policy gains while LSTM-GMM and BET "
        "lose."
    )
    source = "DP Fig. 4"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The cells of a sweep, and one method at every scaling of its actions."""
        jobs = [
            config.job(method, control, seed)
            for seed in self.training_seeds(config)
            for control in CONTROLS
            for method in config.chosen(PRESETS[config.preset])
        ]
        return merged(replace(job, cell=cell) for job in jobs for cell in _scaled(job.cell))

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Each method in both modes at the scaling that suits it, and what lies behind."""
        jobs = self.jobs(config)
        best = _best_scalings(jobs, store)
        episodes = played(jobs, store, scaling=lambda cell: cell.action_scaling)
        judged = played(
            [j for j in jobs if best[j.cell.method, j.cell.control] == j.cell.action_scaling], store
        )
        stem = f"studies/{self.name}-{config.label}"
        modes = kept_frame(store, f"{stem}-modes.parquet", partial(_counted_modes, config))
        growth = kept_frame(store, f"{stem}-growth.parquet", partial(_error_growth, config))
        caption = f"Control mode on {config.label}"
        changes = _changes(judged, best)
        return Findings(
            verdicts=[
                judge(
                    f"{row['method']} scores {'higher' if row['method'] in GAINS else 'lower'} "
                    "under position than under velocity control.",
                    "score, position - velocity"
                    if row["method"] in GAINS
                    else "score, velocity - position",
                    row["difference"] if row["method"] in GAINS else _negative(row["difference"]),
                )
                for row in changes
                if row["method"] in GAINS + LOSES
            ],
            sheets=[
                _change_sheet(judged, changes, caption),
                _scaling_sheet(episodes, best, caption),
                _modes_sheet(modes, config.label),
            ],
            drawings=[
                Drawing(
                    "control-mode",
                    _figure(changes),
                    _change_data(changes),
                    f"{caption}: change of score and success rate from velocity to position "
                    "control on equal episodes, with 95 % intervals.",
                ),
                Drawing(
                    "error-growth",
                    _growth_figure(growth, config.motion.unit),
                    growth.groupby(["control", "step"])["error"].describe().reset_index(),
                    f"One wrong action in a replay of {config.data} demonstrations: distance of "
                    "the agent from where it would be. Median; bands hold half of the episodes.",
                ),
            ],
            remarks=[*_scaling_remarks(episodes, best), _growth_remark(growth, config.motion.unit)],
        )


def _counted_modes(config: StudyConfig) -> pd.DataFrame:
    task, demos = get_task(config.task), config.loader()()
    return pd.concat([count_modes(task, demos, offset) for offset in OFFSETS])


def _error_growth(config: StudyConfig) -> pd.DataFrame:
    task, demos = get_task(config.task), config.loader()()
    return error_growth(task, config.motion, demos, config.obs_type)


def _scaled(cell: Cell) -> list[Cell]:
    if cell.method != SCALED:
        return [cell]
    others = [scaling for scaling in SCALINGS if scaling != cell.action_scaling]
    return [cell, *(replace(cell, action_scaling=scaling) for scaling in others)]


def _best_scalings(jobs: list[Job], store: Path) -> dict[tuple[str, Control], Scaling]:
    """The scaling of each policy with the highest last validation score; ties keep the task's."""
    scores: dict[tuple[str, Control], dict[Scaling, list[float]]] = {}
    for job in jobs:
        known = Run(job.cell, store).history()["validation_score"].dropna()
        score = float(known.iloc[-1]) if len(known) else 0.0
        policy = job.cell.method, job.cell.control
        scores.setdefault(policy, {}).setdefault(job.cell.action_scaling, []).append(score)
    return {
        policy: max(by_scaling, key=lambda scaling: np.mean(by_scaling[scaling]))
        for policy, by_scaling in scores.items()
    }


def _changes(
    episodes: pd.DataFrame, best: dict[tuple[str, Control], Scaling]
) -> list[dict[str, Any]]:
    """The change from velocity to position control of each method that has both."""
    rows = []
    for method in dict.fromkeys(episodes["method"]):
        position, velocity = (pick(episodes, method=method, control=c) for c in CONTROLS)
        rows.append(
            {
                "method": method,
                "position_scaling": best[method, "position"],
                "velocity_scaling": best[method, "velocity"],
                "difference": difference(position, velocity),
                "success": difference(position, velocity, "is_success"),
                "relative": _relative(position, velocity, "score"),
                "relative_success": _relative(position, velocity, "is_success"),
            }
        )
    return rows


def _change_data(changes: list[dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for change in changes:
        row = {name: value for name, value in change.items() if not isinstance(value, Interval)}
        for name, value in change.items():
            if isinstance(value, Interval):
                row |= value.columns(name)
        rows.append(row)
    return pd.DataFrame(rows)


def _change_sheet(episodes: pd.DataFrame, changes: list[dict[str, Any]], caption: str) -> Sheet:
    summary = summarise(episodes, ["method", "control"]).set_index(["method", "control"])
    rows = []
    for change in changes:
        points = [summary.loc[(change["method"], control)] for control in CONTROLS]
        rows.append(
            (
                change["method"],
                *(score_text(p["score"], p["score_low"], p["score_high"]) for p in points),
                difference_text(change["difference"], 3),
                _percent(change["relative"]),
                *(rate_text(p["success"], p["success_low"], p["success_high"]) for p in points),
                difference_text(change["success"], 0, scale=100),
                _percent(change["relative_success"]),
            )
        )
    table = Table(
        caption=caption,
        head=(
            "method",
            "score, position",
            "score, velocity",
            "change",
            "relative (%)",
            "success, position",
            "success, velocity",
            "change (points)",
            "relative (%)",
        ),
        rows=tuple(rows),
        align="lrrrrrrrr",
        notes=(
            "Change: from velocity to position control, on equal training and episode seeds; "
            "relative: in shares of the value under velocity control. Each mode has the scaling of "
            "actions that scored higher on validation seeds. Ranges are 95 % intervals.",
        ),
    )
    return Sheet("control-mode", table, _change_data(changes))


def _percent(interval: Interval) -> str:
    return "-" if np.isnan(interval.estimate) else difference_text(interval, 0, scale=100)


def _scaling_sheet(
    episodes: pd.DataFrame, best: dict[tuple[str, Control], Scaling], caption: str
) -> Sheet:
    summary = summarise(episodes, ["method", "control", "scaling"])
    rows = [
        (
            str(row["method"]),
            str(row["control"]),
            str(row["scaling"]),
            score_text(row["score"], row["score_low"], row["score_high"]),
            rate_text(row["success"], row["success_low"], row["success_high"]),
            "yes" if best[row["method"], row["control"]] == row["scaling"] else "",
        )
        for row in summary.to_dict("records")
    ]
    table = Table(
        caption=f"{caption}: how actions are scaled",
        head=("method", "control", "scaling", "score", "success", "judged"),
        rows=tuple(rows),
        align="lllrrl",
        notes=(
            "min-max maps the whole range of an action to [-1, 1]; quantile its 0.5 % to 99.5 % "
            "range, and clips the rest. Judged: taken above, because of its last validation score. "
            f"Only {SCALED} is trained at both.",
        ),
    )
    return Sheet("scaling", table, summary)


def _scaling_remarks(episodes: pd.DataFrame, best: dict[tuple[str, Control], Scaling]) -> list[str]:
    """How much of the gap between the modes is a matter of scaling."""
    own = pick(episodes, method=SCALED)
    if own.empty:
        return []
    raw = _gap(own, "min-max", "min-max")
    fair = _gap(own, best[SCALED, "position"], best[SCALED, "velocity"])
    text = (
        f"{SCALED}: with min-max scaling position control is ahead by {difference_text(raw, 3)} of "
        f"score, with the scaling that suits each mode by {difference_text(fair, 3)}"
    )
    if not raw.low > 0:  # nor where there is no interval
        return [f"{text}: no gap beyond the intervals that scaling could explain."]
    return [f"{text}: scaling explains {1 - fair.estimate / raw.estimate:.0%} of the gap."]


def _gap(episodes: pd.DataFrame, position: Scaling, velocity: Scaling) -> Interval:
    """How far position control is ahead where each mode has the given scaling."""
    return difference(
        pick(episodes, control="position", scaling=position),
        pick(episodes, control="velocity", scaling=velocity),
    )


def _modes_sheet(modes: pd.DataFrame, label: str) -> Sheet:
    rows = []
    for (offset, control), group in modes.groupby(["offset", "control"], sort=False):
        counts = group["modes"].to_numpy(dtype=np.float64)
        mean = independent(counts).interval()
        several = Share(int((counts > 1).sum()), len(counts)).interval()
        rows.append(
            {
                "offset": offset,
                "control": control,
                **mean.columns("modes"),
                **several.columns("several"),
                "states": len(counts),
            }
        )
    data = pd.DataFrame(rows)
    table = Table(
        caption=f"Modes of demonstrated actions, {label}",
        head=("action", "control", "modes", "states with several"),
        rows=tuple(
            (
                "now" if row["offset"] == 0 else f"{row['offset']} steps later",
                str(row["control"]),
                score_text(row["modes"], row["modes_low"], row["modes_high"]),
                rate_text(row["several"], row["several_low"], row["several_high"]),
            )
            for row in data.to_dict("records")
        ),
        align="llrr",
        notes=(
            "Peaks of the density of what the demonstrations did in the most similar states of "
            "other episodes, along its first principal component; "
            f"{int(data['states'].min())} states. Ranges are 95 % intervals over states.",
        ),
    )
    return Sheet("modes", table, data)


def _growth_remark(growth: pd.DataFrame, unit: str) -> str:
    last = growth[growth["step"] == ERROR_STEPS].groupby("control")["error"].median()
    return (
        f"{ERROR_STEPS} steps after one wrong action the agent is off by "
        f"{last['position']:.2g} {unit} under position control and by "
        f"{last['velocity']:.2g} {unit} under velocity control (median): a wrong set-point is "
        "replaced by the next one, a wrong difference stays."
    )


def _figure(changes: list[dict[str, Any]]) -> Figure:
    figure = empty_figure(8.0, 1.4 + 0.45 * max(2, len(changes)))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, column, scale, title in zip(
        panels,
        ("difference", "success"),
        (1.0, 100.0),
        ("change of score", "change of success rate (points)"),
        strict=True,
    ):
        for height, change in enumerate(changes):
            found: Interval = change[column]
            values = scale * np.array([[found.estimate, found.low, found.high]])
            points(axes, np.array([height]), values, int(found.estimate < 0), "", True)
        axes.axvline(0.0, color="#555555", linewidth=1.0)
        axes.set_xlabel(f"{title}\nvelocity better  |  position better")
        grid(axes, "x")
    panels[0].set_yticks(range(len(changes)), [str(change["method"]) for change in changes])
    panels[0].set_ylim(len(changes) - 0.5, -0.5)
    panels[1].tick_params(left=False)
    return figure


def _growth_figure(growth: pd.DataFrame, unit: str) -> Figure:
    figure = empty_figure(5.0, 3.6)
    axes = figure.subplots()
    for number, control in enumerate(CONTROLS):
        part = growth[growth["control"] == control].groupby("step")["error"]
        low, middle, high = (part.quantile(q) for q in (0.25, 0.5, 0.75))
        axes.fill_between(middle.index, low, high, color=OKABE_ITO[number], alpha=0.2, linewidth=0)
        axes.plot(
            middle.index,
            middle,
            color=OKABE_ITO[number],
            linestyle=DASHES[number],
            linewidth=1.6,
            label=f"{control} control",
        )
    axes.set_xlabel("steps since the wrong action")
    axes.set_ylabel(f"error of the agent's position ({unit})")
    axes.set_ylim(bottom=0)
    grid(axes, "both")
    legend(figure, *axes.get_legend_handles_labels())
    return figure


def _relative(position: pd.DataFrame, velocity: pd.DataFrame, column: str) -> Interval:
    found = ratio(position, velocity, column).interval()
    return replace(found, estimate=found.estimate - 1, low=found.low - 1, high=found.high - 1)


def _negative(interval: Interval) -> Interval:
    return replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low)

"""Position against velocity control for every method, and why they differ (DP Fig. 4)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from baselines.choices import Scaling
from benchmark.evidence.effects import difference, independent
from benchmark.evidence.stats import Share
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import CHOSEN, EvalConfig
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.plan.tasks import get_task
from benchmark.report.plots import DASHES, OKABE_ITO, empty_figure, grid, legend
from benchmark.running.store import Run, kept_frame, to_parquet
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, pick, summarise
from benchmark.studies.control_mode.action_spaces import (
    ERROR_STEPS,
    closed_loop_growth,
    count_modes,
    error_growth,
)
from benchmark.studies.forest import MEASURES, difference_columns, effect_columns, forest_figure
from benchmark.studies.sheets import SCORE, SUCCESS, Column, measured, sheet, told_apart, word
from benchmark.studies.study import (
    Drawing,
    Findings,
    Sheet,
    Study,
    StudyConfig,
    chosen_on_validation,
    merged,
    played,
)
from envs.control import CONTROLS, Control

LOSES = ("lstm-gmm", "bet")
OFFSETS = (0, 7)  # the action of now, and the last one of a published action horizon
GROWTH_EPISODES, SMOKE_GROWTH_EPISODES = 50, 5
PUBLIC_CODE = (
    "The paper says that its baselines command velocities. The released Push-T settings of all "
    "methods, baselines too, command absolute positions, and no Push-T result under velocity "
    "control was published: what the paper shows of control modes is Square and Kitchen."
)


class ControlMode(Study):
    """Diffusion Policy gains by position control, the others lose."""

    name = "control-mode"
    claim = (
        "Going from velocity to position control, Diffusion Policy gains while LSTM-GMM and BET "
        "lose."
    )
    source = "DP Fig. 4"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The published methods, or those named, in both modes and at both scalings of actions."""
        return merged(
            replace(job, cell=replace(job.cell, action_scaling=scaling))
            for seed in self.training_seeds(config)
            for control in CONTROLS
            for method in config.named_or(PUBLISHED_METHODS)
            for job in [config.job(method, control, seed)]
            for scaling in scalings(job.cell.action_scaling)
        )

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """How the error of one action grows while the policy goes on."""
        count = SMOKE_GROWTH_EPISODES if config.is_smoke else GROWTH_EPISODES
        return {f"error-growth-{count}.parquet": partial(_growth_of, config, run, count)}

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Each method in both modes at the scaling that suits it, and what lies behind."""
        jobs = self.jobs(config)
        best = chosen_on_validation(
            (job.cell for job in jobs),
            store,
            lambda cell: (cell.method, cell.control),
            lambda cell: cell.action_scaling,
        )
        judged = [j for j in jobs if best[j.cell.method, j.cell.control] == j.cell.action_scaling]
        episodes = played(judged, store)
        every = played(jobs, store, scaling=lambda cell: cell.action_scaling)
        closed = pd.concat([self._closed(config, Run(job.cell, store)) for job in judged])
        stem = f"studies/{self.name}-{config.label}"
        modes = kept_frame(store, f"{stem}-modes.parquet", partial(_counted_modes, config))
        opened = kept_frame(store, f"{stem}-growth.parquet", partial(_error_growth, config))
        caption, unit = f"Control mode on {config.label}", config.motion.unit
        claims, changes = compared(episodes, config.diffusion_methods)
        claims += error_stays(closed, config.diffusion_methods)
        growth = pd.concat([opened.assign(method="replayed, open loop"), closed])
        return Findings(
            verdicts=judge(claims),
            sheets=[
                sheet(
                    self.name,
                    f"{caption}: position less velocity control",
                    changes,
                    [word("method"), *difference_columns()],
                    ["On equal episodes, each mode at its scaling. Uncorrected 95 % intervals."],
                ),
                _policies(every, best, caption),
                _modes(modes, config.label),
            ],
            drawings=[
                Drawing(
                    self.name,
                    forest_figure(
                        changes, "method", "change", "velocity better  |  position better"
                    ),
                    changes,
                    f"{caption}: change of score and success from velocity to position control on "
                    "equal episodes, with 95 % intervals.",
                ),
                Drawing(
                    "error-growth",
                    _growth_figure(growth, unit),
                    growth.groupby(["method", "control", "step"], sort=False)["error"]
                    .describe()
                    .reset_index(),
                    f"One wrong action: distance of the agent from where it would be ({unit}), "
                    f"median; bands hold half of the episodes. First a replay of {config.data} "
                    "demonstrations, where a wrong difference stays by construction; then policies "
                    "that see where they are and go on.",
                ),
            ],
            remarks=[PUBLIC_CODE],
        )

    def _closed(self, config: StudyConfig, run: Run) -> pd.DataFrame:
        (kept,) = self.measured(config, run).values()
        cell = run.cell
        return pd.read_parquet(io.BytesIO(kept)).assign(
            cell=cell.id, method=cell.method, control=cell.control, train_seed=cell.seed
        )


def scalings(own: Scaling) -> tuple[Scaling, Scaling]:
    """The scaling that a task has for an action, and the one that every method is tried at too."""
    return own, "min-max" if own == "quantile" else "quantile"


def compared(episodes: pd.DataFrame, diffusion: Sequence[str]) -> tuple[list[Claim], pd.DataFrame]:
    """The claims on the change from velocity to position control, and the changes."""
    claims, rows = [], []
    for method, own in by_method(episodes):
        position, velocity = (pick(own, control=control) for control in CONTROLS)
        effects = {name: difference(position, velocity, c) for c, name in MEASURES.items()}
        rows.append({"method": method, "change": "change"} | effect_columns(effects))
        if method not in (*diffusion, *LOSES):
            continue
        gains = method in diffusion
        claims += [
            Claim(
                f"{method} {'gains' if gains else 'loses'} {name} by position control.",
                f"{name}, position - velocity",
                effect,
                "above" if gains else "below",
            )
            for name, effect in effects.items()
        ]
    return claims, pd.DataFrame(rows)


def error_stays(growth: pd.DataFrame, methods: Sequence[str]) -> list[Claim]:
    """That in closed loop a wrong action is felt longer under velocity control."""
    last = pick(growth, step=ERROR_STEPS)
    return [
        Claim(
            f"{method}: {ERROR_STEPS} steps after a wrong action the agent is further off under "
            "velocity control, in closed loop.",
            "distance, velocity - position",
            difference(pick(own, control="velocity"), pick(own, control="position"), "error"),
        )
        for method, own in by_method(last, methods)
        if own["control"].nunique() == len(CONTROLS)
    ]


def _growth_of(config: StudyConfig, run: Run, count: int) -> bytes:
    at = run.resolved(EvalConfig(CHOSEN, split="validation", episodes=count))
    return to_parquet(closed_loop_growth(run, at, config.motion, config.loader()()))


def _counted_modes(config: StudyConfig) -> pd.DataFrame:
    task, demos = get_task(config.task), config.loader()()
    return pd.concat([count_modes(task, config.motion, demos, offset) for offset in OFFSETS])


def _error_growth(config: StudyConfig) -> pd.DataFrame:
    task, demos = get_task(config.task), config.loader()()
    return error_growth(task, config.motion, demos, config.obs_type)


def _policies(
    episodes: pd.DataFrame, best: Mapping[tuple[str, Control], Scaling], caption: str
) -> Sheet:
    by = ["method", "control", "scaling"]
    summary = summarise(episodes, by)
    summary["judged"] = [best[m, c] == s for m, c, s in summary[by].itertuples(index=False)]
    return sheet(
        "scaling",
        f"{caption}: policies by how their actions are scaled",
        summary,
        [
            word("method"),
            word("control"),
            word("scaling"),
            SCORE,
            SUCCESS,
            Column("judged", lambda row: "yes" if row["judged"] else "", "l"),
        ],
        [
            "min-max maps the whole range of an action to [-1, 1]; quantile its 0.5 % to 99.5 % "
            "range, and clips the rest. Judged: of each method and mode the one that did better on "
            "validation episodes. Ranges are 95 % intervals.",
            told_apart(*([o for _, o in m.groupby(by[1:])] for _, m in by_method(episodes))),
        ],
        "method",
    )


def _modes(modes: pd.DataFrame, label: str) -> Sheet:
    rows = []
    for (offset, control), group in modes.groupby(["offset", "control"], sort=False):
        counts = group["modes"].to_numpy(dtype=np.float64)
        several = Share(int((counts > 1).sum()), len(counts))
        when = "now" if offset == 0 else f"{offset} steps later"
        row = {"action": when, "control": control, "states": len(counts)}
        rows.append(row | effect_columns({"modes": independent(counts), "several": several}))
    data = pd.DataFrame(rows)
    return sheet(
        "modes",
        f"Modes of demonstrated actions, {label}",
        data,
        [
            word("action"),
            word("control"),
            measured("modes", "modes", score_text),
            measured("several", "states with several", rate_text),
        ],
        [
            "Peaks of the density of what the demonstrations did in the most similar states of "
            "other episodes, along the first principal component of what commands a position; "
            f"{int(data['states'].min())} states. Ranges are 95 % intervals over states."
        ],
    )


def _growth_figure(growth: pd.DataFrame, unit: str) -> Figure:
    methods = list(by_method(growth))
    figure = empty_figure(1.0 + 2.4 * len(methods), 3.4)
    panels = figure.subplots(1, len(methods), sharey=True, squeeze=False)[0]
    for (method, own), axes in zip(methods, panels, strict=True):
        for number, control in enumerate(CONTROLS):
            part = pick(own, control=control).groupby("step")["error"]
            low, middle, high = (part.quantile(q) for q in (0.25, 0.5, 0.75))
            colour = OKABE_ITO[number]
            axes.fill_between(middle.index, low, high, color=colour, alpha=0.2, linewidth=0)
            style = {"color": colour, "linestyle": DASHES[number], "linewidth": 1.6}
            axes.plot(middle.index, middle, label=f"{control} control", **style)
        axes.set_title(method, fontsize=10)
        axes.set_xlabel("steps after")
        axes.set_ylim(bottom=0)
        grid(axes, "both")
    panels[0].set_ylabel(f"error of the agent's place ({unit})")
    legend(figure, *panels[0].get_legend_handles_labels())
    return figure

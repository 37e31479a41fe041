"""Whether a policy recovers when something disturbs it (DP Sec. VII-B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.errors import UsageError
from benchmark.evidence.effects import difference
from benchmark.evidence.stats import episode_table
from benchmark.evidence.survival import time_to_success
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Disturbance
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.plan.tasks import get_task
from benchmark.report.plots import DASHES, OKABE_ITO, empty_figure, grid, legend
from benchmark.running.disturbance import AT
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, change_of, pick, summarise
from benchmark.studies.forest import effect_columns
from benchmark.studies.sheets import SCORE, SUCCESS, measured, sheet, signed, told_apart, word
from benchmark.studies.study import MARGIN, Drawing, Findings, Study, StudyConfig

_, CALM, *KINDS = get_args(Disturbance)
WORDS = {
    CALM: "undisturbed",
    "moved": "the block is moved by 80 px",
    "turned": "the block is turned by 60 degrees",
    "held": "the agent is held for 2 s",
}


class Perturbation(Study):
    """Diffusion Policy recovers from what disturbs it."""

    name = "perturbation"
    claim = "Diffusion Policy is robust: where the block is moved while it works, it goes on."
    source = "DP Sec. VII-B (shown on the real Push-T, without numbers)"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The headline cells of the published methods, played disturbed and not."""
        if config.task != "pusht":
            raise UsageError(f"task {config.task!r}: only pusht can be disturbed")
        at = config.evaluation()
        evaluations = tuple(replace(at, disturbance=kind) for kind in (CALM, *KINDS))
        return [
            replace(job, evaluations=evaluations)
            for job in self.home_jobs(config, config.named_or(PUBLISHED_METHODS))
        ]

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and time to success by what happens."""
        episodes = pd.concat(
            [
                Run(job.cell, store).episodes(at).assign(disturbance=at.disturbance)
                for job in self.jobs(config)
                for at in job.evaluations
            ],
            ignore_index=True,
        )
        summary = summarise(episodes, ["method", "control", "disturbance"])
        losses = [
            effect_columns({"change": difference(part, pick(own, disturbance=CALM))})
            | {"method": method, "disturbance": kind}
            for method, own in by_method(episodes)
            for kind, part in own.groupby("disturbance")
            if kind != CALM
        ]
        summary = summary.merge(pd.DataFrame(losses), on=["method", "disturbance"], how="left")
        caption, task = f"Disturbed in mid-episode, {config.label}", get_task(config.task)
        curves = solved_by(episodes, task.max_steps)
        series = [[own for _, own in m.groupby("disturbance")] for _, m in by_method(episodes)]
        return Findings(
            verdicts=judge(recovers(episodes, config.diffusion_methods)),
            sheets=[
                sheet(
                    self.name,
                    caption,
                    summary,
                    [
                        word("method"),
                        word("control"),
                        word("disturbance"),
                        SCORE,
                        SUCCESS,
                        measured("change", "change of score", signed("+.3f")),
                    ],
                    [
                        f"It happens after {AT} steps to every episode that has not ended by then; "
                        "what it reached before does not count, also where nothing happens "
                        "(calm). All have the usual time limit. "
                        "Changes on equal episodes of the same networks. Ranges are 95 % "
                        "intervals.",
                        told_apart(*series),
                    ],
                    "method",
                )
            ],
            drawings=[
                Drawing(
                    "time-to-success",
                    _figure(curves),
                    curves,
                    f"{caption}: share of episodes solved by each step, with its 95 % interval at "
                    f"each step by itself. The line marks step {AT}, when it happens.",
                )
            ],
        )


def recovers(episodes: pd.DataFrame, diffusion: Sequence[str]) -> list[Claim]:
    """That it costs Diffusion Policy nothing, and less than each baseline."""
    policies = dict(by_method(episodes))
    claims = []
    for method in [name for name in policies if name in diffusion]:
        for kind in KINDS:
            own, before = (pick(policies[method], disturbance=k) for k in (kind, CALM))
            claims.append(
                Claim(
                    f"{method} loses less than {MARGIN:g} of score where {WORDS[kind]}.",
                    "score, disturbed - calm",
                    difference(own, before),
                    "above",
                    -MARGIN,
                )
            )
            for other in [name for name in policies if name not in diffusion]:
                theirs, theirs_before = (pick(policies[other], disturbance=k) for k in (kind, CALM))
                claims.append(
                    Claim(
                        f"{method} loses less than {other} where {WORDS[kind]}.",
                        f"change of score, {method} - {other}",
                        change_of(own, before, theirs, theirs_before),
                    )
                )
    return claims


def solved_by(episodes: pd.DataFrame, limit: int) -> pd.DataFrame:
    """Share of episodes solved by each step, with limits, by method and disturbance."""
    frames = []
    for (method, kind), own in episodes.groupby(["method", "disturbance"], sort=False):
        solved = own.assign(time=np.where(own["is_success"], own["length"], np.inf))
        table = episode_table(solved, "time").to_numpy()
        if table.shape[1] < 2:
            continue
        curve = time_to_success(table, limit, np.arange(0.0, limit + 1, 5))
        columns = {
            "step": curve.steps,
            "solved": curve.solved,
            "low": curve.low,
            "high": curve.high,
        }
        frames.append(pd.DataFrame(columns).assign(method=str(method), disturbance=str(kind)))
    return pd.concat(frames, ignore_index=True)


def _figure(curves: pd.DataFrame) -> Figure:
    figure = empty_figure(11.0, 3.6)
    panels = figure.subplots(1, len(WORDS), sharey=True)
    for (kind, words), axes in zip(WORDS.items(), panels, strict=True):
        for number, (method, own) in enumerate(by_method(pick(curves, disturbance=kind))):
            colour, dashes = OKABE_ITO[number], DASHES[number % len(DASHES)]
            limits = (100 * own["low"], 100 * own["high"])
            axes.fill_between(own["step"], *limits, color=colour, alpha=0.12, linewidth=0)
            axes.plot(
                own["step"], 100 * own["solved"], color=colour, ls=dashes, lw=1.5, label=method
            )
        if kind != CALM:
            axes.axvline(AT, color="#555555", linewidth=1.0)
        axes.set_title(words, fontsize=9)
        axes.set_xlabel("step")
        axes.set_ylim(-2, 102)
        grid(axes, "both")
    panels[0].set_ylabel("solved (%)")
    legend(figure, *panels[0].get_legend_handles_labels())
    return figure

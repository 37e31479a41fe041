"""How noise is added in training, and what the network is to predict of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from baselines.diffusion.schedule import BetaSchedule, Prediction
from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.report.plots import empty_figure, estimates, grid, legend, points
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, pick, summarise
from benchmark.studies.sheets import SCORE, SUCCESS, sheet, told_apart, word
from benchmark.studies.study import Drawing, Findings, Study, StudyConfig, merged, played

PUBLISHED = "squared-cosine"
# The usual last variance, 0.02, is for 1,000 steps: over 100 it leaves a third of the signal at the
# end, so that sampling from pure noise starts off the path. So both run to ten times that as well.
SCHEDULES: dict[str, tuple[BetaSchedule, float]] = {
    PUBLISHED: ("squared-cosine", 0.02),  # which knows no last variance
    "linear to 0.02": ("linear", 0.02),
    "linear to 0.2": ("linear", 0.2),
    "exponential to 0.2": ("exponential", 0.2),
}
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)


class NoiseSchedule(Study):
    """The squared-cosine schedule is best."""

    name = "noise-schedule"
    claim = "The squared-cosine noise schedule works best."
    source = "DP Sec. III-C"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The U-Net, or the diffusion policies named, with every schedule and prediction."""
        jobs = []
        for job in self.home_jobs(config, config.named_or(config.diffusion_methods[:1])):
            for (schedule, last), prediction in product(SCHEDULES.values(), PREDICTIONS):
                agent = replace(
                    job.cell.agent, beta_schedule=schedule, beta_end=last, prediction=prediction
                )
                jobs.append(replace(job, cell=replace(job.cell, agent=agent)))
        return merged(jobs)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every pair, and the published schedule against the others."""
        episodes = played(
            self.jobs(config),
            store,
            schedule=_schedule,
            prediction=lambda cell: cell.agent.prediction,
        )
        summary = summarise(episodes, ["method", "prediction", "schedule"])
        caption = f"Noise schedule and prediction type on {config.label}"
        return Findings(
            verdicts=judge(best_schedule(episodes)),
            sheets=[
                sheet(
                    self.name,
                    caption,
                    summary,
                    [
                        word("method"),
                        word("prediction", "predicts"),
                        word("schedule"),
                        SCORE,
                        SUCCESS,
                    ],
                    [
                        "linear to 0.02 is the usual schedule of 1,000 steps; over 100 it leaves a "
                        "third of the signal, to 0.2 none. Ranges are 95 % intervals.",
                        told_apart(
                            [own for _, own in episodes.groupby(["prediction", "schedule"])]
                        ),
                    ],
                    "prediction",
                )
            ],
            drawings=[_drawing(summary, caption)],
        )


def _schedule(cell: Cell) -> str:
    own = cell.agent.beta_schedule, cell.agent.beta_end
    return next(name for name, known in SCHEDULES.items() if known == own)


def best_schedule(episodes: pd.DataFrame) -> list[Claim]:
    """That the published schedule scores higher than each other one, predicting the noise."""
    return [
        Claim(
            f"{method}, predicting the noise: {PUBLISHED} scores higher than {schedule}.",
            f"score, {PUBLISHED} - {schedule}",
            difference(pick(own, schedule=PUBLISHED), part),
        )
        for method, own in by_method(pick(episodes, prediction="epsilon"))
        for schedule, part in own.groupby("schedule", sort=False)
        if schedule != PUBLISHED
    ]


def _drawing(summary: pd.DataFrame, caption: str) -> Drawing:
    figure = empty_figure(6.4, 3.8)
    axes = figure.subplots()
    for number, schedule in enumerate(SCHEDULES):
        part = pick(summary, schedule=schedule)
        names = [f"{m}\n{p}" for m, p in zip(part["method"], part["prediction"], strict=True)]
        x = np.arange(len(part)) + 0.2 * (number - 1.5)
        points(axes, x, estimates(part, "score"), number, schedule)
        axes.set_xticks(range(len(part)), names)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("mean score")
    axes.set_xlabel("method and what its network predicts")
    grid(axes, "y")
    legend(figure, *axes.get_legend_handles_labels())
    text = f"{caption}: mean score with 95 % intervals."
    return Drawing("noise-schedule", figure, summary, text)

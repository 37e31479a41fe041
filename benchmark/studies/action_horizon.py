"""How many actions of a prediction are executed before the next one (DP Fig. 5 left)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.plan.presets import predicting
from benchmark.running.workers import Job
from benchmark.studies.ablation import (
    SCORE,
    SUCCESS,
    Measure,
    Setting,
    ablation_findings,
    by_method,
    difference,
    pick,
)
from benchmark.studies.study import Findings, Study, StudyConfig, Verdict, judge, merged, played

HORIZONS = (1, 2, 4, 8, 16, 32, 64)
SMOKE_HORIZONS = (1, 8, 16)
SETTING = Setting("action_horizon", "action horizon Ta (steps)", "Ta", is_log=True)
MIDDLE = 8  # the published best for most tasks
PREDICTIONS = Measure(
    "predictions",
    "predictions an episode",
    "predictions",
    lambda estimate, low, high: f"{estimate:.1f}",  # noqa: ARG005 - a count of what was done
)


def horizon_jobs(study: Study, config: StudyConfig) -> list[Job]:
    """Every method under its home control mode at every action horizon.

    A horizon that a preset's prediction does not reach is played by a cell trained to predict
    further (`benchmark.plan.presets.predicting`).
    """
    jobs = []
    for job in study.home_jobs(config):
        for horizon in SMOKE_HORIZONS if config.is_smoke else HORIZONS:
            cell = predicting(job.cell, horizon)
            jobs.append(replace(job, cell=cell, evaluations=(config.evaluation(horizon),)))
    return merged(jobs)


def trained_for(jobs: list[Job]) -> str:
    """Say which horizons were played by cells of their own."""
    by_cell: dict[tuple[str, int], set[int]] = {}
    for job in jobs:
        key = job.cell.method, job.cell.pred_horizon - job.cell.obs_horizon + 1
        by_cell.setdefault(key, set()).update(e.action_horizon for e in job.evaluations)
    parts = [
        f"{method} predicting {chunk}: Ta {', '.join(map(str, sorted(horizons)))}"
        for (method, chunk), horizons in by_cell.items()
    ]
    return f"Cells, by the actions they predict from the current step on: {'; '.join(parts)}."


class ActionHorizon(Study):
    """A middle action horizon is best."""

    name = "action-horizon"
    claim = (
        "Executing several actions of a prediction is better than one or very many: an action "
        "horizon of 8 is best for most tasks."
    )
    source = "DP Fig. 5 left"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """See `horizon_jobs`."""
        return horizon_jobs(self, config)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and predictions an episode for every horizon."""
        jobs = self.jobs(config)
        episodes = played(jobs, store)
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Action horizon",
            self.name,
            [
                verdict
                for method, own in by_method(episodes, config.diffusion_methods)
                for verdict in _verdicts(method, own)
            ],
            [trained_for(jobs)],
            (SCORE, SUCCESS, PREDICTIONS),
        )


def _verdicts(method: str, episodes: pd.DataFrame) -> list[Verdict]:
    """The middle horizon against both ends."""
    middle = pick(episodes, action_horizon=MIDDLE)
    ends = sorted(set(episodes["action_horizon"]))
    return [
        judge(
            f"{method}: Ta {MIDDLE} scores higher than {word} (Ta {end}).",
            f"score, Ta {MIDDLE} - Ta {end}",
            difference(middle, pick(episodes, action_horizon=end)),
        )
        for end, word in ((ends[0], "one action at a time"), (ends[-1], "the longest horizon"))
    ]

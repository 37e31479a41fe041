"""How many past observations a policy sees (DP Fig. 14)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmark.config import Cell
from benchmark.presets import HOME_CONTROL, PRESETS
from benchmark.stats import contrast
from benchmark.studies.ablation import Setting, ablation_drawing, ablation_sheet, pick, summarise
from benchmark.studies.study import Findings, Study, StudyConfig, judge, merged, played
from benchmark.workers import Job

HORIZONS = (1, 2, 4, 8)
SMOKE_HORIZONS = (1, 4)
SETTING = Setting("obs_horizon", "observation horizon To (steps)", "To", is_log=True)
MARGIN = 0.05
"""Difference of score that we call flat; the paper gives no number."""


def observing(cell: Cell, horizon: int) -> Cell:
    """The cell with another observation horizon, predicting as many actions from now on."""
    chunk = cell.pred_horizon - cell.obs_horizon + 1
    return replace(cell, obs_horizon=horizon, pred_horizon=horizon - 1 + chunk)


class ObservationHorizon(Study):
    """State policies do not care how much of the past they see."""

    name = "observation-horizon"
    claim = "A state-based Diffusion Policy is insensitive to its observation horizon."
    source = "DP Fig. 14"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Every method at every observation horizon, trained for each."""
        jobs = []
        for seed in self.training_seeds(config):
            for method in config.chosen(PRESETS[config.preset]):
                own = config.cell(method, HOME_CONTROL.get(method, "position"), seed)
                for horizon in SMOKE_HORIZONS if config.is_smoke else HORIZONS:
                    cell = observing(own, horizon)
                    jobs.append(Job(cell, (config.evaluation(cell),), config.loader()))
        return merged(jobs)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every observation horizon."""
        jobs = self.jobs(config)
        horizons = {job.cell.id: job.cell.obs_horizon for job in jobs}
        episodes = played(jobs, store)
        episodes = episodes.assign(obs_horizon=episodes["cell"].map(horizons))
        summary = summarise(episodes, ["method", "control", "obs_horizon"])
        caption = f"Observation horizon on {config.label}"
        verdicts = []
        for method in dict.fromkeys(episodes["method"]):
            if not method.startswith("diffusion"):
                continue
            own = pick(episodes, method=method)
            first, *others = sorted(set(own["obs_horizon"]))
            for other in others:
                terms = ((1.0, pick(own, obs_horizon=other)), (-1.0, pick(own, obs_horizon=first)))
                difference = contrast(terms, np.random.default_rng(0))
                verdicts.append(
                    judge(
                        f"{method}: To {other} loses less than {MARGIN:g} of score against To "
                        f"{first}.",
                        f"score, To {other} - To {first} (at least {-MARGIN:g} wanted)",
                        difference,
                        above=-MARGIN,
                    )
                )
        return Findings(
            verdicts=verdicts,
            sheets=[ablation_sheet(summary, SETTING, caption, "observation-horizon")],
            drawings=[
                ablation_drawing(
                    summary,
                    SETTING,
                    f"{caption}: score and success rate with 95 % intervals.",
                    "observation-horizon",
                )
            ],
        )

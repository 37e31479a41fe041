"""How many past observations a policy sees (DP Fig. 14)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmark.plan.config import Cell
from benchmark.running.workers import Job
from benchmark.studies.ablation import Setting, ablation_findings, by_method, difference, pick
from benchmark.studies.study import Findings, Study, StudyConfig, judge, merged, played

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
        return merged(
            replace(job, cell=observing(job.cell, horizon))
            for job in self.home_jobs(config)
            for horizon in (SMOKE_HORIZONS if config.is_smoke else HORIZONS)
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every observation horizon."""
        episodes = played(self.jobs(config), store, obs_horizon=lambda cell: cell.obs_horizon)
        verdicts = []
        for method, own in by_method(episodes, config.diffusion_methods):
            first, *others = sorted(set(own["obs_horizon"]))
            least = pick(own, obs_horizon=first)
            verdicts += [
                judge(
                    f"{method}: To {other} loses less than {MARGIN:g} of score against To {first}.",
                    f"score, To {other} - To {first} (at least {-MARGIN:g} wanted)",
                    difference(pick(own, obs_horizon=other), least),
                    above=-MARGIN,
                )
                for other in others
            ]
        return ablation_findings(
            config, episodes, SETTING, "Observation horizon", self.name, verdicts
        )

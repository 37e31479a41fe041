"""How many past observations a policy sees (DP Fig. 14)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.running.workers import Job
from benchmark.studies.ablation import Setting, ablation_findings, by_method, pick
from benchmark.studies.study import MARGIN, Findings, Study, StudyConfig, merged, played

HORIZONS = (1, 2, 4, 8)
SMOKE_HORIZONS = (1, 2)
PUBLISHED = 2
SETTING = Setting("obs_horizon", "observation horizon To (steps)", "To", is_log=True)


def observing(cell: Cell, horizon: int) -> Cell:
    """The cell with another observation horizon, predicting as many actions from now on."""
    chunk = cell.pred_horizon - cell.obs_horizon + 1
    return replace(cell, obs_horizon=horizon, pred_horizon=horizon - 1 + chunk)


class ObservationHorizon(Study):
    """State policies do not care how much of the past they see; image policies do best with two."""

    name = "observation-horizon"
    claim = (
        "A state-based Diffusion Policy is insensitive to its observation horizon; one that sees "
        "images does best with two observations."
    )
    source = "DP Fig. 14"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The diffusion policies, or those named, trained for every observation horizon."""
        return merged(
            replace(job, cell=observing(job.cell, horizon))
            for job in self.home_jobs(config, config.named_or(config.diffusion_methods))
            for horizon in (SMOKE_HORIZONS if config.is_smoke else HORIZONS)
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every observation horizon."""
        jobs = self.jobs(config)
        episodes = played(jobs, store, obs_horizon=lambda cell: cell.obs_horizon)
        sees_images = any(job.cell.encoder is not None for job in jobs)
        claims = two_is_best if sees_images else insensitive
        verdicts = judge(claims(episodes, config.diffusion_methods))
        return ablation_findings(
            config, episodes, SETTING, "Observation horizon", self.name, verdicts
        )


def two_is_best(episodes: pd.DataFrame, methods: list[str]) -> list[Claim]:
    """That every other observation horizon scores lower than the published one."""
    return [
        Claim(
            f"{method}: To {PUBLISHED} scores higher than To {other}.",
            f"score, To {PUBLISHED} - To {other}",
            difference(pick(own, obs_horizon=PUBLISHED), part),
        )
        for method, own in by_method(episodes, methods)
        for other, part in own.groupby("obs_horizon")
        if other != PUBLISHED
    ]


def insensitive(episodes: pd.DataFrame, methods: list[str]) -> list[Claim]:
    """That every other observation horizon scores as the published one, within the margin."""
    return [
        Claim(
            f"{method}: To {other} scores as To {PUBLISHED}, to {MARGIN:g}.",
            f"score, To {other} - To {PUBLISHED}",
            difference(part, pick(own, obs_horizon=PUBLISHED)),
            "within",
            MARGIN,
        )
        for method, own in by_method(episodes, methods)
        for other, part in own.groupby("obs_horizon")
        if other != PUBLISHED
    ]

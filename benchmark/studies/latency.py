"""Old observations: how a policy takes the delay of cameras, networks and its own predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.plan.presets import PRESETS, predicting
from benchmark.running.workers import Job
from benchmark.studies.ablation import (
    Setting,
    ablation_findings,
    by_method,
    difference,
    difference_of_changes,
    pick,
)
from benchmark.studies.study import Findings, Study, StudyConfig, Verdict, judge, merged, played
from envs.control import CONTROLS

LATENCIES = (0, 1, 2, 3, 4, 6, 8)
SMOKE_LATENCIES = (0, 4)
SETTING = Setting("latency", "latency (steps)", "L")
FLAT_UNTIL = 4  # the published curve is flat up to here
MARGIN = 0.05
"""Loss of score that we call flat; the paper gives no number."""


class Latency(Study):
    """Position control survives latency."""

    name = "latency"
    claim = (
        f"Under position control Diffusion Policy keeps its performance up to a latency of "
        f"{FLAT_UNTIL} steps."
    )
    source = "DP Fig. 5 right"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Every method in both control modes; all latencies of one policy by one cell."""
        latencies = SMOKE_LATENCIES if config.is_smoke else LATENCIES
        jobs = []
        for seed in self.training_seeds(config):
            for method in config.chosen(PRESETS[config.preset]):
                for control in CONTROLS:
                    own = config.job(method, control, seed)
                    horizon = own.cell.action_horizon
                    cell = predicting(own.cell, horizon + max(latencies))
                    at = config.evaluation(horizon)
                    evaluations = tuple(replace(at, latency=latency) for latency in latencies)
                    jobs.append(replace(own, cell=cell, evaluations=evaluations))
        return merged(jobs)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every latency, and whether the curve is flat."""
        jobs = self.jobs(config)
        episodes = played(jobs, store)
        horizons = {job.cell.method: job.evaluations[0].action_horizon for job in jobs}
        note = (
            "Latency: steps between the newest observation that a policy sees and its first "
            "executed action. Ta: "
            + ", ".join(f"{method} {horizon}" for method, horizon in horizons.items())
            + "; every policy was trained to predict far enough for the longest latency."
        )
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Latency",
            self.name,
            [
                verdict
                for method, own in by_method(episodes, config.diffusion_methods)
                for verdict in _verdicts(method, own)
            ],
            [note],
        )


def _verdicts(method: str, episodes: pd.DataFrame) -> list[Verdict]:
    late = {c: pick(episodes, control=c, latency=FLAT_UNTIL) for c in CONTROLS}
    prompt = {c: pick(episodes, control=c, latency=0) for c in CONTROLS}
    return [
        judge(
            f"{method}, position control: a latency of {FLAT_UNTIL} steps costs less than "
            f"{MARGIN:g} of score.",
            f"score, latency {FLAT_UNTIL} - 0 (at least {-MARGIN:g} wanted)",
            difference(late["position"], prompt["position"]),
            above=-MARGIN,
        ),
        judge(
            f"{method}: position control loses less by a latency of {FLAT_UNTIL} than velocity "
            "control.",
            "change of score, position - velocity",
            difference_of_changes(
                late["position"], prompt["position"], late["velocity"], prompt["velocity"]
            ),
        ),
    ]

"""Old observations: how a policy takes the delay of cameras, networks and its own predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.plan.presets import predicting
from benchmark.running.workers import Job
from benchmark.studies.ablation import Setting, ablation_findings, by_method, change_of, pick
from benchmark.studies.study import MARGIN, Findings, Study, StudyConfig, merged, played
from envs.control import CONTROLS

LATENCIES = tuple(range(8))  # as published; with Ta 8 just what a prediction of 16 actions allows
SMOKE_LATENCIES = (0, 4)
SETTING = Setting("latency", "latency (steps)", "L")
FLAT_UNTIL = 4  # the published curve is flat up to here


class Latency(Study):
    """Position control survives latency."""

    name = "latency"
    claim = (
        f"Under position control Diffusion Policy keeps its performance up to a latency of "
        f"{FLAT_UNTIL} steps."
    )
    source = "DP Fig. 5 right"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The published methods, or those named, in both modes; one cell a policy."""
        latencies = SMOKE_LATENCIES if config.is_smoke else LATENCIES
        jobs = []
        for seed in self.training_seeds(config):
            for method in config.named_or(PUBLISHED_METHODS):
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
        verdicts = judge(survives(episodes, config.diffusion_methods))
        return ablation_findings(config, episodes, SETTING, "Latency", self.name, verdicts, [note])


def survives(episodes: pd.DataFrame, methods: Sequence[str]) -> list[Claim]:
    """That position control loses less than the margin, and less than velocity control."""
    claims = []
    for method, own in by_method(episodes, methods):
        late, prompt = (
            {c: pick(own, control=c, latency=latency) for c in CONTROLS}
            for latency in (FLAT_UNTIL, 0)
        )
        claims += [
            Claim(
                f"{method}, position control: a latency of {FLAT_UNTIL} steps costs less than "
                f"{MARGIN:g} of score.",
                f"score, latency {FLAT_UNTIL} - 0",
                difference(late["position"], prompt["position"]),
                "above",
                -MARGIN,
            ),
            Claim(
                f"{method}: position control loses less by a latency of {FLAT_UNTIL} than velocity "
                "control.",
                "change of score, position - velocity",
                change_of(
                    late["position"], prompt["position"], late["velocity"], prompt["velocity"]
                ),
            ),
        ]
    return claims

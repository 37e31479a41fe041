"""Old observations: how a policy takes the delay of cameras, networks and its own predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.presets import PRESETS, predicting
from benchmark.stats import contrast
from benchmark.studies.ablation import Setting, ablation_drawing, ablation_sheet, pick, summarise
from benchmark.studies.study import Findings, Study, StudyConfig, Verdict, judge, merged, played
from benchmark.workers import Job
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
                    own = config.cell(method, control, seed)
                    cell = predicting(own, own.action_horizon + max(latencies))
                    at = config.evaluation(cell, own.action_horizon)
                    evaluations = tuple(replace(at, latency=latency) for latency in latencies)
                    jobs.append(Job(cell, evaluations, config.loader()))
        return merged(jobs)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success for every latency, and whether the curve is flat."""
        jobs = self.jobs(config)
        episodes = played(jobs, store)
        summary = summarise(episodes, ["method", "control", "latency"])
        caption = f"Latency on {config.label}"
        horizons = {job.cell.method: job.evaluations[0].action_horizon for job in jobs}
        note = (
            "Latency: steps between the newest observation that a policy sees and its first "
            "executed action. Ta: "
            + ", ".join(f"{method} {horizon}" for method, horizon in horizons.items())
            + "; every policy was trained to predict far enough for the longest latency."
        )
        return Findings(
            verdicts=[
                verdict
                for method in dict.fromkeys(episodes["method"])
                if method.startswith("diffusion")
                for verdict in _verdicts(method, pick(episodes, method=method))
            ],
            sheets=[ablation_sheet(summary, SETTING, caption, "latency", [note])],
            drawings=[
                ablation_drawing(
                    summary,
                    SETTING,
                    f"{caption}: score and success rate with 95 % intervals.",
                    "latency",
                )
            ],
        )


def _verdicts(method: str, episodes: pd.DataFrame) -> list[Verdict]:
    terms = {
        control: (
            (1.0, pick(episodes, control=control, latency=FLAT_UNTIL)),
            (-1.0, pick(episodes, control=control, latency=0)),
        )
        for control in CONTROLS
    }
    position = contrast(terms["position"], np.random.default_rng(0))
    flipped = [(-weight, frame) for weight, frame in terms["velocity"]]
    against = contrast([*terms["position"], *flipped], np.random.default_rng(0))
    return [
        judge(
            f"{method}, position control: a latency of {FLAT_UNTIL} steps costs less than "
            f"{MARGIN:g} of score.",
            f"score, latency {FLAT_UNTIL} - 0 (at least {-MARGIN:g} wanted)",
            position,
            above=-MARGIN,
        ),
        judge(
            f"{method}: position control loses less by a latency of {FLAT_UNTIL} than velocity "
            "control.",
            "change of score, position - velocity",
            against,
        ),
    ]

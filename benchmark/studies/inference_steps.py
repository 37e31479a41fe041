"""How many denoising steps a prediction needs, and what they cost."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import EvalConfig
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.ablation import (
    SCORE,
    SUCCESS,
    Measure,
    Setting,
    ablation_findings,
    by_method,
    pick,
)
from benchmark.studies.prediction_time import seconds_of_predictions
from benchmark.studies.sheets import signed
from benchmark.studies.study import MARGIN, Findings, Study, StudyConfig, merged

STEPS = (1, 2, 4, 6, 10, 16, 32, 100)
SMOKE_STEPS = (1, 10)
ALL_STEPS, FEW_STEPS = 100, 10
PUBLISHED = "epsilon"
"""What the published networks predict; presets for a laptop predict the sample."""
SETTING = Setting("inference_steps", "denoising steps", "K", is_log=True)
MILLISECONDS = Measure("ms", "time of a prediction (ms)", "ms", signed(".1f"))
TIMINGS = 7


class InferenceSteps(Study):
    """Ten DDIM steps are enough."""

    name = "inference-steps"
    claim = (
        f"With DDIM a policy trained with {ALL_STEPS} steps predicts with {FEW_STEPS}, in about a "
        "tenth of the time, without a loss of performance."
    )
    source = "DP Sec. IV-D"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The diffusion policies as `bench` trains them, and trained to predict the noise."""
        at = config.evaluation()
        evaluations = [
            replace(at, inference_steps=count, sampler="ddim")
            for count in (SMOKE_STEPS if config.is_smoke else STEPS)
        ]
        evaluations.append(replace(at, inference_steps=ALL_STEPS, sampler="ddpm"))
        return merged(
            replace(job, cell=cell, evaluations=tuple(evaluations))
            for job in self.home_jobs(config, config.diffusion_methods)
            for cell in (
                job.cell,
                replace(job.cell, agent=replace(job.cell.agent, prediction=PUBLISHED)),
            )
        )

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """Time single predictions, once for each cell and number of steps."""
        (job,) = [job for job in self.jobs(config) if job.cell == run.cell]
        return {_file(at): partial(_timed, run, at) for at in job.evaluations}

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and time of a prediction by sampler and number of steps."""
        frames = []
        for job in self.jobs(config):
            run = Run(job.cell, store)
            timed = self.measured(config, run)
            frames += [
                run.episodes(at).assign(
                    method=f"{job.cell.method}, {job.cell.agent.prediction}",
                    sampler=at.sampler,
                    ms=1000 * json.loads(timed[_file(at)]),
                )
                for at in job.evaluations
            ]
        episodes = pd.concat(frames, ignore_index=True)
        shown = episodes["method"] + ", " + episodes["sampler"].str.upper()
        note = (
            f"DDPM: with all {ALL_STEPS} steps, as trained. ms: time of one prediction for one "
            "window, on this machine as it was loaded then. The same networks throughout a row."
        )
        return ablation_findings(
            config,
            episodes.assign(method=shown),
            SETTING,
            "Inference steps",
            self.name,
            judge(few_are_enough(episodes)),
            [note],
            (SCORE, SUCCESS, MILLISECONDS),
        )


def few_are_enough(episodes: pd.DataFrame) -> list[Claim]:
    """That few DDIM steps lose less than the margin against all steps of DDPM, by method."""
    return [
        Claim(
            f"{method}: {FEW_STEPS} DDIM steps lose less than {MARGIN:g} of score against "
            f"{ALL_STEPS} DDPM steps.",
            f"score, DDIM {FEW_STEPS} - DDPM {ALL_STEPS}",
            difference(
                pick(own, sampler="ddim", inference_steps=FEW_STEPS), pick(own, sampler="ddpm")
            ),
            "above",
            -MARGIN,
        )
        for method, own in by_method(episodes)
    ]


def _file(evaluation: EvalConfig) -> str:
    return f"prediction-seconds-{evaluation.sampler}-{evaluation.inference_steps}.json"


def _timed(run: Run, evaluation: EvalConfig) -> bytes:
    """Median time of a prediction for a single window, s, as JSON."""
    agent = run.agent()
    agent.set_inference_steps(evaluation.inference_steps)
    agent.set_sampler(evaluation.sampler)
    (times,) = seconds_of_predictions([agent], TIMINGS)
    return json.dumps(statistics.median(times)).encode()

"""How many denoising steps a prediction needs, and what they cost."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.optimize import isotonic_regression

from baselines.agent import Agent
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.tasks import get_task
from benchmark.report.plots import DASHES, OKABE_ITO, empty_figure, estimates, grid, legend, points
from benchmark.running.machine import best_device
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.ablation import difference, pick, summarise
from benchmark.studies.study import (
    Drawing,
    Findings,
    Sheet,
    Study,
    StudyConfig,
    judge,
    merged,
    played,
)

STEPS = (1, 2, 3, 4, 6, 8, 10, 16, 32, 50, 100)
SMOKE_STEPS = (1, 10, 32)
MARGIN = 0.01  # the loss of score that a practitioner accepts
PUBLISHED_STEPS = 10
TIMINGS = 7


class InferenceSteps(Study):
    """Ten DDIM steps are enough."""

    name = "inference-steps"
    claim = (
        "With DDIM a policy trained with 100 steps predicts with 10, in about a tenth of the time, "
        "without a loss of performance."
    )
    source = "DP Sec. IV-D"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """DDIM at every number of steps and DDPM at all of them, by cells that sweeps share."""
        return merged(
            replace(job, evaluations=self._evaluations(config))
            for job in self.home_jobs(config, config.diffusion_methods)
        )

    def _evaluations(self, config: StudyConfig) -> tuple[EvalConfig, ...]:
        at = config.evaluation()
        counts = SMOKE_STEPS if config.is_smoke else STEPS
        ddim = [replace(at, inference_steps=count, sampler="ddim") for count in counts]
        ddpm = [] if config.is_smoke else [replace(at, inference_steps=100, sampler="ddpm")]
        return (*ddim, *ddpm)

    def measure(self, config: StudyConfig, store: Path) -> None:
        """Time single predictions, once for each cell and number of steps."""
        for job in self.jobs(config):
            run = Run(job.cell, store)
            for evaluation in job.evaluations:
                _seconds(run, evaluation, best_device())

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score against seconds a prediction, and the fewest steps that lose less than 1 %."""
        jobs = self.jobs(config)
        episodes = played(jobs, store)
        summary = summarise(episodes, ["method", "control", "sampler", "inference_steps"])
        seconds = {
            (job.cell.method, e.sampler, e.inference_steps): _seconds(
                Run(job.cell, store), e, best_device()
            )
            for job in jobs
            for e in job.evaluations
        }
        keys = zip(summary["method"], summary["sampler"], summary["inference_steps"], strict=True)
        summary = summary.assign(seconds=[seconds[key] for key in keys])
        losses = _losses(episodes)
        summary = summary.merge(losses, on=["method", "inference_steps", "sampler"], how="left")
        knees = {
            str(method): _knee(group) for method, group in summary.groupby("method", sort=False)
        }
        caption = f"Inference steps on {config.label}"
        most = int(summary["inference_steps"].max())
        verdicts = []
        for method in knees:
            own = pick(episodes, method=method, sampler="ddim")
            steps = min(set(own["inference_steps"]), key=lambda n: abs(n - PUBLISHED_STEPS))
            verdicts.append(
                judge(
                    f"{method}: {steps} DDIM steps lose less than {MARGIN:.0%} of score against "
                    f"{most}.",
                    f"score, {steps} - {most} steps (at least {-MARGIN:g} wanted)",
                    difference(pick(own, inference_steps=steps), pick(own, inference_steps=most)),
                    above=-MARGIN,
                )
            )
        return Findings(
            verdicts=verdicts,
            sheets=[_sheet(summary, caption, most)],
            drawings=[
                Drawing(
                    "inference-steps",
                    _figure(summary, knees),
                    summary,
                    f"{caption}: score against the time of one prediction (batch 1, CPU or GPU of "
                    "this machine), with 95 % intervals. Numbers: denoising steps; ring: the knee.",
                )
            ],
            remarks=[_sentence(method, knee, summary, most) for method, knee in knees.items()],
        )


def _seconds(run: Run, evaluation: EvalConfig, device: torch.device) -> float:
    """Median time of a prediction for a single window, s; measured once."""
    name = f"prediction-seconds-{evaluation.sampler}-{evaluation.inference_steps}.json"

    def measure() -> bytes:
        return json.dumps(_timed(run.agent().to(device), evaluation, run.cell, device)).encode()

    return float(json.loads(run.measured(name, measure)))


@torch.inference_mode()
def _timed(agent: Agent, evaluation: EvalConfig, cell: Cell, device: torch.device) -> float:
    agent.set_inference_steps(evaluation.inference_steps)
    agent.set_sampler(evaluation.sampler)
    shapes = get_task(cell.task).obs_shapes(cell.obs_type)
    obs = {
        name: torch.zeros((1, cell.obs_horizon, *shape), device=device)
        for name, shape in shapes.items()
    }
    generator = torch.Generator().manual_seed(0)
    times = []
    for _ in range(1 + TIMINGS):
        start = time.perf_counter()
        agent.act(obs, generator).cpu()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _losses(episodes: pd.DataFrame) -> pd.DataFrame:
    """Score of each DDIM setting less that of the most steps, on equal episodes."""
    rows = []
    for method, own in pick(episodes, sampler="ddim").groupby("method", sort=False):
        most = own["inference_steps"].max()
        for steps, part in own.groupby("inference_steps"):
            loss = difference(part, pick(own, inference_steps=most))
            rows.append(
                {
                    "method": method,
                    "sampler": "ddim",
                    "inference_steps": steps,
                    **loss.columns("loss"),
                }
            )
    return pd.DataFrame(rows)


def _knee(summary: pd.DataFrame) -> int:
    """The fewest DDIM steps whose fitted score is less than `MARGIN` below that of the most.

    Fitted: by isotonic regression, as never falling with more steps. The scores themselves scatter
    by more than the margin from one number of steps to the next.
    """
    ddim = summary[summary["sampler"] == "ddim"].sort_values("inference_steps")
    fitted = isotonic_regression(ddim["score"].to_numpy()).x
    enough = np.flatnonzero(fitted > fitted[-1] - MARGIN)
    return int(ddim["inference_steps"].iloc[enough[0]])


def _sentence(method: str, knee: int, summary: pd.DataFrame, most: int) -> str:
    ddim = pick(summary, method=method, sampler="ddim").sort_values("inference_steps")
    row = pick(ddim, inference_steps=knee).iloc[0]
    full = pick(ddim, inference_steps=most).iloc[0]
    fewer = ddim[ddim["inference_steps"] < most]
    excluded = _listed(fewer[fewer["loss_low"] > -MARGIN])
    shown = _listed(fewer[fewer["loss_high"] < -MARGIN])
    return (
        f"**{method}**: {knee} DDIM steps lose less than {MARGIN:.0%} of score against {most} "
        f"({row['score']:.3f} against {full['score']:.3f}; the knee of a fit that never falls with "
        f"more steps); a prediction then takes {1000 * row['seconds']:.0f} ms in place of "
        f"{1000 * full['seconds']:.0f} ms. By the intervals of {int(row['episodes'])} episodes "
        f"such a loss is excluded for these numbers of steps: {excluded}; and shown for these: "
        f"{shown}."
    )


def _listed(rows: pd.DataFrame) -> str:
    return ", ".join(map(str, rows["inference_steps"])) or "none"


def _sheet(summary: pd.DataFrame, caption: str, most: int) -> Sheet:
    rows = [
        (
            str(row["method"]),
            str(row["sampler"]).upper(),
            str(row["inference_steps"]),
            score_text(row["score"], row["score_low"], row["score_high"]),
            rate_text(row["success"], row["success_low"], row["success_high"]),
            "-"
            if pd.isna(row["loss"])
            else score_text(row["loss"], row["loss_low"], row["loss_high"]),
            f"{1000 * row['seconds']:.1f}",
        )
        for row in summary.to_dict("records")
    ]
    table = Table(
        caption=caption,
        head=("method", "sampler", "steps", "score", "success", f"score - {most} steps", "ms"),
        rows=tuple(rows),
        align="llrrrrr",
        notes=(
            "ms: median time of one prediction for one window, on this machine as it was loaded "
            f"then. Difference of score on equal episodes, DDIM with {most} steps being the "
            "measure. Ranges are 95 % intervals.",
        ),
    )
    return Sheet("inference-steps", table, summary)


def _figure(summary: pd.DataFrame, knees: dict[str, int]) -> Figure:
    figure = empty_figure(6.4, 4.2)
    axes = figure.subplots()
    ddim = summary[summary["sampler"] == "ddim"]
    for number, (method, knee) in enumerate(knees.items()):
        own = pick(ddim, method=method).sort_values("seconds")
        colour, times = OKABE_ITO[number], 1000 * own["seconds"].to_numpy()
        label = f"{method}, DDIM"
        points(axes, times, estimates(own, "score"), number, label, dashes=DASHES[0])
        for row in own.to_dict("records"):
            # At the far end of the interval, where the other method's line seldom passes.
            axes.annotate(
                str(row["inference_steps"]),
                (1000 * row["seconds"], row["score_low" if number else "score_high"]),
                xytext=(0, -3 if number else 3),
                textcoords="offset points",
                ha="center",
                va="top" if number else "bottom",
                fontsize=7.5,
                color=colour,
            )
        at = pick(own, inference_steps=knee).iloc[0]
        axes.plot(
            1000 * at["seconds"],
            at["score"],
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.4,
            label="knee" if number == 0 else "_",
        )
        full = pick(summary, method=method, sampler="ddpm")
        if len(full):
            axes.plot(
                1000 * full["seconds"],
                full["score"],
                "*",
                markersize=10,
                color=colour,
                markeredgecolor="black",
                label=f"{method}, DDPM {int(full['inference_steps'].iloc[0])}",
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("time of one prediction (ms)")
    axes.set_ylabel("mean score")
    least = float(np.nanmin(summary["score_low"].fillna(summary["score"])))
    axes.set_ylim(max(-0.02, np.floor(10 * least) / 10 - 0.1), 1.04)
    grid(axes, "both")
    legend(figure, *axes.get_legend_handles_labels())
    return figure

"""Observations as a condition, p(A | O), or denoised with the actions, p(A, O)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.evidence.effects import difference, mean, ratio
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.report.plots import empty_figure, estimates, grid, legend, points
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, pick, summarise
from benchmark.studies.prediction_time import seconds_of_predictions
from benchmark.studies.sheets import SCORE, SUCCESS, measured, sheet, signed, told_apart, word
from benchmark.studies.study import Drawing, Findings, Study, StudyConfig, merged, played

CONDITION, JOINT = "p(A | O)", "p(A, O)"
WAYS = {CONDITION: "film", JOINT: "joint"}
"""What is modelled, to the setting `conditioning` that models it."""
TIMINGS, SMOKE_TIMINGS = 40, 2
FILE = "prediction-seconds-conditional-and-joint.json"


class VisualConditioning(Study):
    """A condition is better than a part of what is denoised."""

    name = "visual-conditioning"
    claim = (
        "Observations as a condition, encoded once and never denoised, make predictions more "
        "accurate and quicker than a joint model of observations and actions."
    )
    source = "DP Sec. II-C"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The U-Net, or the policies named that can be conditioned both ways, in both."""
        methods = [m for m in config.diffusion_methods if _has_both(config, m)]
        return merged(
            replace(job, cell=conditioned(job.cell, way))
            for job in self.home_jobs(config, methods)
            for way in WAYS.values()
        )

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """Time predictions of a joint model and of its conditional twin, in turns."""
        if run.cell.agent.conditioning != WAYS[JOINT]:
            return {}
        return {FILE: partial(_timed, run, SMOKE_TIMINGS if config.is_smoke else TIMINGS)}

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and time of a prediction of both, and the two advantages claimed."""
        jobs = self.jobs(config)
        episodes = played(jobs, store, models=_way)
        times = pd.concat(
            [
                timings(run.cell, self.measured(config, run)[FILE])
                for run in (Run(job.cell, store) for job in jobs)
                if run.cell.agent.conditioning == WAYS[JOINT]
            ],
            ignore_index=True,
        )
        summary = summarise(episodes, ["method", "models"])
        summary = summary.merge(_times_by_way(times), on=["method", "models"])
        caption = f"Observations as a condition and in a joint model, {config.label}"
        notes = [
            "p(A | O): observations scale and shift the U-Net's blocks (FiLM). p(A, O): the U-Net "
            "denoises actions and observation features of all predicted steps, and the steps that "
            "are seen are put in before each denoising step. Ranges are 95 % intervals.",
            "ms: one prediction for one window, both models in turns on this machine as it was "
            "loaded.",
            told_apart([own for _, own in episodes.groupby("models", sort=False)]),
        ]
        time = measured("ms", "ms a prediction", signed(".1f"))
        columns = [word("method"), word("models"), SCORE, SUCCESS, time]
        return Findings(
            verdicts=judge([*accuracy(episodes), *speed(times)]),
            sheets=[sheet(self.name, caption, summary, columns, notes)],
            drawings=[_drawing(summary, caption)],
        )


def conditioned(cell: Cell, way: str) -> Cell:
    """The cell with its observations as a condition (film) or denoised (joint)."""
    return replace(cell, agent=replace(cell.agent, conditioning=way))


def _has_both(config: StudyConfig, method: str) -> bool:
    agent = PRESETS[config.preset][method].agent
    return "conditioning" in {each.name for each in fields(agent)}


def _way(cell: Cell) -> str:
    return next(name for name, way in WAYS.items() if way == cell.agent.conditioning)


def _timed(run: Run, repetitions: int) -> bytes:
    """Seconds of predictions in turns by WAYS, as JSON; the twin's weights do not matter."""
    joint = run.agent()
    config = replace(joint.config, conditioning=WAYS[CONDITION])
    twin = type(joint)(config, joint.spec, joint.normalizer)
    times = seconds_of_predictions([twin, joint], repetitions)
    return json.dumps(dict(zip(WAYS, times, strict=True))).encode()


def timings(cell: Cell, content: bytes) -> pd.DataFrame:
    """What was timed of a joint cell and its twin, a row a prediction, as if it were an episode."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "cell": cell.id,
                    "method": cell.method,
                    "models": name,
                    "train_seed": cell.seed,
                    "seed": np.arange(len(seconds)),
                    "ms": 1000 * np.asarray(seconds),
                }
            )
            for name, seconds in json.loads(content).items()
        ],
        ignore_index=True,
    )


def _times_by_way(times: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {"method": method, "models": way, **mean(own, "ms").interval().columns("ms")}
        for (method, way), own in times.groupby(["method", "models"], sort=False)
    ]
    return pd.DataFrame(rows)


def accuracy(episodes: pd.DataFrame) -> list[Claim]:
    """That each method scores higher where observations are a condition."""
    return [
        Claim(
            f"{method}: with observations as a condition it scores higher than in a joint model.",
            f"score, {CONDITION} - {JOINT}",
            difference(pick(own, models=CONDITION), pick(own, models=JOINT)),
        )
        for method, own in by_method(episodes)
    ]


def speed(times: pd.DataFrame) -> list[Claim]:
    """That a joint model takes longer for a prediction."""
    return [
        Claim(
            f"{method}: a prediction of the joint model takes longer.",
            f"time of a prediction, {JOINT} / {CONDITION}",
            ratio(pick(own, models=JOINT), pick(own, models=CONDITION), "ms"),
            value=1.0,
        )
        for method, own in by_method(times)
    ]


def _drawing(summary: pd.DataFrame, caption: str) -> Drawing:
    figure = empty_figure(8.0, 3.6)
    shown = (("score", "mean score"), ("success", "success rate"), ("ms", "ms a prediction"))
    panels = figure.subplots(1, len(shown))
    for axes, (column, title) in zip(panels, shown, strict=True):
        for number, (method, part) in enumerate(by_method(summary)):
            points(axes, np.arange(len(part)), estimates(part, column), number, method)
            axes.set_xticks(range(len(part)), part["models"].tolist())
        axes.set_xlim(-0.5, len(WAYS) - 0.5)
        axes.set_ylim((0, None) if column == "ms" else (-0.02, 1.02))
        axes.set_ylabel(title)
        grid(axes, "y")
    legend(figure, *panels[0].get_legend_handles_labels())
    text = f"{caption}: score, success and time of a prediction with 95 % intervals."
    return Drawing(VisualConditioning.name, figure, summary, text)

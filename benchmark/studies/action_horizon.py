"""How many actions of a prediction are executed before the next one (DP Fig. 5 left)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.presets import HOME_CONTROL, PRESETS, predicting
from benchmark.stats import contrast
from benchmark.studies.ablation import Setting, ablation_drawing, ablation_sheet, pick, summarise
from benchmark.studies.study import Findings, Study, StudyConfig, Verdict, judge, merged, played
from benchmark.workers import Job

HORIZONS = (1, 2, 4, 8, 16, 32, 64)
SMOKE_HORIZONS = (1, 8, 16)
SETTING = Setting("action_horizon", "action horizon Ta (steps)", "Ta", is_log=True)
MIDDLE = 8  # the published best for most tasks


def horizon_jobs(study: Study, config: StudyConfig) -> list[Job]:
    """Every method under its home control mode at every action horizon.

    A horizon that a preset's prediction does not reach is played by a cell trained to predict
    further (`benchmark.presets.predicting`).
    """
    jobs = []
    for seed in study.training_seeds(config):
        for method in config.chosen(PRESETS[config.preset]):
            cell = config.cell(method, HOME_CONTROL.get(method, "position"), seed)
            for horizon in SMOKE_HORIZONS if config.is_smoke else HORIZONS:
                longer = predicting(cell, horizon)
                evaluation = config.evaluation(longer, horizon)
                jobs.append(Job(longer, (evaluation,), config.loader()))
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
        summary = summarise(episodes, ["method", "control", "action_horizon"])
        note = trained_for(jobs)
        caption = f"Action horizon on {config.label}"
        return Findings(
            verdicts=[
                verdict
                for method in dict.fromkeys(episodes["method"])
                if method.startswith("diffusion")
                for verdict in _verdicts(method, pick(episodes, method=method))
            ],
            sheets=[ablation_sheet(summary, SETTING, caption, "action-horizon", [note])],
            drawings=[
                ablation_drawing(
                    summary,
                    SETTING,
                    f"{caption}: score, success rate and predictions, with 95 % intervals.",
                    "action-horizon",
                    (
                        ("score", 1.0, "mean score"),
                        ("success", 100.0, "success rate (%)"),
                        ("predictions", 1.0, "predictions an episode"),
                    ),
                )
            ],
        )


def _verdicts(method: str, episodes: pd.DataFrame) -> list[Verdict]:
    """The middle horizon against both ends."""
    ends = sorted(set(episodes["action_horizon"]))
    found = []
    for end, word in ((ends[0], "one action at a time"), (ends[-1], "the longest horizon")):
        terms = (
            (1.0, pick(episodes, action_horizon=MIDDLE)),
            (-1.0, pick(episodes, action_horizon=end)),
        )
        difference = contrast(terms, np.random.default_rng(0))
        found.append(
            judge(
                f"{method}: Ta {MIDDLE} scores higher than {word} (Ta {end}).",
                f"score, Ta {MIDDLE} - Ta {end}",
                difference,
            )
        )
    return found

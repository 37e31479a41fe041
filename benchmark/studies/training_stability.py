"""Whether a method gets steadily better while it trains (DP Fig. 6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmark.evidence.effects import TrainingDifference
from benchmark.evidence.stats import CONFIDENCE, Interval
from benchmark.evidence.tables import score_text
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell
from benchmark.plan.presets import HOME_CONTROL
from benchmark.report.plots import DASHES, OKABE_ITO, curves_figure
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.study import Drawing, Findings, Sheet, Study, StudyConfig, judge, merged

CHECKPOINTS = 10
SMOKE_CHECKPOINTS = 3
VALIDATION_EPISODES = 20
SMOKE_VALIDATION_EPISODES = 3
# Langevin negatives cost a pass forward and back for each step: the published 100 steps would take
# a laptop hours.
LANGEVIN = {
    "search": "langevin",
    "train_iterations": 20,
    "iterations": 40,
    "negatives": 16,
    "candidates": 64,
}


@dataclass(frozen=True)
class Variant:
    """A method, trained in one way.

    Attributes:
        label: In tables and figures.
        method: Name of the method.
        agent: Changed settings.
    """

    label: str
    method: str
    agent: dict[str, object]


VARIANTS = (
    Variant("diffusion-unet", "diffusion-unet", {}),
    Variant("ibc, derivative-free", "ibc", {}),
    Variant("ibc, langevin", "ibc", LANGEVIN),
)


class TrainingStability(Study):
    """Diffusion Policy trains stably, IBC does not."""

    name = "training-stability"
    claim = (
        "While IBC's training loss falls smoothly, its action error and its success oscillate from "
        "checkpoint to checkpoint; Diffusion Policy's do not."
    )
    source = "DP Fig. 6"
    seeds = (42, 43, 44)

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Trainings with more checkpoints than usual; nothing is played on test seeds."""
        return merged(Job(cell, (), config.loader()) for _, cell in self._cells(config))

    def _cells(self, config: StudyConfig) -> list[tuple[str, Cell]]:
        chosen = config.chosen(dict.fromkeys(variant.method for variant in VARIANTS))
        cells = []
        for variant in VARIANTS:
            if variant.method not in chosen:
                continue
            for seed in self.training_seeds(config):
                control = HOME_CONTROL.get(variant.method, "position")
                own = config.cell(variant.method, control, seed)
                train = replace(
                    own.train,
                    checkpoints=SMOKE_CHECKPOINTS if config.is_smoke else CHECKPOINTS,
                    validation_episodes=(
                        SMOKE_VALIDATION_EPISODES if config.is_smoke else VALIDATION_EPISODES
                    ),
                )
                agent = replace(own.agent, **variant.agent)
                cells.append((variant.label, replace(own, agent=agent, train=train)))
        return cells

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Loss, action error and validation score at every checkpoint, and how they vary."""
        cells = self._cells(config)
        history = pd.concat(
            [Run(cell, store).history().assign(variant=label) for label, cell in cells],
            ignore_index=True,
        )
        runs = _runs(history)
        caption = f"Training stability on {config.label}"
        verdicts = []
        champion, *others = dict.fromkeys(label for label, _ in cells)
        for other in others:
            verdicts.append(
                judge(
                    f"The validation score of {other} changes more from checkpoint to checkpoint "
                    f"than that of {champion}.",
                    f"mean change, {other} - {champion}",
                    _difference(runs, other, champion, "swing"),
                )
            )
            verdicts.append(
                judge(
                    f"{other} loses more between its best and its last checkpoint than {champion}.",
                    f"best - last score, {other} - {champion}",
                    _difference(runs, other, champion, "gap"),
                )
            )
        return Findings(
            verdicts=verdicts,
            sheets=[_sheet(runs, caption)],
            drawings=[
                Drawing(
                    "training-stability",
                    _figure(history),
                    history,
                    f"{caption}: a line a training seed. Losses of different methods measure "
                    "different things; validation seeds, which choose nothing here.",
                )
            ],
            remarks=[
                "IBC's Langevin negatives are found in "
                f"{LANGEVIN['train_iterations']} steps, {LANGEVIN['negatives']} a window, in place "
                "of the published 100 steps: a step costs a pass forward and back."
            ],
        )


def _runs(history: pd.DataFrame) -> pd.DataFrame:
    """How much a run's checkpoints differ, a row a run.

    swing: mean absolute change of the validation score between neighbouring checkpoints, over the
    second half of the training; gap: best less last score; error_swing: as swing, of the action
    error, in shares of its mean.
    """
    rows = []
    checkpoints = history[history["validation_score"].notna()]
    for (variant, seed), run in checkpoints.groupby(["variant", "train_seed"], sort=False):
        run = run.sort_values("update")
        scores = run["validation_score"].to_numpy()
        errors = run["action_error"].to_numpy()
        late = len(scores) // 2
        rows.append(
            {
                "variant": variant,
                "train_seed": seed,
                "checkpoints": len(scores),
                "best": scores.max(),
                "last": scores[-1],
                "gap": scores.max() - scores[-1],
                "swing": np.abs(np.diff(scores[late:])).mean() if len(scores) > 2 else np.nan,
                "error_swing": np.abs(np.diff(errors[late:])).mean() / errors[late:].mean()
                if len(scores) > 2
                else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _difference(runs: pd.DataFrame, a: str, b: str, column: str) -> Interval:
    """Difference of means over training seeds."""
    values = [runs.loc[runs["variant"] == name, column].dropna().to_numpy() for name in (a, b)]
    if any(len(v) == 0 for v in values):
        return Interval(np.nan, np.nan, np.nan, CONFIDENCE, "none: too few checkpoints")
    return TrainingDifference(values[0], values[1], 0).interval()


def _sheet(runs: pd.DataFrame, caption: str) -> Sheet:
    rows = []
    for variant, group in runs.groupby("variant", sort=False):
        cells = [
            score_text(group[name].mean(), group[name].min(), group[name].max())
            for name in ("last", "best", "gap", "swing", "error_swing")
        ]
        rows.append((str(variant), str(len(group)), *cells))
    table = Table(
        caption=caption,
        head=("method", "seeds", "last score", "best", "best - last", "swing", "error swing"),
        rows=tuple(rows),
        align="lrrrrrr",
        notes=(
            f"Validation scores, {int(runs['checkpoints'].max())} checkpoints. Swing: mean change "
            "from one checkpoint to the next in the second half of the training; error swing: the "
            "same of the action error, in shares of its mean. Ranges are the least and the "
            "largest over training seeds.",
        ),
    )
    return Sheet("trainings", table, runs)


def _figure(history: pd.DataFrame) -> Figure:
    seeds = [f"training seed {seed}" for seed in sorted(set(history["train_seed"]))]
    styles = {
        seed: (OKABE_ITO[number % len(OKABE_ITO)], DASHES[number % len(DASHES)])
        for number, seed in enumerate(seeds)
    }
    kinds = "training seed " + history["train_seed"].astype(str)
    return curves_figure(history.assign(method=history["variant"], kind=kinds), styles)

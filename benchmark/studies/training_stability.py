"""Whether a method gets steadily better while it trains (DP Fig. 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.evidence.effects import TrainingDifference
from benchmark.evidence.tables import score_text
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.plan.presets import HOME_CONTROL
from benchmark.report.plots import DASHES, OKABE_ITO, curves_figure
from benchmark.running.store import Run
from benchmark.running.workers import Job
from benchmark.studies.sheets import measured, number, sheet, word
from benchmark.studies.study import Drawing, Findings, Study, StudyConfig, merged

CHECKPOINTS, SMOKE_CHECKPOINTS = 10, 5
EPISODES, SMOKE_EPISODES = 200, 3  # of a checkpoint, on validation seeds, which choose nothing here
HELD_OUT, SMOKE_HELD_OUT = 20, 1  # demonstrations
LATE = 0.4
"""Share of the training after which checkpoints count: before it all methods learn fast."""
AVERAGE = 0.999  # largest decay, where a preset averages nothing
CHAMPION, RIVAL = "diffusion-unet", "ibc"
RAW, AVERAGED = "raw weights", "averaged"
PAIRS = {
    "each as published": (AVERAGED, RAW),
    "both averaged": (AVERAGED, AVERAGED),
    "both raw": (RAW, RAW),
}
"""Weights of the champion and of its rival that are compared: an average is steady by itself."""
WHAT = {"swing": "validation score", "error_swing": "action error"}


class TrainingStability(Study):
    """Diffusion Policy trains stably, IBC does not."""

    name = "training-stability"
    claim = (
        "While IBC's training loss falls smoothly, its action error and its success oscillate from "
        "checkpoint to checkpoint; Diffusion Policy's do not."
    )
    source = "DP Fig. 6"
    seeds = (42, 43, 44, 45, 46)

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Trainings with more checkpoints than usual; nothing is played on test seeds."""
        return merged(
            Job(cell, (), config.loader())
            for seeds in self._cells(config).values()
            for cell in seeds
        )

    def _cells(self, config: StudyConfig) -> dict[tuple[str, str], list[Cell]]:
        """The trainings of each method and kind of weights."""
        return {
            (method, weights): [
                _watched(config, config.cell(method, HOME_CONTROL[method], seed), weights)
                for seed in self.training_seeds(config)
            ]
            for method in config.chosen((CHAMPION, RIVAL))
            for weights in (AVERAGED, RAW)
        }

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Loss, action error and validation score at every checkpoint, and how they swing."""
        histories = [
            Run(cell, store).history().assign(variant=f"{method}, {weights}")
            for (method, weights), cells in self._cells(config).items()
            for cell in cells
        ]
        history = pd.concat(histories, ignore_index=True)
        runs = swings(history)
        episodes = SMOKE_EPISODES if config.is_smoke else EPISODES
        caption = f"Training stability on {config.label}"
        return Findings(
            verdicts=judge(steadier(runs, episodes)),
            sheets=[
                sheet(
                    "trainings",
                    caption,
                    _summary(runs),
                    [
                        word("variant", "method"),
                        number("train_seeds", "seeds", "d"),
                        measured("last", "last score", score_text),
                        measured("gap", "best - last", score_text),
                        measured("swing", "swing", score_text),
                        measured("error_swing", "error swing", score_text),
                    ],
                    [
                        f"Validation scores of {episodes} episodes a checkpoint. Swing: standard "
                        f"deviation of the checkpoints after {LATE:.0%} of the training about a "
                        "straight line through them, so that learning does not count; error swing: "
                        "the same of the action error on demonstrations that were held out, as a "
                        "share of its mean. Ranges: least and largest of the trainings. Detectable "
                        "differences stand beside the verdicts."
                    ],
                )
            ],
            drawings=[
                Drawing(
                    self.name,
                    _figure(history),
                    history,
                    f"{caption}: a line a training seed. Losses of different methods measure "
                    "different things; action error on held-out demonstrations.",
                )
            ],
        )


def _watched(config: StudyConfig, cell: Cell, weights: str) -> Cell:
    smoke = config.is_smoke
    maximum = (cell.train.ema_maximum or AVERAGE) if weights == AVERAGED else 0.0
    train = replace(
        cell.train,
        ema_maximum=maximum,
        checkpoints=SMOKE_CHECKPOINTS if smoke else CHECKPOINTS,
        validation_episodes=SMOKE_EPISODES if smoke else EPISODES,
        held_out=SMOKE_HELD_OUT if smoke else HELD_OUT,
    )
    return replace(cell, train=train)


def swing(values: NDArray[np.float64]) -> float:
    """Standard deviation of values about the straight line through them; NaN below three."""
    if len(values) < 3:
        return np.nan
    at = np.arange(len(values))
    off = values - np.polyval(np.polyfit(at, values, 1), at)
    return float(np.sqrt((off**2).sum() / (len(values) - 2)))


def swings(history: pd.DataFrame) -> pd.DataFrame:
    """How much a training's checkpoints swing, a row a training.

    Args:
        history: Rows of checkpoints, with variant, train_seed, update, validation_score and
            action_error.
    """
    rows = []
    checkpoints = history[history["validation_score"].notna()]
    for (variant, seed), run in checkpoints.groupby(["variant", "train_seed"], sort=False):
        late = run[run["update"] >= LATE * run["update"].max()].sort_values("update")
        scores, errors = (late[c].to_numpy() for c in ("validation_score", "action_error"))
        rows.append(
            {
                "variant": variant,
                "train_seed": seed,
                "last": scores[-1],
                "gap": run["validation_score"].max() - scores[-1],
                "swing": swing(scores),
                "error_swing": swing(errors) / errors.mean(),
            }
        )
    return pd.DataFrame(rows)


def steadier(runs: pd.DataFrame, episodes: int) -> list[Claim]:
    """That score and action error of the rival swing more, for every pair of weights."""

    def of(method: str, weights: str, column: str) -> NDArray[np.float64]:
        known = runs.loc[runs["variant"] == f"{method}, {weights}", column]
        return known.dropna().to_numpy(dtype=np.float64)

    claims = []
    for how, (champions, rivals) in PAIRS.items():
        for column, name in WHAT.items():
            a, b = of(RIVAL, rivals, column), of(CHAMPION, champions, column)
            if len(a) and len(b):
                claims.append(
                    Claim(
                        f"The {name} of {RIVAL} swings more than that of {CHAMPION}, {how}.",
                        f"swing of the {name}, {RIVAL} - {CHAMPION}",
                        TrainingDifference(a, b, episodes),
                    )
                )
    return claims


def _summary(runs: pd.DataFrame) -> pd.DataFrame:
    rows: list[Mapping[str, object]] = []
    for variant, group in runs.groupby("variant", sort=False):
        row: dict[str, object] = {"variant": variant, "train_seeds": len(group)}
        for name in ("last", "gap", "swing", "error_swing"):
            own = group[name]
            row |= {name: own.mean(), f"{name}_low": own.min(), f"{name}_high": own.max()}
        rows.append(row)
    return pd.DataFrame(rows)


def _figure(history: pd.DataFrame) -> Figure:
    seeds = [f"training seed {seed}" for seed in sorted(set(history["train_seed"]))]
    styles = {
        seed: (OKABE_ITO[number % len(OKABE_ITO)], DASHES[number % len(DASHES)])
        for number, seed in enumerate(seeds)
    }
    kinds = "training seed " + history["train_seed"].astype(str)
    return curves_figure(history.assign(method=history["variant"], kind=kinds), styles)

"""Whether Diffusion Policy outperforms what was there before it (DP Tables 1, 2 and 4)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, summarise
from benchmark.studies.forest import MEASURES, difference_columns, effect_columns, forest_figure
from benchmark.studies.sheets import SCORE, SUCCESS, number, sheet, told_apart, word
from benchmark.studies.study import (
    Drawing,
    Findings,
    Study,
    StudyConfig,
    chosen_on_validation,
    played,
)
from envs.control import CONTROLS


class Outperforms(Study):
    """Diffusion Policy is better than each baseline."""

    name = "outperforms"
    claim = "Diffusion Policy consistently outperforms IBC, LSTM-GMM and BET."
    source = "DP Sec. V, Tables 1 and 2"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The headline cells of `bench`, the published methods unless others are named."""
        return [
            config.job(method, control, seed)
            for seed in self.training_seeds(config)
            for control in CONTROLS
            for method in config.named_or(PUBLISHED_METHODS)
        ]

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Each diffusion policy against each baseline, each at its best control mode."""
        jobs = self.jobs(config)
        modes = chosen_on_validation(
            (job.cell for job in jobs), store, lambda c: c.method, lambda c: c.control
        )
        judged = [job for job in jobs if modes[job.cell.method] == job.cell.control]
        episodes = played(judged, store)
        claims, effects = compared(episodes, config.diffusion_methods)
        summary = summarise(episodes, ["method", "control"])
        executed = episodes.groupby("method")["action_horizon"].unique()
        summary["Ta"] = [
            ", ".join(map(str, sorted(executed[method]))) for method in summary["method"]
        ]
        caption = f"Diffusion Policy against the baselines on {config.label}"
        return Findings(
            verdicts=judge(claims),
            sheets=[
                sheet(
                    "policies",
                    f"{caption}: policies",
                    summary,
                    [
                        word("method"),
                        word("control"),
                        word("Ta"),
                        SCORE,
                        SUCCESS,
                        number("train_seeds", "seeds", "d"),
                        number("episodes", "episodes", "d"),
                    ],
                    [
                        "Control mode and Ta are those that did best on validation episodes; test "
                        "episodes choose nothing. Ranges are 95 % intervals.",
                        told_apart([own for _, own in by_method(episodes)]),
                    ],
                ),
                sheet(
                    "differences",
                    f"{caption}: differences on equal episodes",
                    effects,
                    [word("policy"), word("baseline"), *difference_columns()],
                    ["Uncorrected 95 % intervals; the verdicts are corrected for their number."],
                    "policy",
                ),
            ],
            drawings=[
                Drawing(
                    "outperforms",
                    forest_figure(
                        effects, "baseline", "policy", "baseline better  |  policy better"
                    ),
                    effects,
                    f"{caption}: how far each diffusion policy is ahead of each baseline, each at "
                    "its best control mode and action horizon; 95 % intervals.",
                )
            ],
        )


def compared(episodes: pd.DataFrame, champions: list[str]) -> tuple[list[Claim], pd.DataFrame]:
    """The claims on every pair of a champion and another method, and the differences.

    Args:
        episodes: Of one policy a method.
        champions: Methods that are said to be better.
    """
    claims, rows = [], []
    for champion, own in by_method(episodes, champions):
        for baseline, other in by_method(episodes):
            if baseline in champions:
                continue
            effects = {name: difference(own, other, c) for c, name in MEASURES.items()}
            claims += [
                Claim(
                    f"{champion} outperforms {baseline} in {name}.",
                    f"{name}, {champion} - {baseline}",
                    effect,
                )
                for name, effect in effects.items()
            ]
            rows.append({"policy": champion, "baseline": baseline} | effect_columns(effects))
    return claims, pd.DataFrame(rows)

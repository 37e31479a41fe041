"""How many actions of a prediction are executed before the next one (DP Fig. 5 left)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, Joint, judge
from benchmark.plan.presets import predicting
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
from benchmark.studies.study import MARGIN, Findings, Study, StudyConfig, merged, played

HORIZONS = (1, 2, 4, 8, 16, 32, 64, 128)
SMOKE_HORIZONS = (1, 4, 8, 16)
SETTING = Setting("action_horizon", "action horizon Ta (steps)", "Ta", is_log=True)
BEST = 8  # the published best for most tasks
PREDICTIONS = Measure(
    "predictions",
    "predictions an episode",
    "predictions",
    lambda estimate, low, high: f"{estimate:.1f}",  # noqa: ARG005 - a count of what was done
)


class ActionHorizon(Study):
    """A middle action horizon is best."""

    name = "action-horizon"
    claim = (
        "Executing several actions of a prediction is better than one or very many: an action "
        f"horizon of {BEST} is best for most tasks."
    )
    source = "DP Fig. 5 left"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The diffusion policies, or those named; one network plays all horizons.

        It predicts as many actions as the longest horizon has, so that nothing but Ta differs
        along a curve.
        """
        horizons = SMOKE_HORIZONS if config.is_smoke else HORIZONS
        return merged(
            replace(
                job,
                cell=predicting(job.cell, max(horizons)),
                evaluations=tuple(config.evaluation(horizon) for horizon in horizons),
            )
            for job in self.home_jobs(config, config.named_or(config.diffusion_methods))
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and predictions an episode for every horizon."""
        episodes = played(self.jobs(config), store)
        longest = int(episodes["action_horizon"].max())
        note = (
            f"One network a training plays the whole curve. It predicts {longest} actions, so it "
            "is another network than the table of policies has."
        )
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Action horizon",
            self.name,
            judge(best_in_the_middle(episodes, config.diffusion_methods)),
            [note],
            (SCORE, SUCCESS, PREDICTIONS),
        )


def best_in_the_middle(episodes: pd.DataFrame, methods: Sequence[str]) -> list[Claim | Joint]:
    """That the best horizon beats both ends, and that its neighbours are no better.

    "About eight is best": neither half nor twice as many actions score higher by the margin.
    """
    claims: list[Claim | Joint] = []
    for method, own in by_method(episodes, methods):
        best = pick(own, action_horizon=BEST)
        horizons = sorted({*own["action_horizon"]} - {BEST})
        others = {Ta: pick(own, action_horizon=Ta) for Ta in horizons}
        claims += [
            Claim(
                f"{method}: Ta {BEST} scores higher than {word} (Ta {end}).",
                f"score, Ta {BEST} - Ta {end}",
                difference(best, others[end]),
            )
            for end, word in ((min(others), "one at a time"), (max(others), "the longest"))
        ]
        near = [Ta for Ta in (BEST // 2, 2 * BEST) if Ta in others]
        claims.append(
            Joint(
                f"{method}: Ta {' and '.join(map(str, near))} are better than {BEST} by less than "
                f"{MARGIN:g} of score.",
                [
                    Claim(
                        f"Ta {Ta} is no better.",
                        f"score, Ta {BEST} - Ta {Ta}",
                        difference(best, others[Ta]),
                        "above",
                        -MARGIN,
                    )
                    for Ta in near
                ],
            )
        )
    return claims

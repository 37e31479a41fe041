"""How smoothly a policy acts, for every method and action horizon (DP Sec. IV-C)."""

from __future__ import annotations

from pathlib import Path

from benchmark.evidence.tables import rate_text
from benchmark.running.workers import Job
from benchmark.studies.ablation import Measure, ablation_findings, by_method, difference, pick
from benchmark.studies.action_horizon import MIDDLE, SETTING, horizon_jobs, trained_for
from benchmark.studies.study import Findings, Study, StudyConfig, judge, played


class TemporalConsistency(Study):
    """Sequences of actions make behaviour consistent."""

    name = "temporal-consistency"
    claim = (
        "Predicting sequences of actions keeps a policy on one way of doing a task, where "
        "predicting one at a time makes it jitter between several."
    )
    source = "DP Sec. IV-C and VII-B"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The runs of `action-horizon`: nothing is trained or played for this study."""
        return horizon_jobs(self, config)

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Jitter and reversals of executed actions for every method and horizon."""
        jobs = self.jobs(config)
        episodes = played(jobs, store)
        shortest = int(episodes["action_horizon"].min())
        verdicts = [
            judge(
                f"{method}: turns back less often with Ta {MIDDLE} than with Ta {shortest}.",
                f"reversals a step, Ta {shortest} - Ta {MIDDLE}",
                difference(
                    pick(own, action_horizon=shortest),
                    pick(own, action_horizon=MIDDLE),
                    "reversals",
                ),
            )
            for method, own in by_method(episodes)
        ]
        unit = config.motion.unit
        note = (
            "Jitter: mean squared change of consecutive moves of the set-point. Reversals: share "
            "of steps at which the set-point turns by more than 90 degrees, both moves longer than "
            f"{config.motion.still:g} {unit}."
        )
        measures = (
            Measure(f"jitter ({unit}^2)", f"jitter ({unit}$^2$)", "jitter", _number),
            Measure("reversals (%)", "reversals (% of steps)", "reversals", rate_text, 100.0),
        )
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Temporal consistency",
            self.name,
            verdicts,
            [note, trained_for(jobs)],
            measures,
        )


def _number(estimate: float, low: float, high: float) -> str:
    return f"{estimate:.3g} [{low:.3g}, {high:.3g}]"

"""How consistently a policy acts with single actions and with sequences (DP Sec. IV-C)."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evidence.effects import difference
from benchmark.evidence.tables import rate_text
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.paper_preset import PUBLISHED_METHODS
from benchmark.plan.presets import predicting
from benchmark.plan.seeding import episode_seeds
from benchmark.plan.tasks import Motion, get_task
from benchmark.running.machine import best_device
from benchmark.running.motion import jitter
from benchmark.running.rollout import AgentPolicy, Trace, play
from benchmark.running.store import Run, describe, to_parquet
from benchmark.running.workers import Job
from benchmark.studies.ablation import SUCCESS, Measure, Setting, ablation_findings, by_method, pick
from benchmark.studies.sheets import signed
from benchmark.studies.study import Findings, Study, StudyConfig, merged

ONE, SEVERAL = 1, 8
SETTING = Setting("action_horizon", "action horizon Ta (steps)", "Ta", is_log=True)
SPAN = 100 / 3
"""Of a motion's `still`: reversals are counted by this distance, 100 px on Push-T."""


class TemporalConsistency(Study):
    """Sequences of actions make behaviour consistent."""

    name = "temporal-consistency"
    claim = (
        "Predicting sequences of actions keeps a policy on one way of doing a task, where "
        "predicting one at a time makes it jitter between several."
    )
    source = "DP Sec. IV-C and VII-B"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The published methods, or those named, predicting eight actions or more."""
        return merged(
            replace(job, cell=predicting(job.cell, SEVERAL), evaluations=())
            for job in self.home_jobs(config, config.named_or(PUBLISHED_METHODS))
        )

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """Test episodes with single actions and with sequences, watched at every step."""
        at = [config.evaluation(horizon) for horizon in (ONE, SEVERAL)]
        return {f"consistency-{e.id}.parquet": partial(_watched, run, e, config.motion) for e in at}

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Reversals, standing still and jitter of every method with one action and several."""
        cells = [job.cell for job in self.jobs(config)]
        kept = [own for cell in cells for own in self.measured(config, Run(cell, store)).values()]
        episodes = pd.concat([pd.read_parquet(io.BytesIO(own)) for own in kept], ignore_index=True)
        unit, span = config.motion.unit, SPAN * config.motion.still
        measures = (
            Measure(
                f"reversals a {span:g} {unit}",
                f"reversals a {span:g} {unit}",
                "reversals",
                signed(".2f"),
            ),
            Measure("standing still (%)", "standing still (% of steps)", "still", rate_text, 100.0),
            Measure(f"jitter ({unit}²)", f"jitter ({unit}²)", "jitter", signed(".3g")),
            SUCCESS,
        )
        note = (
            f"Reversals: turns of the set-point by more than 90 degrees, both moves longer than "
            f"{config.motion.still:g} {unit}, by the distance it travels; an episode that travels "
            "nowhere has none. Standing still: steps whose move is no longer than that. Jitter: "
            "mean squared change of consecutive moves. The same networks at both Ta."
        )
        return ablation_findings(
            config,
            episodes,
            SETTING,
            "Temporal consistency",
            self.name,
            judge(consistent(episodes)),
            [note],
            measures,
        )


def consistent(episodes: pd.DataFrame) -> list[Claim]:
    """That every method turns back less often, by distance, with sequences."""
    return [
        Claim(
            f"{method} turns back less often on its way with Ta {SEVERAL} than with Ta {ONE}.",
            f"reversals by distance, Ta {ONE} - Ta {SEVERAL}",
            difference(
                pick(own, action_horizon=ONE), pick(own, action_horizon=SEVERAL), "reversals"
            ),
        )
        for method, own in by_method(episodes)
    ]


def _watched(run: Run, config: EvalConfig, motion: Motion) -> bytes:
    return to_parquet(watched(run, run.cell, config, motion))


def watched(run: Run, cell: Cell, config: EvalConfig, motion: Motion) -> pd.DataFrame:
    """Play the episodes of an evaluation and measure the way of the set-point, a row each."""
    agent, trace = run.agent().to(best_device()), Trace()
    seeds = episode_seeds(config.split, config.episodes)
    what = f"{cell.method} {cell.control}: Ta {config.action_horizon}, watched"
    policy, task = AgentPolicy(agent, seeds), get_task(cell.task)
    episodes = play(policy, task, cell.obs_type, cell.control, seeds, config, what, trace=trace)
    path = motion.commanded(np.stack(trace.actions), cell.control)  # (T, N, D)
    ways = [way(path[:length, i], motion.still) for i, length in enumerate(episodes["length"])]
    return describe(
        pd.concat([episodes, pd.DataFrame(ways)], axis=1), cell, config, agent.inference_steps
    )


def way(path: NDArray[np.float64], still: float) -> dict[str, float]:
    """Measure the way of a set-point (T, D).

    Returns:
        reversals: Turns of more than 90 degrees, by `SPAN` x `still` of the way; still: share of
        the moves no longer than `still`; jitter: as `benchmark.running.motion` has it.
    """
    moves = np.diff(path, axis=0)
    lengths = np.linalg.norm(moves, axis=-1)
    is_move = lengths > still
    turns = (moves[1:] * moves[:-1]).sum(-1) < 0
    reversals = float((turns & is_move[1:] & is_move[:-1]).sum())
    travelled = float(lengths[is_move].sum())
    return {
        "reversals": reversals / travelled * SPAN * still if travelled else 0.0,
        "still": float((~is_move).mean()) if len(moves) else 1.0,
        "jitter": jitter(moves) if len(moves) > 1 else 0.0,
    }

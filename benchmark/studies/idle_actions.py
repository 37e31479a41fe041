"""Pauses in demonstrations, and whether a policy gets stuck on them (DP Sec. IV-C)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.errors import UsageError
from benchmark.evidence.effects import difference
from benchmark.evidence.tables import rate_text
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.plan.presets import predicting
from benchmark.plan.tasks import get_task
from benchmark.running.store import kept
from benchmark.running.workers import Job
from benchmark.studies.ablation import (
    SCORE,
    SUCCESS,
    Measure,
    Setting,
    ablation_findings,
    change_of,
    pick,
)
from benchmark.studies.study import MARGIN, Findings, Other, Study, StudyConfig, played
from envs.control import CONTROLS
from envs.demos import pusht_idle
from envs.demos.demonstrations import DataSet, Demonstrations

RATES = (0.0, 0.3)
SMOKE_DEMONSTRATIONS = 20
SEED = 0
SETTING = Setting("idle", "idle steps in the demonstrations (%)", "idle %")
STUCK = Measure("stuck", "stuck episodes (%)", "stuck", rate_text, 100.0)
METHODS = ("diffusion-unet", "bet", "lstm-gmm")
SEQUENCE = 8  # actions, where a method predicts one by itself
ONE, SEVERAL = "one action", "a sequence"


class IdleActions(Study):
    """Sequences of actions get over pauses."""

    name = "idle-actions"
    claim = (
        "Policies that predict one step get stuck on pauses in the demonstrations; Diffusion "
        "Policy, which predicts sequences, does not."
    )
    source = "DP Sec. IV-C (claimed, not measured in simulation)"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Methods that predict one action and sequences, in both modes, with and without pauses."""
        if get_task(config.task).with_pauses is None:
            raise UsageError(f"{config.task} has no way to pause its demonstrations")
        return [
            replace(job, cell=cell)
            for rate in RATES
            for seed in self.training_seeds(config)
            for control in (CONTROLS[:1] if config.is_smoke else CONTROLS)
            for method in config.named_or(METHODS[:2] if config.is_smoke else METHODS)
            for job in [config.job(method, control, seed, _on(config, rate))]
            for cell in (single(job.cell), predicting(job.cell, _sequence(job.cell)))
        ]

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score, success and share of stuck episodes for every rate of idle steps."""
        episodes = played(
            self.jobs(config),
            store,
            idle=lambda cell: _rate(cell.data_version),
            predicts=lambda cell: ONE if cell.pred_horizon == cell.obs_horizon else SEVERAL,
        )
        verdicts = judge(get_over_pauses(episodes, config.diffusion_methods))
        found = {
            rate: float(
                kept(
                    store,
                    f"studies/{self.name}-{config.label}-share-at-{rate:g}.txt",
                    partial(_share_text, config, rate),
                )
            )
            for rate in sorted(set(episodes["idle"]))
        }
        note = (
            "Stuck: the agent stays within "
            f"{config.motion.still:g} {config.motion.unit} of one place for 3 s before "
            "the episode succeeds; a policy that has done what the demonstrations do, and waits, "
            "counts too. Share of steps that repeat the last set-point: "
            + ", ".join(f"{share:.0%} at {rate:g} %" for rate, share in found.items())
            + "."
        )
        return ablation_findings(
            config,
            episodes.assign(method=episodes["method"] + ", " + episodes["predicts"]),
            SETTING,
            "Idle actions",
            self.name,
            verdicts,
            [note],
            (SCORE, SUCCESS, STUCK),
        )


def single(cell: Cell) -> Cell:
    """The cell, trained to predict the action of the current step alone."""
    return replace(cell, pred_horizon=cell.obs_horizon, action_horizon=1)


def _sequence(cell: Cell) -> int:
    return max(SEQUENCE, cell.pred_horizon - cell.obs_horizon + 1)


def get_over_pauses(episodes: pd.DataFrame, diffusion: Sequence[str]) -> list[Claim]:
    """That pauses cost nothing with sequences and Diffusion Policy, and more with one action."""
    claims = []
    for (method, control), own in episodes.groupby(["method", "control"], sort=False):
        who = f"{method}, {control}"
        most, least = own["idle"].max(), own["idle"].min()
        one, several = (
            (pick(own, predicts=kind, idle=most), pick(own, predicts=kind, idle=least))
            for kind in (ONE, SEVERAL)
        )
        if method in diffusion:
            claims.append(
                Claim(
                    f"{who}: with sequences pauses cost less than {MARGIN:g} of score.",
                    f"score, {most:g} % - {least:g} % idle",
                    difference(several[0], several[1]),
                    "above",
                    -MARGIN,
                )
            )
        claims += [
            Claim(
                f"{who}: pauses cost more score where one action is predicted.",
                "change of score, one action - sequences",
                change_of(one[0], one[1], several[0], several[1]),
                "below",
            ),
            Claim(
                f"{who}: pauses make it stuck more often where one action is predicted.",
                "change of the stuck share, one action - sequences",
                change_of(one[0], one[1], several[0], several[1], "stuck"),
            ),
        ]
    return claims


def _on(config: StudyConfig, rate: float) -> Other:
    """What the demonstrations with pauses are, and what gives them."""
    if config.preset == "paper":  # so many passes over all steps: only the pauses tell how many
        return _paused(config, rate), partial(_paused, config, rate)
    known = config.described(SMOKE_DEMONSTRATIONS if config.is_smoke else None)
    # Scripted ones were made in this environment: without pauses it gives them back to the bit.
    if rate or config.data != "scripted":
        metadata = pusht_idle.replace_version(known.metadata, rate)
        known = DataSet(metadata, known.num_episodes)
    return known, partial(_paused, config, rate)


@lru_cache(maxsize=4)
def _paused(config: StudyConfig, rate: float) -> Demonstrations:
    """The demonstrations with pauses; the same function at rate 0, so that all are simulated.

    Those that the simulation gives back to the bit are returned under their own version, so that
    the policies that other studies have trained on them serve here.
    """
    with_pauses = get_task(config.task).with_pauses
    if with_pauses is None:
        raise UsageError(f"{config.task} has no way to pause its demonstrations")
    demos = config.loader(SMOKE_DEMONSTRATIONS if config.is_smoke else None)()
    paused = with_pauses(demos, rate, config.obs_type, SEED)
    same = np.array_equal(paused.states, demos.states) and np.array_equal(
        paused.actions, demos.actions
    )
    return demos if same else paused


def _rate(version: str) -> float:
    """The rate in percent that is written in the version of demonstrations, if any is."""
    _, marker, rate = version.rpartition("-idle")
    return 100 * float(rate) if marker else 0.0


def _share_text(config: StudyConfig, rate: float) -> bytes:
    return repr(idle_share(config, rate)).encode()


def idle_share(config: StudyConfig, rate: float) -> float:
    """Share of the steps that repeat the set-point before, at a rate in percent."""
    demos = _paused(config, rate / 100)
    repeats = (np.diff(demos.actions, axis=0) == 0).all(axis=1)
    inside = np.ones(demos.num_steps, dtype=bool)
    inside[demos.starts] = False
    return float(repeats[inside[1:]].mean())

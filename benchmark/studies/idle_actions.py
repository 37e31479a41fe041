"""Pauses in demonstrations, and whether a policy gets stuck on them (DP Sec. IV-C)."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from benchmark.errors import UsageError
from benchmark.evidence.tables import rate_text
from benchmark.plan.tasks import get_task
from benchmark.running.store import kept
from benchmark.running.workers import Job
from benchmark.studies.ablation import (
    SCORE,
    SUCCESS,
    Measure,
    Setting,
    ablation_findings,
    by_method,
    difference,
    difference_of_changes,
    pick,
)
from benchmark.studies.study import Findings, Other, Study, StudyConfig, judge, merged, played
from envs.demos import pusht_idle
from envs.demos.demonstrations import DataSet, Demonstrations

RATES = (0.0, 0.1, 0.3)
SMOKE_RATES = (0.0, 0.3)
SMOKE_DEMONSTRATIONS = 20
SEED = 0
SETTING = Setting("idle", "idle steps in the demonstrations (%)", "idle %")
STUCK = Measure("stuck", "stuck episodes (%)", "stuck", rate_text, 100.0)
CHAMPION = "diffusion-unet"


class IdleActions(Study):
    """Sequences of actions get over pauses."""

    name = "idle-actions"
    claim = (
        "Policies that predict one step get stuck on pauses in the demonstrations; Diffusion "
        "Policy, which predicts sequences, does not."
    )
    source = "DP Sec. IV-C (claimed, not measured in simulation)"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """Every method trained on demonstrations with more and more pauses."""
        if get_task(config.task).with_pauses is None:
            raise UsageError(f"{config.task} has no way to pause its demonstrations")
        return merged(
            job
            for rate in (SMOKE_RATES if config.is_smoke else RATES)
            for job in self.home_jobs(config, on=_on(config, rate))
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and share of stuck episodes for every rate of idle steps."""
        episodes = played(self.jobs(config), store, idle=lambda cell: _rate(cell.data_version))
        rates = sorted(set(episodes["idle"]))
        least, most = rates[0], rates[-1]
        other = pick(episodes, method=CHAMPION)
        verdicts = []
        for method, own in by_method(episodes):
            ends = pick(own, idle=most), pick(own, idle=least)
            verdicts.append(
                judge(
                    f"{method} gets stuck more often with {most:g} % idle steps than with "
                    f"{least:g} %.",
                    "share of stuck episodes",
                    difference(*ends, "stuck"),
                )
            )
            if method != CHAMPION and len(other):
                others = pick(other, idle=most), pick(other, idle=least)
                verdicts.append(
                    judge(
                        f"Pauses make {method} get stuck more than they make {CHAMPION}.",
                        f"change of the stuck share, {method} - {CHAMPION}",
                        difference_of_changes(*ends, *others, "stuck"),
                    )
                )
        found = {
            rate: float(
                kept(
                    store,
                    f"studies/{self.name}-{config.label}-share-at-{rate:g}.txt",
                    partial(_share_text, config, rate),
                )
            )
            for rate in rates
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
            episodes,
            SETTING,
            "Idle actions",
            self.name,
            verdicts,
            [note],
            (SCORE, SUCCESS, STUCK),
        )


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

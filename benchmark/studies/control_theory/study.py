"""What diffusion learns from a linear-quadratic regulator, against the closed form.

Demonstrations a = -K s of a linear system leave nothing open: the optimal denoiser, the action that
sampling ends at, the actions to come and the cost of the closed loop are all known, so that a
learnt policy is measured against the truth and not against another policy.

    measured of a policy                        against
    noise predicted, at every step k            its posterior mean (optimal_denoiser.py)
    actions sampled, Tp = 1 and offset 0        -K s
    mean of many samples at offset t > 0        -K (A - B K)^t s
    their spread                                what the process noise on the way makes of a_t
    cost of the closed loop                     the regulator's, on the same starts and noise

All on test seeds.

Differences to the published settings, and why:
    - A small transformer and a U-Net of one level: the map to be learnt is nearly linear.
    - Actions are scaled to standard deviation 1, and estimates clipped at 5 of these. With the
      extremes at -1 and 1 that deviation would be 0.17 to 0.26, and an error of the predicted
      noise, which moves the action by sqrt((1 - abar_k) / abar_k) times its size, a larger share.
    - float32 throughout: bfloat16 rounds an action by up to 0.4 %, which the division by
      sqrt(1 - abar_0) = 0.025 turns into an error of the noise of 16 %.
    - To = 1, since the state says everything, and Ta = 1, since the regulator looks at every step.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evidence.effects import Effect, Root
from benchmark.evidence.effects import ratio as ratio_of
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.plan.presets import EPISODES, make_cell
from benchmark.plan.tasks import LINEAR_SYSTEMS, LinearSystemTask
from benchmark.running.machine import best_device
from benchmark.running.store import Run, to_parquet
from benchmark.running.workers import Job
from benchmark.studies.ablation import pick
from benchmark.studies.control_theory import conclusions as report
from benchmark.studies.control_theory.measure import MEASUREMENTS, Probe, task_of
from benchmark.studies.study import Findings, Study, StudyConfig
from envs.demos import linear_system_lqr
from envs.demos.demonstrations import Demonstrations
from envs.linear_system import SYSTEMS, SystemName

HORIZONS = (1, 8)
"""Tp."""
UPDATES = {"smoke": 400, "quick": 6000, "laptop": 15_000, "paper": 40_000}
INFERENCE_STEPS = {"smoke": 10, "quick": 100, "laptop": 100, "paper": 100}
"""Of DDPM; all that there are in training, but for smoke, which only shows the chain."""
VERSION = 2
"""Of the measurements; raised when one of them changes. 2: what a causal mask allows."""

POLICY = ("system", "method", "pred_horizon")

CAUSAL_FLOOR = 1e-6
"""Share of its square by which a causal network must miss the closed form to count as unable."""
# What "is" means in the claims, as a share.
ACTION_LIMIT, DENOISER_LIMIT, CHUNK_LIMIT, COST_LIMIT = 0.02, 0.05, 0.05, 0.01

_SMALL: dict[str, dict[str, Any]] = {
    "diffusion-transformer": {"layers": 2, "width": 64, "dropout": 0.0},
    "diffusion-unet": {"channels": (64,), "kernel_size": 3, "step_dim": 64, "groups": 1},
}


class ControlTheory(Study):
    """Diffusion Policy learns the linear-quadratic regulator."""

    name = "control-theory"
    claim = (
        "From demonstrations a = -K s of a linear system the optimal denoiser is (a_k + "
        "sqrt(abar_k) K s) / sqrt(1 - abar_k), sampling converges to -K s, and a predicted "
        "sequence holds -K (A - B K)^t s at offset t."
    )
    source = "DP Sec. IV-E"

    def label(self, config: StudyConfig) -> str:
        """The linear systems, whatever task and data were asked for."""
        return f"linear-systems-{config.preset}"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """A stable and an unstable system, one action and eight; played in `measure` only."""
        methods = config.chosen(_SMALL)
        return [
            Job(
                cell(task, method, Tp, seed, config.preset),
                (),
                partial(_demonstrations, task.system),
            )
            for seed in self.training_seeds(config)
            for task in LINEAR_SYSTEMS
            for method in methods
            for Tp in HORIZONS
        ]

    def measurements(self, config: StudyConfig, run: Run) -> Mapping[str, Callable[[], bytes]]:
        """Compare a policy with the closed form; a table for each comparison."""
        probe = cache(partial(Probe, run.cell, run, _episodes(config), best_device()))
        return {_file(config, name): partial(_measure, probe, name) for name in MEASUREMENTS}

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """How far every policy is from the closed form."""
        frames: dict[str, list[pd.DataFrame]] = {}
        for cell in (job.cell for job in self.jobs(config)):
            kept = self.measured(config, Run(cell, store))
            for name in MEASUREMENTS:
                frame = pd.read_parquet(io.BytesIO(kept[_file(config, name)]))
                about: dict[str, Any] = {
                    "system": task_of(cell).system,
                    "method": cell.method,
                    "pred_horizon": cell.pred_horizon,
                    "train_seed": cell.seed,
                }
                frames.setdefault(name, []).append(frame.assign(**about))
        denoiser, actions, samplers, costs = (
            pd.concat([frame for frame in frames[name] if len(frame)], ignore_index=True)
            for name in ("denoiser", "actions", "samplers", "costs")
        )
        by_offset = _each(actions, [*POLICY, "offset"], "error", "reference", is_squared=True)
        spread = actions.groupby([*POLICY, "offset"], sort=False)[["variance", "exact_variance"]]
        by_offset = by_offset.merge(spread.mean().reset_index(), on=[*POLICY, "offset"])
        squares = ["error", "reference", "floor"]
        by_step = denoiser.groupby([*POLICY, "step"], sort=False)[squares].mean()
        by_step = by_step.assign(
            ratio=np.sqrt(by_step["error"] / by_step["reference"]),
            floor=np.sqrt(by_step["floor"] / by_step["reference"]),
        )
        sampler = [*POLICY, "sampler", "inference_steps"]
        by_sampler = _each(samplers, sampler, "error", "reference", is_squared=True)
        medians = samplers.groupby(sampler, sort=False)["median"].mean().reset_index()
        by_sampler = by_sampler.merge(medians, on=sampler)
        by_cost = _each(costs, POLICY, "cost", "regulator", is_squared=False)
        caption = f"Control theory, preset {config.preset}"
        return Findings(
            verdicts=judge(claims_on(actions, denoiser, samplers, costs)),
            sheets=[
                report.action_sheet(by_offset, caption),
                report.denoiser_sheet(by_step.reset_index(), caption),
                report.sampler_sheet(by_sampler, caption),
                report.cost_sheet(by_cost, caption),
            ],
            drawings=[
                report.denoiser_drawing(by_step.reset_index(), caption),
                report.action_drawing(by_offset, caption),
            ],
            remarks=_remarks(config),
        )


def cell(task: LinearSystemTask, method: str, horizon: int, seed: int, preset: str) -> Cell:
    """The cell of a method that predicts `horizon` actions; see Differences for its settings."""
    made = make_cell(preset, method, "position", seed, "state", _demonstrations(task.system))
    agent = replace(
        made.agent,
        **_SMALL[method],
        prediction="epsilon",
        clip=5.0,
        sampler="ddpm",
        num_inference_steps=INFERENCE_STEPS[preset],
    )
    updates = UPDATES[preset]
    train = replace(
        made.train,
        updates=updates,
        batch_size=128,
        learning_rate=1e-3,
        warmup_updates=updates // 20,
        betas=(0.9, 0.999),
        weight_decay=1e-6,
        gradient_clip=0.0,
        ema_maximum=0.995,
        precision="float32",
        checkpoints=1,
        validation_episodes=0,
    )
    return replace(
        made,
        agent=agent,
        train=train,
        action_scaling="standard",
        obs_horizon=1,
        pred_horizon=horizon,
        action_horizon=1,
    )


@lru_cache(maxsize=len(SYSTEMS))
def _demonstrations(system: SystemName) -> Demonstrations:
    return linear_system_lqr.load(system)


# ---- what the measurements say ----


def _episodes(config: StudyConfig) -> int:
    return config.episodes or EPISODES[config.preset]


def _file(config: StudyConfig, name: str) -> str:
    return f"control-theory-{name}-v{VERSION}-{_episodes(config)}.parquet"


def _measure(probe: Callable[[], Probe], name: str) -> bytes:
    return to_parquet(MEASUREMENTS[name](probe()))


def ratio(frame: pd.DataFrame, over: str, under: str, is_squared: bool) -> Effect:
    """Mean of a column over the mean of another; the root if squared.

    Args:
        frame: Rows with train_seed and seed; those of equal seeds are averaged.
        over: Column above.
        under: Column below.
        is_squared: Whether both are squares, of which the ratio of the roots is wanted.
    """
    means = frame.groupby(["train_seed", "seed"])[[over, under]].mean().reset_index()
    a, b = (means.rename(columns={name: "value"}) for name in (over, under))
    keep = ["train_seed", "seed", "value"]
    found = ratio_of(a[keep], b[keep], "value")
    return Root(found) if is_squared else found


def _each(
    frame: pd.DataFrame, by: Sequence[str], over: str, under: str, is_squared: bool
) -> pd.DataFrame:
    """`ratio` of every group with its limits, beside the means of both columns."""
    rows = []
    for keys, group in frame.groupby(list(by), sort=False):
        found = ratio(group, over, under, is_squared).interval()
        rows.append(
            dict(zip(by, keys, strict=True))
            | found.columns("ratio")
            | {name: float(group[name].mean()) for name in (over, under)}
        )
    return pd.DataFrame(rows)


def claims_on(
    actions: pd.DataFrame, denoiser: pd.DataFrame, samplers: pd.DataFrame, costs: pd.DataFrame
) -> list[Claim]:
    """That each policy is as near to the closed form as "is" is taken to mean."""
    claims = []
    for (system, method, Tp), own in actions.groupby(list(POLICY), sort=False):
        noise, drawn, cost = (
            pick(frame, system=system, method=method, pred_horizon=Tp)
            for frame in (denoiser, samplers, costs)
        )
        whole = drawn[drawn["inference_steps"] == drawn["inference_steps"].max()]
        parts = [("its denoiser is the closed form", noise, "error", DENOISER_LIMIT)]
        if (noise["floor"] > CAUSAL_FLOOR * noise["reference"]).any():
            allowed = "its denoiser is the best that its causal mask allows"
            parts.append((allowed, noise, "best_error", DENOISER_LIMIT))
        parts += [
            (f"sampling by {sampler.upper()} ends at -K s", part, "error", ACTION_LIMIT)
            for sampler, part in whole.groupby("sampler")
        ]
        if drawn.empty:  # only policies of one action are drawn by other samplers
            now = own[own["offset"] == 0]
            parts.append(("sampling by DDPM ends at -K s", now, "error", ACTION_LIMIT))
        expected = "at offset t > 0 it expects -K (A - B K)^t s"
        parts.append((expected, own[own["offset"] > 0], "error", CHUNK_LIMIT))
        parts.append(("it costs what the regulator costs", cost, "cost", COST_LIMIT))
        for text, frame, over, limit in parts:
            if frame.empty:
                continue
            is_cost = over == "cost"
            under = "regulator" if is_cost else over.replace("error", "reference")
            claims.append(
                Claim(
                    f"{method} on the {system} system, Tp = {Tp}: {text}, to {limit:.0%}.",
                    "of the regulator's cost" if is_cost else f"relative error ({limit:g} allowed)",
                    ratio(frame, over, under, is_squared=not is_cost),
                    "below",
                    limit + is_cost,
                )
            )
    return claims


def _remarks(config: StudyConfig) -> list[str]:
    untrained = "The smoke preset shows the chain: its policies are hardly trained."
    return [
        *([untrained] if config.is_smoke else []),
        "This study always runs on `dpbench/LinearSystem-v1` and on demonstrations of its "
        "regulator, under both systems, whatever task and data were asked for.",
        f"Actions are sampled by DDPM with {INFERENCE_STEPS[config.preset]} of 100 steps; DDPM is "
        "published for state observations. The table of samplers shows what the same policies draw "
        "otherwise: DDPM adds fresh noise at every step, which forgets an earlier error; DDIM adds "
        "none.",
        "The transformer's actions attend to earlier ones only (its causal mask), but the optimal "
        "noise of an action depends on later noised actions too, as these tell of earlier ones. So "
        "with Tp > 1 it cannot be the closed form, however long it is trained; what it can be is "
        "computed as well and compared with. The U-Net sees the whole sequence.",
        "Nothing is published to compare the numbers with: the paper derives these results and "
        "does not measure them. The limits in the claims are this study's.",
    ]

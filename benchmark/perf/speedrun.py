"""How many seconds of training one policy needs to a given score on validation seeds.

    python -m benchmark.perf.speedrun [--data-path FILE] [--set train.learning_rate=1e-3 ...]

What counts is learning per second, not updates per second: anything may be changed but the score,
the episodes that it is measured on and who measures. The clock runs while the policy is trained and
stands still while it is validated. The leaderboard is in docs/performance.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.errors import said
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import load_demonstrations, plan
from benchmark.running.machine import best_device, machine
from benchmark.running.run import evaluate
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations

TARGET = 0.95
EPISODES = 200
LOOKS = 10
"""Validations of a training, evenly spread; the clock is read at the first that reaches the score.
More would find a lucky one."""


@dataclass(frozen=True)
class Look:
    """One validation: after how many updates and seconds of training, and what was found."""

    updates: int
    seconds: float
    score: float
    success: float


def speedrun(
    cell: Cell,
    demos: Demonstrations,
    device: torch.device,
    target: float = TARGET,
    episodes: int = EPISODES,
    looks: int = LOOKS,
) -> list[Look]:
    """Train until the averaged weights reach a mean score, or to the end.

    Args:
        cell: What is trained; the schedule of its learning rate is that of the whole training.
        demos: On what.
        device: Where.
        target: Mean score of the validation episodes.
        episodes: How many of them.
        looks: Validations, evenly spread over the training.

    Returns:
        All validations; the last one reached the target, or the training ended.
    """
    config = EvalConfig(cell.action_horizon, split="validation", episodes=episodes)
    trainer, found = Trainer(cell, demos, device), list[Look]()
    marks = {round(cell.train.updates * look / looks) for look in range(1, looks + 1)}
    while trainer.update < cell.train.updates:
        trainer.step()
        if trainer.update not in marks:
            continue
        if device.type != "cpu":
            begin = time.perf_counter()
            torch.accelerator.synchronize()  # an update is only queued there
            trainer.seconds += time.perf_counter() - begin
        trainer.check_finite()
        played = evaluate(trainer.ema.module.eval(), cell, config)
        score, success = played["score"].mean(), played["is_success"].mean()
        found.append(Look(trainer.update, trainer.seconds, float(score), float(success)))
        print(
            f"{trainer.update:6d} updates, {trainer.seconds:6.1f} s of training: "
            f"score {score:.3f}, success {success:.0%}",
            flush=True,
        )
        if score >= target:
            break
    return found


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    parser = argparse.ArgumentParser(description="Seconds of training to a validation score.")
    parser.add_argument("--method", default="diffusion-unet")
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--control", default="position", choices=("position", "velocity"))
    parser.add_argument("--seed", type=int, default=1, help="of the training")
    parser.add_argument("--target", type=float, default=TARGET, help="mean validation score")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of each validation")
    parser.add_argument("--looks", type=int, default=LOOKS, help="validations of the training")
    parser.add_argument(
        "--data-path", type=Path, help="human demonstrations; scripted ones if none"
    )
    parser.add_argument("--set", nargs="*", default=(), help="changed settings, NAME=VALUE")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run what was typed; 0 where the score was reached."""
    given = parser().parse_args(arguments)
    try:
        config = SweepConfig(
            preset=given.preset,
            methods=(given.method,),
            control=(given.control,),
            seeds=(given.seed,),
            data="human" if given.data_path else "scripted",
            data_path=given.data_path,
            set=tuple(given.set),
        )
        [cell] = plan(config)
        demos = load_demonstrations(config)
    except Exception as error:
        if not (text := said(error)):
            raise
        print(f"error: {text}", file=sys.stderr)
        return 2
    device = best_device()
    print(f"{cell.id}: to a score of {given.target:g} on {given.episodes} validation episodes")
    last = speedrun(cell, demos, device, given.target, given.episodes, given.looks)[-1]
    where = ", ".join(f"{key} {value}" for key, value in machine(device).items())
    if last.score < given.target:
        print(f"not reached in {last.updates} updates, {last.seconds:.0f} s: {last.score:.3f}")
        return 1
    print(f"{last.seconds:.0f} s ({last.updates} updates) to {last.score:.3f}; {where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

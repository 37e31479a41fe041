"""`python -m benchmark compare A B`: which of two trained policies is better.

A policy is METHOD[:control] of one task and preset, with its training seeds, or a run folder. Both
play the same initial states. Without --until-decided it is a comparison of a fixed size; with it,
episodes are played until the answer is sure, see `evidence.sequential`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.effects import difference
from benchmark.evidence.power import detectable, fixed_episodes
from benchmark.evidence.sequential import UntilDecided
from benchmark.evidence.stats import Array, episode_table
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.request import Control, SweepConfig
from benchmark.plan.seeding import episode_seeds
from benchmark.plan.sweep import evaluation, plan
from benchmark.plan.tasks import get_task
from benchmark.running.machine import best_device
from benchmark.running.rollout import AgentPolicy, actions_used, play
from benchmark.running.store import Run
from benchmark.sealed import read_sealed
from envs.demos.files import decoding

BLOCK = 25
"""Episodes that are played at a time."""
POWER = 0.9


def compare_command(
    names: tuple[str, str],
    config: SweepConfig,
    column: str,
    until_decided: bool,
    most: int,
    store: Path,
) -> int:
    """Compare two policies and print what is decided; the exit code.

    Args:
        names: Both policies.
        config: Task, preset, data, training seeds and evaluation settings of a METHOD.
        column: Outcome that decides, is_success or score.
        until_decided: Whether to stop as soon as it is decided.
        most: Episodes at which that is given up.
        store: The run store.
    """
    if most < 1:
        raise UsageError(f"most is {most}; allowed: 1 or more")
    both = [Policy(name, _cells(name, config, store), config, store) for name in names]
    if both[0].cells == both[1].cells:
        raise UsageError(f"{names[0]} and {names[1]} are the same policy; compare two")
    tasks = sorted({cell.task for policy in both for cell in policy.cells})
    if len(tasks) > 1:
        raise UsageError(
            f"{names[0]} and {names[1]} are of {' and '.join(tasks)}; compare two of one task"
        )
    if until_decided:
        print(_until_decided(both[0], both[1], column, most))
    else:
        print(_fixed(both[0], both[1], column))
    return 0


class Policy:
    """The trained networks of one side, and their episodes in the order of the test seeds.

    Episodes that were kept come first; further ones are played, a block at a time.
    """

    def __init__(self, name: str, cells: Sequence[Cell], config: SweepConfig, store: Path) -> None:
        self.name = name
        self.cells = list(cells)
        self._runs = [Run(cell, store) for cell in cells]
        self._at = [evaluation(config, cell) for cell in cells]
        self.episodes = self._at[0].episodes
        self._known = [
            run.episodes(at) if run.has(at) else pd.DataFrame()
            for run, at in zip(self._runs, self._at, strict=True)
        ]

    @property
    def most(self) -> float:
        """Episodes that can be had: without a checkpoint, those that were kept."""
        return min(
            np.inf if run.is_trained else len(known)
            for run, known in zip(self._runs, self._known, strict=True)
        )

    def first(self, count: int) -> pd.DataFrame:
        """The first `count` episodes of every network.

        Raises:
            UsageError: If a network is not here to play them.
        """
        for i, (run, at) in enumerate(zip(self._runs, self._at, strict=True)):
            if len(self._known[i]) < count:
                if not run.is_trained:
                    raise UsageError(
                        f"{run.cell.id} has {len(self._known[i])} kept episodes and no checkpoint "
                        f"to play more; `python -m benchmark run {run.cell.task} {run.cell.method} "
                        f"--control {run.cell.control} --seed {run.cell.seed} --preset "
                        f"{run.cell.preset} --data {run.cell.data}` trains it"
                    )
                known = len(self._known[i])
                self._known[i] = pd.concat(
                    [self._known[i], _play(run, at, known, count)], ignore_index=True
                )
        return pd.concat([known.head(count) for known in self._known], ignore_index=True)

    def outcomes(self, column: str, start: int, stop: int) -> Array:
        """Outcomes (S, stop - start) in the order of the seeds."""
        return episode_table(self.first(stop), column).to_numpy()[:, start:stop]


def _play(run: Run, at: EvalConfig, start: int, stop: int) -> pd.DataFrame:
    """The episodes of a network on the seeds from `start` to `stop`."""
    agent, cell = run.agent().to(best_device()), run.cell
    if at.inference_steps:
        agent.set_inference_steps(at.inference_steps)
    seeds = episode_seeds(at.split, stop)[start:]
    what = f"{cell.id}: episodes {start + 1} to {stop}"
    task = get_task(cell.task)
    policy = AgentPolicy(agent, seeds, actions_used(agent.spec.obs_horizon, at))
    played = play(policy, task, cell.obs_type, cell.control, seeds, at, what)
    return played.assign(cell=cell.id, train_seed=cell.seed)


def _cells(name: str, config: SweepConfig, store: Path) -> list[Cell]:
    """The cells of METHOD[:control], or the one of a run folder."""
    folder = Path(name) if (Path(name) / "config.json").is_file() else store / name
    if (folder / "config.json").is_file():
        path = folder / "config.json"
        with usage_errors(), decoding(path, "config of a cell"):
            return [Cell.from_json(read_sealed(path).decode())]
    method, _, control = name.partition(":")
    modes: tuple[Control, ...] = get_args(Control)
    chosen = tuple(mode for mode in modes if mode == (control or "position"))
    if not chosen:
        raise UsageError(f"{name}: write METHOD, METHOD:position, METHOD:velocity or a run folder")
    return plan(replace(config, methods=(method,), control=chosen))


def _fixed(a: Policy, b: Policy, column: str) -> str:
    """What equally many episodes of both say of success and score."""
    episodes = min(a.episodes, b.episodes)
    of_a, of_b = a.first(episodes), b.first(episodes)
    columns = {"success": "is_success", "score": "score"}
    lines = []
    for name, own in sorted(columns.items(), key=lambda item: item[1] != column):
        effect = difference(of_a, of_b, own)
        claim = Claim(f"{a.name} is better", f"{name}, {a.name} - {b.name}", effect)
        lines.append(f"{judge([claim])[0]}; p {effect.p_value():.2g}")
    tables = [episode_table(frame, column).to_numpy() for frame in (of_a, of_b)]
    lines.append(
        f"A true difference of {detectable(*tables):.2g} would be found with chance 80 %."
        if episodes > 1
        else "One episode tells nothing."
    )
    return "\n".join(lines)


def _until_decided(a: Policy, b: Policy, column: str, most: int) -> str:
    """Episodes of both, one initial state after another, until one is surely better."""
    test = UntilDecided()
    for policy in (a, b):
        policy.first(1)  # or says what is missing
    cap = int(min(most, a.most, b.most))
    differences: list[float] = []
    while test.decision == "undecided" and test.episodes < cap:
        start, stop = test.episodes, min(cap, test.episodes + BLOCK)
        blocks = [policy.outcomes(column, start, stop).T for policy in (a, b)]
        for one, other in zip(*blocks, strict=True):
            differences.append(float(one.mean() - other.mean()))
            if test.add(list(one), list(other)) != "undecided":
                break
    words = {"A": f"{a.name} is better", "B": f"{b.name} is better"}
    interval = test.interval()
    name = "success" if column == "is_success" else column
    lines = [
        f"{words.get(test.decision, 'undecided')}: {name}, {a.name} - {b.name} "
        f"{interval.estimate:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}] "
        f"(95 %, whenever one stops), {len(a.cells)} and {len(b.cells)} networks",
        f"{test.episodes} episodes used of at most {cap}.",
    ]
    size = fixed_episodes(np.array(differences), POWER)
    if size is not None:
        lines.append(
            f"A test of fixed size that finds this difference with chance {POWER:.0%} would use "
            f"{size}; it must be known beforehand."
        )
    if test.decision == "undecided" and cap < most:
        lines.append("No checkpoint is here to play more; `python -m benchmark run` trains one.")
    lines.append("This is about the networks that played: of other trainings it says nothing.")
    return "\n".join(lines)

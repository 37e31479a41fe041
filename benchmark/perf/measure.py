"""`python -m benchmark perf`: what this machine does, in one table.

Rates and times are medians over repetitions, with the lowest and the highest beside them. What is
to be compared with one core of another machine runs on one thread; the rest uses PyTorch's default
number of threads, as trainings and evaluations do. Policies are timed untrained, since weights do
not change their speed; an untrained one hardly ever ends an episode early, so the evaluation's time
is an upper bound. docs/performance.md says how to read the table.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from baselines.agent import Agent, agent_class
from baselines.diffusion.schedule import DiffusionConfig, Sampler
from benchmark.evidence.text_table import Table
from benchmark.files import check_writable
from benchmark.perf.images import images
from benchmark.perf.peers import GYM_PUSHT, GymPushT
from benchmark.perf.public import against_public
from benchmark.perf.pusht import (
    KINDS,
    OBS_TYPE,
    OwnPlayer,
    Player,
    Workload,
    make_workload,
    take_turns,
)
from benchmark.perf.timing import (
    RATE_SHARE,
    Effort,
    Measurement,
    product_rate,
    products,
    repeat,
    threads,
)
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.presets import PRESETS, make_cell
from benchmark.running.machine import best_device, machine
from benchmark.running.rollout import AgentPolicy
from benchmark.running.run import evaluate
from benchmark.running.train import Trainer, TrainingData
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar

OURS, PEER = "dpbench", f"gym-pusht {GYM_PUSHT}"
TRAINED = ("smoke", "quick", "laptop")  # presets whose training a CPU can time
PREDICTED = "laptop"  # preset whose predictions and evaluation are timed
SAMPLERS: tuple[tuple[Sampler, int], ...] = (("ddpm", 100), ("ddim", 16), ("ddim", 10), ("ddim", 4))
BUSY = 0.3  # load average a core before the start, above which a note warns


def perf_command(
    peers: bool = False,
    public: Path | None = None,
    paper: bool = False,
    out: Path | None = None,
) -> None:
    """Measure this machine, see `benchmark.cli.perf_command`."""
    if out is not None:
        check_writable(out, "--out")
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    found = measure(Effort(), peers, paper, public)
    shown = table(found, load)
    print(shown.text())
    if out is not None:
        data = pd.DataFrame([each.record() for each in found])
        for path in shown.write(data, out, "perf"):
            print(path)


def measure(
    effort: Effort, peers: bool, paper: bool, public: Path | None = None
) -> list[Measurement]:
    """Measure everything, with a progress bar."""
    device = best_device()
    workload = make_workload(effort.episodes, effort.length)
    demos = workload.demonstrations()
    presets = (*TRAINED, "paper") if paper or device.type == "cuda" else TRAINED
    with ExitStack() as stack:
        players: dict[str, Player] = {OURS: OwnPlayer(workload)}
        if peers:
            players[PEER] = stack.enter_context(GymPushT(workload))
        jobs: list[Callable[[], list[Measurement]]] = [
            partial(environments, workload, players, effort)
        ]
        jobs += [
            partial(training, cell, demos, device, effort, limit)
            for preset in presets
            for cell in cells(preset, demos)
            if cell.train.updates
            for limit in training_threads(preset, device)
        ]
        for cell in cells(PREDICTED, demos):
            jobs.append(partial(predictions, cell, demos, device, effort))
            jobs.append(partial(evaluations, cell, demos, device, effort))
        jobs += [partial(images, preset, workload.states, device, effort) for preset in presets]
        if public is not None:
            jobs.insert(1, partial(against_public, public, demos, device, effort))
        found = []
        with progress_bar(len(jobs), "measuring", "part") as bar:
            for job in jobs:
                found += job()
                bar.update()
        return found


def cells(preset: str, demos: Demonstrations) -> list[Cell]:
    """A cell of every method of a preset."""
    return [make_cell(preset, method, "position", 0, OBS_TYPE, demos) for method in PRESETS[preset]]


def training_threads(preset: str, device: torch.device) -> Sequence[int | None]:
    """How many threads the training of a preset is timed on; None leaves them as they are.

    Cells are trained side by side on one core each. For one preset, training on all cores is timed
    too, which shows what that gains.
    """
    if device.type != "cpu":
        return [None]
    return sorted({1, torch.get_num_threads()}) if preset == PREDICTED else [1]


def environments(
    workload: Workload, players: dict[str, Player], effort: Effort
) -> list[Measurement]:
    """Steps a second of each player, and how many times as fast ours is, round by round."""
    with threads(1):
        speeds = take_turns(workload, players, effort.rounds)
    rows = []
    for kind in KINDS:
        tables = 1 if kind == "single" else len(workload.starts)
        row = partial(Measurement, f"Push-T, tables: {tables}", threads=1)
        rates = {player: speeds[player, kind] for player in players}
        ours = rates[OURS]
        rows += [row(how=player, unit="steps/s", values=tuple(rates[player])) for player in rates]
        rows += [
            row(how=f"{OURS} / {peer}", unit="times", values=tuple(ours / rates[peer]))
            for peer in rates
            if peer != OURS
        ]
    return rows


def training(
    cell: Cell,
    demos: Demonstrations,
    device: torch.device,
    effort: Effort,
    limit: int | None = None,
) -> list[Measurement]:
    """Milliseconds an update and samples a second of a cell's training, on `limit` threads."""
    if limit is not None:
        with threads(limit):
            return training(cell, demos, device, effort)
    trainer = Trainer(cell, demos, device)

    def update(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            trainer.step()
        if device.type != "cpu":
            torch.accelerator.synchronize()  # an update is only queued there
        return (time.perf_counter() - begin) / count

    operations = products(trainer.agent, partial(update, 1))
    update(2)  # the first ones allocate
    count = max(1, round(effort.block_seconds / update(1)))
    seconds = [update(count) for _ in range(effort.rounds)]
    batch = len(trainer.batch(0).actions)
    what, how = f"training, {cell.preset}", f"{cell.method}, batch {batch}"
    where = torch.get_num_threads(), device.type
    share = 100 * operations / product_rate(device)
    return [
        Measurement(what, how, "ms/update", tuple(1e3 * each for each in seconds), *where),
        Measurement(what, how, "samples/s", tuple(batch / each for each in seconds), *where),
        Measurement(what, how, RATE_SHARE, tuple(share / each for each in seconds), *where),
    ]


def predictions(
    cell: Cell, demos: Demonstrations, device: torch.device, effort: Effort
) -> list[Measurement]:
    """Seconds a prediction, for one window on one thread and for a batch of windows."""
    state = demos.observations["state"]
    window = np.repeat(state[:: len(state) // effort.episodes, None], cell.obs_horizon, axis=1)
    rows = []
    for batch, limit in ((1, 1), (effort.episodes, torch.get_num_threads())):
        for variant in samplers(cell):
            policy = AgentPolicy(untrained(variant, demos, device), range(batch))
            act = partial(policy.predict, {"state": window[:batch]}, np.arange(batch))
            with threads(limit):
                seconds = repeat(act, effort.seconds)
            what = f"prediction, batch {batch}"
            rows.append(Measurement(what, name(variant), "s", seconds, limit, device.type))
    return rows


def evaluations(
    cell: Cell, demos: Demonstrations, device: torch.device, effort: Effort
) -> list[Measurement]:
    """Seconds of a whole evaluation."""
    agent = untrained(cell, demos, device)
    config = EvalConfig(cell.action_horizon, split="validation", episodes=effort.episodes)
    seconds = repeat(lambda: evaluate(agent, cell, config), effort.seconds)
    what = f"evaluation, {effort.episodes} episodes"
    return [Measurement(what, name(cell), "s", seconds, torch.get_num_threads(), device.type)]


def samplers(cell: Cell) -> list[Cell]:
    """A cell of a diffusion policy with each of SAMPLERS; of any other method as it is."""
    if not isinstance(cell.agent, DiffusionConfig):
        return [cell]
    return [
        dataclasses.replace(
            cell,
            agent=dataclasses.replace(cell.agent, sampler=sampler, num_inference_steps=steps),
        )
        for sampler, steps in SAMPLERS
    ]


def name(cell: Cell) -> str:
    """The method, and how it samples if it denoises."""
    if not isinstance(cell.agent, DiffusionConfig):
        return cell.method
    return f"{cell.method}, {cell.agent.num_inference_steps} {cell.agent.sampler.upper()} steps"


def untrained(cell: Cell, demos: Demonstrations, device: torch.device) -> Agent:
    """The cell's policy with random weights."""
    data = TrainingData.prepare(cell, demos, device)
    return agent_class(cell.method)(cell.agent, data.spec, data.normalizer).to(device).eval()


def table(found: Sequence[Measurement], load: float) -> Table:
    """Lay the measurements out.

    Args:
        found: The rows.
        load: Load average a core before the measurement.
    """
    rows = [each.record() for each in found]
    notes = [
        "Median, lowest and highest of the repetitions. Push-T steps follow set-points that push "
        "the block about the goal, and include coverage, observation and the wrappers of "
        "gymnasium.make. A prediction is that of a rollout, from observations to actions, both "
        "numpy arrays. An evaluation plays whole episodes with an untrained policy.",
        "; ".join(f"{key} {value}" for key, value in machine(best_device()).items()) + ".",
    ]
    if load > BUSY:
        notes.append(
            f"The load average was {load:.1f} a core before the start: other programs were running "
            "and rates are below what this machine can do. Ratios are taken within a round and "
            "suffer less."
        )
    return Table(
        "What this machine does",
        ("what", "how", "median", "lowest", "highest", "unit", "threads", "device", "runs"),
        tuple(tuple(map(_text, row.values())) for row in rows),
        "llrrrlrlr",
        tuple(notes),
        frozenset(i for i, row in enumerate(rows) if i and row["what"] != rows[i - 1]["what"]),
    )


def _text(value: str | float | int) -> str:
    """Three significant digits of a float, and never an exponent."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

"""`python -m benchmark plan`: the seeds and episodes that a difference needs, and their cost.

Where the spread of outcomes comes from (trainings, initial states, the rest) is estimated on runs
of the same task, data and preset: those in the run store or the evidence.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.errors import UsageError
from benchmark.evidence.effects import BOUNDS
from benchmark.evidence.power import Components, difference_components, plans
from benchmark.evidence.stats import Array, episode_table
from benchmark.evidence.text_table import Table
from benchmark.plan.config import Cell
from benchmark.plan.request import SweepConfig
from benchmark.plan.seeding import FIRST_SEED
from benchmark.plan.sweep import evaluation, plan
from benchmark.plan.tasks import get_task
from benchmark.progress import minutes
from benchmark.running.evidence import committed_cells, finished_cells
from benchmark.running.store import Run

EPISODES = (50, 100, 200, 500, 1000)
TIMED_STEPS, TIMED_ENVS = 20, 20


def plan_command(
    config: SweepConfig,
    difference: float,
    power: float,
    column: str,
    training_spread: float | None,
    store: Path,
) -> int:
    """Print the plans for a difference; the exit code.

    Raises:
        UsageError: If nothing tells the spread, or the difference or power cannot be.
    """
    low, high = BOUNDS[column]
    if not 0 < difference < high - low or not 0.05 < power < 1:
        raise UsageError(
            f"difference {difference} with power {power}: the difference must lie within 0 and 1 "
            "(a share of success or of the score), the power within 0.05 and 1"
        )
    cells = known_cells(config, store)
    spread, source = _spread(_tables(cells, config, column, store), column, training_spread)
    train, play = _costs(cells, config, store)
    found = plans(spread, difference, EPISODES, power=power)
    name = "success" if column == "is_success" else column
    rows = tuple(
        (
            str(episodes),
            str(seeds),
            minutes(2 * seeds * train),
            minutes(2 * seeds * episodes * play),
            minutes(2 * seeds * (train + episodes * play)),
        )
        for seeds, episodes in found
    )
    table = Table(
        caption=f"To find a difference of {difference:g} in {name} with chance {power:.0%}, "
        f"{config.task}, {config.data}, {config.preset}",
        head=("episodes", "training seeds", "training", "playing", "in all"),
        rows=rows,
        align="rrrrr",
        notes=(
            "Seeds and time of two policies, one training after another. " + source,
            f"Standard deviations of a difference: trainings {np.sqrt(spread.training):.3f}, "
            f"initial states {np.sqrt(spread.episode):.3f}, the rest {np.sqrt(spread.rest):.3f}. "
            f"A training took {minutes(train)} and an episode {play:.2g} s (median over "
            f"{len(cells)} runs; environment steps timed now).",
            *(["None of these numbers of episodes is enough with 1,000 seeds."] * (not rows)),
        ),
    )
    print(table.text())
    return 0


def known_cells(config: SweepConfig, store: Path) -> list[Cell]:
    """Finished cells of any training seed that are like those asked for."""
    asked = plan(config)
    like = asked[0]
    about = [(cell.method, cell.control) for cell in asked]

    def fits(cell: Cell) -> bool:
        same = ("task", "data", "data_version", "num_demonstrations", "obs_type", "preset")
        return (cell.method, cell.control) in about and all(
            getattr(cell, name) == getattr(like, name) for name in same
        )

    cells = [*(run.cell for run in finished_cells(store)), *committed_cells(like)]
    known = {
        cell.id: cell
        for cell in cells
        if fits(cell) and Run(cell, store).has(evaluation(config, cell))
    }
    if not known:
        raise UsageError(
            f"no run of {config.task}, {config.data}, {config.preset} is known whose spread could "
            "be taken; `python -m benchmark bench` makes some"
        )
    return list(known.values())


def _tables(
    cells: Sequence[Cell], config: SweepConfig, column: str, store: Path
) -> dict[tuple[str, str], Array]:
    """Outcomes (S, E) by method and control mode."""
    groups: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for cell in {(c.method, c.control, c.seed): c for c in cells}.values():
        frame = Run(cell, store).episodes(evaluation(config, cell))
        groups.setdefault((cell.method, cell.control), []).append(frame)
    return {
        policy: episode_table(pd.concat(frames), column).to_numpy()
        for policy, frames in groups.items()
    }


def _spread(
    tables: dict[tuple[str, str], Array], column: str, training_spread: float | None
) -> tuple[Components, str]:
    """The median variances of a difference over all pairs, and where they come from."""
    several = [table for table in tables.values() if len(table) > 1]
    known = several if training_spread is None else list(tables.values())
    pairs = [
        difference_components(a, b)
        for a, b in itertools.combinations(known, 2)
        if a.shape[1] == b.shape[1] > 1
    ]
    if not pairs:
        raise UsageError(
            f"{len(several)} of {len(tables)} policies have several training seeds, and two are "
            f"needed to tell how {column} differs between trainings; train more "
            "(`bench --seeds 42 43 44`), or say the standard deviation (`--training-spread 0.05`)"
        )
    parts = {
        name: float(np.median([getattr(pair, name) for pair in pairs]))
        for name in ("training", "episode", "rest")
    }
    if training_spread is None:
        return Components(**parts, policies=2), f"Spread: median over {len(pairs)} pairs of runs."
    parts["training"] = 2 * training_spread**2
    return Components(**parts, policies=2), (
        f"Spread of trainings as given ({training_spread:g}); between episodes the median over "
        f"{len(pairs)} pairs of runs."
    )


def _costs(cells: Sequence[Cell], config: SweepConfig, store: Path) -> tuple[float, float]:
    """Seconds of a training and of an episode, medians over cells."""
    trainings, episodes = [], []
    step = step_seconds(cells[0])
    for cell in cells:
        run = Run(cell, store)
        trainings.append(float(run.history()["seconds"].iloc[-1]))
        frame = run.episodes(evaluation(config, cell))
        thinking = frame["predictions"] * frame["seconds_per_prediction"]
        episodes.append(float((thinking + step * frame["length"]).mean()))
    return float(np.median(trainings)), float(np.median(episodes))


def step_seconds(cell: Cell) -> float:
    """Seconds of an environment step on this machine."""
    with closing(get_task(cell.task).make_vec(TIMED_ENVS, cell.obs_type, cell.control)) as env:
        first = FIRST_SEED["validation"]
        env.reset(seed=first)
        actions = np.asarray(env.action_space.sample())
        env.step(actions)
        start = time.perf_counter()
        for _ in range(TIMED_STEPS):
            env.step(actions)
        return (time.perf_counter() - start) / TIMED_STEPS / TIMED_ENVS

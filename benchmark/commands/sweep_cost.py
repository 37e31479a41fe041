"""`python -m benchmark plan --cells N`: what N cells cost and move on a cluster (docs/cluster.md).

Times are those of finished cells, each on one core or GPU; sizes are measured on trainings that
have just begun.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from benchmark.commands.plan import known_cells, step_seconds
from benchmark.errors import UsageError
from benchmark.evidence.text_table import Table
from benchmark.plan.config import CHOSEN, Cell, EvalConfig
from benchmark.plan.presets import horizon_trials
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import evaluations, load_demonstrations
from benchmark.progress import minutes
from benchmark.running.run import batches
from benchmark.running.store import Run
from benchmark.running.traffic import Load

CLUSTERS = (16, 128, 1024)
"""Cells at a time."""


@dataclass(frozen=True)
class CellCost:
    """What a cell took, and what is sent of it."""

    training: float
    """Seconds."""
    playing: float
    """Seconds."""
    tasks: int
    """That play it, each of which is sent its policy."""
    rows: int
    """Bytes of its episodes and history."""
    load: Load

    @property
    def seconds(self) -> float:
        """Of training and playing."""
        return self.training + self.playing

    @property
    def to_nodes(self) -> int:
        """Bytes sent to nodes."""
        return self.tasks * self.load.policy

    def to_driver(self, workers: int) -> int:
        """Bytes sent to the driver."""
        return self.load.to_driver(self.training, self.rows, workers)


def sweep_cost_command(config: SweepConfig, count: int, store: Path) -> int:
    """Print what so many cells in equal shares cost and move; the exit code.

    Raises:
        UsageError: If no such cell is known, or none is asked for.
    """
    if count < 1:
        raise UsageError(f"cells is {count}; allowed: 1 or more")
    cells = known_cells(config, store)
    demos = load_demonstrations(config)
    step = step_seconds(cells[0])
    costs: dict[tuple[str, str], list[CellCost]] = {}
    for cell in cells:
        found = costs.setdefault((cell.method, cell.control), [])
        load = found[0].load if found else Load.of(cell, demos)
        found.append(_cost(cell, config, store, step, load))
    every = list(chain.from_iterable(costs.values()))
    arrays = [demos.states, demos.actions, *demos.observations.values()]
    print(_cells_table(costs, config).text())
    print(f"\n{_sweep_table(every, count, sum(array.nbytes for array in arrays)).text()}")
    return 0


def _cost(cell: Cell, config: SweepConfig, store: Path, step: float, load: Load) -> CellCost:
    """What a finished cell took, environment steps at `step` seconds each."""
    run = Run(cell, store)
    history = run.history()
    frames = [run.episodes(played) for played in _played(cell, config, run)]
    thinking = sum(float((f["predictions"] * f["seconds_per_prediction"]).sum()) for f in frames)
    return CellCost(
        training=float(history["seconds"].iloc[-1]),
        playing=thinking + step * sum(int(frame["length"].sum()) for frame in frames),
        tasks=sum(len(batches(played)) for played in _played(cell, config, run)),
        rows=len(pickle.dumps(frames)) + len(pickle.dumps(history)),
        load=load,
    )


def _played(cell: Cell, config: SweepConfig, run: Run) -> list[EvalConfig]:
    """Every evaluation of a cell, those that choose its action horizon among them."""
    asked = evaluations(config, cell)
    trials = horizon_trials(cell) if any(e.action_horizon == CHOSEN for e in asked) else []
    return list(dict.fromkeys([*trials, *(run.resolved(evaluation) for evaluation in asked)]))


def _cells_table(costs: dict[tuple[str, str], list[CellCost]], config: SweepConfig) -> Table:
    """A row a policy: medians over its cells."""

    def row(policy: tuple[str, str], found: Sequence[CellCost]) -> tuple[str, ...]:
        training, playing = (
            minutes(float(np.median([getattr(cost, name) for cost in found])))
            for name in ("training", "playing")
        )
        first = found[0]
        sizes = (first.load.state, first.load.policy, first.rows)
        megabytes = (f"{size / 1e6:.2f}" for size in sizes)
        return (*policy, training, playing, str(first.tasks), *megabytes)

    return Table(
        caption=f"A cell of {config.task}, {config.data}, {config.preset}",
        head=(
            "method",
            "control",
            "training",
            "playing",
            "tasks",
            "state, MB",
            "policy, MB",
            "rows, MB",
        ),
        rows=tuple(row(policy, found) for policy, found in costs.items()),
        align="llrrrrrr",
        notes=(
            "Times of finished cells, medians; environment steps timed now. Tasks play it. A state "
            "is what an interrupted training continues from; rows are its episodes and history.",
        ),
    )


def _sweep_table(costs: Sequence[CellCost], count: int, demos: int) -> Table:
    """A row a cluster: what `count` cells take there, drawn in equal shares from those known."""
    share = count / len(costs)
    hours = share * sum(cost.seconds for cost in costs) / 3600
    longest = max(cost.seconds for cost in costs) / 3600
    out = share * sum(cost.to_nodes for cost in costs) / 1e9

    def row(workers: int) -> tuple[str, ...]:
        takes = max(longest, hours / min(workers, count))
        back = share * sum(cost.to_driver(min(workers, count)) for cost in costs) / 1e9
        rate = back * 1e3 / (takes * 3600)
        cells = f"{workers:,}"
        return cells, minutes(takes * 3600), f"{out:.1f}", f"{back:.1f}", f"{rate:.1f}"

    return Table(
        caption=f"{count:,} cells in equal shares: {hours:,.0f} core hours",
        head=("cells at a time", "takes", "to nodes, GB", "to the driver, GB", "MB/s"),
        rows=tuple(row(workers) for workers in CLUSTERS),
        align="rrrrr",
        notes=(
            "Without a file system in common; with one, states and policies stay there. Each node "
            f"is sent {demos / 1e6:.1f} MB of demonstrations besides. No core is idle but at the "
            "end, and none is slower than those that the times are of.",
        ),
    )

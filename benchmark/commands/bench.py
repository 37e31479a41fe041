"""`bench` and `run`: what is not on disk yet is run, then all of it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from benchmark.commands.video import film_cells
from benchmark.errors import usage_errors
from benchmark.evidence.tables import headline_episodes, present, results_table
from benchmark.evidence.text_table import Table
from benchmark.plan.config import CHOSEN, Cell, EvalConfig
from benchmark.plan.request import BenchConfig
from benchmark.plan.sweep import evaluation, evaluations, load_demonstrations, plan
from benchmark.play.film import check_films
from benchmark.progress import is_terminal, say, whole
from benchmark.report.page import Record, write_report
from benchmark.running.cost import TimeLeft
from benchmark.running.engine import chosen_engine
from benchmark.running.evidence import committed_cells
from benchmark.running.machine import together
from benchmark.running.origin import origin_of
from benchmark.running.recorded import recorded
from benchmark.running.references import references
from benchmark.running.store import Run, default_store
from benchmark.running.trackers import chosen_tracker
from benchmark.running.workers import Job


def bench_command(config: BenchConfig, command: str, dry_run: bool = False) -> int:
    """Run what is not done yet, or say what that is; the exit code."""
    if dry_run:
        show_plan(config, default_store())
        return 0
    return 0 if bench(config, default_store(), [command]) else 1


def bench(config: BenchConfig, store: Path, commands: Sequence[str]) -> bool:
    """Run every cell of a sweep that is not done yet; print what came of each, and the table.

    A cell that fails is named with its cause, its traceback kept in its folder, and the others go
    on.

    Returns:
        Whether all cells succeeded.

    Raises:
        UsageError: If something that was asked for does not exist.
    """
    cells = plan(config)
    with usage_errors():
        for cell in cells:
            origin_of(cell, store)
    if config.video:
        check_films(config.task, cells[0].obs_type)
    tracker = chosen_tracker(config.track, store)
    engine = chosen_engine(config.engine, config.workers)
    todo = [cell for cell in cells if state(cell, config, store) != "done"]
    with usage_errors():
        frame = _frame(cells, config, store)
    known = [cell for cell in cells if cell not in todo]
    say(
        f"{config.task}, preset {config.preset}, {cells[0].num_demonstrations} {config.data} "
        f"demonstrations, {len(cells)} cells, {len(known)} of them done, "
        f"{min(engine.workers, len(cells))} at a time, on {engine.where}"
    )
    frames = [
        *frame,
        *(episodes for _, episodes in _committed(config, cells)),
        *(_episodes(cell, config, store) for cell in known),
    ]
    load = partial(load_demonstrations, config)
    jobs = [Job(cell, evaluations(config, cell), load) for cell in todo]
    left = TimeLeft(jobs, store, engine.workers)
    jobs.sort(key=left.training, reverse=True)  # the longest first: none is left alone at the end
    failures = []
    with whole(len(cells), len(known), left.at_first) as progress:
        for cell, cause in engine.run(jobs, store):
            if cause:
                failures.append((cell, cause))
                progress.ended(f"{cell.id}: failed: {cause}", left.after(cell))
                continue
            frames.append(_episodes(cell, config, store))
            if tracker is not None:
                tracker.add(cell, Run(cell, store).history(), _result(frames[-1]))
            progress.ended(f"{cell.id}: {_headline(frames[-1])}", left.after(cell))
            if is_terminal():
                progress.table = replace(_table(frames), notes=()).text()
    failed = {cell.id for cell, _ in failures}
    if done := [cell for cell in cells if cell.id not in failed]:
        print(f"\n{_table(frames).text()}", end="")
        out = config.out or store / "reports" / f"{config.task}-{config.data}-{config.preset}"
        print(f"Report: {write_report(record(done, config, store, commands), out)}")
        for film in film_cells(done, config, store) if config.video else ():
            print(f"Film: {film}")
    for cell, cause in failures:
        print(f"Failed: {cell.id}: {cause} (traceback: {Run(cell, store).folder / 'error.txt'})")
    return not failures


def _table(frames: Sequence[pd.DataFrame]) -> Table:
    return present(results_table(pd.concat(frames, ignore_index=True)))


def _headline(episodes: pd.DataFrame) -> str:
    """What an evaluation found, in a few words."""
    found = _result(episodes)
    return f"score {found['score']:.3f}, success {found['success']:.0%}"


def _result(episodes: pd.DataFrame) -> dict[str, float]:
    found = headline_episodes(episodes)
    return {"score": float(found["score"].mean()), "success": float(found["is_success"].mean())}


def _frame(cells: Sequence[Cell], config: BenchConfig, store: Path) -> list[pd.DataFrame]:
    """The episodes of the rows that frame the table."""
    load = partial(load_demonstrations, config)
    return [
        reference.assign(preset=config.label)
        for reference in references(cells[0], load, evaluation(config, cells[0]), store)
    ]


def record(
    cells: Sequence[Cell], config: BenchConfig, store: Path, commands: Sequence[str]
) -> Record:
    """What a report of cells is drawn from, in the order of the plan: made again, it is the same.

    The rows that frame the table are played where they were not yet.
    """
    others = _committed(config, cells)
    runs = [Run(cell, store) for cell in cells]
    with usage_errors():
        frame = _frame(cells, config, store)
    episodes = [_episodes(cell, config, store) for cell in cells]
    histories = [run.history() for run in [*runs, *(Run(cell, store) for cell, _ in others)]]
    looked_at = {
        run.cell.id: recorded(run, evaluation(config, run.cell))
        for run in [*runs, *(Run(cell, store) for cell, _ in others)]
    }
    return Record(
        pd.concat([*frame, *episodes, *(e for _, e in others)], ignore_index=True),
        pd.concat(histories),
        tuple(commands),
        together([run.machine() for run in runs]),
        {cell: episodes for cell, episodes in looked_at.items() if episodes},
    )


def _episodes(cell: Cell, config: BenchConfig, store: Path) -> pd.DataFrame:
    """All that was played of a cell that is done, a row an episode, for `results_table`."""
    return played(Run(cell, store), evaluations(config, cell)).assign(preset=config.label)


def played(run: Run, found: Sequence[EvalConfig]) -> pd.DataFrame:
    """Evaluations of a run, the headline first, with the columns that tell their purpose.

    horizon: chosen or given for the headline, published for what stands beside it; executed: the
    action horizon that was played, whereas action_horizon is CHOSEN where validation chose it.
    """
    frames: list[pd.DataFrame] = []
    for config in found:
        episodes = run.episodes(config)
        is_chosen = config.action_horizon == CHOSEN
        purpose = "published" if frames else "chosen" if is_chosen else "given"
        frames.append(
            episodes.assign(
                horizon=purpose,
                executed=episodes["action_horizon"],
                action_horizon=CHOSEN if is_chosen else episodes["action_horizon"],
            )
        )
    return pd.concat(frames, ignore_index=True)


def has_all(run: Run, config: BenchConfig, evidence: bool = True) -> bool:
    """Whether everything that a sweep plays of a cell is there."""
    return all(run.has(found, evidence) for found in evaluations(config, run.cell))


def _committed(config: BenchConfig, asked: Sequence[Cell]) -> list[tuple[Cell, pd.DataFrame]]:
    """Committed cells beside those that were asked for, with their test episodes."""
    if not config.with_evidence:
        return []
    known = {cell.id for cell in asked}
    return [
        (cell, played(run, evaluations(config, cell)).assign(preset=f"{cell.preset}, committed"))
        for cell in committed_cells(asked[0])
        if cell.id not in known
        for run in [Run(cell, Path())]
        if has_all(run, config)
    ]


def show_plan(config: BenchConfig, store: Path) -> None:
    """Print the cells of a sweep and which of them are done."""
    for cell in plan(config):
        print(f"{state(cell, config, store):8} {cell.id}  {cell.train.updates} updates")


def state(cell: Cell, config: BenchConfig, store: Path) -> str:
    """How far a cell is in the run store: to do, begun, trained or done."""
    run = Run(cell, store)
    if run.is_trained:
        return "done" if has_all(run, config, evidence=False) else "trained"
    return "begun" if run.state_path.is_file() else "to do"

"""`python -m benchmark report`: a page a task and one over all, of what was run or is committed.

Nothing is trained or played. A page is drawn of cells that today's settings mean, a table for each
task, source of demonstrations, observations and preset.
"""

from __future__ import annotations

import webbrowser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

import pandas as pd

from benchmark.commands.bench import has_all, record
from benchmark.commands.study import kept_studies, shown_study
from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.tables import REFERENCES
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.plan.request import BenchConfig, Source
from benchmark.plan.sweep import plan
from benchmark.plan.tasks import get_task
from benchmark.report.index import write_pages
from benchmark.report.page import Record
from benchmark.report.shown_study import ShownStudy
from benchmark.running.evidence import all_committed, finished_cells
from benchmark.running.machine import together
from benchmark.running.store import Run, default_store
from envs.control import CONTROLS


@dataclass(frozen=True)
class Group:
    """The policies of one table: the same task, demonstrations, observations and preset.

    Attributes:
        name: Of the folder that its files are in.
        config: The sweep that means its cells.
        command: What makes them.
        cells: Those that are done, in the order of the sweep.
    """

    name: str
    config: BenchConfig
    command: str
    cells: tuple[Cell, ...]


def report_command(tasks: Sequence[str], out: Path | None, opens: bool) -> int:
    """Draw the pages of some tasks, or of all; the exit code.

    Raises:
        UsageError: If nothing is there to be drawn.
    """
    with usage_errors():
        for task in tasks:
            get_task(task)
    store = default_store()
    committed = (cell for _, cell in all_committed() if cell is not None)
    cells = {cell.id: cell for cell in (*(run.cell for run in finished_cells(store)), *committed)}
    found = [
        group for group in groups(cells.values(), store) if group.config.task in tasks or not tasks
    ]
    if not found:
        raise UsageError(
            f"no policy of {', '.join(tasks) or 'any task'} with a preset's settings is done yet, "
            f"in {store} or in the evidence; make bench runs them"
        )
    records = joined((group, record_of(group, store)) for group in found)
    *_, page = write_pages(records, _studies(tasks, store), out or store / "reports")
    print(f"Report: {page}")
    if opens and not webbrowser.open(page.absolute().as_uri()):
        print("No browser was found to open it with.")
    return 0


def _studies(tasks: Sequence[str], store: Path) -> dict[str, list[ShownStudy]]:
    """What was tested, by task; a study some of whose cells are gone is named and left out."""
    shown: dict[str, list[ShownStudy]] = {}
    for kept in kept_studies(store):
        task = kept.config.task
        if tasks and task not in tasks:
            continue
        if missing := kept.missing(store):
            print(f"{kept.path.stem} is left out: {len(missing)} of its cells are missing")
            continue
        shown.setdefault(task, []).append(
            shown_study(kept, kept.study.findings(kept.config, store))
        )
    return shown


def groups(cells: Iterable[Cell], store: Path) -> Iterator[Group]:
    """The tables that some cells make, without those cells that no sweep of today means.

    Cells of a file of demonstrations that others do not have are left out.
    """
    found: dict[tuple[str, str, int, str, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.task, cell.data, cell.num_demonstrations, cell.obs_type, cell.preset)
        found.setdefault(key, []).append(cell)
    for _, alike in sorted(found.items()):
        group = _group(alike, store)
        if group is not None and group.cells:
            yield group


def _group(alike: Sequence[Cell], store: Path) -> Group | None:
    """The table of cells of one task, source, number, observations and preset."""
    first = alike[0]
    task, preset, number = get_task(first.task), first.preset, first.num_demonstrations
    data = cast(Source, first.data)
    known = task.catalogue(data) if data in get_args(Source) else None
    if known is None:
        return None
    some = None if number == known.num_episodes else number
    obs_type = None if first.obs_type == task.obs_types[0] else first.obs_type
    methods = {cell.method for cell in alike}
    seeds = tuple(sorted({cell.seed for cell in alike}))
    options = [f"--task {task.name} --preset {preset}"]
    options += [f"--data {data}"] * (data != "scripted")
    options += [f"--num-demonstrations {some}"] * (some is not None)
    options += [f"--obs-type {obs_type}"] * (obs_type is not None)
    options += [f"--seeds {' '.join(map(str, seeds))}"] * (seeds != (42,))
    config = BenchConfig(
        task=task.name,
        preset=preset,
        methods=(
            *(m for m in PRESETS[preset] if m in methods),
            *sorted(methods - {*PRESETS[preset]}),
        ),
        control=tuple(c for c in CONTROLS if c in {cell.control for cell in alike}),
        seeds=seeds,
        data=data,
        num_demonstrations=some,
        obs_type=first.obs_type,
    )
    # With the optimistic columns where all policies have them.
    with_them = replace(config, checkpoints=10)
    if all(has_all(Run(cell, store), with_them) for cell in alike):
        config = with_them
        options.append("--checkpoints 10")
    return Group(
        f"{task.name}{f'-{obs_type}' if obs_type else ''}-{data}{some or ''}-{preset}",
        config,
        f"python -m benchmark bench {' '.join(options)}",
        tuple(cell for cell in plan(config) if _is_done(Run(cell, store), config)),
    )


def _is_done(run: Run, config: BenchConfig) -> bool:
    return run.has_history and has_all(run, config)


def record_of(group: Group, store: Path) -> Record:
    """What the table of a group is drawn from."""
    return record(group.cells, group.config, store, [group.command])


def joined(records: Iterable[tuple[Group, Record]]) -> Mapping[str, Record]:
    """One record a task, whose data says how many demonstrations where these are not all."""
    by_task: dict[str, list[Record]] = {}
    for group, own in records:
        number = group.config.num_demonstrations
        if number is not None:
            data = f"{group.config.data} ({number})"
            own = replace(
                own, episodes=own.episodes.assign(data=data), history=own.history.assign(data=data)
            )
        by_task.setdefault(group.config.task, []).append(own)
    return {
        task: Record(
            _without_repeats(pd.concat([own.episodes for own in records], ignore_index=True)),
            pd.concat([own.history for own in records], ignore_index=True),
            tuple(command for own in records for command in own.commands),
            together([own.machine for own in records]),
            {cell: seen for own in records for cell, seen in own.recorded.items()},
        )
        for task, records in by_task.items()
    }


def _without_repeats(episodes: pd.DataFrame) -> pd.DataFrame:
    """Episodes with the rows that frame a table once for each source of demonstrations."""
    repeats = episodes.duplicated(["method", "data", "seed"])
    return episodes[~(repeats & episodes["method"].isin(REFERENCES))].reset_index(drop=True)

"""`python -m benchmark results`: all that is committed under results/, from the evidence alone.

A page is drawn only of cells that today's settings mean, so none can be stale: pages that nothing
stands behind any more are removed, and evidence that no page uses is named.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark.commands.bench import has_all, played, report
from benchmark.commands.study import draw_kept_studies
from benchmark.errors import UsageError
from benchmark.evidence.tables import results_table
from benchmark.files import write_whole
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import evaluations, plan
from benchmark.plan.tasks import get_task
from benchmark.report.marked import Drawn, fill_marked
from benchmark.running.evidence import all_committed
from benchmark.running.store import Run
from envs.control import CONTROLS

STUDIES_FOLDER = "studies"
NAMED = 8  # files in a message
NOT_DRAWN = ("evidence", "perf", "policies", "search", "statistics", STUDIES_FOLDER)
"""What lies in results/ beside the pages: evidence, and tables that a command measured."""


@dataclass(frozen=True)
class Page:
    """One table of policies, in a folder of its own."""

    name: str
    config: SweepConfig
    command: str


def results_command(out: Path) -> int:
    """Draw every page, and the tables between markers in the documentation beside `out`."""
    committed = list(all_committed())
    gone = [path for path, cell in committed if cell is None]
    pages = list(_pages((cell for _, cell in committed if cell is not None), out))
    used: set[str] = set()
    drawn = []
    with tempfile.TemporaryDirectory() as empty:
        store = Path(empty)
        for page in pages:
            cells = [cell for cell in plan(page.config) if _is_played(cell, page.config)]
            if not cells:
                continue
            report(page.config, store, [page.command])
            used |= {cell.id for cell in cells}
            drawn.append(Drawn(page.config, _results(cells, page.config)))
        used |= draw_kept_studies(store, out / STUDIES_FOLDER)
    _remove_others(out, {Path(str(page.config.out)).name for page in pages})
    for document in sorted([*out.absolute().parent.glob("*.md"), *_documents(out)]):
        text = document.read_text()
        if (new := fill_marked(text, drawn)) != text:
            write_whole(document, new)
            print(document)
    unused = [path for path, cell in committed if cell is not None and cell.id not in used]
    if gone or unused:
        named = "\n".join(f"  {path}" for path in [*gone, *unused][:NAMED])
        raise UsageError(
            f"no page of today's settings uses {len(gone) + len(unused)} files of evidence, such "
            f"as these; remove them or run their cells again:\n{named}"
        )
    return 0


def _documents(out: Path) -> Iterable[Path]:
    return (out.absolute().parent / "docs").rglob("*.md")


def _pages(cells: Iterable[Cell], out: Path) -> Iterable[Page]:
    """A page for each task, data, observations and preset that the evidence has."""
    groups: dict[tuple[str, str, int, str, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.task, cell.data, cell.num_demonstrations, cell.obs_type, cell.preset)
        groups.setdefault(key, []).append(cell)
    for (task, data, number, obs_type, preset), group in sorted(groups.items()):
        known = get_task(task).catalogue("human" if data == "human" else "scripted")
        if known is None or data not in ("human", "scripted"):
            continue  # of a file that others do not have
        some = None if number == known.num_episodes else number
        default = get_task(task).obs_types[0]
        name = f"{task}{'' if obs_type == default else f'-{obs_type}'}-{data}{some or ''}-{preset}"
        methods = tuple(name for name in PRESETS[preset] if name in {c.method for c in group})
        options = [f"--task {task} --preset {preset}"]
        options += [f"--data {data}"] * (data != "scripted")
        options += [f"--num-demonstrations {some}"] * (some is not None)
        options += [f"--obs-type {obs_type}"] * (obs_type != default)
        seeds = tuple(sorted({cell.seed for cell in group}))
        options += [f"--seeds {' '.join(map(str, seeds))}"] * (seeds != (42,))
        config = SweepConfig(
            task=task,
            preset=preset,
            methods=methods,
            control=tuple(c for c in CONTROLS if c in {cell.control for cell in group}),
            seeds=seeds,
            data="human" if data == "human" else "scripted",
            num_demonstrations=some,
            obs_type=obs_type,
            out=out / name,
        )
        # With the optimistic columns where all policies have them.
        with_them = replace(config, checkpoints=10)
        if all(has_all(Run(cell, Path()), with_them) for cell in group):
            config = with_them
            options.append("--checkpoints 10")
        yield Page(name, config, f"python -m benchmark bench {' '.join(options)}")


def _is_played(cell: Cell, config: SweepConfig) -> bool:
    run = Run(cell, Path())
    return run.evidence is not None and has_all(run, config)


def _results(cells: list[Cell], config: SweepConfig) -> pd.DataFrame:
    return results_table(
        pd.concat(
            [played(Run(cell, Path()), evaluations(config, cell)) for cell in cells],
            ignore_index=True,
        )
    )


def _remove_others(out: Path, drawn: set[str]) -> None:
    """Remove the folders of pages that were not drawn."""
    for folder in out.iterdir():
        if folder.is_dir() and folder.name not in {*drawn, *NOT_DRAWN}:
            shutil.rmtree(folder)

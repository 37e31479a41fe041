"""What is kept in git: evidence made of runs, and which cells have any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmark.evidence.cell_file import CellEvidence, read_cell, write_cell
from benchmark.plan.config import Cell
from benchmark.running.recorded import is_recorded
from benchmark.running.store import (
    MEASURED,
    Run,
    evidence_folder,
    evidence_path,
    read_frame,
    stored_cell,
)
from benchmark.sealed import read_sealed, write_sealed

SHARED = ("references", "studies")
"""Folders of the run store that belong to no cell, kept as they are."""
MOST_RECORDED = 16_000
"""Bytes of recorded episodes that git should carry for a cell: states take 5 kB, frames 60 kB."""


def keep_cell(run: Run) -> Path:
    """Write the evidence of a finished cell, with what was kept of it before.

    Recorded episodes that are too large for git stay in the run store alone.

    Returns:
        The file.
    """
    before = run.evidence
    evaluations = {
        path.stem: read_frame(path).assign(evaluation=path.stem)
        for path in sorted((run.folder / "episodes").glob("*.parquet"))
    }
    if before is not None:
        for name, episodes in before.episodes.groupby("evaluation"):
            evaluations.setdefault(str(name), episodes)
    measured = {} if before is None else dict(before.measured)
    for path in sorted((run.folder / MEASURED).glob("[!.]*")):
        content = read_sealed(path)
        if not (is_recorded(path.name) and len(content) > MOST_RECORDED):
            measured[path.name] = content
    evidence = CellEvidence(
        run.cell.to_json(),
        pd.concat([evaluations[name] for name in sorted(evaluations)], ignore_index=True)
        if evaluations
        else pd.DataFrame({"evaluation": pd.Series(dtype=str)}),
        read_frame(run.history_path),
        run.machine(),
        measured,
    )
    return write_cell(evidence, evidence_path(run.cell))


def keep_shared(store: Path) -> list[Path]:
    """Keep what belongs to no cell."""
    return [
        write_sealed(evidence_folder() / path.relative_to(store), read_sealed(path))
        for folder in SHARED
        for path in sorted((store / folder).rglob("[!.]*"))
        if path.is_file()
    ]


def finished_cells(store: Path) -> Iterator[Run]:
    """Every finished training of the run store whose settings this version knows."""
    for path in sorted(store.glob("*/history.parquet")):
        cell = stored_cell(path.parent)
        if cell is not None and cell.id == path.parent.name and Run(cell, store).is_trained:
            yield Run(cell, store)


def all_committed() -> Iterator[tuple[Path, Cell | None]]:
    """Every file of a cell in the evidence; without a cell where its settings are gone."""
    for path in sorted(evidence_folder().glob("*/*.parquet")):
        if path.parent.name in SHARED:
            continue
        found = read_cell(path)  # a damaged file is no file of old settings: it is refused
        try:
            cell = Cell.from_json(found.config)
        except (ValueError, TypeError, KeyError, json.JSONDecodeError):
            yield path, None
            continue
        yield path, cell if cell.id == path.stem else None


def committed_cells(like: Cell) -> list[Cell]:
    """Committed cells of the same task, demonstrations, observations and preset as another."""

    def about(cell: Cell) -> tuple[object, ...]:
        return (
            cell.task,
            cell.data,
            cell.data_version,
            cell.num_demonstrations,
            cell.obs_type,
            cell.preset,
        )

    return [cell for _, cell in all_committed() if cell is not None and about(cell) == about(like)]

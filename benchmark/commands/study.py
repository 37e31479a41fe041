"""`python -m benchmark study`: a claim of the paper, and what it shows here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError
from benchmark.plan.request import StudyRequest
from benchmark.report.plots import svg_of
from benchmark.report.shown_study import ShownStudy
from benchmark.running.store import default_store, evidence_folder
from benchmark.running.workers import is_done
from benchmark.sealed import read_sealed
from benchmark.studies import STUDIES
from benchmark.studies.runner import (
    draw_study,
    find_studies,
    run_studies,
    show_plan,
    verdict_table,
)
from benchmark.studies.study import Findings, Study, StudyConfig, merged


def study_command(name: str, request: StudyRequest, command: str, dry_run: bool) -> int:
    """Run studies, or list them, or say what they would run; the exit code."""
    if name == "list":
        for study in STUDIES:
            print(f"{study.name:22} {study.claim} ({study.source})")
        return 0
    config = StudyConfig(**vars(request))
    studies = find_studies(STUDIES, name)
    if dry_run:
        show_plan(studies, config, default_store())
        return 0
    return 0 if run_studies(studies, config, default_store(), command) else 1


@dataclass(frozen=True)
class Kept:
    """A study that was run, to be drawn again from what is on disk."""

    path: Path
    study: Study
    config: StudyConfig
    command: str

    def missing(self, store: Path) -> list[str]:
        """Cells that are neither in the store nor in the evidence."""
        jobs = merged(self.study.jobs(self.config))
        return [job.cell.id for job in jobs if not is_done(job, store, evidence=True)]


def kept_studies(store: Path) -> Iterator[Kept]:
    """Every study of the run store and of the evidence."""
    folders = (store / "studies", evidence_folder() / "studies")
    paths = {path.name: path for folder in folders[::-1] for path in folder.glob("*.json")}
    for _, path in sorted(paths.items()):
        told = json.loads(read_sealed(path))
        (study,) = find_studies(STUDIES, told["study"])
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in told["asked"].items()
        }
        yield Kept(path, study, StudyConfig(**values), told["command"])


def shown_study(kept: Kept, findings: Findings) -> ShownStudy:
    """A study as a page shows it."""
    name = f"{kept.study.name}-{kept.study.label(kept.config)}"
    return ShownStudy(
        name=name,
        claim=kept.study.claim,
        source=kept.study.source,
        verdicts=verdict_table({kept.study.name: findings.verdicts}),
        tables=tuple(sheet.table for sheet in findings.sheets),
        pictures=tuple((drawing.caption, svg_of(drawing.figure)) for drawing in findings.drawings),
        remarks=tuple(findings.remarks),
        command=kept.command,
    )


def draw_kept_studies(store: Path, out: Path) -> tuple[set[str], dict[str, list[ShownStudy]]]:
    """Draw the page of every study that was kept, from the evidence alone; remove other pages.

    Returns:
        The ids of the cells that stand behind the pages, and the studies by task.
    """
    used: set[str] = set()
    shown: dict[str, list[ShownStudy]] = {}
    for kept in kept_studies(store):
        if missing := kept.missing(store):
            raise UsageError(
                f"{kept.path}: the evidence lacks {len(missing)} cells of today's settings, such "
                f"as {missing[0]}; run the study again and keep it, or remove it"
            )
        config = replace(kept.config, out=out)
        findings, _ = draw_study(kept.study, config, store, kept.command)
        used |= {job.cell.id for job in kept.study.jobs(config)}
        shown.setdefault(config.task, []).append(shown_study(kept, findings))
    names = {study.name for studies in shown.values() for study in studies}
    if out.is_dir():
        for folder in out.iterdir():
            if folder.is_dir() and folder.name not in names:
                shutil.rmtree(folder)
    return used, shown

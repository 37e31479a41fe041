"""`python -m benchmark study`: a claim of the paper, and what it shows here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import UsageError
from benchmark.plan.request import StudyRequest
from benchmark.running.store import default_store, evidence_folder
from benchmark.running.workers import is_done
from benchmark.sealed import read_sealed
from benchmark.studies import STUDIES
from benchmark.studies.runner import draw_study, find_studies, run_studies, show_plan
from benchmark.studies.study import StudyConfig, merged


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


def draw_kept_studies(store: Path, out: Path) -> set[str]:
    """Draw the page of every study that was kept, from the evidence alone; remove other pages.

    Returns:
        The ids of the cells that stand behind the pages.
    """
    used: set[str] = set()
    names = set()
    for path in sorted((evidence_folder() / "studies").glob("*.json")):
        told = json.loads(read_sealed(path))
        (study,) = find_studies(STUDIES, told["study"])
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in told["asked"].items()
        }
        config = replace(StudyConfig(**values), out=out)
        jobs = merged(study.jobs(config))
        if missing := [job.cell.id for job in jobs if not is_done(job, store, evidence=True)]:
            raise UsageError(
                f"{path}: the evidence lacks {len(missing)} of {len(jobs)} cells of today's "
                f"settings, such as {missing[0]}; run the study again and keep it, or remove it"
            )
        draw_study(study, config, store, told["command"])
        used |= {job.cell.id for job in jobs}
        names.add(f"{study.name}-{study.label(config)}")
    if out.is_dir():
        for folder in out.iterdir():
            if folder.is_dir() and folder.name not in names:
                shutil.rmtree(folder)
    return used

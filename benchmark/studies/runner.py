"""Running a study: what it costs, its cells, its measurements, and its page of findings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from baselines.choices import unknown
from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.tables import difference_text
from benchmark.evidence.text_table import Table
from benchmark.evidence.verdicts import Verdict
from benchmark.files import write_whole
from benchmark.plan.tasks import get_task
from benchmark.progress import say, whole
from benchmark.report.plots import save_figure
from benchmark.running.cost import TimeLeft, cost_text, training_seconds
from benchmark.running.engine import chosen_engine
from benchmark.running.machine import together
from benchmark.running.store import Run, evidence_folder
from benchmark.running.workers import Job, is_done
from benchmark.sealed import write_sealed
from benchmark.studies.study import Findings, Study, StudyConfig, merged


class StudyError(Exception):
    """Some cells of a study failed; the message names them with their causes."""


def run_studies(studies: Sequence[Study], config: StudyConfig, store: Path, command: str) -> bool:
    """Run some studies one after the other.

    One that fails, or cannot be run on the task that was asked for, is named and the others go on.

    Returns:
        Whether none failed.

    Raises:
        UsageError: If none can be run on what was asked for.
    """
    verdicts: dict[str, Sequence[Verdict]] = {}
    failures, unfit = [], []
    for study in studies:
        try:
            verdicts[study.name] = run_study(study, config, store, command).verdicts
        except StudyError as failure:
            failures.append(f"{study.name} failed:\n{failure}")
            say(failures[-1])
        except UsageError as error:
            unfit.append(_unfit(study, error, studies))
            say(f"\n{unfit[-1]}")
    if len(unfit) == len(studies):
        raise UsageError("no study can be run on this")
    if len(studies) > 1 and verdicts:
        table = verdict_table(verdicts)
        table.write(verdict_data(verdicts), _root(config, store), f"verdicts-{config.label}")
        say(f"\n{table.text()}")
    if len(studies) > 1 and (failures or unfit):
        say("\n".join([*unfit, *failures]))
    return not failures


def run_study(study: Study, config: StudyConfig, store: Path, command: str) -> Findings:
    """Run what a study needs and is not on disk yet, and write what it finds.

    Raises:
        UsageError: If the study cannot be run on what was asked for.
        StudyError: If a cell failed.
    """
    with usage_errors():
        jobs = merged(study.jobs(config))
    engine = chosen_engine(config.engine, config.workers)
    todo = [job for job in jobs if not _is_done(study, job, config, store)]
    say(f"\n{study.name}: {study.claim}")
    left = TimeLeft(todo, store, engine.workers)
    if known := len(jobs) - len(todo):
        say(f"{known} of {len(jobs)} cells are done already, here or in {evidence_folder()}")
    failures = []
    with whole(len(todo), left=left.at_first) as progress:
        for cell, cause in engine.run(todo, store):
            progress.ended(f"{cell.id}{f': failed: {cause}' * bool(cause)}", left.after(cell))
            if cause:
                failures.append(f"{cell.id}: {cause} (traceback: {Run(cell, store).folder})")
    if failures:
        raise StudyError("\n".join(failures))
    for job in jobs:
        study.measured(config, Run(job.cell, store))
    findings, page = draw_study(study, config, store, command)
    _remember(study, config, store, command)
    for sheet in findings.sheets:
        say(f"\n{sheet.table.text()}")
    say(f"{verdict_table({study.name: findings.verdicts}).text()}\nFindings: {page}")
    return findings


def draw_study(
    study: Study, config: StudyConfig, store: Path, command: str
) -> tuple[Findings, Path]:
    """Write what a study finds of what is on disk; the findings and their page."""
    findings = study.findings(config, store)
    folder = _root(config, store) / f"{study.name}-{study.label(config)}"
    return findings, write_findings(study, config, findings, folder, command, store)


def _is_done(study: Study, job: Job, config: StudyConfig, store: Path) -> bool:
    """Whether a job is done; evidence, which holds no weights, does if all was measured of it."""
    run = Run(job.cell, store)
    names = study.measurements(config, run)
    has_all = all(run.has_measured(name) for name in names)
    return is_done(job, store, has_all and not config.without_evidence)


def _remember(study: Study, config: StudyConfig, store: Path, command: str) -> None:
    """Keep what was asked for, so that the page can be drawn again from the evidence.

    A user's own file of demonstrations is not in the evidence, and so neither are its studies.
    """
    if get_task(config.task).catalogue(config.data) != config.described():
        return
    asked = {
        name: getattr(config, name)
        for name in ("task", "preset", "methods", "seeds", "data", "episodes")
    }
    told = {"study": study.name, "asked": asked, "command": command}
    path = store / "studies" / f"{study.name}-{study.label(config)}.json"
    write_sealed(path, json.dumps(told, indent=2) + "\n")


def _cost(jobs: Sequence[Job], store: Path, workers: int) -> str:
    return cost_text(jobs, training_seconds(jobs, store, workers), store, workers)


def _root(config: StudyConfig, store: Path) -> Path:
    return config.out or store / "reports" / "studies"


def show_plan(studies: Sequence[Study], config: StudyConfig, store: Path) -> None:
    """Print the cells of some studies, and which of them are done.

    Raises:
        UsageError: If a study that was asked for alone cannot be run.
    """
    workers = chosen_engine(config.engine, config.workers).workers
    for study in studies:
        try:
            with usage_errors():
                jobs = merged(study.jobs(config))
        except UsageError as error:
            print(_unfit(study, error, studies))
            continue
        print(f"{study.name}: {_cost(jobs, store, workers)}")
        for job in jobs:
            trained = Run(job.cell, store).is_trained
            state = (
                "done" if _is_done(study, job, config, store) else "trained" if trained else "to do"
            )
            print(f"  {state:8} {job.cell.id}  evaluations: {len(job.evaluations)}")


def _unfit(study: Study, error: UsageError, studies: Sequence[Study]) -> str:
    """Say why one of several studies is left out; where it is the only one, that is an error."""
    if len(studies) == 1:
        raise error
    return f"{study.name} cannot be run: {error}"


def write_findings(
    study: Study,
    config: StudyConfig,
    findings: Findings,
    folder: Path,
    command: str,
    store: Path,
) -> Path:
    """Write the tables, figures and verdicts of a study, and a page that shows them all."""
    verdicts = verdict_table({study.name: findings.verdicts})
    verdicts.write(verdict_data({study.name: findings.verdicts}), folder, "verdicts")
    parts = [
        f"# {study.name} on {study.label(config)}",
        f"**Claim** ({study.source}): {study.claim}",
        verdicts.markdown(),
        *findings.remarks,
    ]
    for drawing in findings.drawings:
        save_figure(drawing.figure, drawing.data, folder, drawing.stem)
        parts.append(f"![{drawing.caption}]({drawing.stem}.png)\n\n{drawing.caption}")
    for sheet in findings.sheets:
        sheet.table.write(sheet.data, folder, sheet.stem)
        parts.append(sheet.table.markdown())
    machines = [Run(job.cell, store).machine() for job in merged(study.jobs(config))]
    made = ", ".join(f"{name} {value}" for name, value in together(machines).items())
    parts.append(f"Made by `{command}`{f' on: {made}' if made else ''}.")
    text = "\n\n".join(part.strip() for part in parts) + "\n"
    return write_whole(folder / "README.md", text)


def verdict_table(verdicts: dict[str, Sequence[Verdict]]) -> Table:
    """The verdicts of some studies, a row for each claim."""
    several = len(verdicts) > 1
    rows = [
        (
            *([name] * several),
            verdict.claim,
            verdict.answer,
            f"{difference_text(verdict.interval, 3)} {verdict.effect}",
            f"{verdict.seeds} x {verdict.episodes}",
            f"{verdict.detectable:.2g}" if np.isfinite(verdict.detectable) else "-",
            verdict.needs or "-",
        )
        for name, given in verdicts.items()
        for verdict in given
    ]
    head = (*(["study"] * several), "claim", "verdict", "effect", "n", "detectable", "would decide")
    return Table(
        caption="Verdicts",
        head=head,
        rows=tuple(rows),
        align="l" * (len(head) - 3) + "rrl",
        notes=(
            "The claims of a study are tested together (Holm): a false answer among them has a "
            "chance of 5 %, and each interval is at the confidence at which it decides. Fewer than "
            "three training seeds suggest. n: training seeds x episodes. Detectable: how far from "
            "its limit an effect must truly lie to be found with chance 80 %; a dash where none "
            "would be. Would decide: what finds the effect with that chance, if it is as large as "
            "estimated.",
        ),
    )


def verdict_data(verdicts: dict[str, Sequence[Verdict]]) -> pd.DataFrame:
    """The numbers of `verdict_table`."""
    return pd.DataFrame(
        {
            "study": name,
            "claim": verdict.claim,
            "verdict": verdict.answer,
            "effect": verdict.effect,
            **verdict.interval.columns("estimate"),
            "confidence": verdict.interval.confidence,
            "interval": verdict.interval.method,
            "train_seeds": verdict.seeds,
            "episodes": verdict.episodes,
            "detectable": verdict.detectable,
            "would_decide": verdict.needs,
        }
        for name, given in verdicts.items()
        for verdict in given
    )


def find_studies(studies: Sequence[Study], name: str) -> list[Study]:
    """The study of that name, or every one for `all`.

    Raises:
        UsageError: If there is none; the message lists the names there are.
    """
    found = [study for study in studies if name in ("all", study.name)]
    if not found:
        names = ["all", *(study.name for study in studies)]
        raise UsageError(unknown("study", name, names, "studies"))
    return found

"""What a report is drawn from, kept beside it.

So a report can be drawn again where its runs are gone, and its policies can stand in another table
without being trained again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from benchmark.errors import UsageError
from benchmark.evidence.tables import OWN_SETTINGS, REFERENCES, SETTINGS
from benchmark.files import write_whole


@dataclass(frozen=True)
class Record:
    """Episodes and trainings, and how they came about.

    Attributes:
        episodes: A row an episode, as the store returns them.
        history: Training history, a row a checkpoint; may be empty.
        commands: The commands that made the episodes.
        machine: What they ran on, such as processor, versions and date, by name.
    """

    episodes: pd.DataFrame
    history: pd.DataFrame
    commands: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)


def write_record(record: Record, folder: Path) -> None:
    """Keep a record in the folder of its report, but for the history: its figure keeps that."""
    buffer = io.BytesIO()
    record.episodes.to_parquet(buffer, index=False)
    write_whole(folder / "episodes.parquet", buffer.getvalue())
    made = {"commands": record.commands, "machine": dict(record.machine)}
    write_whole(folder / "made.json", json.dumps(made, indent=2) + "\n")


def read_record(folder: Path) -> Record:
    """The record of a report.

    Raises:
        UsageError: If the folder holds no report, or one of before records were kept.
    """
    for name in ("episodes.parquet", "made.json"):
        if not (folder / name).is_file():
            raise UsageError(
                f"no report to read in {folder}: {name} is missing; "
                "allowed: a folder that sweep wrote, such as results/pusht-scripted-quick"
            )
    made = json.loads((folder / "made.json").read_text())
    history = folder / "training.csv"
    return Record(
        pd.read_parquet(folder / "episodes.parquet"),
        pd.read_csv(history) if history.is_file() else pd.DataFrame(),
        tuple(made["commands"]),
        made["machine"],
    )


def read_beside(folders: Sequence[Path], task: str) -> list[Record]:
    """The records that are to stand beside the policies of a sweep.

    Raises:
        UsageError: If a folder holds no report, or one of another task.
    """
    records = [read_record(folder) for folder in folders]
    for folder, record in zip(folders, records, strict=True):
        if others := set(record.episodes["task"]) - {task}:
            named = ", ".join(sorted(others))
            raise UsageError(f"{folder} is a report of {named}; allowed: of {task}")
    return records


def beside(own: Record, earlier: Sequence[Record]) -> Record:
    """Put the policies of earlier reports after a sweep's own.

    A policy is taken from the first that has it, the sweep before the reports.
    """
    records = [own]
    known = _policies(own.episodes)
    for record in earlier:
        policies = _policies(record.episodes)
        new = record.episodes[~policies.isin(known)]
        if len(new):
            history = record.history
            kept = history if history.empty else history[history["cell"].isin(new["cell"])]
            records.append(Record(new, kept, record.commands, record.machine))
            known = known.append(policies)
    if len(records) == 1:
        return own
    names = dict.fromkeys(name for record in records for name in record.machine)
    return Record(
        pd.concat([record.episodes for record in records], ignore_index=True),
        pd.concat([record.history for record in records], ignore_index=True),
        tuple(dict.fromkeys(command for record in records for command in record.commands)),
        {
            name: " / ".join(dict.fromkeys(r.machine[name] for r in records if name in r.machine))
            for name in names
        },
    )


def _policies(episodes: pd.DataFrame) -> pd.MultiIndex:
    """The trained policy of every episode and how it was evaluated.

    There is one demonstrator and one that holds still, whatever the others are trained by.
    """
    policies = episodes[[*SETTINGS, "train_seed"]].copy()
    references = policies["method"].isin(REFERENCES)
    policies.loc[references, list(OWN_SETTINGS)] = 0
    policies.loc[references, "preset"] = ""
    return pd.MultiIndex.from_frame(policies)

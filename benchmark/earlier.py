"""Policies of earlier reports beside those of a sweep, without training them again.

A report keeps the episodes and the training histories that it was drawn from: its rows can stand in
another table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.errors import UsageError
from benchmark.tables import OWN_SETTINGS, REFERENCES, SETTINGS


@dataclass(frozen=True)
class Record:
    """What a report is drawn from.

    Attributes:
        episodes: A row an episode.
        history: A row a checkpoint of a training; empty where none is kept.
        commands: What made the episodes; empty where it is not kept.
    """

    episodes: pd.DataFrame
    history: pd.DataFrame
    commands: tuple[str, ...] = ()


def read_report(folder: Path, task: str) -> Record:
    """What an earlier report of a task was drawn from.

    Raises:
        UsageError: If the folder holds no report, or one of another task.
    """
    path = folder / "episodes.parquet"
    if not path.is_file():
        raise UsageError(
            f"no report in {folder}: {path.name} is missing; "
            "allowed: a folder that sweep wrote, such as results/pusht-scripted-quick"
        )
    episodes = pd.read_parquet(path)
    if others := set(episodes["task"]) - {task}:
        raise UsageError(f"{folder} is a report of {', '.join(sorted(others))}; allowed: of {task}")
    history, commands = folder / "training.csv", folder / "commands.txt"
    return Record(
        episodes,
        pd.read_csv(history) if history.is_file() else pd.DataFrame(),
        tuple(commands.read_text().splitlines()) if commands.is_file() else (),
    )


def beside(own: Record, earlier: Sequence[Record]) -> Record:
    """Put the policies of earlier reports after a sweep's own.

    A policy is taken from the first that has it, the sweep before the reports.
    """
    episodes, history, commands = own.episodes, own.history, own.commands
    for record in earlier:
        new = record.episodes[~_policies(record.episodes).isin(_policies(episodes))]
        if new.empty:
            continue
        episodes = pd.concat([episodes, new], ignore_index=True)
        if not record.history.empty:
            of_new = record.history["cell"].isin(new["cell"])
            history = pd.concat([history, record.history[of_new]], ignore_index=True)
        commands += tuple(command for command in record.commands if command not in commands)
    return Record(episodes, history, commands)


def _policies(episodes: pd.DataFrame) -> pd.MultiIndex:
    """The trained policy of every episode and how it was evaluated.

    There is one demonstrator and one that holds still, whatever else is compared with them.
    """
    policies = episodes[[*SETTINGS, "train_seed"]].copy()
    policies.loc[policies["method"].isin(REFERENCES), list(OWN_SETTINGS)] = 0
    return pd.MultiIndex.from_frame(policies)

"""Trackers of experiments: a finished cell becomes a run there, with its curve and result."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from benchmark.errors import UsageError
from benchmark.plan.config import Cell
from benchmark.plan.request import TrackerName

PROJECT = "dpbench"


class Tracker(Protocol):
    """Where finished cells are told to."""

    def add(self, cell: Cell, history: pd.DataFrame, result: dict[str, float]) -> None:
        """Add a finished cell as a run.

        Args:
            cell: Its id names the run, its settings are the run's.
            history: Loss, action error and validation score by `update`.
            result: Numbers by name, of the evaluation.
        """


class TensorBoard:
    """A folder of events a cell; `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, cell: Cell, history: pd.DataFrame, result: dict[str, float]) -> None:
        """See `Tracker.add`."""
        from torch.utils.tensorboard import SummaryWriter

        last = int(history["update"].iloc[-1])
        with SummaryWriter(str(self._folder / cell.id)) as writer:
            writer.add_text("config", f"```json\n{cell.to_json()}\n```")
            for step, row in _rows(history):
                for name, value in row.items():
                    writer.add_scalar(f"train/{name}", value, step)
            for name, value in result.items():
                writer.add_scalar(f"test/{name}", value, last)


class Logged:
    """Weights & Biases, or trackio, which has its interface.

    Args:
        name: Of the package.
        settings: Further arguments of its `init`.
    """

    def __init__(self, name: str, settings: dict[str, Any]) -> None:
        self._name, self._settings = name, settings

    def add(self, cell: Cell, history: pd.DataFrame, result: dict[str, float]) -> None:
        """See `Tracker.add`."""
        package = __import__(self._name)
        config = json.loads(cell.to_json())
        package.init(project=PROJECT, name=cell.id, config=config, **self._settings)
        for step, row in _rows(history):
            package.log({f"train/{name}": value for name, value in row.items()}, step=step)
        last = int(history["update"].iloc[-1])
        package.log({f"test/{name}": value for name, value in result.items()}, step=last + 1)
        package.finish()


def chosen_tracker(name: TrackerName | None, store: Path) -> Tracker | None:
    """The tracker of that name; None for none.

    Args:
        name: tensorboard, wandb or trackio.
        store: The run store, in which TensorBoard's and W&B's files get a folder.

    Raises:
        UsageError: If its package is not installed.
    """
    if name is None:
        return None
    if find_spec(name) is None:
        raise UsageError(
            f"--track {name} needs a package that is not here: pip install -c constraints.txt "
            f"'dpbench[{name}]'"
        )
    if name == "tensorboard":
        return TensorBoard(store / "tensorboard")
    return Logged(name, {"dir": str(store)} if name == "wandb" else {})


def _rows(history: pd.DataFrame) -> list[tuple[int, dict[str, float]]]:
    """What was measured at each update: a number that was not is left out."""
    names = ["loss", "action_error", "validation_score", "validation_success"]
    return [
        (int(row["update"]), {name: row[name] for name in names if pd.notna(row[name])})
        for row in history.to_dict("records")
    ]

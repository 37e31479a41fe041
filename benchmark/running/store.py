"""Runs on disk: what was trained and evaluated, written whole or not at all.

runs/<cell id>/config.json           the resolved settings of the cell
               machine.json          what it was trained on
               state.safetensors     an unfinished training, to continue from
               checkpoint/           the finished policy (averaged weights)
               checkpoints/<k>/      its last ones, where they were asked for
               history.parquet       loss, action error, validation score while training
               episodes/<eval>.parquet   one evaluation, a row an episode
               measured/<name>       what a study measured of the policy
               error.txt             the traceback of the last failure, if any
     references/, studies/           what belongs to no cell, see `kept`

Readers look here first and then in the evidence, results/evidence, which is kept in git and holds
everything but the weights. Beside a file, `.NAME.lock` belongs to `running.once`, `.NAME.sha256` is
its checksum (`benchmark.sealed`): what is damaged counts as missing and is made again.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from baselines.agent import Agent
from baselines.checkpoints import load_agent, read_files, save_agent
from benchmark.evidence.cell_file import CellEvidence, read_cell
from benchmark.parquet import read_parquet
from benchmark.plan.config import CHOSEN, KEPT, Cell, EvalConfig
from benchmark.plan.presets import horizon_trials
from benchmark.running.once import once
from benchmark.sealed import is_whole, read_sealed, seal_of, set_aside, write_sealed
from envs.demos.files import decoding

MEASURED = "measured"


def default_store() -> Path:
    """Where runs are kept: $DPBENCH_RUNS, else `runs` in the working directory."""
    return Path(os.environ.get("DPBENCH_RUNS", "runs"))


def evidence_folder() -> Path:
    """Where evidence is kept: $DPBENCH_EVIDENCE, else results/evidence in the working directory."""
    return Path(os.environ.get("DPBENCH_EVIDENCE", "results/evidence"))


def evidence_path(cell: Cell) -> Path:
    """The file that holds the evidence of a cell, if there is any."""
    return evidence_folder() / f"{cell.task}-{cell.data}" / f"{cell.id}.parquet"


class Run:
    """One cell: its folder in the run store, and its evidence."""

    def __init__(self, cell: Cell, store: Path) -> None:
        self.cell = cell
        self.folder = store / cell.id

    @property
    def state_path(self) -> Path:
        """The unfinished training."""
        return self.folder / "state.safetensors"

    @property
    def config_path(self) -> Path:
        """The settings of the cell."""
        return self.folder / "config.json"

    @property
    def history_path(self) -> Path:
        """What a training writes last."""
        return self.folder / "history.parquet"

    @property
    def is_trained(self) -> bool:
        """Whether the training is finished, and its policy here."""
        if not is_whole(self.history_path):
            return False
        if not is_whole(self.config_path):  # nothing of it is lost: the folder's name is its hash
            write_sealed(self.config_path, self.cell.to_json())
        return True

    @property
    def has_history(self) -> bool:
        """Whether its history and episodes can be read, from here or from the evidence."""
        return self.is_trained or self.evidence is not None

    @property
    def evidence(self) -> CellEvidence | None:
        """What is committed of the cell; None where nothing is."""
        return _read_evidence(evidence_path(self.cell))

    def begin(self, machine: Mapping[str, str]) -> None:
        """Write down what is trained and on what."""
        write_sealed(self.config_path, self.cell.to_json())
        write_sealed(self.folder / "machine.json", json.dumps(dict(machine), indent=2) + "\n")

    def finish(self, agent: Agent, history: pd.DataFrame) -> None:
        """Keep the trained policy and its history; drop what was kept to continue from."""
        save_agent(agent, self.checkpoint())
        write_parquet(history, self.history_path)
        self.drop_state()
        (self.folder / "error.txt").unlink(missing_ok=True)

    def drop_state(self) -> None:
        """Remove the unfinished training."""
        for path in (self.state_path, seal_of(self.state_path)):
            path.unlink(missing_ok=True)

    def checkpoint(self, number: int = 0) -> Path:
        """The folder of the last policy, or of one of those kept before it, counted from 1."""
        return self.folder / (f"checkpoints/{number}" if number else "checkpoint")

    def agent(self, checkpoint: int = 0) -> Agent:
        """The trained policy, or what it was at an earlier checkpoint."""
        return load_agent(self.checkpoint(checkpoint))

    def needs_training(self, keeps_checkpoints: bool) -> bool:
        """Whether a policy that is asked for is missing; a damaged one is set aside.

        Args:
            keeps_checkpoints: Whether those kept before the last one are asked for too.
        """
        if not self.is_trained:
            return True
        asked = range(1 + KEPT if keeps_checkpoints and self.cell.train.updates else 1)
        for folder in map(self.checkpoint, asked):
            try:
                read_files(folder)
            except FileNotFoundError:
                return True
            except ValueError as error:
                set_aside(folder, error)
                return True
        return False

    def machine(self) -> dict[str, str]:
        """What it was trained on; empty where that was not written down."""
        path = self.folder / "machine.json"
        if is_whole(path):
            return dict(json.loads(path.read_text()))
        return dict(self.evidence.machine) if not self.is_trained and self.evidence else {}

    def history(self) -> pd.DataFrame:
        """Loss, action error and validation score by update, with the columns of the cell."""
        if self.is_trained or self.evidence is None:
            history = read_frame(self.history_path)
        else:
            history = self.evidence.history
        return history.assign(
            cell=self.cell.id,
            method=self.cell.method,
            control=self.cell.control,
            data=self.cell.data,
            train_seed=self.cell.seed,
        )

    def evaluation_path(self, config: EvalConfig) -> Path:
        """Where one evaluation is kept."""
        return self.folder / "episodes" / f"{config.id}.parquet"

    def has(self, config: EvalConfig, evidence: bool = True) -> bool:
        """Whether an evaluation is in the run store or, unless left out, in the evidence.

        One at the chosen action horizon is there with the trials that it is chosen by.
        """
        if config.action_horizon == CHOSEN:
            trials = horizon_trials(self.cell)
            return all(self.has(trial, evidence) for trial in trials) and self.has(
                self.resolved(config), evidence
            )
        return is_whole(self.evaluation_path(config)) or (
            evidence and self._committed(config) is not None
        )

    def resolved(self, config: EvalConfig) -> EvalConfig:
        """The config with its action horizon: the one of the best mean score, or the longer of two.

        Raises:
            FileNotFoundError: If one of the trials that decide it was never played.
        """
        if config.action_horizon != CHOSEN:
            return config
        scores = {
            trial.action_horizon: float(self.episodes(trial)["score"].mean())
            for trial in horizon_trials(self.cell)
        }
        best = max(scores, key=lambda horizon: (scores[horizon], horizon))
        return replace(config, action_horizon=best)

    def episodes(self, config: EvalConfig) -> pd.DataFrame:
        """One evaluation, a row an episode.

        Raises:
            FileNotFoundError: If it was never played.
        """
        config = self.resolved(config)
        if not is_whole(self.evaluation_path(config)):
            committed = self._committed(config)
            if committed is not None:
                return committed
        return read_frame(self.evaluation_path(config))

    def _committed(self, config: EvalConfig) -> pd.DataFrame | None:
        if self.evidence is None:
            return None
        found = self.evidence.episodes[self.evidence.episodes["evaluation"] == config.id]
        return None if found.empty else found.drop(columns="evaluation").reset_index(drop=True)

    def has_measured(self, name: str) -> bool:
        """Whether a measurement is in the run store or in the evidence."""
        path = self.folder / MEASURED / name
        return is_whole(path) or (self.evidence is not None and name in self.evidence.measured)

    def measured(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What a study measured of the policy; where it was not yet, it is measured now.

        Args:
            name: Of the file, unique among all studies.
            make: Measures; its content is kept.
        """
        path = self.folder / MEASURED / name
        if not is_whole(path) and self.evidence and name in self.evidence.measured:
            return self.evidence.measured[name]
        return once(path, lambda path: write_sealed(path, make())).read_bytes()


def stored_cell(folder: Path) -> Cell | None:
    """The cell that a folder of the run store holds; None where this version cannot tell."""
    path = folder / "config.json"
    if not is_whole(path):
        return None
    try:
        return Cell.from_json(path.read_text())
    except (ValueError, TypeError, KeyError):
        return None  # of an older version, whose settings are no longer these


@lru_cache(maxsize=512)
def _read_known(path: Path, size: int, changed: int) -> CellEvidence:  # noqa: ARG001 - the key
    return read_cell(path)


def _read_evidence(path: Path) -> CellEvidence | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return _read_known(path, found.st_size, found.st_mtime_ns)


def kept(store: Path, name: str, make: Callable[[], bytes]) -> bytes:
    """What belongs to no cell: from the run store, the evidence, or made now and kept.

    Args:
        store: The run store.
        name: Of the file below either, such as `references/hold-still-pusht.parquet`.
        make: Gives its content.
    """
    committed = evidence_folder() / name
    if not is_whole(store / name) and committed.is_file():
        return read_sealed(committed)
    return once(store / name, lambda path: write_sealed(path, make())).read_bytes()


def kept_frame(store: Path, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
    """`kept` of a frame, whose name ends in .parquet."""
    return pd.read_parquet(io.BytesIO(kept(store, name, lambda: to_parquet(make()))))


def describe(episodes: pd.DataFrame, cell: Cell, config: EvalConfig, steps: int) -> pd.DataFrame:
    """Put the columns that say what was evaluated before the outcomes of its episodes.

    Args:
        episodes: A row an episode, from a rollout.
        cell: What was trained.
        config: How it was evaluated.
        steps: Denoising steps of a prediction, 0 where that has no meaning.
    """
    columns = {
        "cell": cell.id,
        "task": cell.task,
        "method": cell.method,
        "control": cell.control,
        "data": cell.data,
        "obs_type": cell.sees,
        "preset": cell.preset,
        "train_seed": cell.seed,
        "updates": cell.train.updates,
        "checkpoint": f"{config.checkpoint} of {KEPT}" if config.checkpoint else "last",
        "action_horizon": config.action_horizon,
        "latency": config.latency,
        "inference_steps": steps,
        "sampler": config.sampler,
        "split": config.split,
    }
    if config.disturbance != "none":
        columns["disturbance"] = config.disturbance
    return pd.concat([pd.DataFrame(columns, index=episodes.index), episodes], axis=1)


def to_parquet(frame: pd.DataFrame) -> bytes:
    """A frame as the content of a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def read_frame(path: Path) -> pd.DataFrame:
    """The frame in a Parquet file of ours.

    Raises:
        FileError: If it is damaged.
    """
    table = read_parquet(path, read_sealed(path))
    with decoding(path, "Parquet file"):
        frame: pd.DataFrame = table.to_pandas()
    return frame


def write_parquet(frame: pd.DataFrame, path: Path) -> Path:
    """Write a frame as Parquet, whole or not at all, with its checksum."""
    return write_sealed(path, to_parquet(frame))

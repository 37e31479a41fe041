"""Choosing settings: candidates trained one after another and compared on validation seeds.

Test seeds are not touched, so what is chosen here can still be tested honestly. Cells come from and
go to the run store: a search continues where it stopped and trains nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import dunnett

from baselines.agent import agent_class
from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.text_table import Table
from benchmark.files import check_writable
from benchmark.plan.candidates import CANDIDATES
from benchmark.plan.config import EvalConfig, override_evaluation
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import evaluation, load_demonstrations, plan
from benchmark.progress import say, whole
from benchmark.running.cost import TimeLeft
from benchmark.running.machine import best_device
from benchmark.running.run import run_cell
from benchmark.running.store import Run
from benchmark.running.workers import Job

ALPHA = 0.05
"""Chance that a search takes another candidate although none is better than the first."""


@dataclass(frozen=True)
class Candidate:
    """One set of changed settings and how the policies trained with them did.

    Attributes:
        changes: The settings, as typed.
        minutes: Training of all seeds, on one core.
        updates: Of each training.
        episodes: Validation episodes of all seeds.
    """

    changes: str
    minutes: float
    updates: int
    episodes: pd.DataFrame


def search(
    config: SweepConfig, candidates: tuple[str, ...], episodes: int, out: Path, store: Path
) -> Table:
    """Train every candidate with every seed and compare them on validation seeds.

    Args:
        config: Task, preset, data, seeds, and the one method and control mode that is tuned.
        candidates: Changed settings of each, NAME=VALUE parted by spaces; empty for the preset.
            eval.NAME changes how a policy is evaluated, for which nothing is trained anew. None
            takes those declared for the method in `benchmark.plan.candidates`.
        episodes: Validation episodes of each training.
        out: Folder of the log.
        store: Where runs are kept.

    Returns:
        The candidates, best score first; also written to `out`, from the first candidate on.

    Raises:
        UsageError: If there is no candidate, or one names a setting that does not exist.
    """
    (method,), (control,) = config.methods, config.control
    with usage_errors():
        agent_class(method)
    candidates = candidates or CANDIDATES.get(method, ())
    if not candidates:
        raise UsageError(
            f"no candidates are declared for {method}; write each as one word, such as "
            f"'train.batch_size=64' (declared: {', '.join(CANDIDATES)})"
        )
    with usage_errors():
        plans = [_plan(text, config, episodes) for text in candidates]
    check_writable(out, "--out")
    load = partial(load_demonstrations, config)
    jobs = [Job(cell, (at,), load) for changed, at in plans for cell in plan(changed)]
    left = TimeLeft(jobs, store, workers=1)
    done: list[Candidate] = []
    with whole(len(jobs), left=left.at_first) as progress:
        for text, (changed, at) in zip(candidates, plans, strict=True):
            played, seconds = [], 0.0
            for cell in plan(changed):
                played.append(run_cell(cell, at, load, store, best_device()))
                seconds += float(Run(cell, store).history()["seconds"].iloc[-1])
                progress.ended(f"{cell.id}: {text or 'the preset'}", left.after(cell))
            frames = pd.concat(played, ignore_index=True)
            done.append(Candidate(text or "the preset", seconds / 60, cell.train.updates, frames))
            table, data = _compare(done, len(candidates), config)
            table.write(data, out, f"{cell.task}-{cell.data}-{method}-{control}-{cell.preset}")
            progress.table = table.text()
    say(table.text())
    return table


def _plan(text: str, config: SweepConfig, episodes: int) -> tuple[SweepConfig, EvalConfig]:
    """What a candidate changes in the sweep, and how it is evaluated.

    All are played at the action horizon of their settings: to choose one for each would take longer
    than to train it.
    """
    words = text.split()
    changes = [word for word in words if not word.startswith("eval.")]
    changed = replace(config, set=(*config.set, *changes))
    cell = plan(changed)[0]
    at = replace(
        evaluation(config, cell),
        action_horizon=cell.action_horizon,
        split="validation",
        episodes=episodes,
    )
    with usage_errors():
        return changed, override_evaluation(at, words)


def gains(done: Sequence[Candidate]) -> pd.DataFrame:
    """How much better each candidate scores than the first, by Dunnett's test.

    A training's mean score is one observation. How much trainings of the same settings differ is
    estimated over all candidates together, since two seeds a candidate would not tell it.

    Returns:
        A row a candidate after the first, with columns `gain`, `gain_low` (one-sided limit, which
        holds for all of them at once with confidence 1 - ALPHA) and `p_value`.
    """
    first, *others = (_of_trainings(one) for one in done)
    columns: dict[str, Any] = {"gain": [float(scores.mean() - first.mean()) for scores in others]}
    columns |= {"gain_low": np.nan, "p_value": np.nan}
    if others and len(first) > 1 and any(np.ptp(scores) > 0 for scores in (first, *others)):
        found = dunnett(*others, control=first, alternative="greater", random_state=0)
        columns |= {
            "gain_low": found.confidence_interval(1 - ALPHA).low,
            "p_value": found.pvalue,
        }
    return pd.DataFrame(columns)


def _of_trainings(one: Candidate) -> NDArray[np.float64]:
    """Mean score of each training of a candidate."""
    return one.episodes.groupby("train_seed")["score"].mean().to_numpy(np.float64)


def _compare(done: Sequence[Candidate], of: int, config: SweepConfig) -> tuple[Table, pd.DataFrame]:
    """The candidates as a table, best first, and as numbers; `of` is how many there will be."""
    data = pd.DataFrame(
        {
            "settings": [one.changes for one in done],
            "score": [float(one.episodes["score"].mean()) for one in done],
            "success": [float(one.episodes["is_success"].mean()) for one in done],
            "updates": [one.updates for one in done],
            "minutes": [one.minutes for one in done],
        }
    )
    for i, seed in enumerate(config.seeds):
        data[f"score_{seed}"] = [_of_trainings(one)[i] for one in done]
    data = pd.concat([data, gains(done).set_index(data.index[1:])], axis=1)
    better = data["score"].where(data["gain_low"] > 0)
    data["is_taken"] = data.index == (better.idxmax() if better.notna().any() else 0)
    data["is_taken"] &= len(done) == of
    data = data.sort_values("score", ascending=False, kind="stable")
    table = Table(
        caption=f"Search: {config.methods[0]}, {config.control[0]} control, preset {config.preset}",
        head=(
            "settings",
            *(f"seed {seed}" for seed in config.seeds),
            "score",
            "success",
            "gain",
            "updates",
            "minutes",
        ),
        rows=tuple(
            (
                row["settings"] + (" *" if row["is_taken"] else ""),
                *(f"{row[f'score_{seed}']:.3f}" for seed in config.seeds),
                f"{row['score']:.3f}",
                f"{row['success']:.0%}",
                "-" if np.isnan(row["gain"]) else f"{row['gain']:+.3f} (> {row['gain_low']:+.3f})",
                str(row["updates"]),
                f"{row['minutes']:.1f}",
            )
            for row in data.to_dict("records")
        ),
        align="l" + "r" * (len(config.seeds) + 5),
        notes=(
            f"{len(done[0].episodes) // len(config.seeds)} validation episodes each training, at "
            "the action horizon of the settings. Minutes: of all trainings, on one core of a "
            "machine as it was loaded then.",
            f"Gain: of score, over {done[0].changes}; beside it the limit that holds for all "
            f"candidates at once with {1 - ALPHA:.0%} (Dunnett's test on the scores of trainings).",
            "* is taken: the best of those whose limit lies above 0, or else the first."
            if len(done) == of
            else f"{len(done)} of {of} candidates are done; none is taken yet.",
        ),
    )
    return table, data

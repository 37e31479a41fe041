"""Choosing settings: candidates trained one after another and compared on validation seeds.

Test seeds are not touched, so what is chosen here can still be tested honestly. Cells come from and
go to the run store: a search continues where it stopped and trains nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from benchmark.errors import UsageError, usage_errors
from benchmark.evidence.effects import mean
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.plan.config import EvalConfig, override_evaluation
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import evaluation, load_demonstrations, plan
from benchmark.running.machine import best_device
from benchmark.running.run import run_cell
from benchmark.running.store import Run


@dataclass(frozen=True)
class Candidate:
    """One set of changed settings and how the policy trained with them did."""

    changes: str
    minutes: float
    updates: int
    episodes: pd.DataFrame


def search(
    config: SweepConfig, candidates: tuple[str, ...], episodes: int, out: Path, store: Path
) -> Table:
    """Train every candidate and compare them on validation seeds.

    Args:
        config: Task, preset, data, and the one method, control mode and seed that is tuned.
        candidates: Changed settings of each, NAME=VALUE parted by spaces; empty for the preset.
            eval.NAME changes how a policy is evaluated, for which nothing is trained anew.
        episodes: Validation episodes of each.
        out: Folder of the log.
        store: Where runs are kept.

    Returns:
        The candidates, best score first; also written to `out`, from the first candidate on.
    """
    done: list[Candidate] = []
    plans = [_plan(text, config, episodes) for text in candidates]
    table = None
    for text, (changed, at) in zip(candidates, plans, strict=True):
        (cell,) = plan(changed)
        print(f"\n{cell.id}: {text or 'the preset'}", flush=True)
        played = run_cell(cell, at, lambda: load_demonstrations(config), store, best_device())
        minutes = float(Run(cell, store).history()["seconds"].iloc[-1]) / 60
        done.append(Candidate(text or "the preset", minutes, cell.train.updates, played))
        table, data = _compare(done, config)
        name = f"{cell.task}-{cell.data}-{cell.method}-{cell.control}-{cell.preset}"
        table.write(data, out, name)
        print(table.text(), flush=True)
    if table is None:
        raise UsageError("no candidates; write each as one word, such as 'train.batch_size=64'")
    return table


def _plan(text: str, config: SweepConfig, episodes: int) -> tuple[SweepConfig, EvalConfig]:
    """What a candidate changes in the sweep, and how it is evaluated."""
    words = text.split()
    changes = [word for word in words if not word.startswith("eval.")]
    changed = replace(config, set=(*config.set, *changes))
    cells = plan(changed)
    if len(cells) != 1:
        raise UsageError(
            f"a search tunes one cell, not {len(cells)}: "
            "give one method, one control mode and one seed"
        )
    at = replace(evaluation(config, cells[0]), split="validation", episodes=episodes)
    with usage_errors():
        return changed, override_evaluation(at, words)


def _compare(done: list[Candidate], config: SweepConfig) -> tuple[Table, pd.DataFrame]:
    """The candidates as a table, best first, and as numbers."""
    rows = [
        {
            "settings": candidate.changes,
            **mean(candidate.episodes).interval().columns("score"),
            **mean(candidate.episodes, "is_success").interval().columns("success"),
            "updates": candidate.updates,
            "minutes": candidate.minutes,
        }
        for candidate in done
    ]
    data = pd.DataFrame(rows).sort_values("score", ascending=False, kind="stable")
    table = Table(
        caption=f"Search: {config.methods[0]}, {config.control[0]} control, preset {config.preset}",
        head=("settings", "score", "success", "updates", "minutes"),
        rows=tuple(
            (
                str(row["settings"]),
                score_text(row["score"], row["score_low"], row["score_high"]),
                rate_text(row["success"], row["success_low"], row["success_high"]),
                str(row["updates"]),
                f"{row['minutes']:.1f}",
            )
            for row in data.to_dict("records")
        ),
        align="lrrrr",
        notes=(
            f"{len(done[0].episodes)} validation episodes each, one training seed; minutes: of "
            "training on this machine as it was loaded then.",
        ),
    )
    return table, data

"""Tables: from episodes to the results of a comparison, and from rows to text, Markdown and LaTeX.

`results_table` computes one row of numbers for every method and setting; `present` turns these into
a `Table` of text, ready to print. Other tables of the benchmark are `Table`s too.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark.files import write_whole
from benchmark.stats import CONFIDENCE, Interval, mean_score, success_rate

# What tells one evaluated policy from another; the training seed is what is averaged over.
SETTINGS = (
    "task",
    "data",
    "obs_type",
    "preset",
    "action_horizon",
    "latency",
    "inference_steps",
    "method",
    "control",
)
ROLES = ("ceiling", "method", "floor")
REFERENCES = {"demonstrator": "ceiling", "hold-still": "floor"}

# Settings that belong to a method rather than to a table: they are shown only where one method was
# run under several.
_OWN_SETTINGS = ("action_horizon", "latency", "inference_steps")
_HEADS = {
    "task": "task",
    "data": "data",
    "obs_type": "observations",
    "preset": "preset",
    "action_horizon": "Ta",
    "latency": "latency",
    "inference_steps": "steps",
}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: What the table shows, one line.
        head: One heading a column.
        rows: One text a column, row by row.
        align: One of `l` and `r` a column, such as "llr".
        notes: What a reader must know of the numbers, a sentence each.
        breaks: Rows before which a rule is drawn.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    notes: tuple[str, ...] = ()
    breaks: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Check that every row has the columns of the head."""
        for row in (tuple(self.align), *self.rows):
            if len(row) != len(self.head):
                raise ValueError(f"{len(row)} entries {row} under the {len(self.head)} {self.head}")

    def text(self, width: int = 110) -> str:
        """Lay the table out for a terminal; `width` wraps the notes and never the rows."""
        lines = (self.head, *self.rows)
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        rule = "  ".join("-" * size for size in widths)

        def lay(line: tuple[str, ...]) -> str:
            cells = (
                cell.rjust(size) if side == "r" else cell.ljust(size)
                for cell, size, side in zip(line, widths, self.align, strict=True)
            )
            return "  ".join(cells).rstrip()

        out = [self.caption, "", lay(self.head), rule]
        for i, row in enumerate(self.rows):
            out += [rule] * (i in self.breaks) + [lay(row)]
        for note in self.notes:
            out += ["", *textwrap.wrap(note, width)]
        return "\n".join(out) + "\n"

    def markdown(self) -> str:
        """Write a GitHub-flavoured pipe table, the caption above and the notes below it."""

        def lay(line: tuple[str, ...]) -> str:
            return "| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |"

        sides = tuple("---:" if side == "r" else "---" for side in self.align)
        out = [f"**{self.caption}**", "", lay(self.head), lay(sides), *map(lay, self.rows)]
        for note in self.notes:
            out += ["", note]
        return "\n".join(out) + "\n"

    def latex(self) -> str:
        """Write a table environment for the booktabs package."""

        def lay(line: tuple[str, ...]) -> str:
            return " & ".join(map(_latex_escape, line)) + r" \\"

        body: list[str] = []
        for i, row in enumerate(self.rows):
            body += [r"\midrule"] * (i in self.breaks) + [lay(row)]
        notes = [rf"\par\smallskip\footnotesize {_latex_escape(note)}" for note in self.notes]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{_latex_escape(self.caption)}}}",
                rf"\begin{{tabular}}{{{self.align}}}",
                r"\toprule",
                lay(self.head),
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                *notes,
                r"\end{table}",
                "",
            ]
        )

    def write(self, data: pd.DataFrame, folder: Path, stem: str) -> list[Path]:
        """Write the table as text, Markdown and LaTeX, and the numbers behind it as CSV."""
        contents = {
            "txt": self.text(),
            "md": self.markdown(),
            "tex": self.latex(),
            "csv": data.to_csv(index=False, float_format="%.6g"),
        }
        return [
            write_whole(folder / f"{stem}.{kind}", content) for kind, content in contents.items()
        ]


def results_table(
    episodes: pd.DataFrame, seed: int = 0, confidence: float = CONFIDENCE
) -> pd.DataFrame:
    """Give the results of the last checkpoints on the test seeds, a row for every setting.

    Every row resamples with a generator of its own from `seed`, so that a method's interval does
    not depend on which other methods are in the table.

    Args:
        episodes: Frame of episodes; validation episodes and other checkpoints serve only the
            columns of the best checkpoint.
        seed: Seed of the bootstrap.
        confidence: Nominal coverage of the intervals.

    Returns:
        The ceiling, then the methods by falling score within a data source and preset, then the
        floor. Columns: SETTINGS; role (one of ROLES); train_seeds, episodes (in all); score and
        success, each with _low, _high and _interval (how it was found); confidence; length
        (steps); seconds_per_prediction (s; NaN where not measured); updates (mean over training
        seeds); best_score, best_split and best_checkpoints (see `_best_checkpoints`).

    Raises:
        ValueError: If no episode of a last checkpoint on test seeds is there.
    """
    headline = episodes[(episodes["split"] == "test") & (episodes["checkpoint"] == "last")]
    if headline.empty:
        raise ValueError(
            f"none of {len(episodes)} episodes is of a last checkpoint on test seeds: "
            "run the evaluation first"
        )
    by = list(SETTINGS)
    rows = [
        dict(zip(by, key, strict=True)) | _result(group, np.random.default_rng(seed), confidence)
        for key, group in headline.groupby(by, sort=False, dropna=False)
    ]
    results = pd.DataFrame(rows)
    results["role"] = results["method"].map(REFERENCES).fillna("method")
    results = results.merge(_best_checkpoints(episodes), on=by, how="left")
    rank = results["role"].map(ROLES.index)
    return (
        results.assign(rank=rank)
        .sort_values(
            ["task", "rank", "data", "obs_type", "preset", "score"],
            ascending=[True, True, True, True, True, False],
            kind="stable",
        )
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def _result(
    group: pd.DataFrame, rng: np.random.Generator, confidence: float
) -> dict[str, str | float | int]:
    score = mean_score(group, rng, confidence)
    success = success_rate(group, confidence)
    return {
        "train_seeds": group["train_seed"].nunique(),
        "episodes": len(group),
        **_columns("score", score),
        **_columns("success", success),
        "confidence": confidence,
        "length": float(group["length"].mean()),
        "seconds_per_prediction": float(group["seconds_per_prediction"].mean()),
        "updates": float(group.groupby("train_seed")["updates"].max().mean()),
    }


def _columns(name: str, interval: Interval) -> dict[str, str | float]:
    return {
        name: interval.estimate,
        f"{name}_low": interval.low,
        f"{name}_high": interval.high,
        f"{name}_interval": interval.method,
    }


def _best_checkpoints(episodes: pd.DataFrame) -> pd.DataFrame:
    """Give the highest score over checkpoints, averaged over training seeds, for every setting.

    That is how the published tables take their "max". It is optimistic: the choice is made on the
    episodes it is scored on. Test seeds are taken where several checkpoints ran on them, and
    validation seeds otherwise; settings evaluated at one checkpoint have no row.
    """
    by = list(SETTINGS)
    runs = [*by, "split", "train_seed"]
    checkpoints = episodes.groupby([*runs, "updates"], dropna=False)["score"].mean()
    per_run = checkpoints.groupby(level=runs, dropna=False).agg(["max", "size"]).reset_index()
    several = per_run[per_run["size"] > 1]
    best = several.groupby([*by, "split"], dropna=False, as_index=False).agg(
        best_score=("max", "mean"), best_checkpoints=("size", "max")
    )
    return (
        best.rename(columns={"split": "best_split"})
        .sort_values("best_split", kind="stable")  # "test" before "validation"
        .drop_duplicates(by)
    )


def present(results: pd.DataFrame, caption: str = "") -> Table:
    """Lay out the frame of `results_table` as text, with notes on what its ranges are.

    Settings in which the rows differ become columns; those they share are named in the notes.
    """
    shown = settings_shown(results)
    optimistic = bool(results["best_score"].notna().any())
    head = ["method", "control", *(_HEADS[name] for name in shown)]
    head += ["score", "success", "n", "length", "s/pred", "updates"]
    head += ["optimistic max"] * optimistic
    rows = []
    for row in results.to_dict("records"):
        reference = row["role"] != "method"
        name = f"{row['method']} ({row['role']})" if reference else str(row["method"])
        cells = [name, "-" if reference else str(row["control"])]
        cells += ["-" if reference and key != "task" else str(row[key]) for key in shown]
        cells += [score_text(row["score"], row["score_low"], row["score_high"])]
        cells += [rate_text(row["success"], row["success_low"], row["success_high"])]
        cells += [_size_text(row["train_seeds"], row["episodes"]), f"{row['length']:.0f}"]
        seconds, updates = row["seconds_per_prediction"], row["updates"]
        cells += ["-" if pd.isna(seconds) or reference else f"{seconds:.2g}"]
        cells += ["-" if reference else f"{updates:.0f}"]
        if optimistic:
            cells += ["-" if pd.isna(row["best_score"]) else f"{row['best_score']:.3f}"]
        rows.append(tuple(cells))
    roles = list(results["role"])
    left = 2 + len(shown)
    return Table(
        caption=caption or f"Results on {', '.join(sorted(set(results['task'])))}",
        head=tuple(head),
        rows=tuple(rows),
        align="l" * left + "r" * (len(head) - left),
        notes=tuple(_notes(results, shown)),
        breaks=frozenset(i for i in range(1, len(roles)) if roles[i] != roles[i - 1]),
    )


def settings_shown(results: pd.DataFrame) -> list[str]:
    """Name the settings that a reader needs to tell the rows apart, besides method and control."""
    methods = results[results["role"] == "method"]
    shared = [name for name in _HEADS if name not in _OWN_SETTINGS]
    shown = [name for name in shared if methods[name].nunique(dropna=False) > 1]
    groups = methods.groupby([*shared, "method", "control"], dropna=False)
    return shown + [name for name in _OWN_SETTINGS if (groups[name].nunique() > 1).any()]


def _notes(results: pd.DataFrame, shown: list[str]) -> list[str]:
    """Say what the numbers are, what all rows share, and what must not be compared."""
    methods = results[results["role"] == "method"]
    shared = [name for name in ("data", "obs_type", "preset") if name not in shown]
    notes = []
    if not methods.empty:
        parts = (f"{_HEADS[name]} {methods[name].iloc[0]}" for name in shared)
        notes += ["All methods: " + ", ".join(parts) + "."] * bool(shared)
        mixed = [_HEADS[name] for name in ("data", "obs_type", "preset") if name in shown]
        if mixed:
            notes += [f"Rows differ in {' and '.join(mixed)}: compare only rows that share it."]
    percent = f"{100 * results['confidence'].iloc[0]:g} %"
    ways = " or ".join(dict.fromkeys(results["score_interval"]))
    notes += [
        "Last checkpoint on test seeds; n is training seeds x episodes. Ranges are "
        f"{percent} intervals: of the score by {ways}, of the success rate by Wilson over all "
        "episodes, taken as independent."
    ]
    if (methods["train_seeds"] == 1).any():
        notes += [
            "One training seed: the interval leaves out how much another training run would differ."
        ]
    best = results[results["best_score"].notna()]
    if not best.empty:
        splits = " or ".join(sorted(set(best["best_split"])))
        notes += [
            f"Optimistic max: the best of up to {best['best_checkpoints'].max():.0f} checkpoints "
            f"on {splits} seeds, chosen on the episodes it is scored on. Published tables show "
            "this number; it is no estimate of what a policy scores."
        ]
    return notes


def score_text(estimate: float, low: float, high: float) -> str:
    """Write a score with its interval, such as "0.973 [0.95, 0.99]"."""
    limits = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    return f"{estimate:.3f}{limits}"


def rate_text(estimate: float, low: float, high: float) -> str:
    """Write a rate with its interval in percent, such as "64 % [50, 76]"."""
    limits = "" if np.isnan(low) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    return f"{100 * estimate:.0f} %{limits}"


def _size_text(train_seeds: int, episodes: int) -> str:
    if episodes % train_seeds:
        return f"{episodes} in {train_seeds}"
    return f"{train_seeds} x {episodes // train_seeds}"


def _latex_escape(text: str) -> str:
    return "".join("\\" + char if char in "&%$#_{}" else char for char in text)

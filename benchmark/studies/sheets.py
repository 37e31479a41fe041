"""Tables of studies: a row of text for every row of a frame, column by column."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from benchmark.evidence.effects import difference
from benchmark.evidence.planning import detectable
from benchmark.evidence.tables import rate_text, score_text
from benchmark.evidence.text_table import Table
from benchmark.studies.study import Sheet

Row = Mapping[Hashable, Any]
ALIKE = {"score": "{:.2f} of score", "is_success": "{:.0%} of success"}
"""What policies are told apart by, and how a difference of it is written."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        head: Its heading.
        text: Writes it for a row of the frame.
        align: l or r.
    """

    head: str
    text: Callable[[Row], str]
    align: str = "r"


def word(name: str, head: str = "") -> Column:
    """A column of words, or of numbers that are names."""
    return Column(head or name.replace("_", " "), lambda row: str(row[name]), "l")


def number(name: Hashable, head: str, spec: str, scale: float = 1) -> Column:
    """A column of numbers; a dash where there is none."""

    def text(row: Row) -> str:
        return "-" if pd.isna(row[name]) else f"{scale * row[name]:{spec}}"

    return Column(head, text)


def measured(name: str, head: str, text: Callable[[float, float, float], str]) -> Column:
    """A column of estimates with limits, from NAME, NAME_low and NAME_high."""

    def write(row: Row) -> str:
        return (
            "-" if pd.isna(row[name]) else text(row[name], row[f"{name}_low"], row[f"{name}_high"])
        )

    return Column(head, write)


SCORE = measured("score", "score", score_text)
SUCCESS = measured("success", "success", rate_text)


def signed(spec: str) -> Callable[[float, float, float], str]:
    """Writes a difference with its limits, each by a format such as "+.3f"."""

    def text(estimate: float, low: float, high: float) -> str:
        limits = "" if np.isnan(low) else f" [{low:{spec}}, {high:{spec}}]"
        return f"{estimate:{spec}}{limits}"

    return text


def sheet(
    stem: str,
    caption: str,
    data: pd.DataFrame,
    columns: Sequence[Column],
    notes: Iterable[str] = (),
    parted_by: str = "",
) -> Sheet:
    """A table of a frame.

    Args:
        stem: File name.
        caption: Of the table.
        data: A row each.
        columns: What is shown of a row.
        notes: What a reader must know; empty ones are left out.
        parted_by: A rule is drawn where this column of the frame changes.
    """
    values = data[parted_by].tolist() if parted_by else []
    table = Table(
        caption=caption,
        head=tuple(column.head for column in columns),
        rows=tuple(tuple(c.text(row) for c in columns) for row in data.to_dict("records")),
        align="".join(column.align for column in columns),
        notes=tuple(filter(None, notes)),
        breaks=frozenset(i for i, (a, b) in enumerate(pairwise(values), 1) if a != b),
    )
    return Sheet(stem, table, data)


def told_apart(*series: Sequence[pd.DataFrame]) -> str:
    """Say what differences could have been shown between neighbours of each series of episodes."""
    found = []
    pairs = [pair for rows in series for pair in pairwise(rows)]
    for column, text in ALIKE.items():
        middle = float(
            np.median([detectable(difference(a, b, column)) for a, b in pairs] or [np.inf])
        )
        if np.isfinite(middle):
            found.append(text.format(middle))
    if not found:
        return "Too few episodes to tell neighbours apart, whatever they truly differ by."
    seeds = min(a["train_seed"].nunique() for a, _ in pairs)
    return (
        f"Neighbours that truly differ by {' or '.join(found)} would be told apart with chance "
        "80 % (median); smaller differences may go unseen."
        + " One training seed: how much another training would differ is not in it."
        * (seeds == 1)
    )

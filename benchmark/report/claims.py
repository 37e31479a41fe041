"""The published claims beside the verdicts on them, a row a study, for the documentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

UNTESTED = "not tested yet"


def claims_table(claims: Mapping[str, str], pages: Path) -> str:
    """A Markdown table of claims and verdicts.

    Args:
        claims: What was published, a sentence, by the name of its study.
        pages: Folder of the studies' pages, STUDY-LABEL each, with their verdicts.csv.
    """
    lines = ["| study | claim of the paper | here |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {claim} | {'; '.join(_found(name, pages)) or UNTESTED} |"
        for name, claim in claims.items()
    ]
    return "\n".join(lines) + "\n"


def _found(study: str, pages: Path) -> list[str]:
    """What each page of a study says: `pusht-scripted-quick: holds 2, undecided 1`."""
    texts = []
    for path in sorted(pages.glob("*/verdicts.csv")):
        verdicts = pd.read_csv(path)
        if set(verdicts["study"]) == {study}:
            label = path.parent.name.removeprefix(f"{study}-")
            counts = Counter(verdicts["verdict"]).items()
            texts.append(f"{label}: {', '.join(f'{answer} {n}' for answer, n in counts)}")
    return texts

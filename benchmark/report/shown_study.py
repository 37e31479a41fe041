"""A study as a page shows it: what was claimed, and what was found."""

from dataclasses import dataclass

from benchmark.evidence.text_table import Table


@dataclass(frozen=True)
class ShownStudy:
    """A study of one task.

    Attributes:
        name: Study, task, data and preset.
        claim: What was published.
        source: Where.
        verdicts: A row a claim, with the answer in the column `verdict`.
        tables: What it measured.
        pictures: Caption and SVG of its figures.
        remarks: What a reader must know besides, a sentence each.
        command: What makes it.
    """

    name: str
    claim: str
    source: str
    verdicts: Table
    tables: tuple[Table, ...] = ()
    pictures: tuple[tuple[str, bytes], ...] = ()
    remarks: tuple[str, ...] = ()
    command: str = ""

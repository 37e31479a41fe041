"""A table of text, written for a terminal, as Markdown, as LaTeX, and with its numbers as CSV."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.files import write_whole


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

    def text(self) -> str:
        """Lay the table out for a terminal, the notes as wide as the rows or as 110 columns."""
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
        out += [""] * bool(self.notes)
        for note in self.notes:
            out += textwrap.wrap(note, max(110, len(rule)), subsequent_indent="  ")
        return "\n".join(out) + "\n"

    def markdown(self) -> str:
        """Write a GitHub-flavoured pipe table, the caption above and the notes below it."""

        def lay(line: tuple[str, ...]) -> str:
            cells = (_markdown_escape(cell).replace("|", r"\|") for cell in line)
            return f"| {' | '.join(cells)} |"

        sides = tuple("---:" if side == "r" else "---" for side in self.align)
        caption = f"**{_markdown_escape(self.caption)}**"
        out = [caption, "", lay(self.head), lay(sides), *map(lay, self.rows)]
        for note in self.notes:
            out += ["", _markdown_escape(note)]
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


_LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
}


def _markdown_escape(text: str) -> str:
    """No text opens an element of HTML."""
    return re.sub(r"<(?=[a-zA-Z/!?])", "&lt;", text)


def _latex_escape(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)

"""The table that `make torture` ends with: what was tried, how often, and what became of it."""

from collections import Counter
from collections.abc import Mapping, Sequence

RIGHT = ("clear error", "made again", "nothing changed", "cannot be known", "same result")
WRONG = ("traceback", "file not named", "over 10 s", "over 1 GB", "other result")
LEGEND = """\
clear error: one line that names what is wrong; cannot be known: read with other numbers, in a file
of a user's without checksums; same result: continued, or done, to what a run in peace gives, to the
bit. The last five have to be zero; over 10 s: or hung."""


def torture_table(rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Rows of counts as a Markdown table with their sum.

    Args:
        rows: What was tried, and how often each of RIGHT and WRONG came of it.
    """
    names = ("tried", *RIGHT, *WRONG)
    total = sum((Counter(counts) for _, counts in rows), Counter[str]())
    lines = [("what", *names), ("---", *("---:" for _ in names))]
    for what, counts in [*rows, ("**all**", total)]:
        numbers = [sum(counts.values()), *(counts.get(name, 0) for name in names[1:])]
        lines.append((what, *(f"{number:,}" for number in numbers)))
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", LEGEND])

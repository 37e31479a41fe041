"""The table of claims in the documentation."""

from pathlib import Path

import pandas as pd

from benchmark.report.claims import UNTESTED, claims_table
from benchmark.report.marked import fill_marked

CLAIMS = {"latency": "Late is fine.", "control-mode": "Positions win."}


def keep(folder: Path, study: str, verdicts: list[str]) -> None:
    folder.mkdir(parents=True)
    pd.DataFrame({"study": study, "verdict": verdicts}).to_csv(folder / "verdicts.csv", index=False)


def test_a_claim_has_the_verdicts_of_all_its_pages_or_is_not_tested(tmp_path: Path) -> None:
    keep(tmp_path / "latency-pusht-scripted-quick", "latency", ["holds", "undecided", "holds"])
    keep(tmp_path / "latency-lift-scripted-quick", "latency", ["does not hold"])
    table = claims_table(CLAIMS, tmp_path)
    assert table.splitlines()[2:] == [
        "| `latency` | Late is fine. | lift-scripted-quick: does not hold 1; "
        "pusht-scripted-quick: holds 2, undecided 1 |",
        f"| `control-mode` | Positions win. | {UNTESTED} |",
    ]
    marked = "<!-- table claims -->\n<!-- end -->"
    assert (
        fill_marked(marked, [], {"claims": table})
        == f"<!-- table claims -->\n\n{table}\n<!-- end -->"
    )

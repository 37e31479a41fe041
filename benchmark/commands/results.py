"""`python -m benchmark results`: all that is committed under results/, from the evidence alone.

A page is drawn only of cells that today's settings mean, so none can be stale: pages that nothing
stands behind any more are removed, and evidence that no page uses is named.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from benchmark.commands.report import groups, joined, record_of
from benchmark.commands.study import draw_kept_studies
from benchmark.errors import UsageError
from benchmark.evidence.tables import present, results_table
from benchmark.files import write_whole
from benchmark.report.claims import claims_table
from benchmark.report.index import write_pages
from benchmark.report.marked import Drawn, fill_marked
from benchmark.report.plots import results_figure, save_figure
from benchmark.report.searches import searches_table
from benchmark.running.evidence import all_committed
from benchmark.studies import STUDIES

STUDIES_FOLDER = "studies"
NAMED = 8  # files in a message
TUNING = "equal-tuning"
"""Folder of the logs of `search` by which the settings of all methods were chosen."""
NOT_DRAWN = ("evidence", "perf", "policies", "search", "statistics", STUDIES_FOLDER)
"""What lies in results/ beside the pages: evidence, and tables that a command measured."""


def results_command(out: Path) -> int:
    """Draw every page, and the tables between markers in the documentation beside `out`."""
    if not out.is_dir():
        raise UsageError(f"--out {out} is no folder; name the one that the results are in")
    committed = list(all_committed())
    gone = [path for path, cell in committed if cell is None]
    used: set[str] = set()
    drawn, records = [], []
    files: list[Path] = []
    with tempfile.TemporaryDirectory() as empty:
        store = Path(empty)
        known = (cell for _, cell in committed if cell is not None)
        for group in groups(known, store):
            own = record_of(group, store)
            results = results_table(own.episodes)
            folder = out / group.name
            files.append(write_whole(folder / "results.md", present(results).markdown()))
            files += save_figure(results_figure(results), results, folder, "results", ("png",))
            used |= {cell.id for cell in group.cells}
            records.append((group, own))
            drawn.append(Drawn(group.config, results[results["role"] == "method"]))
        behind, studies = draw_kept_studies(store, out / STUDIES_FOLDER)
        used |= behind
    files += write_pages(joined(records), studies, out)
    _remove_others(out, set(files))
    claims = {s.name: f"{s.claim} ({s.source})" for s in STUDIES}
    whole = {
        "claims": claims_table(claims, out / STUDIES_FOLDER),
        "searches": searches_table(out / "search" / TUNING),
    }
    for document in sorted([*out.absolute().parent.glob("*.md"), *_documents(out)]):
        text = document.read_text()
        if (new := fill_marked(text, drawn, whole)) != text:
            write_whole(document, new)
            print(document)
    unused = [path for path, cell in committed if cell is not None and cell.id not in used]
    if gone or unused:
        named = "\n".join(f"  {path}" for path in [*gone, *unused][:NAMED])
        raise UsageError(
            f"no page of today's settings uses {len(gone) + len(unused)} files of evidence, such "
            f"as these; remove them or run their cells again:\n{named}"
        )
    return 0


def _documents(out: Path) -> Iterable[Path]:
    return (out.absolute().parent / "docs").rglob("*.md")


def _remove_others(out: Path, drawn: set[Path]) -> None:
    """Remove the files of pages that were not drawn."""
    for path in out.iterdir():
        if path.is_dir() and path.name not in NOT_DRAWN:
            for file in set(path.iterdir()) - drawn:
                file.unlink()
            if not any(path.iterdir()):
                path.rmdir()
        elif path.suffix == ".html" and path not in drawn:
            path.unlink()

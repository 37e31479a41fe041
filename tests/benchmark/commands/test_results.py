"""What is committed under results/, and the tables of the documentation, come from the evidence."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from benchmark.commands.results import results_command
from benchmark.errors import UsageError
from benchmark.report.marked import fill_marked

REPOSITORY = Path(__file__).resolve().parents[3]
TABLES = (".md", ".csv", ".txt", ".tex", ".html")
PICTURE = re.compile(r"data:image/svg\+xml;base64,[\w+/=]+")  # they take a minute to draw
MEASURED = ("evidence", "perf", "search", "statistics")


def tables(root: Path) -> dict[str, str]:
    """The pages and tables that are drawn of evidence, and the documents, by their path."""
    documents = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    pages = [
        path
        for path in (root / "results").rglob("*")
        if path.suffix in TABLES and path.relative_to(root / "results").parts[0] not in MEASURED
    ]
    return {
        str(path.relative_to(root)): PICTURE.sub("a picture", path.read_text())
        for path in [*documents, *pages]
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of it drawn again in a copy."""
    root = tmp_path_factory.mktemp("copy")
    for name in ("docs", "results"):
        shutil.copytree(REPOSITORY / name, root / name)
    for page in REPOSITORY.glob("*.md"):
        shutil.copy(page, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPBENCH_EVIDENCE", str(REPOSITORY / "results" / "evidence"))
        patch.setattr(Figure, "savefig", write_nothing)  # pictures take a minute
        assert results_command(root / "results") == 0
    return root


def write_nothing(figure: Figure, file: object, **_: object) -> None:
    write: Callable[[bytes], object] = file.write  # type: ignore[attr-defined]
    write(b"<svg/>")


def test_nothing_committed_is_stale(drawn: Path) -> None:
    committed, again = tables(REPOSITORY), tables(drawn)
    assert sorted(committed) == sorted(again)
    different = [name for name in committed if committed[name] != again[name]]
    assert different == [], "run `make results` and commit what it changes"


def test_a_number_changed_by_hand_is_found(drawn: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(drawn, tmp_path / "copy")
    page = copy / "results" / "pusht-scripted-quick" / "results.md"
    page.write_text(page.read_text().replace("0.9", "0.8", 1))
    before, after = tables(drawn), tables(copy)
    assert [name for name in before if before[name] != after[name]] == [
        "results/pusht-scripted-quick/results.md"
    ]


def test_evidence_of_other_settings_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "evidence" / "pusht-scripted"
    path = folder / "pusht-scripted-nearest-position-s42-0123456789.parquet"
    path.parent.mkdir(parents=True)
    kept = REPOSITORY / "results" / "evidence" / folder.name
    source = next(kept.glob("*-nearest-position-*"))
    shutil.copy(source, path)
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))
    (tmp_path / "results").mkdir()
    with pytest.raises(UsageError, match=path.name):
        results_command(tmp_path / "results")


def test_a_marker_that_asks_for_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="allowed are `policies TASK DATA PRESET`"):
        fill_marked("<!-- table victories -->\n<!-- end -->", [])

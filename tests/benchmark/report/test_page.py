"""The report page: complete, whole, accessible, and every name escaped."""

import html
import itertools
import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import benchmark.report.page
from benchmark.evidence.tables import results_table
from benchmark.evidence.text_table import Table
from benchmark.report.page import Record, page, write_report
from benchmark.report.shown_study import ShownStudy

EpisodesMaker = Callable[..., pd.DataFrame]
COMMANDS = ("make bench TASK=pusht DATA=human && echo done",)
MACHINE = {"processor": "two cores", "torch": "2.13.0"}
VOID = {"meta", "img", "br", "link", "input"}
NO_HISTORY = pd.DataFrame()


class Page(HTMLParser):
    """The elements of a page, and whether each is closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def report(
    pusht_episodes: pd.DataFrame,
    pusht_history: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(Record(pusht_episodes, pusht_history, COMMANDS, MACHINE), folder)


def test_the_page_is_well_formed_and_holds_everything_it_shows(report: Path) -> None:
    page = Page(report.read_text())
    assert not page.all("link")
    assert all("src" not in script for script in page.all("script"))
    assert all(str(image["src"]).startswith("data:") for image in page.all("img"))
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(ids.values()) == {1}


def test_every_link_leads_somewhere(report: Path) -> None:
    page = Page(report.read_text())
    ids = {attributes.get("id") for _, attributes in page.elements}
    targets = [str(link["href"]) for link in page.all("a")]
    assert {"#results", "#published", "#run"} <= set(targets)
    for target in targets:
        assert target[1:] in ids if target.startswith("#") else (report.parent / target).is_file()


def test_the_page_is_accessible(report: Path) -> None:
    page = Page(report.read_text())
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in itertools.pairwise(headings))
    assert all(len(str(image["alt"])) > 40 for image in page.all("img"))
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))


def test_the_page_says_what_was_run_and_with_what(report: Path) -> None:
    text = " ".join(html.unescape(report.read_text()).split())
    for part in (*COMMANDS, *MACHINE, *MACHINE.values(), "300000 to 300049", "laptop preset"):
        assert part in text


def test_the_summary_names_those_that_cannot_be_told_from_the_best(
    report: Path, pusht_results: pd.DataFrame
) -> None:
    best = pusht_results[pusht_results["best"]].iloc[0]
    text = report.read_text()
    count = pusht_results["best"].sum()
    assert f"{count} of 10 policies cannot be told from the best" in text
    assert f"First is {best['method']}, {best['control']}: success" in text
    assert f"score {best['score']:.3f} [{best['score_low']:.2f}, {best['score_high']:.2f}]" in text


def test_rows_hold_what_they_are_filtered_by_and_the_best_are_marked(
    report: Path, pusht_results: pd.DataFrame
) -> None:
    rows = [row for row in Page(report.read_text()).all("tr") if "data-policy" in row]
    told = pusht_results["method"].where(pusht_results["role"] == "method")
    assert [row.get("data-method") for row in rows] == told.replace({np.nan: None}).tolist()
    best = ["best" in str(row["class"]) for row in rows]
    assert best == pusht_results["best"].tolist()
    chosen = Page(report.read_text()).all("select")
    selects = [select["data-filter"] for select in chosen if "data-filter" in select]
    assert selects == ["method", "control"]  # all rows share data and preset


def test_success_stands_first_where_scores_saturate(make_episodes: EpisodesMaker) -> None:
    high = np.full((1, 50), 0.999)
    high[0, :20] = 1.0
    episodes = pd.concat([make_episodes("bet", high), make_episodes("ibc", high)])
    results = results_table(episodes)
    assert set(results["judged_by"]) == {"is_success"}
    heads = re.findall(
        r'<th scope="col"[^>]*>([^<]+)<', page(Record(episodes, NO_HISTORY), results)
    )
    assert heads.index("success") < heads.index("score")


def test_published_scores_stand_beside_ours_with_what_differs(report: Path) -> None:
    text = re.sub(r"<[^>]+>", "|", report.read_text())
    row = r"diffusion-transformer, velocity\W+[\d.]+ \[[\d., ]+\]\W+0\.95\W+0\.79\W+"
    assert re.search(row + r"velocity control \(published: position\); laptop preset", text)
    assert "arXiv 2303.04137" in text
    assert "inpainting (ours: FiLM conditioning)" in text


def test_the_weak_points_of_the_published_protocol_are_told(report: Path) -> None:
    text = " ".join(report.read_text().split())
    for part in ("0.80 shows about 0.975", "22 states instead of 50", "lowest training loss"):
        assert part in text


def test_equal_input_gives_the_same_page(
    report: Path, pusht_episodes: pd.DataFrame, pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    again = write_report(Record(pusht_episodes, pusht_history, COMMANDS, MACHINE), tmp_path)
    assert again.read_bytes() == report.read_bytes()


def test_a_method_without_published_number_or_training_leaves_those_sections_out(
    make_episodes: EpisodesMaker, pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    episodes = make_episodes("bc-mlp", [[0.5, 0.6]])
    page = write_report(Record(episodes, pusht_history.iloc[:0], COMMANDS, MACHINE), tmp_path)
    ids = {attributes.get("id") for _, attributes in Page(page.read_text()).elements}
    assert "results" in ids
    assert ids.isdisjoint({"published", "paired-table"})


def test_names_are_shown_and_never_interpreted(
    make_episodes: EpisodesMaker, pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    episodes = make_episodes("<u>mine</u>", [[0.5, 0.6]])
    record = Record(episodes, pusht_history.iloc[:0], ("a < b",), {"<i>": "&"})
    text = write_report(record, tmp_path).read_text()
    assert "&lt;u&gt;mine&lt;/u&gt;" in text
    assert not Page(text).all("u")


def test_a_failure_on_the_way_leaves_the_old_page(
    report: Path,
    pusht_episodes: pd.DataFrame,
    pusht_history: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = shutil.copy(report, tmp_path / "report.html").read_bytes()

    def broken(results: pd.DataFrame) -> Figure:
        raise OSError("disk gone")

    monkeypatch.setattr(benchmark.report.page, "results_figure", broken)
    with pytest.raises(OSError, match="disk gone"):
        write_report(Record(pusht_episodes, pusht_history, COMMANDS, MACHINE), tmp_path)
    assert (tmp_path / "report.html").read_bytes() == old


def test_no_name_of_a_package_or_a_file_is_taken_for_a_part_of_the_page(
    make_episodes: EpisodesMaker, pusht_history: pd.DataFrame, tmp_path: Path
) -> None:
    def drawn(name: str) -> str:
        episodes = [
            make_episodes(method, [[0.5] * 5] * 3, preset=name, cell=f"{name}{method}")
            for method in (name, "bet")
        ]
        history = pusht_history[pusht_history["method"] == "bet"]
        histories = pd.concat([history, history.assign(method=name, cell=name)])
        record = Record(pd.concat(episodes), histories, (f"--data-path {name}",), {name: name})
        return write_report(record, tmp_path / str(len(name))).read_text()

    name = "</script><script>alert(1)</script><b x='\"&$\\frac{$"
    text = drawn(name)
    assert "<script>alert" not in text
    assert "<b x=" not in text
    assert html.escape(name, quote=False) in text.replace("&#39;", "'").replace("&#34;", '"')
    tags = [[tag for tag, _ in Page(page).elements] for page in (text, drawn("plain"))]
    assert tags[0] == tags[1]
    for path in tmp_path.glob("*/*.md"):
        assert "<script>" not in path.read_text()


def test_commands_in_the_remarks_of_a_study_are_code_and_no_markup(
    pusht_episodes: pd.DataFrame, pusht_history: pd.DataFrame, pusht_results: pd.DataFrame
) -> None:
    verdicts = Table("Verdicts", ("claim", "verdict"), (("bears it", "holds"),), "ll")
    remarks = ("Run `make a <b>` & see.",)
    study = ShownStudy("latency", "It bears it.", "DP", verdicts, remarks=remarks)
    text = page(Record(pusht_episodes, pusht_history, studies=[study]), pusht_results)
    assert "<p>Run <code>make a &lt;b&gt;</code> &amp; see.</p>" in text

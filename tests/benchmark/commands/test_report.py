"""`report`: a page a task and one over all, from the evidence alone."""

import re
from pathlib import Path

import pandas as pd
import pytest

from benchmark.commands.report import Group, joined, report_command
from benchmark.errors import UsageError
from benchmark.plan.request import SweepConfig
from benchmark.report.page import Record

EVIDENCE = Path(__file__).resolve().parents[3] / "results" / "evidence"


@pytest.fixture
def _committed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(EVIDENCE))
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))


@pytest.mark.usefixtures("_committed")
def test_the_report_is_drawn_from_the_evidence_and_its_index_links_to_every_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert report_command((), tmp_path, opens=True) == 0
    index = tmp_path / "index.html"
    assert opened == [index.as_uri()]
    assert f"Report: {index}" in capsys.readouterr().out
    links = set(re.findall(r'href="([^"]+)"', index.read_text()))
    tasks = {folder.name.split("-")[0] for folder in EVIDENCE.iterdir()} - {"references", "studies"}
    pages = {re.split("[?#]", link)[0] for link in links}
    assert pages == {f"{task}.html" for task in tasks}
    for link in links:
        page, _, place = link.partition("#")
        text = (tmp_path / page.partition("?")[0]).read_text()
        assert 'href="index.html"' in text
        assert not place or f'id="{place}"' in text
    assert "pusht.html?data=scripted&amp;obs_type=keypoints&amp;preset=quick#results" in links


def test_a_report_of_nothing_says_what_makes_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))
    with pytest.raises(UsageError, match=r"no policy of any task .* make bench runs them"):
        report_command((), None, opens=False)


def test_a_page_of_several_tables_says_how_many_demonstrations_where_not_all_were_used(
    pusht_episodes: pd.DataFrame, pusht_history: pd.DataFrame
) -> None:
    record = Record(pusht_episodes, pusht_history, ("all",), {"torch": "2"})
    some = Record(pusht_episodes, pusht_history, ("some",), {"torch": "3"})
    human = SweepConfig(data="human")
    groups = [
        (Group("pusht-human-quick", human, "", ()), record),
        (
            Group("pusht-human90-quick", SweepConfig(data="human", num_demonstrations=90), "", ()),
            some,
        ),
    ]
    (page,) = joined(groups).values()
    assert page.episodes["data"].value_counts().to_dict() == {
        "human": len(pusht_episodes),
        "human (90)": len(pusht_episodes),
    }
    assert page.commands == ("all", "some")
    assert page.machine == {"torch": "2 / 3"}


def test_the_rows_that_frame_a_table_are_not_repeated_for_every_preset(
    pusht_episodes: pd.DataFrame,
) -> None:
    nothing = pd.DataFrame()
    quick = Record(pusht_episodes.assign(preset="quick"), nothing)
    groups = [
        (Group(f"pusht-human-{preset}", SweepConfig(data="human"), "", ()), record)
        for preset, record in (("laptop", Record(pusht_episodes, nothing)), ("quick", quick))
    ]
    (page,) = joined(groups).values()
    methods = page.episodes["method"].value_counts()
    assert methods["demonstrations, replayed"] == 200
    assert methods["hold-still"] == 50
    assert methods["bet"] == 600

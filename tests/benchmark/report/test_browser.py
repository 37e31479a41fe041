"""The page in a real browser: sorted, filtered and recoloured, on a desk and on a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from benchmark.report.page import Record, page

pytest.importorskip("playwright", reason="no playwright here; `make test-browser` installs it")
from playwright.sync_api import Browser, Page, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, else the one that playwright has installed."""
    with sync_playwright() as playwright:
        known = shutil.which("chromium") or shutil.which("chromium-browser")
        path = known or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium here; `make test-browser` installs it")
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def file(
    pusht_episodes: pd.DataFrame,
    pusht_results: pd.DataFrame,
    pusht_history: pd.DataFrame,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    path = tmp_path_factory.mktemp("browser") / "pusht.html"
    path.write_text(page(Record(pusht_episodes, pusht_history), pusht_results))
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    """The page on a desk, which must neither complain nor ask the network for anything."""
    yield from open_quietly(browser, file, 1280)


def open_quietly(browser: Browser, file: Path, width: int) -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    shown = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(file.as_uri())
    yield shown
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {file.as_uri()}
    context.close()


def column(shown: Page, head: str) -> list[str]:
    """The visible texts of a column of the results table."""
    return shown.evaluate(
        """(head) => {
            const table = document.querySelector("#results-table table");
            const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
            return [...table.tBodies[0].rows].filter((row) => !row.hidden)
                .map((row) => row.cells[heads.indexOf(head)].textContent.trim());
        }""",
        head,
    )


def test_a_click_on_a_head_sorts_by_its_numbers_and_another_turns_the_order(opened: Page) -> None:
    numbers = [float(text.split()[0]) for text in column(opened, "score")]
    head = opened.locator("#results-table").get_by_role("columnheader", name="score")
    head.get_by_role("button").click()
    assert [float(text.split()[0]) for text in column(opened, "score")] == sorted(numbers)[::-1]
    assert head.get_attribute("aria-sort") == "descending"
    opened.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in column(opened, "score")] == sorted(numbers)
    assert head.get_attribute("aria-sort") == "ascending"


def test_filters_leave_the_rows_that_fit_and_say_how_many(opened: Page) -> None:
    opened.get_by_label("control").select_option("velocity")
    assert set(column(opened, "control")) == {"velocity", "-"}
    opened.get_by_label("method").select_option("ibc")
    assert column(opened, "method") == ["demonstrations, replayed", "ibc *", "hold-still"]
    assert opened.get_by_role("status").first.inner_text() == "3 of 12 rows"


def test_the_theme_turns_and_is_remembered(opened: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert opened.evaluate(ground) == "rgb(255, 255, 255)"
    opened.get_by_role("button", name="Switch to dark colours").click()
    dark = opened.evaluate(ground)
    assert dark != "rgb(255, 255, 255)"
    opened.goto(opened.url)
    assert opened.evaluate(ground) == dark


def test_a_phone_shows_the_page_without_scrolling_sideways(browser: Browser, file: Path) -> None:
    for shown in open_quietly(browser, file, 360):
        assert shown.evaluate("document.documentElement.scrollWidth") == 360

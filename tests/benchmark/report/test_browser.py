"""The page in a real browser: sorted, filtered and recoloured, on a desk and on a phone."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmark.evidence.text_table import Table
from benchmark.report.page import Record, page
from benchmark.report.shown_study import ShownStudy

pytest.importorskip("playwright", reason="no playwright here; `make test-browser` installs it")
from playwright.sync_api import Browser, Page, sync_playwright

# The agent runs down beside the T, to different ends.
RECORDED = [
    {
        "kind": kind,
        "seed": 300_000 + length,
        "length": length,
        "score": score,
        "is_success": score == 1,
        "every": 2,
        "states": [[100.0, 100.0 + step, 300.0, 300.0, 0.5] for step in range(0, length + 1, 2)],
    }
    for kind, length, score in (("best", 40, 1.0), ("worst", 60, 0.1), ("median", 50, 1.0))
]
STUDY = ShownStudy(
    "latency-pusht-human-laptop",
    "Position control bears <b>latency</b>.",
    "DP Sec. IV-C",
    Table("Verdicts", ("claim", "verdict"), (("bears it", "holds"),), "ll"),
    pictures=(("Score against latency.", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),),
)


def in_frames() -> dict[str, Any]:
    """An episode of three frames, red, then green, then blue."""
    buffer = io.BytesIO()
    colours = np.eye(3, dtype=np.uint8)[None] * 255
    Image.fromarray(colours.repeat(8, axis=0).repeat(8, axis=1)).save(buffer, "PNG")
    frames = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return {**RECORDED[0], "states": None, "every": 20, "frames": frames}


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
    first = pusht_results[pusht_results["role"] == "method"].iloc[0]
    same = (pusht_episodes[["method", "control"]] == first[["method", "control"]]).all(axis=1)
    cell = pusht_episodes[same]["cell"].iloc[0]
    other = pusht_episodes[pusht_episodes["method"] == "lstm-gmm"]["cell"].iloc[0]
    recorded = {cell: RECORDED, other: [in_frames()]}
    record = Record(pusht_episodes, pusht_history, recorded=recorded, studies=[STUDY])
    path.write_text(page(record, pusht_results))
    return path


@pytest.fixture
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    """The page on a desk, which must neither complain nor ask the network for anything."""
    yield from open_quietly(browser, file, 1280)


def open_quietly(browser: Browser, file: Path, width: int, query: str = "") -> Iterator[Page]:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    shown = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(file.as_uri() + query)
    yield shown
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {file.as_uri() + query}
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


def test_a_link_opens_the_page_at_the_rows_that_it_names(browser: Browser, file: Path) -> None:
    for shown in open_quietly(browser, file, 1280, "?control=velocity&method=ibc&data=nonsense"):
        assert column(shown, "method") == ["demonstrations, replayed", "ibc *", "hold-still"]
        assert shown.get_by_label("control").input_value() == "velocity"
        assert shown.locator("#times-figure .legend").get_by_role("button").count() == 1


def lines(shown: Page) -> int:
    return shown.locator("#times-figure > svg path.line").count()


def test_the_legend_and_the_filters_show_and_hide_curves(opened: Page) -> None:
    assert lines(opened) == 5  # one of each method
    legend = opened.locator("#times-figure .legend")
    pressed = legend.get_by_role("button", pressed=True)
    pressed.first.click()
    assert lines(opened) == 4
    opened.get_by_label("method").select_option("ibc")
    assert legend.get_by_role("button").count() == 2
    legend.get_by_role("button", pressed=False).click()
    assert lines(opened) == 2
    assert opened.locator("#times-figure path.band").count() == 1


def test_recorded_episodes_play_to_their_end_and_follow_the_slider(opened: Page) -> None:
    explorer = opened.locator("#explorer")
    assert explorer.get_by_role("img").count() == 3
    captions = explorer.locator("figcaption").all_inner_texts()
    assert [text.split()[0] for text in captions] == ["Best", "Median", "Worst"]
    assert captions[0].startswith(
        "Best episode: solved after 4.0 s, score 1, 40 steps, seed 300040"
    )
    picture = "document.querySelector('#explorer canvas').toDataURL()"
    before = opened.evaluate(picture)
    explorer.get_by_role("button", name="Play").click()
    opened.wait_for_function("document.querySelector('#explorer input').value === '60'")
    assert explorer.get_by_role("button", name="Play").is_visible()
    assert explorer.locator("output").inner_text() == "6.0 s"
    assert opened.evaluate(picture) != before
    opened.get_by_label("time", exact=True).press("Home")
    assert opened.evaluate(picture) == before


def test_recorded_frames_are_shown_one_after_the_other(opened: Page) -> None:
    opened.locator("#explorer select").select_option(label="lstm-gmm, position")
    slider = opened.get_by_label("time", exact=True)
    pixel = """() => {
        const small = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        small.drawImage(document.querySelector("#explorer canvas"), 256, 256, 1, 1, 0, 0, 1, 1);
        return [...small.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    opened.wait_for_function(f"({pixel})()[0] === 255")
    colours = [opened.evaluate(pixel)]
    for time in ("20", "40"):
        slider.fill(time)
        colours.append(opened.evaluate(pixel))
    assert colours == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def test_two_policies_are_compared_episode_by_episode(
    opened: Page, pusht_episodes: pd.DataFrame
) -> None:
    pairs = opened.get_by_role("region", name="Two policies")
    pairs.get_by_label("across").select_option("ibc, position")
    pairs.get_by_label("up").select_option("bet, velocity")
    solves = pusht_episodes.pivot_table("is_success", "seed", ["method", "control"]) >= 0.5
    ibc, bet = solves["ibc", "position"].loc[300_000:], solves["bet", "velocity"].loc[300_000:]
    counts = [(ibc & bet).sum(), (ibc & ~bet).sum(), (~ibc & bet).sum(), (~ibc & ~bet).sum()]
    assert pairs.locator("td").all_inner_texts() == [str(count) for count in counts]
    assert (
        f"50 shared initial states: both solve {counts[0]};"
        in pairs.get_by_role("status").inner_text()
    )
    assert pairs.locator("circle").count() > 20
    pairs.get_by_label("by").select_option("length")
    assert pairs.locator("svg text").last.text_content() == "length (s) of bet, velocity"


def test_every_training_is_a_line_of_the_quantity_that_is_chosen(opened: Page) -> None:
    trainings = opened.get_by_role("region", name="Training")
    assert trainings.get_by_role("img").count() == 5
    assert trainings.locator("path.line").count() == 30
    scores = trainings.locator("path.line").first.get_attribute("d")
    trainings.get_by_label("quantity").select_option("loss")
    assert trainings.locator("path.line").count() == 30
    assert trainings.locator("path.line").first.get_attribute("d") != scores


def test_a_short_training_is_drawn_as_points_and_what_was_not_measured_is_said(
    browser: Browser,
    pusht_episodes: pd.DataFrame,
    pusht_results: pd.DataFrame,
    pusht_history: pd.DataFrame,
    tmp_path: Path,
) -> None:
    short = pusht_history[pusht_history["update"] <= 1000].assign(validation_score=np.nan)
    short.loc[short["method"] == "ibc", "action_error"] = np.nan
    (tmp_path / "short.html").write_text(page(Record(pusht_episodes, short), pusht_results))
    for shown in open_quietly(browser, tmp_path / "short.html", 1280):
        trainings = shown.get_by_role("region", name="Training")
        options = trainings.get_by_label("quantity").locator("option").all_inner_texts()
        assert options == ["action error", "loss"]
        assert trainings.locator("circle").count() == 2 * 24  # of all but ibc, in two modes
        assert trainings.get_by_text("no action error was measured in this training").count() == 1


def test_a_study_is_shown_with_verdict_and_figure_and_its_words_are_no_markup(opened: Page) -> None:
    study = opened.get_by_role("region", name=STUDY.name, exact=True)
    assert "Position control bears <b>latency</b>." in study.inner_text()
    assert study.get_by_role("cell", name="holds").is_visible()
    assert study.locator("img").evaluate("(image) => image.complete")


def test_everything_can_be_reached_by_keyboard_and_has_a_name(opened: Page) -> None:
    nameless = """[...document.querySelectorAll("button, select, input, [role=img], [tabindex]")]
        .filter((node) => !node.labels?.length && !node.textContent.trim() &&
            !node.getAttribute("aria-label") && !node.getAttribute("aria-labelledby"))
        .map((node) => node.outerHTML.slice(0, 80))"""
    assert opened.evaluate(nameless) == []
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.id") == "theme"


def test_print_shows_the_tables_and_no_controls(opened: Page) -> None:
    opened.emulate_media(media="print")
    assert not opened.locator("#filters").is_visible()
    assert not opened.locator("nav").is_visible()
    assert opened.locator("#results-table table").is_visible()
    assert (
        opened.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    )


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


def test_a_table_that_goes_on_to_the_right_says_so_until_its_end(
    browser: Browser, file: Path
) -> None:
    def says(shown: Page) -> bool:
        content = """getComputedStyle(document.querySelector("#results-caption span"), "::after")
            .content !== "none" """
        return bool(shown.evaluate(content))

    for shown in open_quietly(browser, file, 360):
        assert says(shown)
        shown.evaluate("document.querySelector('#results-table').scrollLeft = 1e6")
        shown.wait_for_selector("#results-table:not(.more)")
        assert not says(shown)
    for shown in open_quietly(browser, file, 1280):
        assert not says(shown)

"""One table of all that was tortured, and what need not be tortured again.

A test tells its counts by `record_property("torture", (what, counts))`; of tests that stand
elsewhere each case counts as one. What passed is kept in pytest's cache, and not run again until a
source file changes (`--cache-clear` forgets it): so an interrupted `make torture` goes on.
"""

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.torture.small_bench import Peace, finish
from tests.torture.table import torture_table

ELSEWHERE = {
    "test_a_wrong_call_is_refused": "wrong calls",
    "test_a_method_that_breaks_its_promise": "bad plug-ins",
    "test_a_prediction_that_takes_too_long": "bad plug-ins",
}
REPOSITORY = Path(__file__).resolve().parents[2]
CHANGING = ("DPBENCH_BAD_FILES", "DPBENCH_KILLS")
KEY = "dpbench/torture"


@pytest.fixture(scope="session")
def peace(tmp_path_factory: pytest.TempPathFactory) -> Peace:
    """What the small bench makes when nothing happens to it, and what it takes."""
    home = tmp_path_factory.mktemp("peace")
    result = finish(home)
    assert "failed" not in result, result["failed"]
    shutil.rmtree(home / "runs")
    before = os.times()
    assert finish(home) == result
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])  # of the processor, in child processes
    return Peace(home, result, seconds)


def pytest_configure(config: pytest.Config) -> None:
    """Collect from all tests of `make torture`, also from those that stand elsewhere."""
    if "DPBENCH_TORTURE" in os.environ:
        config.pluginmanager.register(_Counts(config))


class _Counts:
    """What became of each test, by its name: (what was tried, what came of it and how often)."""

    def __init__(self, config: pytest.Config) -> None:
        self.cache = getattr(config, "cache", None)
        self.source = _digest()
        kept = self.cache.get(KEY, {}) if self.cache else {}
        self.passed: dict[str, Any] = kept.get(self.source, {})
        self.failed: dict[str, Any] = {}

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        done = [item for item in items if item.nodeid in self.passed]
        config.hook.pytest_deselected(items=done)
        items[:] = [item for item in items if item.nodeid not in self.passed]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" or report.skipped:
            return
        counts = _counts(report)
        if report.failed:
            self.failed[report.nodeid] = counts
        elif counts:
            self.passed[report.nodeid] = counts
            if self.cache:
                self.cache.set(KEY, {self.source: self.passed})

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.passed:
            session.exitstatus = pytest.ExitCode.OK  # all of it has passed before

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        rows: dict[str, Counter[str]] = {}
        for told in (*self.passed.values(), *self.failed.values()):
            for what, counts in told:
                rows.setdefault(what, Counter()).update(counts)
        if rows:
            terminalreporter.section("torture")
            terminalreporter.write_line(torture_table(sorted(rows.items())))


def _counts(report: pytest.TestReport) -> list[tuple[str, Mapping[str, int]]]:
    told: list[Any] = [list(value) for name, value in report.user_properties if name == "torture"]
    test = report.nodeid.rpartition("::")[2]
    for start, what in ELSEWHERE.items():
        if test.startswith(start):
            told.append([what, {"clear error" if report.passed else "other result": 1}])
    return told


def _digest() -> str:
    """Of all source files, and of how much is asked for."""
    total = hashlib.sha256(repr([os.environ.get(name) for name in CHANGING]).encode())
    for folder in ("benchmark", "baselines", "envs", "tests"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            total.update(path.read_bytes())
    return total.hexdigest()

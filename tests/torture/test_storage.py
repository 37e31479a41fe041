"""Disks that are full, folders that cannot be written or vanish, and two commands on one cell.

A command says so in one line, leaves nothing half written, and gives what it would have given when
it is typed again after the trouble is over.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from benchmark.cli import main
from benchmark.sealed import read_sealed
from tests.torture.small_bench import BENCH, Peace, environment, finish, fork, result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
Record = Callable[[str, object], None]
NOBODY = 65534
HERE = (*BENCH, "--workers", "1")


@pytest.fixture
def home(tmp_path: Path, peace: Peace) -> Path:
    """A folder in which demonstrations were made, and nothing was trained."""
    home = tmp_path / "home"
    shutil.copytree(peace.home / "cache", home / "cache")
    (home / "runs").mkdir()
    return home


def _judge(code: int, said: str, *words: str) -> str:
    """What became of a command that could not write."""
    if "Traceback" in said:
        print(said)
        return "traceback"
    lines = [line for line in said.splitlines() if any(word in line for word in words)]
    if code not in (1, 2) or not lines:
        print(code, said)
        return "other result"
    return "clear error"


def _whole(runs: Path) -> bool:
    """Whether every file that has a checksum is as it was written."""
    for path in runs.rglob("[!.]*"):
        if path.is_file():
            read_sealed(path)
    return True


@contextlib.contextmanager
def _small_disk(folder: Path, kib: int) -> Iterator[None]:
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("only an administrator may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("kib", [8, 24, 72, 128, 176, 220])
def test_a_full_disk_is_said_in_one_line_and_with_more_room_the_same_command_goes_on(
    kib: int, home: Path, peace: Peace, record_property: Record
) -> None:
    with _small_disk(home / "runs", kib):
        found = _judge(*fork(home).end(), "No space left on device")
        assert _whole(home / "runs")
        if found == "clear error":
            more = ["mount", "-o", "remount,size=50m", str(home / "runs")]
            subprocess.run(more, check=True)
            found = "same result" if finish(home) == peace.result else "other result"
    record_property("torture", ("disk full (tmpfs)", {found: 1}))
    assert found == "same result"


@pytest.mark.parametrize("kib", [1, 3, 6, 12, 30])
def test_files_that_may_not_grow_are_said_in_one_line_and_the_same_command_goes_on(
    kib: int, home: Path, peace: Peace, record_property: Record
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, kib * 1024))

    found = _judge(*fork(home, prepare=limit).end(), "File too large")
    assert _whole(home / "runs")
    if found == "clear error":
        found = "same result" if finish(home) == peace.result else "other result"
    record_property("torture", ("disk full (quota)", {found: 1}))
    assert found == "same result"


def _close(path: Path) -> None:
    """Let nobody but an administrator write to a folder."""
    path.mkdir(parents=True, exist_ok=True)
    for each in (path, *path.rglob("*")):
        each.chmod(0o555 if each.is_dir() else 0o444)


def _be_nobody(home: Path, peace: Peace) -> None:
    """Give up an administrator's rights, where this process has them."""
    if os.getuid() == 0:
        # Nobody may not be allowed to import more from where the interpreter is.
        os.environ.update(environment(peace.home), DPBENCH_RUNS=str(home.parent / "imports"))
        main()
        os.environ.update(environment(home), HOME="/nonexistent")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


@pytest.mark.parametrize("closed", ["runs", "runs/CELL", "cache", "out"])
def test_a_folder_that_cannot_be_written_is_said_in_one_line(
    closed: str, home: Path, peace: Peace, record_property: Record
) -> None:
    cell = next(name for name in peace.result if "-s2-" in name).split("/")[0]
    if closed == "cache":
        shutil.rmtree(home / "cache")
    (home / "runs").mkdir(exist_ok=True)
    for path in (home, *home.rglob("*")):
        path.chmod(0o777)
    for path in home.parents:
        if path == home.parent or path.name.startswith("pytest-"):  # private to who runs the tests
            path.chmod(0o755)
    _close(home / closed.replace("CELL", cell))
    arguments = (*HERE, "--out", str(home / "out")) if closed == "out" else HERE
    process = fork(home, arguments, partial(_be_nobody, home, peace))
    found = _judge(*process.end(), "Permission denied")
    if closed == "runs/CELL":
        others = {name: of for name, of in peace.result.items() if "-s2-" not in name}
        assert result(home) == others
    record_property("torture", ("read-only folder, not as root", {found: 1}))
    assert found == "clear error"


@pytest.mark.parametrize("gone", ["runs", "runs/CELL", "cache"])
def test_a_folder_that_vanishes_costs_a_line_at_most_and_the_same_command_goes_on(
    gone: str, home: Path, peace: Peace, record_property: Record
) -> None:
    process = fork(home)
    states: list[Path] = []
    while process.poll() is None and not states:
        states = list(home.glob("runs/*/state.safetensors"))
        time.sleep(0.01)
    assert states, "it ended before it had saved anything"
    (home / gone.replace("CELL", states[0].parent.name)).rename(home / "gone")
    code, said = process.end()
    if code == 0:
        found = "same result" if result(home) == peace.result else "other result"
    else:
        found = _judge(code, said, "it is gone", "No such file")
    if found == "clear error":
        found = "same result" if finish(home) == peace.result else "other result"
    record_property("torture", ("a folder vanishes", {found: 1}))
    assert found == "same result"


@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.0, 2.0])
def test_two_commands_on_one_cell_both_end_with_it(
    seconds: float, home: Path, peace: Peace, record_property: Record
) -> None:
    first = fork(home)
    time.sleep(seconds)
    second = fork(home)
    ends = [process.end() for process in (first, second)]
    right = all(code == 0 and "Traceback" not in said for code, said in ends)
    tables = [said[said.index("Results on pusht") :] for _, said in ends if "Results on" in said]
    right &= len(tables) == 2 and tables[0] == tables[1] and result(home) == peace.result
    if not right:
        print(ends)
    found = "same result" if right else "other result"
    record_property("torture", ("two commands on one cell", {found: 1}))
    assert right

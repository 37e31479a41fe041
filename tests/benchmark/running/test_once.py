"""What several commands want is made by one of them."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmark.running.once import once

HOLDER = """
import sys
from pathlib import Path
from benchmark.running.once import once

def make(path):
    print("begun", flush=True)
    sys.stdin.read()
    path.write_text("first")

once(Path(sys.argv[1]), make)
"""


def begin(path: Path) -> subprocess.Popen[str]:
    """Another process that makes the file when its input is closed, unless it is killed."""
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "begun\n"
    return first


@pytest.mark.parametrize(("killed", "made"), [(False, "first"), (True, "second")])
def test_the_second_process_says_so_and_waits_and_makes_what_the_first_did_not(
    killed: bool, made: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs" / "table.txt"
    found: list[str] = []

    def want() -> None:
        found.append(once(path, lambda path: path.write_text("second")).read_text())

    with begin(path) as first:
        second = threading.Thread(target=want, daemon=True)
        second.start()
        second.join(0.5)
        assert found == []
        if killed:
            first.kill()
        else:
            first.communicate("")
        second.join(30)
    assert found == [made]
    assert capsys.readouterr().out == f"waiting for another command that makes {path}\n"


def test_alone_nobody_waits_and_what_is_there_is_not_made_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = once(tmp_path / "one", lambda path: path.write_text("1"))
    assert once(path, lambda _: pytest.fail("made again")).read_text() == "1"
    assert capsys.readouterr().out == ""


def test_a_failed_attempt_leaves_the_path_free(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        once(tmp_path / "one", lambda _: 1 / 0)
    assert once(tmp_path / "one", lambda path: path.write_text("1")).read_text() == "1"

"""Two commands that want to make the same thing take turns."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmark.exclusive import exclusive

HOLDER = """
import sys
from pathlib import Path
from benchmark.exclusive import exclusive

with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that is in `exclusive` until its input is closed, or it is killed."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("killed", [False, True])
def test_the_second_process_says_so_and_waits_until_the_first_has_ended(
    killed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "runs" / "table.parquet"
    entered = threading.Event()

    def enter() -> None:
        with exclusive(path):
            entered.set()

    with hold(path) as first:
        second = threading.Thread(target=enter, daemon=True)
        second.start()
        assert not entered.wait(0.3)
        if killed:
            first.kill()
        else:
            first.communicate("")
        assert entered.wait(30)
        second.join()
    assert capsys.readouterr().out == f"waiting for another command that makes {path}\n"


def test_alone_nobody_waits_and_other_paths_are_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with exclusive(tmp_path / "one"), exclusive(tmp_path / "other"):
        pass
    with exclusive(tmp_path / "one"):
        pass
    assert capsys.readouterr().out == ""

"""An interruption ends a command that is still starting, wherever it strikes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SWALLOWING = """
import os, signal, sys
sys.path.insert(0, {folder!r})
signal.signal(signal.SIGINT, signal.default_int_handler)
from benchmark.start import stop_while_importing
stop_while_importing()
try:
    import interrupted_module
except BaseException:
    pass
print("went on")
"""


def test_an_interruption_in_an_import_that_swallows_it_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "interrupted_module.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", SWALLOWING.format(folder=str(tmp_path))],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=60,
    )
    assert ended.returncode == 130
    assert ended.stdout == ""
    assert ended.stderr == "\nInterrupted; the same command continues where it stopped.\n"


@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.2])
def test_an_interruption_while_a_command_starts_says_how_to_go_on(
    seconds: float, tmp_path: Path
) -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "benchmark", "bench", "--preset", "smoke", "--out", str(tmp_path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "DPBENCH_RUNS": str(tmp_path), "DPBENCH_CACHE": str(tmp_path)},
    )
    wait_until_python_listens(started.pid)
    time.sleep(seconds)
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert started.returncode == 130, error
    assert error.endswith("Interrupted; the same command continues where it stopped.\n")
    assert "Traceback" not in error


def wait_until_python_listens(process: int) -> None:
    """Until the process catches SIGINT: before, it is the interpreter's own start."""
    status = Path(f"/proc/{process}/status")
    if not status.exists():
        pytest.skip("this system does not list the signals that a process catches")
    for _ in range(600):
        caught = next(line for line in status.read_text().splitlines() if "SigCgt" in line)
        if int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1:
            return
        time.sleep(0.02)
    pytest.fail("it never listened")

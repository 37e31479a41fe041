"""Whatever is interrupted, at any moment, in any way: the same command gives the same result.

DPBENCH_KILLS is how many interruptions of a kind there are, at random moments of a bench of two
cells in two workers, from its start to its end. A bench that ends before it is interrupted is held
against one in peace, and the next begins from nothing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.start import INTERRUPTED
from tests.torture.small_bench import LONGEST, Peace, finish, result, spent, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("DPBENCH_KILLS", "5"))
STARTING = 3.0
"""Seconds of the processor that importing takes, or more."""
PYTHON = 0.1
"""Those that the interpreter takes to start; nothing of ours runs before."""
ENDING = 900.0
"""Seconds in which it has to end on a machine that is busy with other things."""


def _worker(process: int) -> int | None:
    """One of the workers of a process, if it has any."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
            if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


def _kill_worker(process: int, number: int) -> None:
    worker = _worker(process)
    if worker is not None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(worker, number)


Send = Callable[[int, int], None]
KINDS: dict[str, tuple[signal.Signals, Send]] = {
    "SIGKILL of the group": (signal.SIGKILL, os.killpg),
    "SIGKILL of the parent": (signal.SIGKILL, os.kill),
    "SIGKILL of a worker": (signal.SIGKILL, _kill_worker),
    "SIGTERM of the parent": (signal.SIGTERM, os.kill),
    "SIGINT of the group": (signal.SIGINT, os.killpg),
    "SIGINT of the parent": (signal.SIGINT, os.kill),
    "SIGINT while it starts": (signal.SIGINT, os.kill),
}


def _interrupt(kind: str, home: Path, random: np.random.Generator, seconds: float) -> str | None:
    """Start a bench and interrupt it; what was wrong about its end, None if it ended before."""
    number, send = KINDS[kind]
    process = start(home)
    if kind == "SIGKILL of a worker":
        while process.poll() is None and _worker(process.pid) is None:
            time.sleep(0.02)
        until = spent(process.pid) + random.uniform(0, seconds / 2)
    else:
        until = random.uniform(PYTHON, STARTING if kind.endswith("starts") else seconds)
    while process.poll() is None and spent(process.pid) < until:
        time.sleep(0.02)
    ended = process.poll() is not None
    if not ended:
        send(process.pid, number)
    try:
        said, _ = process.communicate(timeout=LONGEST if kind.endswith("worker") else ENDING)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return "over 10 s"
    if ended:
        assert process.returncode == 0, said
        return None
    if "Traceback" in said:
        print(said)
        return "traceback"
    if kind == "SIGKILL of a worker":
        right = process.returncode == 0
    elif number == signal.SIGINT:
        right = process.returncode == 0 or said.endswith(f"{INTERRUPTED}\n")
        right &= process.returncode in (0, 130)
    else:
        right = process.returncode in (0, 130, -number)
    if not right:
        print(process.returncode, said)
    return "" if right else "other result"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bench_that_is_interrupted_at_any_moment_is_continued_to_the_same_result(
    kind: str,
    peace: Peace,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    random = np.random.default_rng(len(kind))
    counts: Counter[str] = Counter()
    open_ = 0
    while sum(counts.values()) + open_ < KILLS:
        wrong = _interrupt(kind, tmp_path, random, peace.seconds)
        if wrong:
            counts[wrong] += 1
        elif wrong is not None:
            open_ += 1
        if wrong is None or sum(counts.values()) + open_ == KILLS:
            found = result(tmp_path) if wrong is None else finish(tmp_path)
            if found != peace.result:
                print(kind, found)
            counts["same result" if found == peace.result else "other result"] += open_
            open_ = 0
            shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    record_property("torture", (f"interruptions: {kind}", dict(counts)))
    assert counts == {"same result": KILLS}

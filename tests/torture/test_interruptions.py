"""Whatever is interrupted, at any moment, in any way: the same command gives the same result.

DPBENCH_KILLS is how many interruptions of a kind there are, at random moments of a bench of two
cells, counted in the processor's time. One that ends before it is interrupted is held against a
bench in peace, and the next begins from nothing.
"""

import contextlib
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from benchmark.start import INTERRUPTED
from tests.torture.forks import LONGEST, Begun
from tests.torture.small_bench import Peace, finish, fork, result, spent, start

pytestmark = [pytest.mark.slow, pytest.mark.timeout(36000)]
KILLS = int(os.environ.get("DPBENCH_KILLS", "5"))
PYTHON = 0.15
"""Seconds of the processor that the interpreter takes to start; nothing of ours runs before."""
IMPORTS = 3.0
"""Those that the imports of a process take."""
ENDING = 900.0
"""Seconds in which a command has to end on a machine that is busy with other things."""


@dataclass(frozen=True)
class Kind:
    """A way to interrupt."""

    number: signal.Signals
    send: Callable[[int, int], None]
    begin: Callable[[Path], Begun]
    first: float
    """Earliest moment, in seconds of the processor."""
    last: float
    """Latest moment, to which the time of a bench is added; that of its start where negative."""


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


WORKER = "SIGKILL of a worker"
KINDS = {
    "SIGKILL": Kind(signal.SIGKILL, os.kill, fork, 0.0, 0.0),
    "SIGTERM": Kind(signal.SIGTERM, os.kill, fork, 0.0, 0.0),
    "SIGINT": Kind(signal.SIGINT, os.kill, fork, 0.0, 0.0),
    "SIGINT while it starts": Kind(signal.SIGINT, os.kill, start, PYTHON, -1.0),
    "SIGINT of parent and workers": Kind(signal.SIGINT, os.killpg, start, PYTHON, 3 * IMPORTS),
    "SIGKILL of the parent of workers": Kind(signal.SIGKILL, os.kill, start, IMPORTS, 3 * IMPORTS),
    WORKER: Kind(signal.SIGKILL, _kill_worker, start, 0.0, 2 * IMPORTS),
}


def _interrupt(name: str, home: Path, random: np.random.Generator, seconds: float) -> str | None:
    """Start a bench and interrupt it; what was wrong about its end, None if it ended before."""
    kind = KINDS[name]
    process = kind.begin(home)
    first, last = kind.first, IMPORTS if kind.last < 0 else seconds + kind.last
    if name == WORKER:
        while process.poll() is None and _worker(process.pid) is None:
            time.sleep(0.02)
        first, last = first + spent(process.pid), last + spent(process.pid)
    until = random.uniform(first, last)
    while process.poll() is None and spent(process.pid) < until:
        time.sleep(0.005)
    is_done = process.poll() is not None
    if not is_done:
        kind.send(process.pid, kind.number)
    try:
        code, said = process.end(LONGEST if name == WORKER else ENDING)
    except TimeoutError:
        return "over 10 s"
    if is_done:
        assert code == 0, said
        return None
    if "Traceback" in said:
        print(said)
        return "traceback"
    if name == WORKER:
        right = code == 0
    elif kind.number == signal.SIGINT:
        right = code == 0 or (code == 130 and said.endswith(f"{INTERRUPTED}\n"))
    else:
        right = code in (0, 130, -kind.number)
    if not right:
        print(code, said)
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
    waiting = 0
    home = tmp_path / "home"
    shutil.copytree(peace.home / "cache", home / "cache")
    while sum(counts.values()) + waiting < KILLS:
        wrong = _interrupt(kind, home, random, peace.seconds)
        if wrong:
            counts[wrong] += 1
        elif wrong is not None:
            waiting += 1
        if wrong is None or sum(counts.values()) + waiting == KILLS:
            found = result(home) if wrong is None else finish(home)
            if found != peace.result:
                print(kind, found)
            counts["same result" if found == peace.result else "other result"] += waiting
            waiting = 0
            shutil.rmtree(home / "runs", ignore_errors=True)
    record_property("torture", (f"interruptions: {kind}", dict(counts)))
    assert +counts == {"same result": KILLS}

"""A bench of two small policies that is interrupted and hindered, and what has to come of it."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.running.store import read_frame

REPOSITORY = Path(__file__).resolve().parents[2]
FLAGS = {
    "preset": "smoke",
    "methods": "bc-mlp",
    "control": "position",
    "seeds": "1 2",
    "workers": "2",
    "num-demonstrations": "5",
    "episodes": "2",
    "action-horizon": "8",
    "set": "train.updates=400 train.validation_episodes=0 train.checkpoints=2 "
    "agent.width=32 agent.blocks=1",
}
BENCH = ["bench", *(word for flag, to in FLAGS.items() for word in (f"--{flag}", *to.split()))]
LONGEST = 3600.0
"""Seconds that a bench may take on a busy machine."""
TIMES = ["seconds", "seconds_per_prediction"]


@dataclass(frozen=True)
class Peace:
    """A bench that nothing happened to."""

    home: Path
    result: dict[str, str]
    seconds: float
    """Of the processor, of all its processes."""


def start(
    home: Path,
    arguments: Sequence[str] = BENCH,
    before: Sequence[str] = (),
    prepare: Callable[[], None] | None = None,
) -> subprocess.Popen[str]:
    """Begin a command in a session of its own.

    Args:
        home: Its run store and cache are made in here.
        arguments: The command.
        before: A program that starts it.
        prepare: Called in the new process.
    """
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tests.torture.often_saved", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", str(home)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "DPBENCH_RUNS": str(home / "runs"),
            "DPBENCH_CACHE": str(home / "cache"),
            "DPBENCH_EVIDENCE": "no-evidence-here",
        },
        start_new_session=True,
        preexec_fn=prepare,
    )


def result(home: Path) -> dict[str, str]:
    """A checksum of everything that was made, by its name, without what measures time."""
    runs = home / "runs"
    found = {}
    for path in sorted(runs.rglob("[!.]*")):
        name = path.relative_to(runs).as_posix()
        if path.is_dir() or name.startswith("reports") or path.name == "machine.json":
            continue
        if path.suffix == ".parquet":
            frame = read_frame(path)
            frame = frame.drop(columns=TIMES, errors="ignore")
            data = pd.util.hash_pandas_object(frame).to_numpy().tobytes()
        else:
            data = path.read_bytes()
        found[name] = hashlib.sha256(data).hexdigest()
    return found


def finish(home: Path, arguments: Sequence[str] = BENCH) -> dict[str, str]:
    """What a command makes, or goes on to make, that nothing happens to."""
    process = start(home, arguments)
    said, _ = process.communicate(timeout=LONGEST)
    return result(home) if process.returncode == 0 else {"failed": said}


def spent(process: int) -> float:
    """Seconds of the processor that a process and its children have had; 0 where it has ended."""
    ticks = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for each in (process, *children):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")

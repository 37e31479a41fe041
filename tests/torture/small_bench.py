"""A bench of small policies that is interrupted and hindered, and what has to come of it."""

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.running.store import read_frame
from tests.torture.forks import Begun, forked

REPOSITORY = Path(__file__).resolve().parents[2]
FLAGS = {
    "preset": "smoke",
    "methods": "bc-mlp",
    "control": "position",
    "seeds": "1 2",
    "num-demonstrations": "5",
    "episodes": "2",
    "action-horizon": "8",
    "set": "train.updates=100 train.validation_episodes=0 train.checkpoints=2 "
    "agent.width=32 agent.blocks=1",
}
BENCH = ["bench", *(word for flag, to in FLAGS.items() for word in (f"--{flag}", *to.split()))]
TIMES = ["seconds", "seconds_per_prediction"]


@dataclass(frozen=True)
class Peace:
    """A bench that nothing happened to."""

    home: Path
    result: dict[str, str]
    seconds: float
    """Of the processor, in one process without its start."""


def environment(home: Path) -> dict[str, str]:
    """Of a command whose run store and cache are in a folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", str(home)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "DPBENCH_RUNS": str(home / "runs"),
        "DPBENCH_CACHE": str(home / "cache"),
        "DPBENCH_EVIDENCE": "no-evidence-here",
    }


def start(home: Path, arguments: Sequence[str] = (*BENCH, "--workers", "2")) -> Begun:
    """Begin a command as one types it, with two workers: half a minute, most of it importing."""
    said = _said(home)
    with said.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.often_saved", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env=environment(home),
            start_new_session=True,
        )
    begun = Begun(process.pid, said)
    process.returncode = 0  # it is waited for here
    return begun


def fork(
    home: Path,
    arguments: Sequence[str] = (*BENCH, "--workers", "1"),
    prepare: Callable[[], None] = lambda: None,
) -> Begun:
    """Begin a command in a copy of this process, in which everything is imported.

    Args:
        home: Its run store and cache are made in here.
        arguments: The command.
        prepare: Called in the copy, before the command.
    """
    import benchmark.cli
    import benchmark.commands.bench  # noqa: F401 - imported here, it is in every copy

    def run() -> int:
        sys.argv = ["benchmark", *arguments]
        os.environ.update(environment(home))
        prepare()
        from tests.torture.often_saved import main

        return main()

    return forked(run, _said(home))


def _said(home: Path) -> Path:
    """Where a command of a folder says what it says, apart from what is taken from it."""
    folder = home.parent / f"{home.name}-said"
    folder.mkdir(exist_ok=True)
    return folder / f"{time.monotonic_ns()}.txt"


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


def finish(home: Path) -> Mapping[str, str]:
    """What the bench makes, or goes on to make, that nothing happens to."""
    code, said = fork(home).end()
    return result(home) if code == 0 else {"failed": said}


def spent(process: int) -> float:
    """Seconds of the processor that a process and its children have had; 0 where it has ended."""
    ticks = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for each in (process, *children):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")

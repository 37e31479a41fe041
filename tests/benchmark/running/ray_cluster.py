"""A Ray cluster of this machine, of nodes that can be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd

from benchmark.errors import UsageError

os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # whatever tokens lie in the home of a user
REPOSITORY = Path(__file__).resolve().parents[3]
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(REPOSITORY)}
TIMES = ["seconds_per_prediction", "seconds"]


class Cluster:
    """A head with one core; `add_node` starts another node with one core."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        port = self.address.split(":")[1]
        self.head = self._start("--head", f"--port={port}", f"--temp-dir={folder}")

    def add_node(self) -> subprocess.Popen[bytes]:
        return self._start(f"--address={self.address}")

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        small = ("--num-cpus=1", "--num-gpus=0", "--object-store-memory=200000000")
        return subprocess.Popen(
            [Path(sys.executable).with_name("ray"), "start", *options, *small, "--block"],
            env=os.environ | QUIET,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def nodes(self) -> int:
        import ray  # an extra

        return sum(node["Alive"] for node in ray.nodes())


def kill(node: subprocess.Popen[bytes]) -> None:
    """End a node as a power cut does: everything of it at once."""
    os.killpg(node.pid, signal.SIGKILL)
    node.wait()


def is_answering() -> bool:
    """Whether the cluster is there; this process is connected to it then."""
    from benchmark.running.ray_engine import connect  # it needs an extra

    with suppress(UsageError):
        return connect(None).workers > 0
    return False


def training_processes() -> list[int]:
    """Processes of this machine that run a training task."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if "ray::train_task" in read(path)
    ]


def read(path: Path) -> str:
    with suppress(OSError):  # it has ended
        return path.read_text()
    return ""


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds
        time.sleep(0.1)


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Rows are equal to the bit, but for what was measured in seconds."""
    pd.testing.assert_frame_equal(
        one.drop(columns=TIMES, errors="ignore"),
        other.drop(columns=TIMES, errors="ignore"),
        check_exact=True,
    )

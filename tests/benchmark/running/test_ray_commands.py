"""A bench and a study on a Ray cluster of two nodes, one of which dies: as on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.running.store import read_frame
from tests.benchmark.running.ray_cluster import (
    QUIET,
    Cluster,
    assert_same,
    kill,
    training_processes,
    wait_until,
)

pytest.importorskip("ray", reason="Ray is not installed; make test-ray installs it")
pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

SAID = "said.txt"
# Nodes have file systems of their own: the file that would show them the store is elsewhere.
COMMAND = """
import sys
from benchmark.cli import main
from benchmark.running import ray_engine

if __name__ == "__main__":
    ray_engine.mark_in = lambda store: store / "unseen" / "by the nodes"
    sys.exit(main())
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both engines find the same demonstrations."""
    return tmp_path_factory.mktemp("cache")


def start(words: list[str], engine: str, cache: Path, store: Path) -> subprocess.Popen[bytes]:
    """A command whose runs, and what it says, lie in a folder of its own."""
    store.mkdir()
    where = {"DPBENCH_CACHE": str(cache), "DPBENCH_RUNS": str(store), "OMP_NUM_THREADS": "1"}
    with (store / SAID).open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *words, "--device", "cpu", "--engine", engine],
            env=os.environ | QUIET | where,
            stdout=said,
            stderr=said,
        )


def cells(store: Path) -> list[Path]:
    """Folders of trained cells."""
    return sorted(path.parents[1] for path in store.glob("*/checkpoint/model.safetensors"))


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["bench", "--task", "pusht", "--preset", "smoke"], 16),
        (["study", "latency", "--preset", "smoke"], 10),
    ],
    ids=["bench", "study"],
)
def test_a_command_whose_node_dies_gives_what_this_machine_gives(
    words: list[str],
    count: int,
    cluster: Cluster,
    second_node: subprocess.Popen[bytes],
    cache: Path,
    tmp_path: Path,
) -> None:
    local, far = tmp_path / "local", tmp_path / "ray"
    command = start(words, "local", cache, local)
    assert command.wait() == 0, (local / SAID).read_text()
    assert len(cells(local)) == count

    command = start(words, "ray", cache, far)
    try:
        wait_until(lambda: len(cells(far)) >= 3 and len(training_processes()) == 2, 600)
        kill(second_node)
        assert command.wait() == 0, (far / SAID).read_text()
    finally:
        command.kill()
        command.wait()
    assert "; it goes on from " in (far / SAID).read_text()

    assert [path.name for path in cells(far)] == [path.name for path in cells(local)]
    for folder in cells(local):
        weights = Path(folder.name, "checkpoint", "model.safetensors")
        assert (far / weights).read_bytes() == (local / weights).read_bytes()
        tables = {path.relative_to(local) for path in folder.rglob("*.parquet")}
        assert len(tables) >= 2
        for table in tables:
            assert_same(read_frame(far / table), read_frame(local / table))

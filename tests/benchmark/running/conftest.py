"""The Ray cluster that two modules run cells on."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmark.running.ray_cluster import Cluster, is_answering, kill, wait_until


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    ray = pytest.importorskip("ray")
    # Its sockets lie below it, and the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    cluster = Cluster(folder)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_ADDRESS", cluster.address)
        try:
            wait_until(is_answering, 120)
            yield cluster
        finally:
            ray.shutdown()
            kill(cluster.head)
            shutil.rmtree(folder)


@pytest.fixture
def second_node(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    node = cluster.add_node()
    wait_until(lambda: cluster.nodes() == 2, 120)
    yield node
    if node.poll() is None:
        kill(node)
    wait_until(lambda: cluster.nodes() == 1, 120)

"""Which device is computed on."""

from pathlib import Path

import pytest
import torch

from baselines.processor import processor_units
from benchmark.errors import UsageError
from benchmark.running.machine import DEVICE, best_device


@pytest.fixture(autouse=True)
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv(DEVICE, raising=False)


def test_a_gpu_is_taken_where_there_is_one() -> None:
    assert best_device() == torch.device("cuda")


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:1"])
def test_a_device_that_is_named_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DEVICE, name)
    assert best_device() == torch.device(name)


@pytest.mark.parametrize("name", ["cuda:2", "gpu"])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DEVICE, name)
    with pytest.raises(UsageError, match=f"no device '{name}' .* devices: cuda, cuda:0, cuda:1"):
        best_device()


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux alone lists them")
def test_an_older_torch_finds_the_units_that_a_newer_one_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch does not tell")
    newer = processor_units()
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert processor_units() == newer

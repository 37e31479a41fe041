"""What several test modules share."""

import os
import signal
from pathlib import Path

# Test processes run side by side, and floating-point sums depend on the number of threads; OpenMP
# reads this once, so it must stand before the first import of torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is committed is no part of what a test makes; the tests of the evidence say where it is.
os.environ["DPBENCH_EVIDENCE"] = "no-evidence-here"

import hypothesis
import pytest

from envs.demos import sources
from envs.demos.demonstrations import Demonstrations

# A shell's background jobs ignore interruptions, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("dpbench", deadline=None)
hypothesis.settings.load_profile("dpbench")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def human_npz() -> Path:
    """The public human demonstrations of Push-T, which lie beside the checkout on some machines."""
    path = REPOSITORY.parent / "shared" / "data" / "pusht_human_206.npz"
    if not path.exists():
        pytest.skip(f"human demonstrations not at hand: no {path.name} in ../shared/data")
    return path


@pytest.fixture(scope="session")
def cache_of_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that keeps the three episodes of `three_demonstrations` for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def three_demonstrations(cache_of_three: Path, monkeypatch: pytest.MonkeyPatch) -> Demonstrations:
    """Three scripted episodes of Push-T, which are also all that the scripted source has."""
    monkeypatch.setenv("DPBENCH_CACHE", str(cache_of_three))
    monkeypatch.setattr(sources, "NUM_SCRIPTED", 3)
    return sources.load_pusht()

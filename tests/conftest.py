"""What several test modules share."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def human_npz() -> Path:
    """The public human demonstrations of Push-T, which lie beside the checkout on some machines."""
    path = REPOSITORY.parent / "shared" / "data" / "pusht_human_206.npz"
    if not path.exists():
        pytest.skip(f"human demonstrations not at hand: no {path.name} in ../shared/data")
    return path

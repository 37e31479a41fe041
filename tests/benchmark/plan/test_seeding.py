"""Seeds of episodes and of everything random."""

import subprocess
import sys

import pytest

from benchmark.plan.seeding import FIRST_SEED, derive, episode_seeds


def test_no_two_splits_share_a_seed() -> None:
    assert episode_seeds("published", 50) == list(range(100_000, 100_050))
    assert episode_seeds("test", 2) == [300_000, 300_001]
    assert episode_seeds("validation", 3) == [200_000, 200_001, 200_002]
    seeds = [set(episode_seeds(split, 100_000)) for split in FIRST_SEED]
    assert len(set.union(*seeds)) == 300_000


@pytest.mark.parametrize("count", [0, 100_001])
def test_a_number_of_episodes_that_a_split_does_not_have_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} episodes asked for; allowed: 1 to 100000"):
        episode_seeds("test", count)


def test_seeds_of_different_names_never_meet() -> None:
    names = [
        (seed, kind, i) for seed in range(20) for kind in ("noise", "order") for i in range(50)
    ]
    seeds = {derive(*each) for each in names}
    assert len(seeds) == len(names)
    assert derive(1, 23) != derive(12, 3)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_is_the_same_in_every_process() -> None:
    """Python's own hash is not; results made on two machines must agree."""
    code = "from benchmark.plan.seeding import derive; print(derive(42, 'noise', 7))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(found) == derive(42, "noise", 7)

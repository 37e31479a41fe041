"""Seeds of everything random, each derived by name from the seed of a cell.

The seeds of demonstrations and of each split of the episodes never overlap:

    from 0       demonstrations
    from 100000  published: the published protocol's; compared with published numbers, nothing else
    from 200000  validation: settings, action horizons and checkpoints are chosen on these alone
    from 300000  test: played by the last checkpoint, and nothing is chosen by them
"""

import hashlib
from typing import Literal

Split = Literal["test", "validation", "published"]
FIRST_SEED: dict[Split, int] = {"published": 100_000, "validation": 200_000, "test": 300_000}


def episode_seeds(split: Split, count: int) -> list[int]:
    """The first `count` episode seeds of a split."""
    if not 1 <= count <= 100_000:
        raise ValueError(f"{count} episodes asked for; allowed: 1 to 100000")
    return list(range(FIRST_SEED[split], FIRST_SEED[split] + count))


def derive(*names: int | str) -> int:
    """A 63-bit seed that depends on all `names` and is unlike that of any other names."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

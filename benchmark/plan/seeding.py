"""Seeds of everything random, each derived by name from the seed of a cell.

Test, validation and demonstration seeds never overlap: demonstrations count from 0, test episodes
from 100000 (the published protocol's), validation episodes from 200000.
"""

import hashlib
from typing import Literal

Split = Literal["test", "validation"]
FIRST_SEED: dict[Split, int] = {"test": 100_000, "validation": 200_000}


def episode_seeds(split: Split, count: int) -> list[int]:
    """The first `count` episode seeds of a split."""
    if not 1 <= count <= 100_000:
        raise ValueError(f"{count} episodes asked for; allowed: 1 to 100000")
    return list(range(FIRST_SEED[split], FIRST_SEED[split] + count))


def derive(*names: int | str) -> int:
    """A 63-bit seed that depends on all `names` and is unlike that of any other names."""
    text = "\x1f".join(map(str, names))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

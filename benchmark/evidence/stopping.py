"""Episodes that `UntilDecided` uses on policies of known difference, against a fixed-size test.

    python -m benchmark.evidence.stopping [--repetitions 2000] [--out results/statistics]

The fixed test is exact McNemar with the fewest episodes that find this very difference with chance
0.9: a plan that knows the answer beforehand, and wastes episodes where the difference is larger.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.evidence.power import mcnemar_episodes
from benchmark.evidence.sequential import log_wealth

ALPHA = 0.05
CAP = 2000
POWER = 0.9
PAIRS = ((0.9, 0.5), (0.9, 0.7), (0.8, 0.7), (0.85, 0.8), (0.8, 0.8), (0.5, 0.5), (0.95, 0.95))
_CHUNK = 100


def stopping_times(
    a: float, b: float, repetitions: int, rng: np.random.Generator, cap: int = CAP
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compare success rates a and b until decided, many times over.

    Returns:
        Episodes used, `cap` where not decided, and the decision: 1 for A, -1 for B, 0 for none;
        (R,) each.
    """
    used, decided = [], []
    for start in range(0, repetitions, _CHUNK):
        shape = (min(_CHUNK, repetitions - start), cap)
        differences = (rng.random(shape) < a).astype(float) - (rng.random(shape) < b)
        hits = np.stack([log_wealth(sign * differences) for sign in (1, -1)]) >= np.log(2 / ALPHA)
        first = np.where(hits.any(-1), hits.argmax(-1), cap)  # (2, R)
        used.append(np.minimum(first.min(0) + 1, cap))
        decided.append(np.where(first.min(0) == cap, 0, np.where(first[0] < first[1], 1, -1)))
    return np.concatenate(used), np.concatenate(decided)


def fixed_size(a: float, b: float, power: float = POWER) -> int | None:
    """Give the episodes of exact McNemar for independent successes of rates a > b."""
    return mcnemar_episodes(a * (1 - b), b * (1 - a), power)


def table(repetitions: int, seed: int = 0) -> pd.DataFrame:
    """Give decisions and episodes for each pair of success rates."""
    rng = np.random.default_rng(seed)
    rows = []
    for a, b in PAIRS:
        used, decided = stopping_times(a, b, repetitions, rng)
        false = (decided != 0).mean() if a == b else (decided == -1).mean()
        rows.append(
            {
                "success A": a,
                "success B": b,
                "A better %": 100 * (decided == 1).mean(),
                "B better %": 100 * (decided == -1).mean(),
                "false %": 100 * false,
                "median episodes": float(np.median(used)),
                "mean episodes": round(float(used.mean())),
                f"fixed test, power {POWER:g}": fixed_size(a, b) or "-",
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table and write stopping.csv."""
    parser = argparse.ArgumentParser(description="Episodes used until decided.")
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("results/statistics"))
    args = parser.parse_args()
    rates = table(args.repetitions)
    args.out.mkdir(parents=True, exist_ok=True)
    rates.to_csv(args.out / "stopping.csv", index=False, float_format="%.4g")
    print(rates.to_string(index=False, float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()

"""How often every interval and test errs, on simulated outcomes like ours.

    python -m benchmark.evidence.calibration [--repetitions 4000] [--out results/statistics]

Each is run on thousands of simulated tables whose truth is known (`outcomes`), at 3, 5 and 10
training seeds by 50 and 200 episodes, and with one training by enumeration. Bar: no error above
1.2 times its nominal rate. The exit code says whether it is kept.
"""

import argparse
import itertools
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy
from scipy.stats import binom

from benchmark.evidence.crossed import Contrast, Term, difference, mean
from benchmark.evidence.multiple import holm
from benchmark.evidence.outcomes import Policy
from benchmark.evidence.paired import exact_mcnemar, score_limits
from benchmark.evidence.sequential import log_wealth
from benchmark.evidence.stats import Share

Array = NDArray[np.float64]
Row = dict[str, str | int | float]

BAR = 1.2
ALPHA = 0.05
SEEDS = (3, 5, 10)
EPISODES = (50, 200)
SPREADS = ((0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.5, 2.0), (1.0, 2.0))  # seed, state
RATES = (0.5, 0.8, 0.9, 0.95, 0.99)
PAIRS = ((0.5, 0.5), (0.8, 0.8), (0.95, 0.95), (0.8, 0.6), (0.95, 0.8), (0.99, 0.95))
KINDS = ("success", "score")
MARGIN = 0.05
TABLE_METHODS = 5  # policies compared in one table
SEQUENTIAL_CAP = 1000  # episodes at which a sequential comparison is given up


def simulate(repetitions: int, seed: int) -> pd.DataFrame:
    """Give the error rates, a row for every method, scenario and size.

    Args:
        repetitions: Tables drawn for each row.
        seed: Seed of the draws.

    Returns:
        Columns: method, scenario, seeds, episodes, nominal, error.
    """
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for seeds, episodes in itertools.product(SEEDS, EPISODES):
        sizes: Row = {"seeds": seeds, "episodes": episodes}
        for method, scenario, nominal, error in _crossed(seeds, episodes, repetitions, rng):
            rows.append(_row(method, scenario, sizes, nominal, error))
    for episodes in EPISODES:
        sizes = {"seeds": 1, "episodes": episodes}
        for method, scenario, error in chain(
            _one_training(episodes), _one_mean(episodes, repetitions, rng)
        ):
            rows.append(_row(method, scenario, sizes, ALPHA, error))
    for scenario, error in _sequential(repetitions, rng):
        sizes = {"seeds": 1, "episodes": SEQUENTIAL_CAP}
        rows.append(_row("sequential comparison", scenario, sizes, ALPHA, error))
    return pd.DataFrame(rows)


def summary(rates: pd.DataFrame) -> pd.DataFrame:
    """Give the worst and the mean error of each method at each size, in percent."""
    groups = rates.groupby(["method", "seeds", "episodes"], sort=False)
    worst = rates.loc[groups["error"].idxmax()].set_index(["method", "seeds", "episodes"])
    table = pd.DataFrame(
        {
            "scenarios": groups.size(),
            "nominal %": 100 * groups["nominal"].first(),
            "mean error %": (100 * groups["error"].mean()).round(2),
            "worst error %": (100 * groups["error"].max()).round(2),
            "worst at": worst["scenario"],
        }
    )
    return table.reset_index()


def _row(method: str, scenario: str, sizes: Row, nominal: float, error: float) -> Row:
    return {"method": method, "scenario": scenario, **sizes, "nominal": nominal, "error": error}


def _crossed(
    seeds: int, episodes: int, repetitions: int, rng: np.random.Generator
) -> Iterator[tuple[str, str, float, float]]:
    """What needs several trainings: method, scenario, nominal rate, error."""
    for kind, (seed_spread, state_spread) in itertools.product(KINDS, SPREADS):
        about = f"seed spread {seed_spread:g}, state spread {state_spread:g}"

        def draw(*policies: Policy, kind: str = kind) -> list[Array]:
            states = rng.normal(size=(repetitions, 1, episodes))
            return [policy.draw(kind, seeds, states, rng) for policy in policies]

        for rate in RATES:
            policy = Policy(rate, seed_spread, state_spread)
            error = _misses(mean(draw(policy)[0]), policy.truth(kind))
            yield f"mean {kind}", f"{rate:g}, {about}", ALPHA, error
        for first, second in PAIRS:
            a, b = Policy(first, seed_spread, state_spread), Policy(second, 0.5, state_spread)
            drawn = draw(a, b)
            both = difference(drawn[0], drawn[1])
            truth = a.truth(kind) - b.truth(kind)
            yield (
                f"difference of {kind}",
                f"{first:g} - {second:g}, {about}",
                ALPHA,
                _misses(both, truth),
            )
        policy = Policy(0.8, seed_spread, state_spread)
        one, two = draw(policy, policy)
        same = Contrast([Term(one - two, 1.0, (-1.0, 1.0))])
        yield f"two settings of one network, {kind}", f"0.8 - 0.8, {about}", ALPHA, _misses(same, 0)
        edge = Policy(
            0.85 - MARGIN if kind == "success" else 0.85 - MARGIN / 0.8, 0.0, state_spread
        )
        against = Policy(0.85, seed_spread, state_spread)
        drawn = draw(edge, against)
        low, high = difference(drawn[0], drawn[1]).limits(1 - 2 * ALPHA)
        shown = float(((low > -MARGIN) & (high < MARGIN)).mean())
        yield f"equivalence within {MARGIN:g}, {kind}", f"at the margin, {about}", ALPHA, shown
        tables = draw(*[policy] * TABLE_METHODS)
        p = np.stack([difference(tables[0], other).p_values() for other in tables[1:]], -1)
        false = float((holm(p).min(-1) < ALPHA).mean())
        yield (
            f"Holm over {TABLE_METHODS - 1} differences, {kind}",
            f"all 0.8, {about}",
            ALPHA,
            false,
        )
        level = 1 - 2 * ALPHA / (TABLE_METHODS - 1)
        lost = np.any([difference(tables[0], o).limits(level)[1] < 0 for o in tables[1:]], axis=0)
        yield (
            f"best of {TABLE_METHODS} not in the set, {kind}",
            f"all 0.8, {about}",
            ALPHA,
            float(lost.mean()),
        )


def _misses(contrast: Contrast, truth: float) -> float:
    low, high = contrast.limits(1 - ALPHA)
    return float(((low > truth) | (high < truth)).mean())


def _one_training(episodes: int) -> Iterator[tuple[str, str, float]]:
    """Paired success of one training each, by enumeration of all counts: no simulation error."""
    n10, n01 = np.indices((episodes + 1, episodes + 1))
    n10, n01 = n10[n10 + n01 <= episodes], n01[n10 + n01 <= episodes]
    low, high = score_limits(n10, n01, episodes, 1 - ALPHA)
    p_of = {(i, j): exact_mcnemar(i, j) for i in range(episodes + 1) for j in range(i + 1)}
    p = np.array([p_of[max(i, j), min(i, j)] for i, j in zip(n10, n01, strict=True)])
    for apart in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        for share in (0.5, 0.6, 0.75, 0.9, 1.0):
            a_only, b_only = apart * share, apart * (1 - share)
            chance = np.exp(
                gammaln(episodes + 1)
                - gammaln(n10 + 1)
                - gammaln(n01 + 1)
                - gammaln(episodes - n10 - n01 + 1)
                + xlogy(n10, a_only)
                + xlogy(n01, b_only)
                + xlogy(episodes - n10 - n01, 1 - apart)
            )
            truth = a_only - b_only
            missed = (low > truth + 1e-9) | (high < truth - 1e-9)
            scenario = f"{apart:g} of pairs disagree, {share:g} of them for A"
            yield "score interval of paired success", scenario, float(chance[missed].sum())
            if share == 0.5:
                yield "exact McNemar", scenario, float(chance[p < ALPHA].sum())


def _one_mean(
    episodes: int, repetitions: int, rng: np.random.Generator
) -> Iterator[tuple[str, str, float]]:
    """The mean of one training: success by enumeration of all counts, score by simulation."""
    counts = np.arange(episodes + 1)
    found = [Share(int(count), episodes).interval(1 - ALPHA) for count in counts]
    missed_by = [np.array([interval.excludes(rate) for interval in found]) for rate in RATES]
    for rate, missed in zip(RATES, missed_by, strict=True):
        yield (
            "exact interval of success",
            f"{rate:g}",
            float(binom.pmf(counts, episodes, rate)[missed].sum()),
        )
        policy = Policy(rate, 0.0, 0.0)
        drawn = policy.draw("score", 1, np.zeros((repetitions, 1, episodes)), rng)
        yield "mean score", f"{rate:g}", _misses(mean(drawn), policy.truth("score"))


def _sequential(repetitions: int, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Chance of a false decision when looking after every one of SEQUENTIAL_CAP episodes."""
    for kind, rate, state_spread in itertools.product(KINDS, (0.5, 0.8, 0.95), (0.0, 2.0)):
        policy = Policy(rate, 0.0, state_spread)
        false = 0
        for chunk in np.array_split(np.arange(repetitions), max(1, repetitions // 200)):
            states = rng.normal(size=(len(chunk), 1, SEQUENTIAL_CAP))
            a, b = (policy.draw(kind, 1, states, rng)[:, 0] for _ in range(2))
            wealth = np.maximum(log_wealth(a - b).max(-1), log_wealth(b - a).max(-1))
            false += int((wealth >= np.log(2 / ALPHA)).sum())
        yield f"{kind} {rate:g} both, state spread {state_spread:g}", false / repetitions


def markdown(table: pd.DataFrame, repetitions: int) -> str:
    """Draw the summary as a Markdown page."""
    heads = list(table.columns)
    lines = [
        "# Error rates of every interval and test",
        "",
        f"`python -m benchmark.evidence.calibration`; {repetitions} simulated tables a scenario "
        "(seeds 1: success by enumeration). Error: the interval misses "
        "the truth, or the test finds what is not there. Every scenario stands in calibration.csv.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(str(v) for v in row)} |" for row in table.itertuples(index=False)),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Simulate, write calibration.csv and calibration.md, and say whether the bar is kept."""
    parser = argparse.ArgumentParser(description="Error rates of every interval and test.")
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/statistics"))
    args = parser.parse_args()
    rates = simulate(args.repetitions, args.seed)
    table = summary(rates)
    args.out.mkdir(parents=True, exist_ok=True)
    rates.to_csv(args.out / "calibration.csv", index=False, float_format="%.5f")
    page = markdown(table, args.repetitions)
    (args.out / "calibration.md").write_text(page)
    print(page)
    above = rates[rates["error"] > BAR * rates["nominal"]]
    print(f"{len(rates)} scenarios, {len(above)} above {BAR} times the nominal rate")
    if not above.empty:
        print(above.to_string(index=False))
    return int(not above.empty)


if __name__ == "__main__":
    sys.exit(main())

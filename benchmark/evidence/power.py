"""What a number of training seeds and episodes can show, from where the spread comes from.

An outcome of training s in state e is mean + training + episode + rest, three independent parts.
Their variances, estimated from a table (S, E), give the standard error for any other S and E, the
smallest difference that would have been found, and the seeds that a given difference needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm
from scipy.stats import t as student

from benchmark.evidence.crossed import ADDED, Array

# Beyond this no number of seeds is worth planning.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Components:
    """Variances of an outcome, or of the difference of two policies' outcomes.

    Attributes:
        training: Between trainings with other seeds.
        episode: Between initial states, shared by all trainings.
        rest: What is left: this training's luck in this state.
        policies: Policies trained apart that stand behind it, 1 or 2 for a difference.
    """

    training: float
    episode: float
    rest: float
    policies: int = 1

    def standard_error(self, seeds: int, episodes: int) -> float:
        """Give the standard error with `seeds` trainings a policy and `episodes` shared by all."""
        variance = self._training_part(seeds, episodes) + self.episode / episodes
        return float(np.sqrt(variance))

    def half_width(self, seeds: int, episodes: int, alpha: float = 0.05) -> float:
        """Give about half the width of the interval that `crossed` would draw.

        With one seed it is over episodes alone, trainings as they are.

        Raises:
            ValueError: With no seed, or fewer than two episodes.
        """
        if seeds < 1 or episodes < 2:
            raise ValueError(f"{seeds} seeds and {episodes} episodes: at least 1 and 2 are needed")
        n = episodes + 2 * ADDED
        added = 2 * ADDED * (self.policies / 2) ** 2  # squares of the episodes at the bounds
        states = (self.episode + self.rest / seeds) / n + added / n**2
        of_states = student.ppf(1 - alpha / 2, episodes - 1)
        if seeds == 1:
            return float(of_states * np.sqrt(states))
        trainings = self._training_part(seeds, episodes) * seeds / (seeds - 1)
        # `crossed` estimates Welch's degrees of freedom: between those of one policy and all.
        df = (self.policies + 1) / 2 * (seeds - 1)
        of_trainings = student.ppf(1 - alpha / 2, df)
        return float(np.sqrt(of_trainings**2 * trainings + of_states**2 * states))

    def _training_part(self, seeds: int, episodes: int) -> float:
        return (self.training + self.rest / episodes) / seeds


def components(table: Array) -> Components:
    """Estimate the variances from a table (S, E), S >= 2 (two-way ANOVA, negative ones set to 0).

    Raises:
        ValueError: With fewer than two seeds or two episodes.
    """
    S, E = table.shape
    if S < 2 or E < 2:
        raise ValueError(f"a table of {S} seeds by {E} episodes: both must be 2 or more")
    rows, columns = table.mean(1), table.mean(0)
    left = table - rows[:, None] - columns + table.mean()
    rest = float((left**2).sum() / (S - 1) / (E - 1))
    return Components(
        training=max(0.0, float(rows.var(ddof=1)) - rest / E),
        episode=max(0.0, float(columns.var(ddof=1)) - rest / S),
        rest=rest,
    )


def difference_components(a: Array, b: Array) -> Components:
    """Estimate the variances of A - B from tables (S, E) of policies trained apart, same episodes.

    Where either has one training, all that is known is how the difference varies between episodes:
    that is `episode` then, and the spread of trainings is left out.

    Raises:
        ValueError: If the episodes differ in number.
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"{a.shape[1]} and {b.shape[1]} episodes: must be the same ones")
    if min(len(a), len(b)) == 1:
        return Components(0.0, float((a.mean(0) - b.mean(0)).var(ddof=1)), 0.0, policies=2)
    of_a, of_b = components(a), components(b)
    between = float((a.mean(0) - b.mean(0)).var(ddof=1))
    episode = between - of_a.rest / a.shape[0] - of_b.rest / b.shape[0]
    return Components(
        of_a.training + of_b.training, max(0.0, episode), of_a.rest + of_b.rest, policies=2
    )


def smallest_detectable(
    spread: Components, seeds: int, episodes: int, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Give the true difference whose interval excludes 0 with chance `power`."""
    reach = spread.half_width(seeds, episodes, alpha)
    # The width varies from table to table.
    df = episodes - 1 if seeds == 1 else (spread.policies + 1) / 2 * (seeds - 1)
    return reach + float(student.ppf(power, df)) * spread.standard_error(seeds, episodes)


def detectable(a: Array, b: Array) -> float:
    """Give `smallest_detectable` of two policies from their tables (S, E), (S', E)."""
    return smallest_detectable(difference_components(a, b), min(len(a), len(b)), a.shape[1])


def seeds_needed(
    spread: Components, difference: float, episodes: int, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Give the fewest seeds a policy that find a difference; None where MOST_SEEDS do not.

    Raises:
        ValueError: If the difference is not positive.
    """
    if difference <= 0:
        raise ValueError(f"a difference of {difference} to find: must be above 0")
    low, high = 2, MOST_SEEDS
    if smallest_detectable(spread, high, episodes, alpha, power) > difference:
        return None
    while low < high:
        middle = (low + high) // 2
        if smallest_detectable(spread, middle, episodes, alpha, power) <= difference:
            high = middle
        else:
            low = middle + 1
    return low


def mcnemar_episodes(a_only: float, b_only: float, power: float = 0.8) -> int | None:
    """Give the fewest episodes, to the ten, at which exact McNemar finds A better at 5 %.

    Args:
        a_only: Chance that A alone solves an episode.
        b_only: Chance that B alone does.
        power: Chance of finding it.

    Returns:
        Episodes; None where 10,000 are not enough, or A is no better.
    """
    apart = a_only + b_only
    if a_only <= b_only:
        return None
    for n in range(10, 10_001, 10):
        pairs = np.arange(n + 1)
        least = pairs - binom.ppf(0.025, pairs, 0.5) + 1  # more for A than this tail allows
        found = binom.sf(least - 1, pairs, a_only / apart)
        if (binom.pmf(pairs, n, apart) * found).sum() >= power:
            return n
    return None


def fixed_episodes(differences: Array, power: float = 0.8) -> int | None:
    """Give the episodes of a fixed-size test that finds the mean of these differences.

    Exact McNemar where they are -1, 0 and 1; else a paired t-test, by the normal distribution.
    """
    if np.isin(differences, (-1, 0, 1)).all():
        shares = sorted(((differences > 0).mean(), (differences < 0).mean()), reverse=True)
        return mcnemar_episodes(float(shares[0]), float(shares[1]), power)
    if not differences.mean():
        return None
    reach = norm.ppf(0.975) + norm.ppf(power)
    return int(np.ceil((reach / differences.mean()) ** 2 * differences.var()))


def plans(
    spread: Components,
    difference: float,
    episodes: Sequence[int] = (50, 100, 200, 500, 1000),
    alpha: float = 0.05,
    power: float = 0.8,
) -> list[tuple[int, int]]:
    """Give the (seeds, episodes) that find a difference, one for each number of episodes.

    What each costs is the caller's to add: seeds cost trainings, seeds times episodes rollouts.
    """
    found = ((seeds_needed(spread, difference, count, alpha, power), count) for count in episodes)
    return [(seeds, count) for seeds, count in found if seeds is not None]

"""What an effect's episodes could have shown, and how many would decide a claim.

Every effect splits into where its spread comes from (`power.Components`). From these follow the
smallest difference that would have been found, and the seeds and episodes at which a difference of
the estimated size is found with chance 80 %. With one training seed nothing tells how trainings
differ: then only episodes of these very networks can be planned.
"""

from __future__ import annotations

import numpy as np

from benchmark.evidence.crossed import Contrast
from benchmark.evidence.effects import Effect, Ratio, TrainingDifference
from benchmark.evidence.paired import PairedSuccess
from benchmark.evidence.power import Components, components, seeds_needed, smallest_detectable
from benchmark.evidence.stats import Share

EPISODES = (50, 100, 200, 500, 1000)
MORE_EPISODES = (*EPISODES, 2000, 5000, 10_000)
LEAST_SEEDS = 3
"""Training seeds from which on a claim about methods can be decided (`verdicts`)."""
_ENDLESS = 10**6
"""Episodes of an effect whose spread is between trainings alone."""


def spread(effect: Effect, value: float = 0.0) -> Components | None:
    """Split the spread of an effect; of a ratio, that of what it is tested by at `value`.

    None where a single episode or training tells nothing, or the effect is of an unknown kind.
    """
    if isinstance(effect, Ratio):
        return spread(effect.against(value)) if effect.episodes > 1 else None
    if isinstance(effect, Contrast):
        return _of_contrast(effect)
    if isinstance(effect, PairedSuccess):
        share = (effect.n10 + effect.n01) / effect.episodes
        mean = (effect.n10 - effect.n01) / effect.episodes
        return Components(0.0, share - mean**2, 0.0, policies=2)
    if isinstance(effect, Share):
        rate = effect.successes / effect.episodes
        return Components(0.0, rate * (1 - rate), 0.0)
    if isinstance(effect, TrainingDifference) and effect.seeds > 1:
        return Components(float(np.var(effect.a, ddof=1) + np.var(effect.b, ddof=1)), 0.0, 0.0, 2)
    return None


def _of_contrast(contrast: Contrast) -> Components:
    terms = contrast.terms
    columns = np.sum([term.weight * term.table.mean(0) for term in terms], axis=0)
    between = float(columns.var(ddof=1))
    if any(len(term.table) == 1 for term in terms):
        return Components(0.0, between, 0.0, len(terms))
    parts = [(term.weight**2, len(term.table), components(term.table)) for term in terms]
    luck = sum(square * part.rest / seeds for square, seeds, part in parts)
    return Components(
        sum(square * part.training for square, _, part in parts),
        max(0.0, between - luck),
        sum(square * part.rest for square, _, part in parts),
        len(terms),
    )


def detectable(effect: Effect, value: float = 0.0, alpha: float = 0.05) -> float:
    """Give how far from `value` the truth must lie to be found with chance 80 %.

    NaN where nothing tells; infinite where no truth that is possible would be found.
    """
    known = spread(effect, value)
    if known is None or _episodes(effect) < 2:
        return np.nan
    found = smallest_detectable(known, effect.seeds, _episodes(effect), alpha)
    return found / _unit(effect) if found <= _farthest(effect, value) else np.inf


def needed(effect: Effect, distance: float, value: float = 0.0, alpha: float = 0.05) -> str:
    """Say how many seeds and episodes find a distance from `value` with chance 80 %.

    Args:
        effect: What was measured.
        distance: Between the truth, taken to be the estimate, and what it is told from.
        value: What it is told from.
        alpha: Two-sided level of the test.

    Returns:
        Such as "7 seeds x 100 episodes or 5 x 1000"; empty where nothing tells.
    """
    known = spread(effect, value)
    distance *= _unit(effect)
    if known is None or not distance > 0:
        return ""
    if isinstance(effect, TrainingDifference):
        seeds = seeds_needed(known, distance, _ENDLESS, alpha)
        return f"{max(LEAST_SEEDS, seeds)} seeds" if seeds else "over 1000 seeds"
    if effect.seeds == 1:
        for episodes in MORE_EPISODES:
            if smallest_detectable(known, 1, episodes, alpha) <= distance:
                return f"{episodes} episodes for these networks; {LEAST_SEEDS} seeds for methods"
        return f"over {MORE_EPISODES[-1]} episodes for these networks"
    plans = {count: seeds_needed(known, distance, count, alpha) for count in EPISODES}
    found = [(max(LEAST_SEEDS, seeds), count) for count, seeds in plans.items() if seeds]
    if not found:
        return "over 1000 seeds"
    # Trainings cost more than episodes: fewest seeds; beside it what does with fewest episodes.
    few_seeds, few_episodes = min(found), min(found, key=lambda plan: plan[0] * plan[1])
    text = f"{few_episodes[0]} seeds x {few_episodes[1]} episodes"
    return text if few_seeds == few_episodes else f"{text} or {few_seeds[0]} x {few_seeds[1]}"


def _episodes(effect: Effect) -> int:
    return _ENDLESS if isinstance(effect, TrainingDifference) else effect.episodes


def _farthest(effect: Effect, value: float) -> float:
    """How far from `value` the truth of an effect can be."""
    if isinstance(effect, Contrast):
        low, high = effect.bounds()
        return max(high - value, value - low)
    return 1 + abs(value) if isinstance(effect, PairedSuccess | Share) else np.inf


def _unit(effect: Effect) -> float:
    """What a step of the effect is in the spread's unit: a ratio is tested as a difference."""
    return abs(float(effect.b.mean())) or 1.0 if isinstance(effect, Ratio) else 1.0

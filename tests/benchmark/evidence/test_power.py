"""Variance components and detectable differences against least squares and simulation."""

import numpy as np
import pytest

from benchmark.evidence.crossed import difference
from benchmark.evidence.power import (
    Components,
    components,
    difference_components,
    plans,
    seeds_needed,
    smallest_detectable,
)


@pytest.mark.parametrize("case", range(10))
def test_components_are_those_of_a_least_squares_fit(case: int) -> None:
    rng = np.random.default_rng(case)
    S, E = int(rng.integers(2, 6)), int(rng.integers(5, 15))
    table = rng.normal(0, 0.3, (S, 1)) + rng.normal(0, 0.3, (1, E)) + rng.normal(0, 0.2, (S, E))
    s, e = (index.ravel() for index in np.indices((S, E)))

    def left_over(*designs: np.ndarray) -> float:
        X = np.column_stack([np.ones(S * E), *designs])
        fit = np.linalg.lstsq(X, table.ravel(), rcond=None)[0]
        return float(((table.ravel() - X @ fit) ** 2).sum())

    rows, columns = np.eye(S)[s], np.eye(E)[e]
    both = left_over(rows, columns)
    rest = both / ((S - 1) * (E - 1))
    training = ((left_over(columns) - both) / (S - 1) - rest) / E
    episode = ((left_over(rows) - both) / (E - 1) - rest) / S
    found = components(table)
    assert (found.training, found.episode, found.rest) == pytest.approx(
        (max(0, training), max(0, episode), rest), abs=1e-9
    )


def test_components_of_a_large_table_are_the_true_ones() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(0, 0.1, (300, 1)) + rng.normal(0, 0.3, (1, 400))
    found = components(table + rng.normal(0, 0.2, (300, 400)))
    assert np.sqrt([found.training, found.episode, found.rest]) == pytest.approx(
        [0.1, 0.3, 0.2], rel=0.1
    )


@pytest.mark.parametrize(("S", "E"), [(3, 50), (3, 200), (5, 50), (5, 200), (10, 200)])
def test_the_smallest_detectable_difference_is_found_about_four_times_in_five(
    S: int, E: int
) -> None:
    rng = np.random.default_rng(0)
    training, rest = 0.04, 0.15
    spread = Components(2 * training**2, 0.0, 2 * rest**2, policies=2)
    apart = smallest_detectable(spread, S, E)

    def draw(level: float) -> np.ndarray:
        noise = rng.normal(0, training, (1000, S, 1)) + rng.normal(0, rest, (1000, S, E))
        return np.clip(level + noise, 0, 1)

    low, _ = difference(draw(0.5 + apart / 2), draw(0.5 - apart / 2)).limits(0.95)
    assert 0.65 < (low > 0).mean() < 0.95


@pytest.mark.parametrize("difference_sought", [0.05, 0.1, 0.2])
def test_seeds_needed_are_the_fewest(difference_sought: float) -> None:
    spread = Components(0.002, 0.01, 0.1, policies=2)
    for seeds, episodes in plans(spread, difference_sought):
        assert smallest_detectable(spread, seeds, episodes) <= difference_sought
        if seeds > 2:
            assert smallest_detectable(spread, seeds - 1, episodes) > difference_sought


def test_what_no_number_of_seeds_can_show_is_said() -> None:
    assert seeds_needed(Components(0.0, 0.25, 0.0, policies=2), 0.01, 50) is None


def test_difference_components_add_the_trainings_of_both() -> None:
    rng = np.random.default_rng(1)
    states = rng.normal(0, 0.3, (1, 300))
    a = states + rng.normal(0, 0.1, (200, 1)) + rng.normal(0, 0.1, (200, 300))
    b = states + rng.normal(0, 0.2, (200, 1)) + rng.normal(0, 0.1, (200, 300))
    found = difference_components(a, b)
    assert found.training == pytest.approx(0.05, rel=0.2)
    assert found.rest == pytest.approx(0.02, rel=0.1)
    assert found.episode == pytest.approx(0.0, abs=1e-3)

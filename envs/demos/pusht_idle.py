"""Demonstrations of Push-T with pauses in them, as people make who think or wait.

A pause repeats the set-point of a step. It is put where nothing is touched and nothing is about to
be, so that the block stays where it was; the whole episode is then simulated anew with the pauses
in it, so that its states are what the environment gives. An episode whose block does not end
where it did before tries other places.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.env import CONTROL_HZ
from envs.pusht.geometry import coverage
from envs.pusht.observations import ObsType, observe
from envs.pusht.physics import PushTPhysics

SHORTEST, LONGEST = 5, 20
"""Steps of a pause, 0.5 s to 2 s."""
CLEAR = CONTROL_HZ // 2
"""Steps without contact that a pause is followed by, so that the agent is at speed again."""
TRIES = 20
COVERAGE_CHANGE = 0.02
"""How far the last coverage may differ from the one without pauses."""


def with_pauses(demos: Demonstrations, rate: float, obs_type: ObsType, seed: int) -> Demonstrations:
    """Put pauses into every episode until about `rate` of its steps are idle.

    Args:
        demos: Push-T demonstrations.
        rate: Share of idle steps in the result, 0 to 0.9; 0 simulates the episodes as they are.
        obs_type: What a policy observes.
        seed: Of the places and lengths of the pauses.

    Returns:
        As many episodes, whose version names the rate. An episode without a place for a pause, or
        whose replays all end elsewhere, stays as it is.

    Raises:
        ValueError: If the rate is out of range.
    """
    if not 0 <= rate <= 0.9:
        raise ValueError(f"rate of idle steps is {rate}; allowed: 0 to 0.9")
    states, actions, lengths = [], [], []
    for index in range(demos.num_episodes):
        episode = demos.episode(index)
        rng = np.random.default_rng([seed, index])
        paused = _paused(episode.states[0], episode.actions, rate, rng)
        states.append(paused[0])
        actions.append(paused[1])
        lengths.append(len(paused[1]))
    everything = np.concatenate(states)
    known = demos.metadata
    return Demonstrations(
        states=everything,
        actions=np.concatenate(actions),
        episode_ends=np.cumsum(lengths),
        observations=observe(everything, obs_type),
        metadata=replace_version(known, rate),
    )


def replace_version(metadata: Metadata, rate: float) -> Metadata:
    """The metadata with the rate in its version."""
    return replace(metadata, version=f"{metadata.version}-idle{rate:g}")


def _paused(
    start: NDArray[np.float64],
    actions: NDArray[np.float64],
    rate: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """States (T, 5) and actions (T, 2) of an episode with pauses, or of the episode as it is."""
    states, contacts, covered = _simulate(start, actions)
    wanted = round(len(actions) * rate / (1 - rate))
    places = np.flatnonzero(_clear(contacts))
    if wanted < SHORTEST or not places.size:
        return states, actions
    for _ in range(TRIES):
        repeats = np.ones(len(actions), dtype=np.int64)
        while (missing := wanted - (repeats.sum() - len(actions))) >= SHORTEST:
            length = rng.integers(SHORTEST, min(LONGEST, missing) + 1)
            repeats[rng.choice(places)] += length
        longer = np.repeat(actions, repeats, axis=0)
        new_states, _, new_covered = _simulate(start, longer)
        if abs(new_covered - covered) <= COVERAGE_CHANGE:
            return new_states, longer
    return states, actions


def _clear(contacts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Steps that touch nothing and are followed by `CLEAR` steps that do not either, (T,)."""
    padded = np.concatenate([contacts, np.ones(CLEAR, dtype=contacts.dtype)])
    ahead = np.lib.stride_tricks.sliding_window_view(padded, CLEAR + 1)  # (T, CLEAR + 1)
    clear: NDArray[np.bool_] = (ahead == 0).all(axis=1)
    return clear


def _simulate(
    start: NDArray[np.float64], actions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """States before each action (T, 5), contacts of each (T,), and the coverage at the end."""
    table = PushTPhysics()
    table.reset_to(start, "angle-first")
    states, contacts = [], []
    for x, y in actions.tolist():
        states.append(table.state)
        contacts.append(table.step((x, y)))
    return np.stack(states), np.array(contacts), coverage(table.coordinates)

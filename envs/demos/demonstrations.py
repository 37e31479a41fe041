"""Demonstrations in memory: episodes laid end to end, checked when they are made.

Row t holds the state before the action of row t. Episode i is the rows `starts[i]` to
`episode_ends[i]`, the end excluded; this is the layout of the public Push-T replay buffer.

    row             0   1   2   3   4   5   6   7   8
    episode         0   0   0   0   1   1   2   2   2
    episode_ends                4       6           9
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

SOURCES = ("scripted", "human", "import")


@dataclass(frozen=True)
class Metadata:
    """Where demonstrations come from.

    Attributes:
        task: Name of the task, as in `python -m benchmark list`.
        source: `scripted` (our demonstrator), `human` (public data) or `import` (a user's file).
        version: Version of what made them: demonstrator and environment; of a user's file a
            fingerprint of what it holds, since files of different data often have one name.
        seed: First seed of a scripted set (episode i has seed + i); None for recorded data.
    """

    task: str
    source: str
    version: str
    seed: int | None

    def __post_init__(self) -> None:
        if not self.task:
            raise ValueError("metadata: task is empty; give the task's name, such as 'pusht'")
        if self.source not in SOURCES:
            raise ValueError(
                f"metadata: source {self.source!r} is unknown; choose one of {', '.join(SOURCES)}"
            )


@dataclass(frozen=True)
class DataSet:
    """Demonstrations by name, which takes neither reading nor making them.

    Attributes:
        metadata: Where they come from.
        num_episodes: Episodes in all.
        num_steps: Steps in all; 0 where only reading or making them tells.
    """

    metadata: Metadata
    num_episodes: int
    num_steps: int = 0

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps an episode, all as equal as they can be, (E,)."""
        ends = np.linspace(0, self.num_steps, self.num_episodes + 1).astype(np.int64)
        return np.diff(ends)


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Episodes of states, position actions and observations.

    Attributes:
        states: States before each action, (N, Ds) float64, in the environment's units.
        actions: Position set-points, (N, Da) float64, in the environment's units.
        episode_ends: Row after the last one of each episode, (E,) int64, strictly increasing.
        observations: Arrays (N, ...) by name. As read from a file they carry the file's names;
            as given by a source they are what a policy sees (`state`, `pixels`).
        metadata: Where the demonstrations come from.
    """

    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    episode_ends: NDArray[np.int64]
    observations: Mapping[str, NDArray[Any]]
    metadata: Metadata

    def __post_init__(self) -> None:
        _check_matrix("states", self.states)
        _check_matrix("actions", self.actions)
        _check_ends(self.episode_ends, len(self.actions))
        named = {"states": self.states, "actions": self.actions} | {
            f"observation {name!r}": array for name, array in self.observations.items()
        }
        for name, array in named.items():
            if len(array) != len(self.actions):
                raise ValueError(
                    f"demonstrations: {name} has {len(array)} rows and actions "
                    f"{len(self.actions)}; every array needs one row a step"
                )
            _check_finite(name, array)

    @property
    def num_episodes(self) -> int:
        """Number of episodes E."""
        return len(self.episode_ends)

    @property
    def num_steps(self) -> int:
        """Number of steps N over all episodes."""
        return len(self.actions)

    @property
    def starts(self) -> NDArray[np.int64]:
        """First row of each episode, (E,)."""
        return np.concatenate([[0], self.episode_ends[:-1]]).astype(np.int64)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each episode, (E,)."""
        return self.episode_ends - self.starts

    def digest(self) -> str:
        """SHA-256 of states and actions (little-endian float64) and episode ends (int64)."""
        total = hashlib.sha256()
        total.update(self.states.astype("<f8").tobytes())
        total.update(self.actions.astype("<f8").tobytes())
        total.update(self.episode_ends.astype("<i8").tobytes())
        return total.hexdigest()

    def with_fingerprint(self) -> "Demonstrations":
        """The same with the beginning of their digest as version."""
        version = f"sha256-{self.digest()[:12]}"
        return replace(self, metadata=replace(self.metadata, version=version))

    def episode(self, index: int) -> "Demonstrations":
        """One episode by its index."""
        return self.subset([index])

    def subset(self, episodes: Sequence[int] | NDArray[np.int64]) -> "Demonstrations":
        """The given episodes, in the given order.

        Raises:
            IndexError: If an index is not in [0, num_episodes).
            ValueError: If no episode is given.
        """
        chosen = np.asarray(episodes, dtype=np.int64)
        if chosen.size == 0:
            raise ValueError("demonstrations: a subset needs at least one episode, got none")
        wrong = chosen[(chosen < 0) | (chosen >= self.num_episodes)]
        if wrong.size:
            raise IndexError(
                f"demonstrations: no episode {wrong[0]}; choose from 0 to {self.num_episodes - 1}"
            )
        starts = self.starts
        rows = np.concatenate([np.arange(starts[i], self.episode_ends[i]) for i in chosen])
        return replace(
            self,
            states=self.states[rows],
            actions=self.actions[rows],
            episode_ends=np.cumsum(self.lengths[chosen]),
            observations={name: array[rows] for name, array in self.observations.items()},
        )

    def choose(self, num_episodes: int, seed: int) -> "Demonstrations":
        """The first `num_episodes` of a seeded permutation of the episodes.

        With one seed a smaller choice lies within a larger one, so that a study of the number of
        demonstrations adds data and never swaps it.

        Raises:
            ValueError: If there are fewer episodes than asked for.
        """
        if not 1 <= num_episodes <= self.num_episodes:
            raise ValueError(
                f"demonstrations: {num_episodes} episodes asked for, but {self.metadata.source} "
                f"{self.metadata.task} has {self.num_episodes}; ask for 1 to {self.num_episodes}"
            )
        return self.subset(
            np.random.default_rng(seed).permutation(self.num_episodes)[:num_episodes]
        )


def _check_matrix(name: str, array: NDArray[Any]) -> None:
    if array.ndim != 2 or array.dtype != np.float64:
        raise ValueError(
            f"demonstrations: {name} is {array.dtype} of shape {array.shape}; "
            "give float64 of shape (steps, dimensions)"
        )


def _check_ends(ends: NDArray[Any], num_steps: int) -> None:
    if ends.ndim != 1 or ends.dtype != np.int64 or ends.size == 0:
        raise ValueError(
            f"demonstrations: episode_ends is {ends.dtype} of shape {ends.shape}; "
            "give int64 of shape (episodes,) with at least one episode"
        )
    lengths = np.diff(ends, prepend=0)
    if lengths.min() <= 0:
        first = int(np.flatnonzero(lengths <= 0)[0])
        raise ValueError(
            f"demonstrations: episode_ends[{first}] = {ends[first]} is not above the one before; "
            "ends must strictly increase from at least 1"
        )
    if ends[-1] != num_steps:
        raise ValueError(
            f"demonstrations: the last of episode_ends is {ends[-1]}, but there are {num_steps} "
            "actions; the last end is the number of steps"
        )


def _check_finite(name: str, array: NDArray[Any]) -> None:
    if not np.issubdtype(array.dtype, np.inexact):
        return  # pictures; to look at all of them would read a whole file
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"demonstrations: {name} has a value in row {row} that is not finite; "
            "drop that episode or mend the file"
        )

"""Many episodes stepped together: when each begins and ends, as Gymnasium's vector environments do.

What becomes of an episode that has ended is up to the autoreset mode:

    DISABLED    it is frozen until it is reset: same observation, reward 0, no flags
    NEXT_STEP   the next step begins it anew and ignores its action: reward 0, no flags
    SAME_STEP   the step that ends it begins it anew; how it ended is in the infos

In every mode an end is told once, by the step that ends it: wrappers count episodes by that.
"""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Indices = NDArray[np.int64]
Seeds = int | np.integer[Any] | Sequence[int | None] | NDArray[np.integer[Any]] | None
"""One seed an episode, one number from which they take consecutive ones, or None to draw them."""


def integer(seed: Any) -> int | None:
    """A seed of any integer type as Gymnasium wants it.

    Raises:
        TypeError: If it is no integer.
    """
    if seed is None:
        return None
    try:
        return operator.index(seed)
    except TypeError as error:
        raise TypeError(f"seed is {seed!r}; give an integer from 0 to 2**32 - 1") from error


def first_seed(seeds: Seeds) -> int | None:
    """The number from which the episodes take consecutive seeds, if a reset was given one.

    Raises:
        TypeError: If it is no integer.
    """
    return None if isinstance(seeds, Sequence | np.ndarray) else integer(seeds)


class Episodes:
    """Which of N episodes are being played, and the seeds of those that begin.

    Args:
        num_envs: N.
        max_steps: Steps after which an episode is truncated; None for never.
        mode: What becomes of an episode that has ended; a mode or its name.

    Attributes:
        mode: The autoreset mode.

    Raises:
        ValueError: If N is below 1 or the mode is not known.
    """

    def __init__(self, num_envs: int, max_steps: int | None, mode: AutoresetMode | str) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; give at least 1")
        known = [each.value for each in AutoresetMode]
        if not isinstance(mode, AutoresetMode) and mode not in known:
            raise ValueError(f"unknown autoreset_mode {mode!r}; choose one of {', '.join(known)}")
        self.mode = AutoresetMode(mode)
        self._count, self._max_steps = num_envs, max_steps
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._has_begun, self._has_ended = np.zeros((2, num_envs), dtype=np.bool_)
        self._seeds: list[int | None] = [None] * num_envs
        self._generators: list[np.random.Generator | None] = [None] * num_envs

    def chosen(self, options: dict[str, Any]) -> Indices:
        """Take `reset_mask` out of the options: the episodes to begin, (L,), by default all.

        Raises:
            ValueError: If it is not N booleans, chooses none, or leaves out episodes that have
                never begun.
        """
        mask = np.asarray(options.pop("reset_mask", np.ones(self._count, dtype=np.bool_)))
        if mask.shape != (self._count,) or mask.dtype != np.bool_:
            raise ValueError(f"reset_mask is {mask}; give {self._count} booleans")
        if not mask.any():
            raise ValueError("reset_mask chooses no episode; give at least one True")
        if not (mask | self._has_begun).all():
            raise ValueError("reset_mask leaves episodes out that have never begun")
        return np.flatnonzero(mask)

    def seed(self, seeds: Seeds, chosen: Indices) -> None:
        """Give the chosen episodes the seeds that a reset names.

        Raises:
            TypeError: If one is no integer.
            ValueError: If there are not N.
        """
        if seeds is None:
            return
        if (first := first_seed(seeds)) is not None:
            seeds = range(first, first + self._count)
        given = [integer(seed) for seed in seeds]  # type: ignore[union-attr] # no number any more
        if len(given) != self._count:
            raise ValueError(f"{len(given)} seeds for {self._count} episodes; give one each")
        for index in chosen.tolist():
            if (seed := given[index]) is not None:
                self._seeds[index] = seed
                self._generators[index] = seeding.np_random(seed)[0]

    def draw(self, index: int) -> int:
        """The seed that an episode begins with.

        As in a single environment: the one that this reset has named for it, else the next from its
        own generator, which the last that was named has seeded.
        """
        if (seed := self._seeds[index]) is not None:
            return seed
        generator = self._generators[index]
        if generator is None:
            generator = self._generators[index] = seeding.np_random()[0]
        return int(generator.integers(2**32))

    def begin(self, chosen: Indices) -> None:
        """Note that the chosen episodes begin."""
        self._steps[chosen] = 0
        self._has_begun[chosen], self._has_ended[chosen] = True, False
        for index in chosen.tolist():
            self._seeds[index] = None

    def next(self) -> tuple[Indices, Indices]:
        """The episodes that the next step begins anew, and those that it plays.

        Raises:
            ResetNeeded: If they have never begun, or all have ended and none begins by itself.
        """
        if not self._has_begun.all():
            raise ResetNeeded("step was called before reset; call reset first")
        if self.mode is AutoresetMode.DISABLED and self._has_ended.all():
            raise ResetNeeded(
                f"all {self._count} episodes have ended; call reset, or make the environment with "
                'autoreset_mode="NextStep" or "SameStep"'
            )
        played = np.flatnonzero(~self._has_ended)
        begun = np.flatnonzero(self._has_ended & (self.mode is AutoresetMode.NEXT_STEP))
        return begun, played

    def stepped(self, played: Indices, success: Bools) -> tuple[Bools, Bools]:
        """Count a step of the played episodes (L,), which have success (L,) or not.

        Returns:
            Terminations and truncations of all, (N,) each.
        """
        terminated, truncated = np.zeros((2, self._count), dtype=np.bool_)
        terminated[played] = success
        self._steps[played] += 1
        if self._max_steps is not None:
            truncated[played] = self._steps[played] >= self._max_steps
        self._has_ended |= terminated | truncated
        return terminated, truncated


def masked(measures: Mapping[str, NDArray[Any]], count: int, told: Indices) -> dict[str, Any]:
    """Infos of N episodes: each measure (N, ...), with a mask `_name` of whom it is news of."""
    mask = np.zeros(count, dtype=np.bool_)
    mask[told] = True
    return {**measures, **{f"_{name}": mask.copy() for name in measures}}


def last_words(observations: Any, measures: Mapping[str, Any], ended: Bools) -> dict[str, Any]:
    """What SAME_STEP tells of the episodes that have ended: `final_obs` and `final_info`.

    Args:
        observations: Of all episodes at this step, (N, ...), or a dict of such.
        measures: Their infos without masks, each (N, ...).
        ended: Whose episode has ended, (N,).
    """
    last = np.full(len(ended), None, dtype=object)
    for index in np.flatnonzero(ended).tolist():
        last[index] = (
            {name: array[index] for name, array in observations.items()}
            if isinstance(observations, dict)
            else observations[index]
        )
    final: dict[str, Any] = {}
    for name, array in measures.items():
        final[name] = np.zeros_like(array)
        final[name][ended] = array[ended]
        final[f"_{name}"] = ended.copy()
    return {
        "final_obs": last,
        "_final_obs": ended.copy(),
        "final_info": final,
        "_final_info": ended.copy(),
    }

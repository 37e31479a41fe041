"""Many Push-T tables stepped in one process.

The same numbers as `PushTEnv` gives, to the bit; each table keeps a space of its own. A step of all
tables is one call into C where that can be had (see `compiled`). Otherwise the agents' paths,
coverage and keypoints are computed for all tables at once with numpy in the same order of
operations, and each space is stepped from Python.

Tables whose episodes have ended wait until they are reset, or begin the next (`envs.episodes`).
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.control import Control
from envs.episodes import Bools, Episodes, Indices, Seeds, first_seed, last_words, masked
from envs.pusht import compiled
from envs.pusht.env import (
    CONTROL_HZ,
    MAX_EPISODE_STEPS,
    action_space,
    check_arguments,
    observation_space,
    start_of,
)
from envs.pusht.geometry import SUCCESS_COVERAGE, WORLD_SIZE, coverage_batch
from envs.pusht.observations import ObsType, observe
from envs.pusht.physics import PushTPhysics, agent_velocities

Floats = NDArray[np.float64]


class PushTVectorEnv(VectorEnv[Any, Floats, Any]):
    """`num_envs` tables of Push-T; observations, actions and infos as in `PushTEnv`, stacked.

    Args:
        num_envs: Number of tables N.
        obs_type: As in `PushTEnv`.
        control: As in `PushTEnv`.
        render_mode: None, or "rgb_array" for one frame a table.
        max_episode_steps: Steps after which an episode is truncated; None for never.
        autoreset_mode: What becomes of a table whose episode has ended, "Disabled" (it is frozen),
            "NextStep" or "SameStep"; see `envs.episodes`.

    Attributes:
        draws: Whether the next steps draw the pictures that are observed; where not, an observation
            has the last one that was drawn.

    Raises:
        ValueError: If an argument is not known or not positive.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it for instances
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
        "autoreset_mode": AutoresetMode.DISABLED,
    }

    def __init__(
        self,
        num_envs: int = 1,
        obs_type: ObsType = "keypoints",
        control: Control = "position",
        render_mode: str | None = None,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
    ) -> None:
        check_arguments(obs_type, control, render_mode)
        if render_mode == "human":
            raise ValueError('render_mode "human" shows one table; use "rgb_array" here')
        self._episodes = Episodes(num_envs, max_episode_steps, autoreset_mode)
        self.autoreset_mode = self._episodes.mode
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode = num_envs, render_mode
        self.obs_type, self.control = obs_type, control
        self.draws = True
        self.single_observation_space = observation_space(obs_type)
        self.single_action_space = action_space(control)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._tables = [PushTPhysics() for _ in range(num_envs)]
        self._states = np.stack([table.state for table in self._tables])  # (N, 5)
        self._velocities = np.zeros((num_envs, 2))
        self._set_points = np.full((num_envs, 2), np.nan)  # NaN before an episode's first step
        self._observations = observe(self._states, obs_type)
        self._coverage, self._max_coverage = np.zeros(num_envs), np.zeros(num_envs)
        self._contacts = np.zeros(num_envs, dtype=np.int64)
        self._held = np.zeros(num_envs, dtype=np.bool_)
        self._compiled = self._compile()

    def reset(
        self,
        *,
        seed: Seeds = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes.

        Args:
            seed: One seed a table, or one number, from which the tables take consecutive seeds.
            options: `state` (N, 5) and `order` as in `PushTEnv`; `reset_mask` (N,) bool, the
                tables to reset (default all).

        Returns:
            Observations and infos of all tables.

        Raises:
            ValueError: If the number of seeds, a mask or a state does not fit.
        """
        super().reset(seed=first_seed(seed))
        options = dict(options or {})
        chosen = self._episodes.chosen(options)
        states = options.pop("state", None)
        if states is not None and np.shape(states) != (self.num_envs, 5):
            raise ValueError(f"state has shape {np.shape(states)}; give {(self.num_envs, 5)}")
        self._episodes.seed(seed, chosen)
        self._begin(chosen, options, states)
        return self._observe(), masked(self._measures(), self.num_envs, chosen)

    def _begin(
        self, chosen: Indices, options: Mapping[str, Any] | None = None, states: Any = None
    ) -> None:
        """Start episodes on the chosen tables, from `states` (N, 5) where they are given."""
        for index in chosen.tolist():
            start = {**(options or {})} | ({} if states is None else {"state": states[index]})
            self._tables[index].reset_to(*start_of(start, partial(self._episodes.draw, index)))
        self._set_points[chosen] = np.nan
        for array in (self._velocities, self._max_coverage, self._contacts):
            array[chosen] = 0
        self._held[chosen] = False
        self._episodes.begin(chosen)
        self._put(chosen)

    def displace(self, chosen: Indices, poses: Floats) -> None:
        """Put blocks elsewhere, as a hand would; agents go on as they were.

        Args:
            chosen: Numbers of the tables, (K,).
            poses: Where their blocks are then: x, y (px) and angle (rad), (K, 3).
        """
        for index, pose in zip(chosen.tolist(), poses, strict=True):
            table = self._tables[index]
            placed = (*table.coordinates[:2], *pose)
            table.reset_to(placed, agent_velocity=self._velocities[index])
        self._put(chosen)

    def hold(self, held: Bools) -> None:
        """Hold agents where they are while their set-points go on, and let go of all others.

        Args:
            held: Whether to hold the agent of each table, (N,).
        """
        stopped = np.flatnonzero(held & ~self._held)
        for index in stopped.tolist():
            self._tables[index].reset_to(self._tables[index].coordinates)
        self._held = held.copy()
        self._velocities[stopped] = 0.0
        self._put(stopped)

    @property
    def states(self) -> Floats:
        """Agent x, y, block x, y (px) and angle (rad) of all tables, (N, 5)."""
        return self._states.copy()

    def step(self, actions: Floats) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """Take one control step of 0.1 s on every table whose episode has not ended.

        Args:
            actions: Set-points or, under velocity control, their changes, (N, 2), px; those of
                ended episodes are ignored.

        Returns:
            Observations, rewards (N,), terminations (N,), truncations (N,) and infos.

        Raises:
            ResetNeeded: If nothing was reset yet, or all episodes have ended for good.
            ValueError: If the actions are not (N, 2) or not finite.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (self.num_envs, 2):
            raise ValueError(f"actions have shape {actions.shape}; give {(self.num_envs, 2)}")
        begun, live = self._episodes.next()
        targets = self._targets(live, actions[live])
        if begun.size:
            self._begin(begun)
        rewards = np.zeros(self.num_envs)
        if live.size:
            self._advance(live, targets)
            covered = self._coverage[live]
            self._max_coverage[live] = np.maximum(self._max_coverage[live], covered)
            rewards[live] = np.minimum(covered / SUCCESS_COVERAGE, 1.0)
        success = self._coverage[live] > SUCCESS_COVERAGE
        terminated, truncated = self._episodes.stepped(live, success)
        final, ended = {}, terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            final = last_words(self._observe(), self._measures(), ended)
            self._begin(np.flatnonzero(ended))
        told = np.concatenate([begun, live])
        infos = masked(self._measures(), self.num_envs, told) | final
        return self._observe(), rewards, terminated, truncated, infos

    def _targets(self, live: Indices, actions: Floats) -> Floats:
        if self.control == "position":
            return actions
        last = self._set_points[live]
        last = np.where(np.isnan(last), self._states[live, :2], last)
        return np.clip(last + actions, 0.0, WORLD_SIZE)

    def _advance(self, live: Indices, targets: Floats) -> None:
        """Drive the agents of the live tables (L,) to their targets (L, 2) and look."""
        if not np.isfinite(targets).all():
            raise ValueError(f"actions are not finite:\n{targets}\ngive finite numbers in px")
        self._set_points[live] = targets
        if self._held.any():
            targets = np.where(self._held[live, None], self._states[live, :2], targets)
        if self._compiled is None:
            self._drive(live, targets)
            self._take_over(live)
            self._look(live, self.draws)
        else:
            looks = self.obs_type == "keypoints"
            self._compiled.step(
                live,
                targets,
                self._states,
                self._velocities,
                self._contacts,
                self._coverage,
                self._observations["state"] if looks else None,
            )
            if not looks:
                self._look(live, self.draws)

    def _put(self, chosen: Indices) -> None:
        """Take over the chosen tables as they were just put."""
        if not len(chosen):
            return
        self._take_over(chosen)
        self._look(chosen)
        if self._compiled is not None:
            self._compiled.look_again(chosen.tolist())

    def _drive(self, live: Indices, targets: Floats) -> None:
        """What `CompiledTables.step` does to velocities and contacts, in Python."""
        positions, velocities = self._states[live, :2], self._velocities[live]
        paths = np.array(agent_velocities(positions, velocities, targets))  # (10, L, 2)
        rows = paths.transpose(1, 2, 0).tolist()
        for index, target, (x, y) in zip(live.tolist(), targets.tolist(), rows, strict=True):
            self._contacts[index] = self._tables[index].follow((target[0], target[1]), x, y)
        self._velocities[live] = paths[-1]

    def _take_over(self, chosen: Indices) -> None:
        """Read the states of the chosen tables and compute their coverage."""
        states = np.array([self._tables[index].coordinates for index in chosen.tolist()])
        self._states[chosen] = states
        self._coverage[chosen] = coverage_batch(states)

    def _look(self, chosen: Indices, draws: bool = True) -> None:
        """Observe the chosen tables."""
        states = self._states[chosen]
        if self.obs_type == "pixels" and not draws:
            self._observations["state"][chosen] = states[:, :2]
            return
        for key, values in observe(states, self.obs_type).items():
            self._observations[key][chosen] = values

    def _observe(self) -> Any:
        state = self._observations["state"].copy()
        if self.obs_type == "pixels":
            return {"pixels": self._observations["pixels"].copy(), "agent_pos": state}
        return state

    def _measures(self) -> dict[str, NDArray[Any]]:
        return {
            "is_success": self._coverage > SUCCESS_COVERAGE,
            "coverage": self._coverage.copy(),
            "max_coverage": self._max_coverage.copy(),
            "block_pose": self._states[:, 2:].copy(),
            "n_contacts": self._contacts.copy(),
        }

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One frame a table, (512, 512, 3) RGB, with a mark at the last set-point."""
        if self.render_mode is None:
            return None
        from envs.pusht import render  # pygame is only needed by those who look

        set_points = [None if np.isnan(x) else (x, y) for x, y in self._set_points.tolist()]
        return tuple(map(render.frame, self._states.tolist(), set_points))

    def _compile(self) -> compiled.CompiledTables | None:
        step = compiled.status().step
        return None if step is None else compiled.CompiledTables(step, self._tables)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_compiled": None}  # it holds addresses

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._compiled = self._compile()

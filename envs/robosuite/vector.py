"""Many episodes of a robosuite task, spread over processes.

An episode between two steps is a snapshot, and a step is a function of snapshot and action. So the
episodes live here, and at every step the live ones are dealt out evenly to whichever processes
there are; each builds one simulation and plays its share in turns. The numbers equal those of
`RobosuiteEnv` to the bit, however many processes there are.

An episode that has ended is frozen: it keeps its observation and its flags, is rewarded 0, and
costs nothing until it is reset (Gymnasium's AutoresetMode.DISABLED).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.control import Control
from envs.resets import episode_seeds, take_mask
from envs.robosuite.actions import ACTION_DIM, action_space, command
from envs.robosuite.cameras import CAMERAS, shared_cameras
from envs.robosuite.env import check_arguments, check_options, observation_space
from envs.robosuite.observations import ObsType, observe, robot_part
from envs.robosuite.processes import Processes, shared_simulation
from envs.robosuite.scenes import CONTROL_HZ, MAX_EPISODE_STEPS, TaskName
from envs.robosuite.simulation import Snapshot

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Kind(NamedTuple):
    """What the episodes of an environment have in common."""

    task: TaskName
    obs_type: ObsType
    control: Control
    draws: bool = True


class Moment(NamedTuple):
    """One episode after a reset or a step."""

    snapshot: Snapshot
    observation: dict[str, NDArray[Any]]
    is_success: bool


class RobosuiteVectorEnv(VectorEnv[Any, Floats, Any]):
    """`num_envs` episodes; observations, actions and infos as in `RobosuiteEnv`, stacked.

    Args:
        num_envs: Number of episodes N.
        task: "lift", "can" or "square".
        obs_type: What is observed.
        control: What an action means.
        render_mode: None; a single environment can be looked at.
        max_episode_steps: Steps after which an episode is truncated; None for never.
        processes: To spread the episodes over; None for one a core, 1 for this one alone.

    Attributes:
        draws: Whether the next steps draw pictures, which take longer than all the rest of them;
            where not, an observation has the last ones that were drawn.

    Raises:
        ValueError: If an argument is not known.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it for instances
        "render_modes": [],
        "render_fps": CONTROL_HZ,
        "autoreset_mode": AutoresetMode.DISABLED,
    }

    def __init__(
        self,
        num_envs: int = 1,
        task: TaskName = "lift",
        obs_type: ObsType = "state",
        control: Control = "position",
        render_mode: str | None = None,
        max_episode_steps: int | None = MAX_EPISODE_STEPS,
        processes: int | None = None,
    ) -> None:
        check_arguments(task, obs_type, control, render_mode)
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; give at least 1")
        if render_mode is not None:
            raise ValueError(f"render_mode {render_mode!r}: only single environments are drawn")
        self.num_envs, self.render_mode = num_envs, render_mode
        self.kind = Kind(task, obs_type, control)
        self.draws = True
        self.max_episode_steps = max_episode_steps
        self.single_observation_space = observation_space(task, obs_type)
        self.single_action_space = action_space(control)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._processes = Processes(processes)
        self._moments: list[Moment] = []  # empty before the first reset
        self._steps = np.zeros(num_envs, dtype=np.int64)
        self._terminated, self._truncated = np.zeros((2, num_envs), dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start episodes.

        Args:
            seed: One seed an episode, or one number, from which they take consecutive seeds.
            options: `state` (N, Ds) as in `RobosuiteEnv`; `reset_mask` (N,) bool, the episodes to
                start anew (default all).

        Returns:
            Observations and infos of all episodes.

        Raises:
            ValueError: If the number of seeds, a mask or a state does not fit.
        """
        super().reset(seed=seed if isinstance(seed, int) else None)
        options = dict(options or {})
        mask = take_mask(options, self.num_envs)
        if not self._moments and not mask.all():
            raise ValueError("reset_mask leaves episodes out that have never begun")
        check_options(options)
        drawn = (
            int(self.np_random.integers(2**32) if given is None else given)
            for given in episode_seeds(seed, self.num_envs)
        )
        starts: list[int | Floats] = list(options.get("state", drawn))
        if len(starts) != self.num_envs:
            raise ValueError(f"{len(starts)} states for {self.num_envs} episodes; give one each")
        chosen = np.flatnonzero(mask)
        begun = self._spread(_begin, [(starts[index],) for index in chosen])
        self._moments = self._moments or list(begun)
        self._keep(chosen, begun)
        self._steps[chosen] = 0
        self._terminated[chosen] = self._truncated[chosen] = False
        return self._observe(), self._infos()

    def step(self, actions: Floats) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """Take one control step of 0.05 s in every episode that has not ended.

        Args:
            actions: (N, Da); those of ended episodes are ignored.

        Returns:
            Observations, rewards (N,), terminations (N,), truncations (N,) and infos.

        Raises:
            ValueError: If the actions are not (N, Da), not finite, or hold no rotation.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (self.num_envs, ACTION_DIM[self.kind.control]):
            raise ValueError(
                f"actions have shape {actions.shape}; give "
                f"{(self.num_envs, ACTION_DIM[self.kind.control])}"
            )
        live = np.flatnonzero(~(self._terminated | self._truncated))
        jobs = [(self._moments[index].snapshot, actions[index]) for index in live]
        self._keep(live, self._spread(_advance, jobs, self.draws))
        successes = np.array([moment.is_success for moment in self._moments])
        rewards = np.zeros(self.num_envs)
        rewards[live] = self._terminated[live] = successes[live]
        self._steps[live] += 1
        if self.max_episode_steps is not None:
            self._truncated[live] = self._steps[live] >= self.max_episode_steps
        flags = self._terminated.copy(), self._truncated.copy()
        return self._observe(), rewards, *flags, self._infos()

    def _spread(self, play: Any, jobs: list[Any], draws: bool = True) -> list[Moment]:
        """Play jobs, an even share in each process, and give their results in order."""
        kind = self.kind._replace(draws=draws)
        shares = np.array_split(np.arange(len(jobs)), min(self._processes.count, len(jobs) or 1))
        futures = [
            self._processes.submit(_each, kind, play, [jobs[index] for index in share])
            for share in shares
            if len(share)
        ]
        return [moment for future in futures for moment in future.result()]

    def _keep(self, chosen: NDArray[np.int64], moments: list[Moment]) -> None:
        for index, moment in zip(chosen.tolist(), moments, strict=True):
            seen = self._moments[index].observation | moment.observation
            self._moments[index] = moment._replace(observation=seen)

    def _observe(self) -> Any:
        names = self._moments[0].observation
        stacked = {
            name: np.stack([moment.observation[name] for moment in self._moments]) for name in names
        }
        return stacked if self.kind.obs_type == "pixels" else stacked["state"]

    def _infos(self) -> dict[str, Any]:
        return {"is_success": np.array([moment.is_success for moment in self._moments])}

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002
        """End the processes."""
        self._processes.close()


def _each(kind: Kind, play: Any, jobs: list[Any]) -> list[Moment]:
    """Play a share of the jobs, in whichever process this is."""
    return [play(kind, *job) for job in jobs]


def _begin(kind: Kind, start: int | Floats) -> Moment:
    """Start an episode from a seed or a state."""
    simulation = shared_simulation(kind.task, kind.control)
    simulation.start(simulation.initial_state(start) if isinstance(start, int) else start)
    return _moment(kind)


def _advance(kind: Kind, snapshot: Snapshot, action: Floats) -> Moment:
    """Go on with an episode by a step."""
    simulation = shared_simulation(kind.task, kind.control)
    simulation.restore(snapshot)
    simulation.step(command(action, kind.control))
    return _moment(kind)


def _moment(kind: Kind) -> Moment:
    simulation = shared_simulation(kind.task, kind.control)
    seen = observe(simulation)
    observation: dict[str, NDArray[Any]] = {"state": seen}
    if kind.obs_type == "pixels":
        observation = {"state": robot_part(seen)}
        if kind.draws:
            cameras = shared_cameras(kind.task, kind.control)
            observation |= {name: cameras.picture(camera) for name, camera in CAMERAS.items()}
    return Moment(simulation.snapshot(), observation, simulation.is_success)

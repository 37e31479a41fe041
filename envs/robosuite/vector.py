"""Many episodes of a robosuite task, spread over processes.

An episode between two steps is a snapshot, and a step is a function of snapshot and action. So the
episodes live here, and at every step the live ones are dealt out evenly to whichever processes
there are; each builds one simulation and plays its share in turns. The numbers equal those of
`RobosuiteEnv` to the bit, however many processes there are.

Episodes that have ended wait until they are reset, or begin anew (`envs.episodes`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from envs.control import Control
from envs.episodes import Bools, Episodes, Indices, Seeds, first_seed, last_words, masked
from envs.robosuite.actions import ACTION_DIM, action_space, command
from envs.robosuite.cameras import CAMERAS, FRAME_CAMERA, FRAME_SIZE, shared_cameras
from envs.robosuite.env import check_arguments, check_options, observation_space
from envs.robosuite.observations import ObsType, observe, robot_part
from envs.robosuite.processes import Processes, shared_simulation
from envs.robosuite.scenes import CONTROL_HZ, MAX_EPISODE_STEPS, TaskName
from envs.robosuite.simulation import Snapshot

Floats = NDArray[np.float64]


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
        render_mode: None, or "rgb_array" for one frame an episode.
        max_episode_steps: Steps after which an episode is truncated; None for never.
        processes: To spread the episodes over; None for one a core, 1 for this one alone.
        autoreset_mode: What becomes of an episode that has ended, "Disabled" (it is frozen),
            "NextStep" or "SameStep"; see `envs.episodes`.

    Attributes:
        draws: Whether the next steps draw pictures, which take longer than all the rest of them;
            where not, an observation has the last ones that were drawn.

    Raises:
        ValueError: If an argument is not known.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it for instances
        "render_modes": ["rgb_array"],
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
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
    ) -> None:
        check_arguments(task, obs_type, control, render_mode)
        if render_mode == "human":
            raise ValueError('render_mode "human" shows one episode; use "rgb_array" here')
        self._episodes = Episodes(num_envs, max_episode_steps, autoreset_mode)
        self.autoreset_mode = self._episodes.mode
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs, self.render_mode = num_envs, render_mode
        self.kind = Kind(task, obs_type, control)
        self.draws = True
        self.single_observation_space = observation_space(task, obs_type)
        self.single_action_space = action_space(control)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._processes = Processes(processes)
        self._moments: list[Moment] = []  # empty before the first reset

    def reset(
        self,
        *,
        seed: Seeds = None,
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
        super().reset(seed=first_seed(seed))
        options = dict(options or {})
        chosen = self._episodes.chosen(options)
        check_options(options)
        states = options.get("state")
        if states is not None and len(states) != self.num_envs:
            raise ValueError(f"{len(states)} states for {self.num_envs} episodes; give one each")
        self._episodes.seed(seed, chosen)
        self._begin(chosen, states)
        return self._observe(), masked(self._measures(), self.num_envs, chosen)

    def _begin(self, chosen: Indices, states: Sequence[Floats] | None = None) -> None:
        """Start the chosen episodes, from `states` (N, Ds) where they are given."""
        jobs = [
            (self._episodes.draw(index) if states is None else states[index],)
            for index in chosen.tolist()
        ]
        begun = self._spread(_begin, jobs)
        self._moments = self._moments or list(begun)
        self._keep(chosen, begun)
        self._episodes.begin(chosen)

    def step(self, actions: Floats) -> tuple[Any, Floats, Bools, Bools, dict[str, Any]]:
        """Take one control step of 0.05 s in every episode that has not ended.

        Args:
            actions: (N, Da); those of ended episodes are ignored.

        Returns:
            Observations, rewards (N,), terminations (N,), truncations (N,) and infos.

        Raises:
            ResetNeeded: If nothing was reset yet, or all episodes have ended for good.
            ValueError: If the actions are not (N, Da), not finite, or hold no rotation.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (self.num_envs, ACTION_DIM[self.kind.control]):
            raise ValueError(
                f"actions have shape {actions.shape}; give "
                f"{(self.num_envs, ACTION_DIM[self.kind.control])}"
            )
        begun, live = self._episodes.next()
        jobs = [(self._moments[index].snapshot, actions[index]) for index in live]
        self._keep(live, self._spread(_advance, jobs, self.draws))
        if begun.size:
            self._begin(begun)
        success = np.array([self._moments[index].is_success for index in live], dtype=np.bool_)
        rewards = np.zeros(self.num_envs)
        rewards[live] = success
        terminated, truncated = self._episodes.stepped(live, success)
        final, ended = {}, terminated | truncated
        if self.autoreset_mode is AutoresetMode.SAME_STEP and ended.any():
            final = last_words(self._observe(), self._measures(), ended)
            self._begin(np.flatnonzero(ended))
        told = np.concatenate([begun, live])
        infos = masked(self._measures(), self.num_envs, told) | final
        return self._observe(), rewards, terminated, truncated, infos

    def _spread(self, play: Any, jobs: list[Any], draws: bool = True) -> list[Any]:
        """Play jobs, an even share in each process, and give their results in order."""
        kind = self.kind._replace(draws=draws)
        shares = np.array_split(np.arange(len(jobs)), min(self._processes.count, len(jobs) or 1))
        futures = [
            self._processes.submit(_each, kind, play, [jobs[index] for index in share])
            for share in shares
            if len(share)
        ]
        return [result for future in futures for result in future.result()]

    def _keep(self, chosen: Indices, moments: list[Moment]) -> None:
        for index, moment in zip(chosen.tolist(), moments, strict=True):
            seen = self._moments[index].observation | moment.observation
            self._moments[index] = moment._replace(observation=seen)

    def _observe(self) -> Any:
        names = self._moments[0].observation
        stacked = {
            name: np.stack([moment.observation[name] for moment in self._moments]) for name in names
        }
        return stacked if self.kind.obs_type == "pixels" else stacked["state"]

    def _measures(self) -> dict[str, NDArray[Any]]:
        return {"is_success": np.array([moment.is_success for moment in self._moments])}

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """One frame an episode, (480, 480, 3) RGB."""
        if self.render_mode is None:
            return None
        return tuple(self._spread(_frame, [(moment.snapshot,) for moment in self._moments]))

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002
        """End the processes."""
        self._processes.close()


def _each(kind: Kind, play: Any, jobs: list[Any]) -> list[Any]:
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


def _frame(kind: Kind, snapshot: Snapshot) -> NDArray[np.uint8]:
    """Look at an episode."""
    shared_simulation(kind.task, kind.control).restore(snapshot)
    return shared_cameras(kind.task, kind.control, FRAME_SIZE).picture(FRAME_CAMERA)


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

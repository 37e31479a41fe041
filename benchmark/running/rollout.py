"""Closed-loop evaluation with a receding horizon, batched over the live episodes.

Every Ta steps the policy sees the last To observations of each live episode and predicts; the next
Ta actions of the prediction are executed. With latency L the newest observation that it sees is L
steps old: it predicts Ta + L actions from there on, and the first L, whose time has passed, are
dropped (DP Sec. IV-C).

    observed        t-L-1  t-L
    predicted       t-L-1  t-L  ...  t-1  t  ...  t+Ta-1  ...
    dropped         [-----------------]
    executed                              [----------]
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Protocol

import gymnasium
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from baselines.agent import Agent, Obs
from benchmark.plan.config import EvalConfig
from benchmark.plan.seeding import derive
from benchmark.plan.tasks import Task
from benchmark.running.contract import actions_of, contract
from benchmark.running.disturbance import Disturber
from envs.control import Control
from envs.progress import progress_bar

Frame = dict[str, NDArray[Any]]
"""Observations of all episodes at one step, each (N, ...)."""
Progress = Callable[[int], object]
"""Told how many environment steps were just taken."""


class Trace:
    """What happened at every step of a rollout; rows of ended episodes mean nothing.

    Attributes:
        actions: Executed at each of T steps, each (N, Da).
        rewards: After each step, each (N,).
        frames: `state` observed before the first step and after each, T + 1 of them; pictures of
            all steps would fill the memory.
    """

    def __init__(self) -> None:
        self.actions: list[NDArray[np.float64]] = []
        self.rewards: list[NDArray[np.float64]] = []
        self.frames: list[Frame] = []


class Policy(Protocol):
    """What a rollout needs to know of a policy."""

    obs_horizon: int
    pred_horizon: int

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Windows (B, To, ...) of the episodes numbered `episodes` to actions (B, Tp, Da).

        Those after the last that is executed may be left out.
        """


class AgentPolicy:
    """An agent in a rollout, with a noise stream for each episode.

    Args:
        agent: The agent, in evaluation mode, on any device.
        seeds: Seed of each episode.
        used: Actions of a prediction up to the last that is executed, see `actions_used`; None
            means that all are wanted.
    """

    def __init__(self, agent: Agent, seeds: Sequence[int], used: int | None = None) -> None:
        self.obs_horizon = agent.spec.obs_horizon
        self.pred_horizon = agent.spec.pred_horizon
        self._agent = agent
        self._used = min(used or self.pred_horizon, self.pred_horizon)
        self._device = next(agent.buffers()).device  # a normaliser is all that each has
        self._predictions = 0
        # Streams live on the CPU, where a seed gives the same noise on every machine.
        self._streams = [torch.Generator().manual_seed(derive("rollout", s)) for s in seeds]

    @torch.inference_mode()
    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `Policy.predict`; a policy with a memory sees what came since its last reset."""
        self._predictions += 1
        began, seen = time.perf_counter(), self._seen(window)
        with contract(self._agent, "act"):
            actions = self._agent.act_first(seen, [self._streams[i] for i in episodes], self._used)
        actions = actions_of(self._agent, actions, len(episodes), 1, began, self._used)
        return actions[:, 0].double().cpu().numpy()

    @torch.inference_mode()
    def others(self, window: Frame, generator: torch.Generator, count: int) -> NDArray[np.float64]:
        """What else it might have predicted just now, with other noise, (B, count, Tp, Da)."""
        return self._agent.act(self._seen(window), generator, count).double().cpu().numpy()

    def _seen(self, window: Frame) -> Obs:
        """What the latest prediction sees of a window."""
        if every := self._agent.reset_every:
            seen = 1 + (self._predictions - 1) % every
            window = {name: value[:, -seen:] for name, value in window.items()}
        return {name: value.to(self._device) for name, value in as_tensors(window).items()}


def actions_used(obs_horizon: int, config: EvalConfig) -> int:
    """Actions of a prediction up to the last that a rollout executes, past ones included."""
    return obs_horizon - 1 + config.latency + config.action_horizon


def as_tensors(window: Frame) -> Obs:
    """Observations as agents take them: images as they are, numbers in single precision."""
    return {
        name: torch.as_tensor(value, dtype=None if value.dtype == np.uint8 else torch.float32)
        for name, value in window.items()
    }


class HoldStill:
    """The floor: never moves. Under velocity control an action of zero does that on every task."""

    obs_horizon = 1
    pred_horizon = 1_000

    def __init__(self, action_dim: int) -> None:
        self._action_dim = action_dim

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Zeros, (B, Tp, Da)."""
        return np.zeros((len(episodes), self.pred_horizon, self._action_dim))


def play(
    policy: Policy,
    task: Task,
    obs_type: str,
    control: Control,
    seeds: Sequence[int],
    config: EvalConfig,
    what: str,
    options: dict[str, Any] | None = None,
    max_lengths: NDArray[np.int64] | None = None,
    trace: Trace | None = None,
) -> pd.DataFrame:
    """`rollout` in environments of a task, under a progress bar that says `what` is played."""
    longest = task.max_steps if max_lengths is None else int(max_lengths.max())
    with (
        closing(task.make_vec(len(seeds), obs_type, control)) as env,
        progress_bar(longest, what, "step") as bar,
    ):
        return rollout(policy, env, seeds, config, bar.update, options, max_lengths, trace)


def rollout(
    policy: Policy,
    env: gymnasium.vector.VectorEnv,
    seeds: Sequence[int],
    config: EvalConfig,
    progress: Progress | None = None,
    options: dict[str, Any] | None = None,
    max_lengths: NDArray[np.int64] | None = None,
    trace: Trace | None = None,
) -> pd.DataFrame:
    """Play one episode for each seed.

    Args:
        policy: Predicts actions for windows of observations.
        env: One environment a seed; each stays where it ended (autoreset disabled).
        seeds: Seed of each episode.
        config: Action horizon and latency.
        progress: Called after every step of all environments.
        options: For the environments' reset, such as given states.
        max_lengths: Steps after which each episode ends at the latest, (N,).
        trace: Filled with every step.

    Returns:
        A row an episode: seed, is_success, score (largest reward), max_coverage, final_coverage
        (NaN where the task has none), length, predictions, and seconds_per_prediction: the time of
        its batched predictions, shared equally among the episodes in a batch.

    Raises:
        ValueError: If a prediction is too short for the action horizon and latency.
    """
    used = actions_used(policy.obs_horizon, config)
    if used > policy.pred_horizon:
        raise ValueError(
            f"action_horizon {config.action_horizon} with latency {config.latency} needs a "
            f"prediction of {used} actions; this policy predicts {policy.pred_horizon}"
        )
    obs, info = env.reset(seed=list(seeds), options=options)  # type: ignore[arg-type]
    record = _Record(len(seeds), info, max_lengths)
    memory = policy.obs_horizon + config.latency
    frames: deque[Frame] = deque([observed(obs)] * memory, maxlen=memory)
    if trace is not None:
        trace.frames.append({"state": frames[-1]["state"]})
    taken = 0
    inner: Any = env.unwrapped
    can_choose = hasattr(inner, "draws")
    disturb = Disturber(config.disturbance, seeds)
    while record.live.any():
        live = np.flatnonzero(record.live)
        start = time.perf_counter()
        window = {
            name: np.stack([f[name][live] for f in list(frames)[: policy.obs_horizon]], axis=1)
            for name in frames[0]
        }
        chunk = policy.predict(window, live)
        record.predicted(live, time.perf_counter() - start)
        actions = np.zeros((len(seeds), *chunk.shape[1:]))
        actions[live] = chunk
        for step in range(used - config.action_horizon, used):
            if disturb(inner, taken, record.live):
                record.begin_anew()
            taken += 1
            if can_choose:
                inner.draws = _is_seen(taken, policy.obs_horizon, config)
            obs, reward, terminated, truncated, info = env.step(actions[:, step])
            frames.append(observed(obs))
            record.stepped(reward, terminated | truncated, info)
            if trace is not None:
                trace.actions.append(actions[:, step])
                trace.rewards.append(np.array(reward, dtype=float))
                trace.frames.append({"state": frames[-1]["state"]})
            if progress is not None:
                progress(1)
            if not record.live.any():
                break
    if can_choose:
        inner.draws = True
    return record.frame(seeds)


def _is_seen(step: int, obs_horizon: int, config: EvalConfig) -> bool:
    """Whether a prediction sees what is observed after a step.

    The one at step k Ta sees those after steps k Ta - L - To + 1 to k Ta - L.
    """
    return -(step + config.latency) % config.action_horizon < obs_horizon


class _Record:
    """What is measured of each episode; an ended episode is not touched again."""

    def __init__(
        self, count: int, info: dict[str, Any], max_lengths: NDArray[np.int64] | None
    ) -> None:
        self.live = np.ones(count, dtype=bool)
        self.max_lengths = np.inf if max_lengths is None else max_lengths
        self.success = np.asarray(info["is_success"], dtype=bool).copy()
        self.score = np.zeros(count)
        self.coverage = np.asarray(info.get("coverage", np.full(count, np.nan)), dtype=float).copy()
        self.max_coverage = self.coverage.copy()
        self.length = np.zeros(count, dtype=int)
        self.predictions = np.zeros(count, dtype=int)
        self.seconds = np.zeros(count)

    def predicted(self, live: NDArray[np.int64], seconds: float) -> None:
        self.predictions[live] += 1
        self.seconds[live] += seconds / len(live)

    def begin_anew(self) -> None:
        """Forget what the live episodes have reached."""
        self.score[self.live] = 0.0
        self.success[self.live] = False
        self.max_coverage[self.live] = self.coverage[self.live] = np.nan

    def stepped(self, reward: Any, ended: NDArray[np.bool_], info: dict[str, Any]) -> None:
        live = self.live
        self.length += live
        self.success |= live & info["is_success"]
        self.score = np.where(live, np.maximum(self.score, reward), self.score)
        if "coverage" in info:
            self.coverage = np.where(live, info["coverage"], self.coverage)
            self.max_coverage = np.fmax(self.max_coverage, self.coverage)
        self.live = live & ~ended & (self.length < self.max_lengths)

    def frame(self, seeds: Sequence[int]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "seed": seeds,
                "is_success": self.success,
                "score": self.score,
                "max_coverage": self.max_coverage,
                "final_coverage": self.coverage,
                "length": self.length,
                "predictions": self.predictions,
                "seconds_per_prediction": self.seconds / np.maximum(self.predictions, 1),
            }
        )


def observed(obs: Any) -> Frame:
    """Observations of a vector environment by name; copied, since environments reuse buffers."""
    if isinstance(obs, dict):
        return {
            "state" if name == "agent_pos" else name: np.array(value) for name, value in obs.items()
        }
    return {"state": np.array(obs)}

"""A policy at one live table: observations in, set-points out, and what it thinks on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

import numpy as np

from benchmark.play.policies import Trained
from benchmark.play.sequences import Paths, Sampling, paths
from benchmark.running.rollout import AgentPolicy, Frame
from envs.pusht.observations import ObsType, observe


class Planner:
    """Drives the agent by a policy, as a rollout would: same window, same noise, same Ta.

    Args:
        trained: The policy.
        seed: Of the episode, which gives its stream of noise.
        others: Sequences that are drawn beside the executed one, to be looked at.
    """

    def __init__(self, trained: Trained, seed: int, others: int) -> None:
        self.trained = trained
        self.paths: Paths = np.empty((0, 0, 2))
        """What the latest prediction drew, from its own step on, (1 + others, Tp - To + 1, 2)."""
        self.age = 0
        """Steps of it that have been executed."""
        self.predictions = 0
        """Predictions since the episode began."""
        self._policy = Sampling(AgentPolicy(trained.agent, [seed]), others)
        self._window: deque[Frame] = deque(maxlen=trained.agent.spec.obs_horizon)
        self._set_point: tuple[float, float] | None = None

    @property
    def needs_plan(self) -> bool:
        """Whether the next step begins with a prediction."""
        return not len(self.paths) or self.age >= self.trained.action_horizon

    def see(self, state: Sequence[float]) -> None:
        """Take note of a state of five numbers; the first fills the window, as in a rollout."""
        frame = observe([state], cast(ObsType, self.trained.obs_type))
        missing = self.trained.agent.spec.obs_horizon - len(self._window)
        self._window.extend([frame] * max(missing, 1))

    def think(self, state: Sequence[float]) -> Paths:
        """Predict now, whatever is left of the last prediction; the paths drawn."""
        if not self._window:
            self.see(state)
        window = {
            name: np.stack([frame[name] for frame in self._window], axis=1)  # (1, To, ...)
            for name in self._window[-1]
        }
        self._policy.predict(window, np.zeros(1, dtype=np.int64))
        sequences = self._policy.drawn.pop()[1][0, :, self.trained.agent.spec.obs_horizon - 1 :]
        last = self._set_point or (float(state[0]), float(state[1]))
        self.paths = paths(sequences, self.trained.control, last)
        self.age = 0
        self.predictions += 1
        return self.paths

    def next_set_point(self, state: Sequence[float]) -> tuple[float, float]:
        """Where the agent is sent from a state, px; every Ta steps a prediction is made first."""
        self.see(state)
        if self.needs_plan:
            self.think(state)
        x, y = self.paths[0, self.age].tolist()
        self.age += 1
        self._set_point = x, y
        return self._set_point

    def draw_others(self, others: int) -> None:
        """Draw so many sequences beside the executed one from the next prediction on."""
        self._policy.count = others

    def forget(self) -> None:
        """Drop the plan and what was seen: the table has been changed by hand."""
        self.paths, self.age = np.empty((0, 0, 2)), 0
        self._window.clear()

"""What a policy might do next: the action sequences that it draws, as paths on the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.plan.seeding import derive
from benchmark.running.rollout import AgentPolicy, Frame
from envs.control import Control
from envs.pusht.geometry import WORLD_SIZE

Paths = NDArray[np.float64]
"""Set-points on the table (N, T, 2), px: the path that is followed, then others."""


class Sampling:
    """A policy in a rollout that also draws sequences that it might have taken.

    What is executed is what `AgentPolicy` predicts, with its noise; the others have noise of their
    own and change nothing.

    Args:
        policy: The policy.
        count: Further sequences of each prediction.
    """

    def __init__(self, policy: AgentPolicy, count: int) -> None:
        self.obs_horizon, self.pred_horizon = policy.obs_horizon, policy.pred_horizon
        self.drawn: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        """Of each prediction: the numbers of its episodes (B,), and their sequences
        (B, 1 + count, Tp, Da), the executed one first."""
        self.count, self._policy = count, policy
        self._generator = torch.Generator().manual_seed(derive("play", "others"))

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:
        """See `benchmark.running.rollout.Policy`."""
        executed = self._policy.predict(window, episodes)
        sequences = executed[:, None]
        if self.count:
            others = self._policy.others(window, self._generator, self.count)
            sequences = np.concatenate([sequences, others], axis=1)
        self.drawn.append((episodes.copy(), sequences))
        return executed


def set_point(
    action: NDArray[Any], control: Control, last: tuple[float, float]
) -> tuple[float, float]:
    """Where an action (2,) sends the agent, px, as the environment understands it.

    Args:
        action: In the units of the control mode.
        control: What it means.
        last: The set-point before; before the first step, where the agent is.
    """
    x, y = float(action[0]), float(action[1])
    if control == "position":
        return x, y
    return _on_table(last[0] + x), _on_table(last[1] + y)


def paths(sequences: NDArray[np.float64], control: Control, last: tuple[float, float]) -> Paths:
    """Sequences of Push-T's actions (N, T, 2), the current step's first, as paths."""
    found = np.empty_like(sequences)
    for path, actions in zip(found, sequences, strict=True):
        here = last
        for point, action in zip(path, actions, strict=True):
            here = set_point(action, control, here)
            point[:] = here
    return found


def _on_table(coordinate: float) -> float:
    return min(max(coordinate, 0.0), WORLD_SIZE)

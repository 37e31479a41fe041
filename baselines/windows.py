"""Training windows over episodes, cut in memory.

A window is pred_horizon steps of one episode, of which the first obs_horizon are observed.
Windows reach obs_horizon - 1 steps before an episode's start, so that its first step is the current
one of a window too, and action_horizon - 1 steps past its end; observations there repeat the first
and the last one (the padding of DP's code). What an action is out there depends on its meaning: a
set-point stays where it is, a difference is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from baselines.agent import Batch, Spec


class Windows:
    """All windows of a set of episodes.

    Args:
        obs: Observations by name, each (S, ...) over all S steps of all episodes.
        actions: (S, Da).
        episode_ends: (E,), where each episode ends in those S steps (exclusive).
        spec: The horizons.
        action_horizon: Ta, which sets how far windows reach past an episode's end.
        actions_hold: True if repeating an action keeps the robot still (position control); False
            if an action of zero does (velocity control).
        pads_before: Whether windows reach before an episode's start.
    """

    def __init__(
        self,
        obs: Mapping[str, Tensor],
        actions: Tensor,
        episode_ends: Tensor,
        spec: Spec,
        action_horizon: int,
        actions_hold: bool,
        pads_before: bool = True,
    ) -> None:
        self._obs = dict(obs)
        self._spec = spec
        steps, inside = (
            index.to(actions.device)
            for index in _indices(episode_ends, spec, action_horizon, pads_before)
        )
        self._steps = steps
        # Zero actions live in one extra row, so that a window stays a single gather.
        self._actions = torch.cat([actions, torch.zeros_like(actions[:1])])
        outside = steps if actions_hold else torch.full_like(steps, len(actions))
        self._action_steps = torch.where(inside, steps, outside)
        self._epoch, self._order = (-1, -1), torch.empty(0)

    def __len__(self) -> int:
        return len(self._steps)

    def batch(self, index: Tensor, obs_steps: int | None = None) -> Batch:
        """The windows numbered `index` (B,): observations (B, To, ...), actions (B, Tp, Da).

        With `obs_steps`, 1 to Tp, observations are (B, obs_steps, ...).
        """
        observed = self._steps[index, : obs_steps or self._spec.obs_horizon]
        return Batch(
            {name: value[observed] for name, value in self._obs.items()},
            self._actions[self._action_steps[index]],
        )

    def actions(self) -> Tensor:
        """Actions of all windows, (W, Tp, Da)."""
        return self._actions[self._action_steps]

    def all(self, size: int = 1024) -> Iterator[Batch]:
        """All windows in order, `size` at a time."""
        for start in range(0, len(self), size):
            end = min(start + size, len(self))
            yield self.batch(torch.arange(start, end, device=self._steps.device))

    def shuffled(self, update: int, batch_size: int, seed: int) -> Tensor:
        """Window numbers (B,) of training update `update`.

        Every window comes once an epoch, but for the few that fill no batch. The answer depends on
        the arguments alone, so that an interrupted training continues with the batches that an
        unbroken one would see.
        """
        batch_size = min(batch_size, len(self))
        epoch, position = divmod(update, len(self) // batch_size)
        if (seed, epoch) != self._epoch:
            generator = torch.Generator().manual_seed((seed + epoch * 1_000_003) % 2**63)
            self._epoch, self._order = (seed, epoch), torch.randperm(len(self), generator=generator)
        return self._order[position * batch_size : (position + 1) * batch_size]


def _indices(
    episode_ends: Tensor, spec: Spec, action_horizon: int, pads_before: bool
) -> tuple[Tensor, Tensor]:
    """Steps of each window (W, Tp), clipped to its episode, and which of them lie inside it."""
    before, after = (spec.obs_horizon - 1 if pads_before else 0), action_horizon - 1
    steps, inside = [], []
    start = 0
    for end in episode_ends.tolist():
        # An episode shorter than a window still gives one.
        last = max(end - spec.pred_horizon + after, start - before)
        window = torch.arange(start - before, last + 1)[:, None] + torch.arange(spec.pred_horizon)
        steps.append(window.clamp(start, end - 1))
        inside.append((window >= start) & (window < end))
        start = end
    return torch.cat(steps), torch.cat(inside)

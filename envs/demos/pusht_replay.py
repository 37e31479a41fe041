"""Replay of Push-T demonstrations from their first states: what their actions achieve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar
from envs.pusht.geometry import SUCCESS_COVERAGE, coverage_batch
from envs.pusht.physics import PushTPhysics


@dataclass(frozen=True)
class Replay:
    """What a replay of every episode gave.

    Attributes:
        final_coverage: Coverage after the last action of each episode, (E,).
        max_coverage: Largest coverage of each episode, (E,).
        drift: Largest distance of the block's position to the recorded one, (E,), px.
    """

    final_coverage: NDArray[np.float64]
    max_coverage: NDArray[np.float64]
    drift: NDArray[np.float64]

    @property
    def is_success(self) -> NDArray[np.bool_]:
        """Whether each episode reached the coverage at which the task is solved, (E,)."""
        return self.max_coverage > SUCCESS_COVERAGE


def replay(demonstrations: Demonstrations) -> Replay:
    """Carry out the actions of each episode from its first state, with a progress bar."""
    rows = np.empty((demonstrations.num_episodes, 3))
    ends = zip(demonstrations.starts, demonstrations.episode_ends, strict=True)
    with progress_bar(len(rows), "replay", "episode") as bar:
        for row, (start, end) in zip(rows, ends, strict=True):
            row[:] = _carried_out(
                demonstrations.states[start:end], demonstrations.actions[start:end]
            )
            bar.update()
    return Replay(*rows.T)


def _carried_out(
    recorded: NDArray[np.float64], actions: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Of the actions of an episode (T, 2): the last coverage, the highest, and how far apart.

    Args:
        recorded: States before each action, (T, 5).
        actions: Set-points, px.
    """
    physics = PushTPhysics()
    physics.reset_to(recorded[0])
    reached = [physics.state]
    for action in actions:
        physics.step(action)
        reached.append(physics.state)
    states = np.array(reached)  # (T + 1, 5)
    covered = coverage_batch(states)
    apart = states[:-1, 2:4] - recorded[:, 2:4]
    return covered[-1], covered.max(), np.hypot(*apart.T).max()

"""Replay of robosuite demonstrations from their first states, under either control mode."""

import numpy as np
from numpy.typing import NDArray

from envs.control import Control
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar
from envs.robosuite.scenes import TaskName
from envs.robosuite.vector import RobosuiteVectorEnv


def replay(
    demonstrations: Demonstrations,
    task: TaskName,
    control: Control,
    processes: int | None = None,
) -> NDArray[np.bool_]:
    """Carry out the recorded actions of each episode, open loop, with a progress bar.

    Args:
        demonstrations: As recorded.
        task: Of which.
        control: Whether set-points or changes of pose are replayed.
        processes: To spread the episodes over; None for one a core.

    Returns:
        Whether each episode succeeded, (E,).
    """
    recorded = demonstrations.actions
    if control == "velocity":
        recorded = demonstrations.observations["delta"]
    starts, lengths = demonstrations.starts, demonstrations.lengths
    env = RobosuiteVectorEnv(
        len(lengths), task, control=control, max_episode_steps=None, processes=processes
    )
    try:
        env.reset(options={"state": demonstrations.states[starts]})
        success, over = np.zeros((2, len(lengths)), dtype=np.bool_)
        with progress_bar(int(lengths.max()), f"{task} {control} replay", "step") as bar:
            for step in range(lengths.max()):
                # A recording that is over repeats its last action; what that does is not counted.
                _, _, ended, _, info = env.step(recorded[starts + np.minimum(step, lengths - 1)])
                success |= info["is_success"] & (step < lengths)
                bar.update()
                over |= ended
                if over.all():
                    break
    finally:
        env.close()
    return success

"""Scripted demonstrations of Lift, Can and Square, generated on all cores.

Seeds are tried from 0 on and those that the demonstrator solves are kept, in order. So which
episodes there are does not depend on how many processes look for them.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

import numpy as np

from envs.demos import robosuite_can, robosuite_lift, robosuite_square
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.robosuite_hand import Episode, Script, perform
from envs.progress import progress_bar
from envs.robosuite.processes import Processes, shared_simulation
from envs.robosuite.scenes import MAX_EPISODE_STEPS, TaskName

VERSION = 2  # raised when a change here or in what it imports changes an episode
NUM_EPISODES = 200

SCRIPTS: dict[TaskName, Script] = {
    "lift": robosuite_lift.script,
    "can": robosuite_can.script,
    "square": robosuite_square.script,
}


def metadata(task: TaskName) -> Metadata:
    """Of the scripted demonstrations: a version of demonstrator and environment, the first seed."""
    return Metadata(task, "scripted", f"v{VERSION}-{task.capitalize()}-v1", seed=0)


def demonstrate(task: TaskName, seed: int) -> Episode:
    """Try the episode of a seed, on this process's simulation."""
    simulation = shared_simulation(task, "velocity")
    return perform(simulation, SCRIPTS[task], seed, MAX_EPISODE_STEPS)


def attempts(task: TaskName, processes: Processes) -> Iterator[Episode]:
    """Episodes of the seeds 0, 1, 2, ..., solved or not, computed somewhat ahead."""
    waiting: deque[Future[Episode]] = deque()
    for seed in itertools.count():
        waiting.append(processes.submit(demonstrate, task, seed))
        if len(waiting) >= 2 * processes.count or processes.count == 1:
            yield waiting.popleft().result()


def generate(
    task: TaskName, num_episodes: int = NUM_EPISODES, processes: int | None = None
) -> Demonstrations:
    """The first solved episodes, with a progress bar that shows the rate of success.

    Args:
        task: Which.
        num_episodes: How many.
        processes: To spread the work over; None for one a core.

    Returns:
        See `assemble`.
    """
    pool = Processes(processes)
    kept: list[Episode] = []
    try:
        with progress_bar(num_episodes, f"{task} demonstrations", "episode") as bar:
            for tried, episode in enumerate(attempts(task, pool), 1):
                if episode.is_success:
                    kept.append(episode)
                    bar.update()
                bar.set_postfix(solved=f"{len(kept)} of {tried}")
                if len(kept) == num_episodes:
                    break
    finally:
        pool.close()
    return assemble(task, kept)


def assemble(task: TaskName, kept: list[Episode]) -> Demonstrations:
    """Episodes as demonstrations.

    Returns:
        Position actions, with the recorded arrays `low_dim` (N, Do), what a policy sees; `delta`
        (N, 7), the velocity actions; and `seed` (N, 1), the seed of the episode.
    """
    lengths = [len(episode.actions) for episode in kept]
    return Demonstrations(
        states=np.concatenate([episode.states for episode in kept]),
        actions=np.concatenate([episode.actions for episode in kept]),
        episode_ends=np.cumsum(lengths, dtype=np.int64),
        observations={
            "low_dim": np.concatenate([episode.observations for episode in kept]),
            "delta": np.concatenate([episode.deltas for episode in kept]),
            "seed": np.repeat([episode.seed for episode in kept], lengths)[:, None],
        },
        metadata=metadata(task),
    )

"""What the cameras of Lift, Can and Square see in recorded states: drawn once and cached."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from envs.cache import cache_dir
from envs.demos.cache import kept
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar
from envs.robosuite.cameras import CAMERAS, shared_cameras
from envs.robosuite.processes import Processes, shared_simulation
from envs.robosuite.scenes import TaskName

VERSION = 1  # raised when a picture of a state changes
CHUNK = 50  # states that a process draws in one go: some 5 s on a CPU

Pictures = Mapping[str, NDArray[np.uint8]]


def pictures(demonstrations: Demonstrations, task: TaskName) -> Pictures:
    """A picture of every state by camera, (N, 84, 84, 3) RGB.

    Raises:
        RuntimeError: If there is nothing to draw with.
    """
    name = f"{task}-pictures-v{VERSION}-{demonstrations.digest()[:12]}.npz"
    return kept(
        cache_dir() / name,
        demonstrations.metadata,
        lambda: replace(demonstrations, observations=draw(demonstrations.states, task)),
        demonstrations.num_episodes,
    ).observations


def draw(states: NDArray[np.float64], task: TaskName, processes: int | None = None) -> Pictures:
    """Pictures of states (N, Ds) by camera, (N, 84, 84, 3), with a progress bar.

    Args:
        states: As recorded.
        task: Whose.
        processes: To spread the work over; None for one a core.
    """
    pool = Processes(processes)
    chunks = [states[first : first + CHUNK] for first in range(0, len(states), CHUNK)]
    parts: list[Pictures] = []
    try:
        with progress_bar(len(states), f"{task} pictures", "step") as bar:
            jobs: Iterable[Future[Pictures]] = (pool.submit(_draw, chunk, task) for chunk in chunks)
            if pool.count > 1:
                jobs = list(jobs)  # all begin; one process draws when asked for the next
            for chunk, job in zip(chunks, jobs, strict=True):
                parts.append(job.result())
                bar.update(len(chunk))
    finally:
        pool.close()
    return {name: np.concatenate([part[name] for part in parts]) for name in CAMERAS}


def _draw(states: NDArray[np.float64], task: TaskName) -> Pictures:
    """Draw on this process's simulation."""
    simulation = shared_simulation(task, "velocity")
    cameras = shared_cameras(task, "velocity")
    drawn: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in CAMERAS}
    for state in states:
        simulation.show(state)
        for name, camera in CAMERAS.items():
            drawn[name].append(cameras.picture(camera))
    return {name: np.stack(images) for name, images in drawn.items()}

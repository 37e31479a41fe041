"""Steps a second of Lift, Can and Square, beside robosuite's own step and over processes.

Run by `python -m benchmark.perf.robosuite`. Both sides play the same actions from the same state in
turns, round by round, so that whatever else the machine does slows both alike, and the ratio is
taken within a round. robosuite is asked for its low-dimensional observations and nothing else; our
step goes through `gymnasium.make` and its wrappers as a user's would.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from benchmark.evidence.text_table import Table
from envs.robosuite.scenes import CONTROL_HZ, SCENES, TASK_NAMES, TaskName
from envs.robosuite.simulation import controller
from envs.robosuite.vector import RobosuiteVectorEnv

gymnasium.register_envs(envs)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Speed:
    """What one task was measured at.

    Attributes:
        task: Which.
        ours: Seconds a step in each round, (R,).
        robosuites: The same of robosuite's own step, (R,).
    """

    task: TaskName
    ours: Floats
    robosuites: Floats

    @property
    def ratio(self) -> float:
        """Our steps a second over robosuite's, the median of the rounds."""
        return float(np.median(self.robosuites / self.ours))


def measure(task: TaskName, steps: int = 60, rounds: int = 5) -> Speed:
    """Time both sides in turns.

    Args:
        task: Which.
        steps: In a round.
        rounds: In all; one more comes before, in which functions are compiled.
    """
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (steps, 7))
    ours = gymnasium.make(f"dpbench/{task.capitalize()}-v1", control="velocity")
    import robosuite  # after ours has quietened it

    theirs = robosuite.make(
        SCENES[task].robosuite_name,
        robots="Panda",
        controller_configs=controller("velocity"),
        has_renderer=False,
        has_offscreen_renderer=False,
        use_camera_obs=False,
        control_freq=CONTROL_HZ,
        ignore_done=True,
        hard_reset=False,
    )
    ours.reset(seed=0)
    state = ours.unwrapped.state  # type: ignore[attr-defined]
    times = np.empty((rounds + 1, 2))
    for row in times:
        ours.reset(options={"state": state})
        theirs.reset()
        theirs.sim.set_state_from_flattened(state)
        theirs.sim.forward()
        row[:] = _seconds(ours.step, actions), _seconds(theirs.step, actions)
    ours.close()
    return Speed(task, *times[1:].T)


def _seconds(step: Callable[[Floats], object], actions: Floats) -> float:
    """Seconds a step of this process; what others do does not count."""
    start = time.process_time()
    for action in actions:
        step(action)
    return (time.process_time() - start) / len(actions)


def speed_up(task: TaskName, processes: int, episodes: int = 20, steps: int = 30) -> float:
    """How many times as fast episodes are played by several processes as by one."""
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (steps, episodes, 7))
    taken = []
    for count in (1, processes):
        env = RobosuiteVectorEnv(episodes, task, control="velocity", processes=count)
        env.reset(seed=0)
        env.step(actions[0])  # every process has its simulation and its functions compiled
        start = time.perf_counter()
        for action in actions[1:]:
            env.step(action)
        taken.append(time.perf_counter() - start)
        env.close()
    return taken[0] / taken[1]


def main() -> None:
    """Measure and print all tasks."""
    speeds = [measure(task) for task in TASK_NAMES]
    rows = tuple(
        (
            speed.task,
            f"{1e3 * np.median(speed.ours):.2f}",
            f"{1e3 * np.median(speed.robosuites):.2f}",
            f"{speed.ratio:.2f}",
        )
        for speed in speeds
    )
    head = ("task", "ms a step", "robosuite's own", "ratio of rates")
    print(Table("Steps of robosuite tasks, processor time of one core", head, rows, "lrrr").text())
    print(f"two processes are {speed_up('lift', 2):.2f} times as fast as one")


if __name__ == "__main__":
    main()

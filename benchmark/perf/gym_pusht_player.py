"""Plays set-points on gym-pusht and says how long that took.

gym-pusht needs pymunk < 7 and this project has 7, so `benchmark.perf.peers` runs this file with a
Python of its own; nothing of this project is imported here. Given the file of a workload
(see `benchmark.perf.peers.Workload`), it prints one line of JSON for each line that it reads:

    in      single | batched
    out     {"seconds": ..., "coverage": ...}

where seconds is the time of all steps and coverage the sum of what the block covered, which tells
whether both sides have done the same work.
"""

import json
import sys
import time

import gym_pusht
import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray

gymnasium.register_envs(gym_pusht)
ID, OBS_TYPE = "gym_pusht/PushT-v0", "environment_state_agent_pos"


def play_single(starts: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[float, float]:
    """Play set-points (T, E, 2) on one table, episode by episode: seconds and summed coverage."""
    env = gymnasium.make(ID, obs_type=OBS_TYPE)
    seconds, covered = 0.0, []
    for start, episode in zip(starts, targets.transpose(1, 0, 2), strict=True):
        env.reset(seed=0, options={"reset_to_state": start})
        begin = time.perf_counter()
        covered += [env.step(target)[4]["coverage"] for target in episode]
        seconds += time.perf_counter() - begin
    return seconds, float(np.sum(covered))


def play_batched(starts: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[float, float]:
    """Play set-points (T, E, 2) on E tables at once: seconds and summed coverage."""
    env = SyncVectorEnv([lambda: gymnasium.make(ID, obs_type=OBS_TYPE)] * len(starts))
    env.reset(seed=0)
    for table, start in zip(env.envs, starts, strict=True):
        table.reset(options={"reset_to_state": start})
    begin = time.perf_counter()
    covered = [env.step(step)[4]["coverage"] for step in targets]
    return time.perf_counter() - begin, float(np.sum(covered))


def main() -> None:
    """Answer one line of JSON for each line of standard input."""
    workload = np.load(sys.argv[1])
    singles = int(workload["singles"])
    starts, targets = workload["starts"], workload["targets"]
    for line in sys.stdin:
        if line.strip() == "single":
            seconds, covered = play_single(starts[:singles], targets[:, :singles])
        else:
            seconds, covered = play_batched(starts, targets)
        print(json.dumps({"seconds": seconds, "coverage": covered}), flush=True)


if __name__ == "__main__":
    main()

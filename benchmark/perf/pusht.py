"""Steps a second of Push-T, and of gym-pusht beside it, under the same load.

Everything is measured in turns, round by round, so that whatever else the machine does slows both
sides alike, and the ratio is taken within a round. Both sides play the same set-points from the
same states, through `gymnasium.make` and its wrappers as a user would, and must report the same
coverage; a step includes the physics, the observation, the reward and the exact coverage.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

import envs
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.env import MAX_EPISODE_STEPS
from envs.pusht.geometry import CENTER_OF_GRAVITY, GOAL_POSE, WORLD_SIZE, place
from envs.pusht.observations import ObsType, observe
from envs.pusht.vector import PushTVectorEnv

gymnasium.register_envs(envs)

Floats = NDArray[np.float64]
Kind = Literal["single", "batched"]
KINDS: tuple[Kind, ...] = ("single", "batched")

ENV_ID = "dpbench/PushT-v1"
OBS_TYPE: ObsType = "keypoints"
STRETCH = 20  # steps in which the agent drives round the block and pushes it once
FASTEST = 25.0  # px a step that the set-point moves; faster ones fling the block off the table
NEAR_GOAL = 50.0  # px; pushes aim so near that the block mostly overlaps the goal
SAME_COVERAGE = 1e-6  # of the sum of coverage, between the two sides


@dataclass(frozen=True)
class Workload:
    """Contact-rich episodes near the goal, where coverage takes the longest, that never succeed.

    In turns the agent is driven round the block and pushes it towards a random point near the goal.
    In the default workload half of the steps are in contact and nine tenths overlap the goal.

    Attributes:
        starts: What episodes are reset to, the block's position first, (E, 5).
        states: State before each step, (T, E, 5).
        targets: Set-points, (T, E, 2), px.
        singles: How many of the episodes are played on a single table, one after another.
    """

    starts: Floats
    states: Floats
    targets: Floats
    singles: int

    def steps(self, kind: Kind) -> int:
        """Environment steps in one round."""
        episodes = self.singles if kind == "single" else len(self.starts)
        return len(self.targets) * episodes

    def demonstrations(self) -> Demonstrations:
        """The episodes as if they were demonstrations, for timings of training."""
        length, episodes = self.targets.shape[:2]
        states = self.states.transpose(1, 0, 2).reshape(-1, 5)
        return Demonstrations(
            states=states,
            actions=self.targets.transpose(1, 0, 2).reshape(-1, 2),
            episode_ends=length * np.arange(1, episodes + 1),
            observations=observe(states, OBS_TYPE),
            metadata=Metadata("pusht", "import", "perf", seed=0),
        )


def make_workload(episodes: int = 50, length: int = 100, singles: int = 10) -> Workload:
    """Play the episodes once and keep their set-points; always the same ones.

    Raises:
        ValueError: If the episodes are longer than the task's.
    """
    if length > MAX_EPISODE_STEPS:
        raise ValueError(f"length is {length}; allowed: 1 to {MAX_EPISODE_STEPS}")
    rng = np.random.default_rng(0)
    starts = np.column_stack(
        [
            rng.uniform(50.0, 450.0, (episodes, 2)),
            rng.uniform(180.0, 330.0, (episodes, 2)),
            rng.uniform(0.0, 2.0 * np.pi, episodes),
        ]
    )
    env = PushTVectorEnv(episodes, "state")
    state, _ = env.reset(options={"state": starts, "order": "position-first"})
    target, states, targets = state[:, :2], [], []
    for step in range(length):
        if step % STRETCH == 0:
            aim = GOAL_POSE[:2] + rng.uniform(-NEAR_GOAL, NEAR_GOAL, (episodes, 2))
        center = place([CENTER_OF_GRAVITY], state[:, 2:])[:, 0]
        drives_round = step % STRETCH < STRETCH // 2
        way = (_behind(center, target, aim) if drives_round else aim) - target
        reach = np.linalg.norm(way, axis=1, keepdims=True)
        target = target + way * np.minimum(1.0, FASTEST / np.maximum(reach, FASTEST))
        target = np.clip(target, 0.0, WORLD_SIZE)
        states.append(state)
        targets.append(target)
        state = env.step(target)[0]
    return Workload(starts, np.array(states), np.array(targets), singles)


def _behind(center: Floats, target: Floats, aim: Floats) -> Floats:
    """Where to drive next to get behind the block as seen from `aim`, round its center, (E, 2)."""
    now, behind = _angle(target - center), _angle(center - aim)
    now = now + np.clip((behind - now + np.pi) % (2.0 * np.pi) - np.pi, -0.4, 0.4)
    return center + 100.0 * np.column_stack([np.cos(now), np.sin(now)])


def _angle(vectors: Floats) -> Floats:
    angle: Floats = np.arctan2(vectors[:, 1], vectors[:, 0])
    return angle


class Player(Protocol):
    """One side of the comparison."""

    def play(self, kind: Kind) -> tuple[float, float]:
        """Play one round of the workload: seconds in steps, and the sum of all coverage."""


class OwnPlayer:
    """Plays a workload on this project's Push-T."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def play(self, kind: Kind) -> tuple[float, float]:
        """See `Player.play`."""
        work = self._workload
        if kind == "batched":
            return self._batched()
        env = gymnasium.make(ENV_ID, obs_type=OBS_TYPE)
        seconds, covered = 0.0, []
        episodes = work.targets.transpose(1, 0, 2)[: work.singles]
        for start, episode in zip(work.starts, episodes, strict=False):
            env.reset(options={"state": start, "order": "position-first"})
            begin = time.perf_counter()
            covered += [env.step(target)[4]["coverage"] for target in episode]
            seconds += time.perf_counter() - begin
        return seconds, float(np.sum(covered))

    def _batched(self) -> tuple[float, float]:
        work = self._workload
        env = gymnasium.make_vec(
            ENV_ID,
            num_envs=len(work.starts),
            vectorization_mode="vector_entry_point",
            obs_type=OBS_TYPE,
        )
        env.reset(options={"state": work.starts, "order": "position-first"})
        begin = time.perf_counter()
        covered = [env.step(step)[4]["coverage"] for step in work.targets]
        return time.perf_counter() - begin, float(np.sum(covered))


def take_turns(
    workload: Workload,
    players: Mapping[str, Player],
    rounds: int,
) -> dict[tuple[str, Kind], Floats]:
    """Let the players take turns and note how fast each is.

    Args:
        workload: What they play.
        players: By name.
        rounds: How often each plays each kind; one more round before these is not counted.

    Returns:
        Steps a second by player and kind, (rounds,) each.

    Raises:
        RuntimeError: If two players do not report the same coverage: they did not do the same work.
    """
    speeds: dict[tuple[str, Kind], list[float]] = {
        (name, kind): [] for kind in KINDS for name in players
    }
    for number in range(rounds + 1):
        for kind in KINDS:
            covered = {}
            for name, player in players.items():
                seconds, covered[name] = player.play(kind)
                if number > 0:
                    speeds[name, kind].append(workload.steps(kind) / seconds)
            least, most = min(covered.values()), max(covered.values())
            if most - least > SAME_COVERAGE * most:
                raise RuntimeError(
                    f"the players report different coverage ({covered}) for the same set-points, "
                    "so their speeds cannot be compared"
                )
    return {key: np.array(values) for key, values in speeds.items()}

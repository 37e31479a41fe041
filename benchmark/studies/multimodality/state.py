"""The states from which there is a left and a right way: searched for, and stored.

The one of DP Fig. 3 was not published. Run `python -m benchmark.studies.multimodality.state` to
search again and to write what is found beside this file.

Candidates are symmetric by construction: block and agent lie on the symmetry axis of the goal,
which is a diagonal of the table, so left and right are mirror images (but for 1 px by which the
walls are off).

    agent . . . . . . . . . end of stem ====== bar            (or the same from the bar's side)
                                   <---- the way home: it is pushed at the bar, from behind

Of these, people choose, and no policy has a say: among the human demonstrations that come near a
candidate, the share of the rarer way within the next 40 steps must be as large as we can be sure of
(the lower end of its Wilson interval; as the highest of many it flatters that share). The scripted
demonstrator must take both ways from there. The best such states are taken that lie well apart, so
that no finding hangs on one place.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from benchmark.errors import UsageError, usage_errors
from benchmark.files import write_whole
from benchmark.plan.seeding import derive
from benchmark.plan.tasks import get_task
from benchmark.studies.multimodality.paths import STEPS, Paths, joined, path_measures
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_scripted import demonstrate
from envs.pusht.geometry import (
    AGENT_RADIUS,
    CENTER_OF_GRAVITY,
    GOAL_POSE,
    WORLD_SIZE,
    keypoints,
    place,
)

STORED = Path(__file__).with_suffix(".json")

NEAR = 30.0  # px, of the block's keypoints (root mean square) and of the agent
OFFSETS = range(-100, 101, 10)  # px, of the block from its goal, towards the end of its stem
DISTANCES = (
    *range(-200, -29, 10),
    *range(140, 271, 10),
)  # px, of the agent from the block, as well
STATES = 4  # at most
LEAST_SURE = 0.1  # of the rarer way among people
STREAMS = 20  # scripted demonstrations from a candidate
LEAST_SHARE = 0.2  # of the rarer way among them
_EDGE = AGENT_RADIUS + 5.0  # px that the agent keeps from the edge of the table

Floats = NDArray[np.float64]


def stored_states() -> list[Floats]:
    """The states that were found: agent x, y, block x, y (px), angle (rad), (5,) each."""
    return [np.array(found["state"]) for found in stored_record()["found"]]


def stored_record() -> dict[str, Any]:
    """What was found and how."""
    record: dict[str, Any] = json.loads(STORED.read_text())
    return record


def candidate(offset: float, distance: float) -> Floats:
    """The symmetric state (5,) with these distances along the axis, px."""
    x, y, angle = GOAL_POSE
    axis = np.array([-math.sin(angle), math.cos(angle)])  # from the bar to the end of the stem
    block = np.array([x, y]) + offset * axis
    # Rounded, so that the stored numbers are the very state.
    return np.array([*(block + distance * axis), *block, angle]).round(6)


def candidates() -> Iterator[tuple[int, int]]:
    """Offset and distance, px, of every symmetric state in which the agent must go round."""
    for offset in OFFSETS:
        for distance in DISTANCES:
            agent = candidate(offset, distance)[:2]
            on_table = (agent > _EDGE).all() and (agent < WORLD_SIZE - _EDGE).all()
            if offset * distance < 0 and on_table:
                yield offset, distance


def visits(demos: Demonstrations, state: Floats) -> Paths:
    """What demonstrators did next who came near a state, one path a demonstration."""
    close = np.flatnonzero(np.hypot(*(demos.states[:, :2] - state[:2]).T) < NEAR)
    apart = np.hypot(*(demos.states[close, :2] - state[:2]).T)
    offset = keypoints(demos.states[close]) - keypoints(state)  # (C, 9, 2)
    block = np.sqrt((offset**2).sum(axis=-1).mean(axis=-1))
    near, away = close[block < NEAR], (apart + block)[block < NEAR]
    episode = np.searchsorted(demos.episode_ends, near, side="right")
    parts = []
    for index in np.unique(episode):
        own = episode == index
        row = int(near[own][np.argmin(away[own])])
        end = min(int(demos.episode_ends[index]), row + STEPS + 1)
        parts.append(_part(demos.states[row:end], demos.actions[row : end - 1]))
    return joined(parts)


def demonstrated(state: Floats, count: int) -> Paths:
    """What the scripted demonstrator does from a state, with `count` streams of its chance."""
    parts = []
    for index in range(count):
        # numpy takes such a seed whole; it is neither a test nor a validation seed.
        episode = demonstrate(derive("multimodality", "demonstrator", index), state)
        parts.append(_part(episode.states, episode.actions[:-1]))
    return joined(parts)


def _part(states: Floats, actions: Floats) -> tuple[Floats, Floats, Floats]:
    return states[:, :2], place([CENTER_OF_GRAVITY], states[:, 2:])[:, 0], actions


def count_sides(paths: Paths) -> dict[str, int]:
    """How many went left and right, and how many there are."""
    found = list(path_measures(paths)["side"])
    return {"left": found.count("left"), "right": found.count("right"), "in all": len(found)}


def surely_rarer(counts: dict[str, int]) -> float:
    """Lower end of the 95 % interval of the share of the rarer way; 0 without any path."""
    if counts["in all"] == 0:
        return 0.0
    rarer = min(counts["left"], counts["right"])
    return float(binomtest(rarer, counts["in all"]).proportion_ci(method="wilson").low)


def search(demos: Demonstrations) -> dict[str, Any]:
    """Find the candidates at which demonstrators part most surely.

    Returns:
        A record of the states and of how they were found.

    Raises:
        ValueError: If demonstrators part at none.
    """
    scored = []
    for offset, distance in candidates():
        near = count_sides(visits(demos, candidate(offset, distance)))
        scored.append((surely_rarer(near), near, offset, distance))
    found: list[dict[str, Any]] = []
    # Stable: of equals, the first of the grid.
    for score, near, offset, distance in sorted(scored, key=lambda row: -row[0]):
        state = candidate(offset, distance)
        if (
            score < LEAST_SURE
            or len(found) == STATES
            or any(_is_close(state, f["state"]) for f in found)
        ):
            continue
        scripted = count_sides(demonstrated(state, STREAMS))
        if min(scripted["left"], scripted["right"]) >= LEAST_SHARE * STREAMS:
            found.append(
                {
                    "state": state.tolist(),
                    "block from goal, px": offset,
                    "agent from block, px": distance,
                    "demonstrations near": near,
                    "rarer way, at least": round(score, 6),
                    "scripted from there": scripted,
                }
            )
    if not found:
        raise ValueError(
            f"{demos.num_episodes} demonstrations part at none of {len(scored)} states: give more"
        )
    return {
        "demonstrations": f"{demos.metadata.source} {demos.metadata.version}",
        "candidates": len(scored),
        "near, px": NEAR,
        "steps": STEPS,
        "found": found,
    }


def _is_close(state: Floats, other: list[float]) -> bool:
    """Whether both agent and block of two states lie near each other."""
    apart = np.abs(state - other)
    return float(np.hypot(*apart[:2])) < NEAR and float(np.hypot(*apart[2:4])) < NEAR


def main() -> int:
    """Search with the human demonstrations and store what is found; the exit code."""
    try:
        with usage_errors():
            demos = get_task("pusht").load("human", "keypoints", None, None, 0)
            text = json.dumps(search(demos), indent=2) + "\n"
            print(text + f"written: {write_whole(STORED, text)}")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

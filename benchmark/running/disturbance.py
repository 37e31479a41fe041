"""What happens once in mid-episode to test whether a policy recovers (DP Sec. VII-B).

calm     nothing; what the others are compared with, since it counts as they do
moved    the block is put 80 px elsewhere, in a direction of the episode's own
turned   the block is turned by 60 degrees about its centre of gravity, either way
held     the agent is held where it is for 2 s, while the policy goes on commanding

It happens 5 s after the start, whatever the policy has done by then. An episode that has ended
before is left as it ended. What the others reach counts from then on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.plan.config import Disturbance
from benchmark.plan.seeding import derive
from envs.pusht.env import CONTROL_HZ
from envs.pusht.geometry import CENTER_OF_GRAVITY, REACH, WORLD_SIZE, place

AT = 5 * CONTROL_HZ
"""Steps before it happens."""
HELD = 2 * CONTROL_HZ
"""Steps that an agent is held for."""
SHIFT = 80.0
"""How far a block is moved, px."""
TURN = math.radians(60)
TRIES = 16

Floats = NDArray[np.float64]


class Disturber:
    """Disturbs the episodes of a rollout; called before each step.

    Args:
        kind: What happens.
        seeds: Seed of each episode, which alone says where its block goes.
    """

    def __init__(self, kind: Disturbance, seeds: Sequence[int]) -> None:
        self.kind, self.seeds = kind, seeds

    def __call__(self, env: Any, step: int, live: NDArray[np.bool_]) -> bool:
        """Disturb the live episodes where it is time; whether scores count anew from here.

        Args:
            env: The environments, with `states`, `displace` and `hold`.
            step: Steps taken.
            live: Episodes that have not ended, (N,).

        Raises:
            ValueError: If the environments cannot be disturbed.
        """
        if self.kind in ("none", "calm"):
            return self.kind == "calm" and step == AT
        if not hasattr(env, "displace"):
            raise ValueError(f"disturbance {self.kind!r}: only Push-T can be disturbed")
        if self.kind == "held":
            env.hold(live & (AT <= step < AT + HELD))
        elif step == AT and live.any():
            chosen = np.flatnonzero(live)
            env.displace(
                chosen,
                np.array(
                    [displaced(self.kind, env.states[i], self.seeds[i]) for i in chosen.tolist()]
                ),
            )
        return step == AT


def displaced(kind: Disturbance, state: Floats, seed: int) -> Floats:
    """Where a block is put.

    Args:
        kind: moved or turned.
        state: Agent x, y, block x, y (px) and angle (rad), (5,).
        seed: Of the episode.

    Returns:
        x, y and angle, (3,). A moved block stays on the table and gets no nearer to the agent,
        unless no direction allows it.
    """
    rng = np.random.default_rng(derive("disturbance", seed))
    agent, pose = state[:2], state[2:].copy()
    centre = place([CENTER_OF_GRAVITY], pose)[0]
    if kind == "turned":
        pose[2] += TURN * rng.choice((-1, 1))
        pose[:2] += centre - place([CENTER_OF_GRAVITY], pose)[0]
        return pose
    for angle in rng.uniform(0, 2 * math.pi, TRIES):
        shift = SHIFT * np.array([math.cos(angle), math.sin(angle)])
        new = centre + shift
        is_on_table = (new > REACH).all() and (new < WORLD_SIZE - REACH).all()
        if is_on_table and np.hypot(*(new - agent)) >= np.hypot(*(centre - agent)):
            break
    pose[:2] += shift
    return pose

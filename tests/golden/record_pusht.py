"""Record Push-T as gym-pusht plays and draws it, for the tests to compare with.

gym-pusht needs pymunk < 7 and this project has 7, so the script runs in an environment of its
own and imports nothing from this project:

    python -m venv .venv-peer
    .venv-peer/bin/pip install gym-pusht==0.1.8 "pymunk<7"
    .venv-peer/bin/python tests/golden/record_pusht.py

It writes two files beside itself. States are agent x, y, block x, y (px) and angle (rad, not
wrapped); `start` is what was given to the reset, which sets the position first.

pusht_trajectories.npz
    trajectory_*: T random trajectories of S steps that push the block around. In turns the agent is
        driven round the block to the side that faces away from a random point of the table, and
        then towards that point, pushing the block from wherever it meets it. start (T, 5), reset
        (T, 5) the state reached by the reset, targets (T, S, 2), states (T, S, 5), coverage (T, S),
        contact_points (T, S) summed over the physics steps.
    overlap_*: short ones that start with the agent inside the block, where the order in which the
        engine solves the contacts shows. The same arrays.
    step_response (6,): px travelled after 1 to 6 steps towards a set-point 100 px away.

pusht_images.npz
    states (I, 5); frames (1, 512, 512, 3), the first state without a mark; images (I, 96, 96, 3).
    Only states without contact, since gym-pusht also draws contact points.
"""

from pathlib import Path
from typing import Any

import gym_pusht  # noqa: F401 - registers the environment
import gymnasium
import numpy as np

TRAJECTORIES, STEPS = 5, 1000
STRETCH = 20  # steps in which the block is driven round once and pushed once
FASTEST = 30.0  # px the set-point moves in a step; faster ones fling the block over the walls
LEAST_CONTACT = 0.4  # of the steps of a trajectory, so that the file tests pushing, not driving
OVERLAPS, OVERLAP_STEPS = 20, 15
IMAGES = 8


def state_of(env: Any) -> np.ndarray:
    return np.array([*env.agent.position, *env.block.position, env.block.angle])


def center_of(env: Any) -> np.ndarray:
    return np.array(env.block.local_to_world(env.block.center_of_gravity))


def angle_of(vector: np.ndarray) -> float:
    return float(np.arctan2(vector[1], vector[0]))


def make(start: np.ndarray) -> Any:
    env = gymnasium.make("gym_pusht/PushT-v0", obs_type="state", render_mode="rgb_array").unwrapped
    env.reset(seed=0, options={"reset_to_state": start})
    return env


def random_start(rng: np.random.Generator) -> np.ndarray:
    return np.append(rng.uniform([50, 50, 150, 150], [450, 450, 350, 350]), rng.uniform(0, 6.28))


def play(env: Any, targets: Any) -> dict[str, np.ndarray]:
    """Step through set-points, which may depend on the state so far, and record."""
    rows = []
    for target in targets:
        _, _, _, _, info = env.step(target)
        rows.append((target, state_of(env), info["coverage"], env.n_contact_points))
    columns = ("targets", "states", "coverage", "contact_points")
    return {
        name: np.array(column)
        for name, column in zip(columns, zip(*rows, strict=True), strict=True)
    }


def wander(env: Any, rng: np.random.Generator) -> Any:
    """Set-points that drive round the block and push it, in turns."""
    target = np.array(env.agent.position)
    goal = target
    for step in range(STEPS):
        center = center_of(env)
        if step % STRETCH == 0:
            goal = rng.uniform(130.0, 380.0, 2)
        if step % STRETCH < STRETCH // 2:
            behind, now = angle_of(center - goal), angle_of(target - center)
            now += np.clip((behind - now + np.pi) % (2.0 * np.pi) - np.pi, -0.4, 0.4)
            aim = center + 100.0 * np.array([np.cos(now), np.sin(now)])
        else:
            aim = goal
        way = aim + rng.normal(0.0, 10.0, 2) - target
        target = target + way * min(1.0, FASTEST / np.linalg.norm(way))
        target = np.clip(target, 0.0, 512.0)
        yield target


def record_trajectory(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    start = random_start(rng)
    env = make(start)
    recorded = {"start": start, "reset": state_of(env)} | play(env, wander(env, rng))
    contact = float(np.mean(recorded["contact_points"] > 0))
    assert contact > LEAST_CONTACT, f"trajectory {seed}: {contact:.2f} of the steps in contact"
    return recorded


def record_overlap(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    start = random_start(rng)
    start[:2] = center_of(make(start)) + rng.normal(0.0, 15.0, 2)
    env = make(start)
    reset = state_of(env)
    targets = start[:2] + np.cumsum(rng.normal(0.0, 8.0, (OVERLAP_STEPS, 2)), axis=0)
    recorded = {"start": start, "reset": reset} | play(env, targets)
    assert recorded["contact_points"][0] > 0, f"overlap {seed} starts without contact"
    return recorded


def record_step_response() -> np.ndarray:
    env = make(np.array([100.0, 100.0, 400.0, 400.0, 0.0]))
    return play(env, [np.array([200.0, 100.0])] * 6)["states"][:, 0] - 100.0


def record_images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    states, frames, images = [], [], []
    while len(states) < IMAGES:
        env = make(random_start(rng))
        if env.n_contact_points:
            continue
        states.append(state_of(env))
        frames.append(env._get_img(env._draw(), 512, 512))
        images.append(env._get_img(env._draw(), 96, 96))
    return {"states": np.array(states), "frames": np.array(frames[:1]), "images": np.array(images)}


def stacked(prefix: str, records: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {f"{prefix}_{key}": np.stack([each[key] for each in records]) for key in records[0]}


def main() -> None:
    folder = Path(__file__).parent
    np.savez_compressed(
        folder / "pusht_trajectories.npz",
        **stacked("trajectory", [record_trajectory(seed) for seed in range(TRAJECTORIES)]),
        **stacked("overlap", [record_overlap(seed) for seed in range(OVERLAPS)]),
        step_response=record_step_response(),
    )
    np.savez_compressed(folder / "pusht_images.npz", **record_images())


if __name__ == "__main__":
    main()

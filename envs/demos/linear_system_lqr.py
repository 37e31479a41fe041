"""Demonstrations of a linear system by its linear-quadratic regulator, a = -K s, under noise.

What the regulator will do is known from where it is. With M = A - B K and the noise w_i of the
steps on the way, the action at offset t is

    a_t = -K s_t = -K M^t s - sum_{i < t} K M^(t-1-i) w_i,

so a chunk of actions given s is Gaussian. Its mean is -K M^t s; the first action has no spread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import DataSet, Demonstrations, Metadata
from envs.linear_system import (
    MAX_EPISODE_STEPS,
    SYSTEMS,
    LinearSystem,
    LinearSystemEnv,
    SystemName,
)

Floats = NDArray[np.float64]

VERSION = 1  # raised when a change here or in the systems changes an episode
NUM_SCRIPTED = 200


def task_name(system: SystemName) -> str:
    """What the benchmark calls a system."""
    return f"linear-system-{system}"


def demonstrate(
    system: SystemName,
    num_episodes: int = NUM_SCRIPTED,
    noise: float = 1.0,
    first_seed: int = 0,
    steps: int = MAX_EPISODE_STEPS,
) -> Demonstrations:
    """Let the regulator hold a system; episode i is the environment's of seed `first_seed` + i.

    Args:
        system: Which one.
        num_episodes: Number of episodes.
        noise: Factor of the process noise, as in `LinearSystemEnv`.
        first_seed: Seed of the first episode; test seeds start at 100000.
        steps: Length of each.

    Returns:
        States and actions with a = -K s in every row; the observation `state` is the state.
    """
    env, K = LinearSystemEnv(system, noise=noise), SYSTEMS[system].K
    states, actions = [], []
    for seed in range(first_seed, first_seed + num_episodes):
        state, _ = env.reset(seed=seed)
        for _ in range(steps):
            action = -K @ state
            states.append(state)
            actions.append(action)
            state, *_ = env.step(action)
    rows = np.array(states)
    return Demonstrations(
        states=rows,
        actions=np.array(actions),
        episode_ends=np.arange(1, num_episodes + 1, dtype=np.int64) * steps,
        observations={"state": rows},
        metadata=_metadata(system, noise, first_seed),
    )


def catalogue(system: SystemName, source: str) -> DataSet:
    """What a task's demonstrations are, without making them; there is one source."""
    if source != "scripted":
        raise ValueError(f"{task_name(system)}: source is {source}; allowed: scripted")
    return DataSet(_metadata(system), NUM_SCRIPTED)


def _metadata(system: SystemName, noise: float = 1.0, first_seed: int = 0) -> Metadata:
    version = f"v{VERSION}-LinearSystem-v1" + (f"-noise{noise:g}" if noise != 1.0 else "")
    return Metadata(task_name(system), "scripted", version, first_seed)


def load(
    system: SystemName,
    source: str = "scripted",
    obs_type: str = "state",
    path: Path | None = None,
    num_episodes: int | None = None,
    seed: int = 0,
) -> Demonstrations:
    """Demonstrations as a task of the benchmark gives them, made anew in a second.

    Args:
        system: Which one.
        source: Only `scripted`.
        obs_type: Only `state`.
        path: Must be None: they come from no file.
        num_episodes: So many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.

    Raises:
        ValueError: If something else is asked for.
    """
    wrong: dict[str, Any] = {"source": source, "obs_type": obs_type, "path": path}
    for name, only in (("source", "scripted"), ("obs_type", "state"), ("path", None)):
        if wrong[name] != only:
            raise ValueError(f"{task_name(system)}: {name} is {wrong[name]}; allowed: {only}")
    demonstrations = demonstrate(system, max(num_episodes or 0, NUM_SCRIPTED))
    return demonstrations.choose(num_episodes, seed) if num_episodes else demonstrations


def action_chunk(system: LinearSystem, horizon: int, noise: float = 1.0) -> tuple[Floats, Floats]:
    """The Gaussian of the regulator's next actions given the state; see the top of this file.

    Args:
        system: The system.
        horizon: Actions in a chunk, Tp.
        noise: Factor of the process noise, as in `LinearSystemEnv`.

    Returns:
        Gains G (Tp, Da, Ds), the mean of action t being G[t] s, and the covariance of the chunk
        (Tp * Da, Tp * Da), action by action.
    """
    Ds, Da = system.B.shape
    gains = [-system.K]
    for _ in range(horizon - 1):
        gains.append(gains[-1] @ system.closed_loop)
    # Of w_i, as far as it reaches action t: G[t-1-i]; nothing of the noise that comes after.
    reach = np.zeros((horizon, Da, max(horizon - 1, 1), Ds))
    for t in range(horizon):
        for i in range(t):
            reach[t, :, i] = gains[t - 1 - i]
    spread = (reach * noise * system.noise).reshape(horizon * Da, -1)
    return np.stack(gains), spread @ spread.T

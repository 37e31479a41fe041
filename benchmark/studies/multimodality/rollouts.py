"""Many rollouts of a trained policy from one state."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.agent import Agent
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.presets import published_horizon
from benchmark.plan.seeding import derive
from benchmark.plan.tasks import get_task
from benchmark.running.machine import best_device
from benchmark.running.rollout import AgentPolicy, Trace, actions_used, play
from benchmark.running.store import Run
from benchmark.studies.multimodality.paths import STEPS, Paths, block_centres

Floats = NDArray[np.float64]


def file_of(cell: Cell, state: Floats, count: int) -> str:
    """The name that rollouts from a state are kept under."""
    key = derive("rollouts", *map(str, state.tolist()), STEPS, count, as_published(cell))
    return f"rollouts-{key:016x}.npz"


def as_published(cell: Cell) -> int:
    """The action horizon that a method was published with, or the cell's own."""
    return published_horizon(cell) or cell.action_horizon


def rolled_out(run: Run, state: Floats, count: int) -> bytes:
    """The paths of `roll_out` as an NPZ file."""
    return roll_out(run.agent().to(best_device()), run.cell, state, count).to_bytes()


def roll_out(agent: Agent, cell: Cell, state: Floats, count: int) -> Paths:
    """Play `count` times for 40 steps from a state (5,), each time with noise of its own.

    Raises:
        ValueError: If the task does not say how its agent moves.
    """
    task = get_task(cell.task)
    motion = task.motion
    if motion is None:
        raise ValueError(f"task {task.name} does not say how its agent moves (Task.motion)")
    # Of noise alone, since the state is given; neither test nor validation seeds.
    seeds = [derive("multimodality", index) for index in range(count)]
    trace, config = Trace(), EvalConfig(as_published(cell))
    episodes = play(
        AgentPolicy(agent, seeds, actions_used(agent.spec.obs_horizon, config)),
        task,
        cell.obs_type,
        cell.control,
        seeds,
        config,
        f"{cell.method} {cell.control}: rollouts from one state",
        {"state": np.tile(state, (count, 1))},
        np.full(count, STEPS),
        trace,
    )
    observed = np.stack([frame["state"] for frame in trace.frames], axis=1)  # (N, T + 1, Do)
    return Paths(
        motion.position(observed, cell.obs_type),
        block_centres(observed),
        motion.commanded(np.stack(trace.actions), cell.control).swapaxes(0, 1),
        episodes["length"].to_numpy(dtype=np.int64),
    )

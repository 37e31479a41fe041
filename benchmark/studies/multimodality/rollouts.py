"""Many rollouts of a trained policy from one state, and its denoising there, kept in its folder.

runs/<cell id>/multimodality/paths-<key>.npz        the arrays of `Paths`
                             denoising-<key>.npz    `stages`, see `denoise`
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.agent import Agent
from baselines.diffusion.agent import DiffusionAgent
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.seeding import derive
from benchmark.plan.tasks import get_task
from benchmark.running.machine import best_device
from benchmark.running.rollout import AgentPolicy, Trace, play
from benchmark.running.store import Run
from benchmark.studies.multimodality.paths import STEPS, Paths, block_centres
from envs.pusht.observations import observe

SAMPLES = 100  # action sequences that are denoised

Floats = NDArray[np.float64]


def measured_paths(cell: Cell, store: Path, state: Floats, count: int) -> Paths:
    """The rollouts of `roll_out`, played once."""
    key = derive("paths", *map(str, state.tolist()), STEPS, count, cell.action_horizon)
    run = Run(cell, store)

    def play() -> bytes:
        return roll_out(run.agent().to(best_device()), cell, state, count).to_bytes()

    return Paths.from_bytes(run.measured(f"paths-{key:016x}.npz", play))


def measured_denoising(cell: Cell, store: Path, state: Floats) -> Floats:
    """The stages of `denoise`, computed once."""
    key = derive("denoising", *map(str, state.tolist()), SAMPLES)
    run = Run(cell, store)

    def compute() -> bytes:
        buffer = io.BytesIO()
        stages = denoise(run.agent().to(best_device()), cell, state)
        np.savez_compressed(buffer, stages=stages.astype(np.float32))
        return buffer.getvalue()

    with np.load(io.BytesIO(run.measured(f"denoising-{key:016x}.npz", compute))) as arrays:
        stages: Floats = arrays["stages"].astype(np.float64)
    return stages


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
    trace = Trace()
    episodes = play(
        AgentPolicy(agent, seeds),
        task,
        cell.obs_type,
        cell.control,
        seeds,
        EvalConfig(cell.action_horizon),
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


@torch.inference_mode()
def denoise(agent: Agent, cell: Cell, state: Floats) -> Floats:
    """Denoise 100 action sequences for an agent that rests in a state (5,).

    Returns:
        The sequences from pure noise on and after each denoising step, from the action of the
        current step on: (steps + 1, N, Tp - To + 1, Da), in units of the action.

    Raises:
        TypeError: If the agent denoises nothing.
    """
    if not isinstance(agent, DiffusionAgent):
        raise TypeError(f"{agent.name} denoises nothing; give a diffusion policy")
    frame = torch.as_tensor(observe(state[None], "keypoints")["state"], dtype=torch.float32)
    window = frame[:, None].expand(-1, cell.obs_horizon, -1)  # (1, To, Do)
    obs = {"state": window.to(next(agent.parameters()).device)}
    generator = torch.Generator().manual_seed(derive("multimodality", "denoising"))
    stages = torch.cat(list(agent.denoise(obs, generator, SAMPLES)))  # (steps + 1, N, Tp, Da)
    return stages[:, :, cell.obs_horizon - 1 :].double().cpu().numpy()

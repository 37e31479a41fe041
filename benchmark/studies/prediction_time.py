"""How long a single prediction takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from baselines.agent import Agent
from benchmark.running.machine import best_device


@torch.inference_mode()
def seconds_of_predictions(agents: Sequence[Agent], repetitions: int) -> list[list[float]]:
    """Time predictions for one window of zeros, of all agents in turns.

    In turns, so that what else the machine does falls on all of them alike. A first prediction of
    each, which allocates, is not counted.

    Args:
        agents: Policies, trained or not.
        repetitions: Predictions that are timed of each, R.

    Returns:
        Seconds, R of each agent.
    """
    device = best_device()
    found: list[list[float]] = [[] for _ in agents]
    # Channels-last as policies are that are read back, whether these were read or made.
    layout = {"memory_format": torch.channels_last}
    moved = [agent.to(device, **layout).eval() for agent in agents]  # type: ignore[call-overload]
    generator = torch.Generator().manual_seed(0)
    for _ in range(1 + repetitions):
        for agent, times in zip(moved, found, strict=True):
            obs = {
                name: torch.zeros(
                    (1, agent.spec.obs_horizon, *shape),
                    dtype=torch.uint8 if name in agent.spec.images else torch.float32,
                    device=device,
                )
                for name, shape in agent.spec.obs_shapes.items()
            }
            start = time.perf_counter()
            agent.act(obs, generator).cpu()
            times.append(time.perf_counter() - start)
    return [times[1:] for times in found]

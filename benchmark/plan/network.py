"""What network the settings of a cell make, found out before anything is made or allocated."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

from baselines.agent import Agent, Spec, agent_class
from baselines.checkpoints import at_most
from baselines.choices import check_numbers
from baselines.nets.encoder_config import PUBLISHED
from baselines.normalizer import Normalizer
from benchmark.plan.config import Cell
from benchmark.plan.tasks import get_task

MOST_TENSORS, MOST_PARAMETERS = 10_000, 2 * 10**9
"""Of a network: the published ones have up to 300 million parameters."""


def spec_of(cell: Cell) -> Spec:
    """Shapes and horizons that the task and the settings of a cell fix for its agent."""
    task = get_task(cell.task)
    return Spec(
        task.obs_shapes(cell.obs_type),
        task.action_dim[cell.control],
        cell.obs_horizon,
        cell.pred_horizon,
        cell.encoder or PUBLISHED,
    )


def check_network(cell: Cell, inference_steps: int = 0) -> None:
    """Refuse settings that make no network, or one beyond any machine, without making it.

    Args:
        cell: Whose settings.
        inference_steps: Denoising steps that its policy is to predict with; 0 for its own.

    Raises:
        ValueError: If they do; the message says which setting, or what the network refuses.
    """
    for part in (cell.agent, replace(cell.train, updates=0)):
        check_numbers(asdict(part))
    with torch.device("meta"), at_most(MOST_TENSORS, MOST_PARAMETERS, "a machine can hold"):
        try:
            agent = _agent(cell)
        except (NotImplementedError, RuntimeError):
            return  # another package's, which computes while it is made; training will tell
    if inference_steps:
        agent.set_inference_steps(inference_steps)


def _agent(cell: Cell) -> Agent:
    spec = spec_of(cell)
    kinds, shapes = {"action": cell.action_scaling}, {"action": spec.action_dim}
    if spec.state_dim:
        kinds["state"], shapes["state"] = cell.obs_scaling, spec.state_dim
    return agent_class(cell.method)(cell.agent, spec, Normalizer(kinds, shapes))

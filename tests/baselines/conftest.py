"""Agents small enough to be trained within a test."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch, Spec, agent_class
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.normalizer import Normalizer

TrainToy = Callable[..., Agent]


@pytest.fixture(scope="session")
def tiny_unet_config() -> DiffusionUnetConfig:
    """A diffusion policy of some 30,000 parameters."""
    return DiffusionUnetConfig(
        num_train_timesteps=50,
        num_inference_steps=10,
        channels=(32,),
        kernel_size=3,
        groups=4,
        step_dim=16,
        activation="silu",
    )


@pytest.fixture
def tiny_agent(tiny_unet_config: DiffusionUnetConfig) -> DiffusionUnet:
    """An untrained policy with To = 2, Tp = 4, Do = 3, Da = 2 and units of hundreds."""
    generator = torch.Generator().manual_seed(0)
    data = {
        "state": 100 + 50 * torch.rand((20, 3), generator=generator),
        "action": 300 * torch.rand((20, 2), generator=generator),
    }
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "quantile"})
    torch.manual_seed(0)
    return DiffusionUnet(tiny_unet_config, Spec({"state": (3,)}, 2, 2, 4), normalizer).eval()


@pytest.fixture(scope="session")
def train_toy() -> TrainToy:
    """A function that trains an agent on windows obs (W, To, Do) and actions (W, Tp, Da)."""

    def train(method: str, config: Any, obs: Tensor, actions: Tensor, updates: int = 300) -> Agent:
        spec = Spec({"state": obs.shape[2:]}, actions.shape[2], obs.shape[1], actions.shape[1])
        data = {"state": obs.flatten(0, 1), "action": actions.flatten(0, 1)}
        normalizer = Normalizer.fit(data, {"state": "min-max", "action": "min-max"})
        torch.manual_seed(0)
        agent = agent_class(method)(config, spec, normalizer)
        optimizer = torch.optim.AdamW(agent.parameter_groups(0.0), lr=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=updates)
        generator = torch.Generator().manual_seed(1)
        for _ in range(updates):
            chosen = torch.randint(len(obs), (256,), generator=generator)
            agent.loss(Batch({"state": obs[chosen]}, actions[chosen]), generator).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return agent.eval()

    return train

"""Agents of every method, small enough to be trained within a test."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch, Spec, agent_class
from baselines.bc_mlp import BcMlpConfig
from baselines.bet import BetConfig
from baselines.diffusion.agent import (
    DiffusionTransformerConfig,
    DiffusionUnet,
    DiffusionUnetConfig,
)
from baselines.ibc import IbcConfig
from baselines.ibc_informed import IbcInformedConfig
from baselines.lstm_gmm import LstmGmmConfig
from baselines.nearest import NearestConfig
from baselines.normalizer import Normalizer

TrainToy = Callable[..., Agent]
MakeTiny = Callable[..., Agent]


@dataclass(frozen=True)
class Toy:
    """A method with settings that learn a toy within seconds on one core."""

    config: Any
    learning_rate: float
    updates: int
    batch_size: int = 64


# No dropout: it is noise that no generator is passed for.
TOYS = {
    "diffusion-unet": Toy(
        DiffusionUnetConfig(
            num_train_timesteps=50,
            num_inference_steps=10,
            channels=(32,),
            kernel_size=3,
            groups=4,
            step_dim=16,
            activation="silu",
        ),
        learning_rate=1e-2,
        updates=300,
        batch_size=256,
    ),
    "diffusion-transformer": Toy(
        DiffusionTransformerConfig(
            num_train_timesteps=50,
            num_inference_steps=10,
            prediction="sample",  # learnt in a third of the updates that epsilon takes
            layers=2,
            heads=2,
            width=32,
            dropout=0.0,
        ),
        learning_rate=1e-2,
        updates=300,
    ),
    "ibc": Toy(
        IbcConfig(
            width=64,
            layers=2,
            obs_layers=1,
            dropout=0.0,
            negatives=256,
            candidates=256,
            noise=0.3,
            noise_decay=0.5,
        ),
        learning_rate=1e-2,
        updates=300,
    ),
    "ibc-informed": Toy(
        IbcInformedConfig(
            width=64,
            layers=2,
            obs_layers=1,
            dropout=0.0,
            negatives=64,
            near_share=0.5,
            candidates=256,
            noise=0.3,
            noise_decay=0.5,
        ),
        learning_rate=4e-3,
        updates=300,
    ),
    # Where windows are few and repeat, a smaller least deviation lets the likelihood grow without
    # end, before the means are learnt.
    "lstm-gmm": Toy(
        LstmGmmConfig(hidden=48, layers=1, modes=3, min_std=0.1), learning_rate=1e-2, updates=400
    ),
    # Cross-entropy: the focal loss has its own test.
    "bet": Toy(
        BetConfig(bins=8, layers=2, heads=2, width=32, dropout=0.0, focal_gamma=0.0),
        learning_rate=3e-3,
        updates=300,
    ),
    "nearest": Toy(NearestConfig(), learning_rate=0.0, updates=0),
    "bc-mlp": Toy(BcMlpConfig(width=64, blocks=2, dropout=0.0), learning_rate=3e-3, updates=300),
}


@pytest.fixture(params=sorted(TOYS))
def method(request: pytest.FixtureRequest) -> str:
    """The name of each method in turn."""
    name: str = request.param
    return name


@pytest.fixture(params=sorted(name for name, toy in TOYS.items() if toy.updates))
def learner(request: pytest.FixtureRequest) -> str:
    """The name of each method that has a loss in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def toys() -> dict[str, Toy]:
    """Small settings by method."""
    return TOYS


@pytest.fixture(scope="session")
def tiny_unet_config() -> DiffusionUnetConfig:
    """A diffusion policy of some 30,000 parameters."""
    config: DiffusionUnetConfig = TOYS["diffusion-unet"].config
    return config


@pytest.fixture(scope="session")
def make_tiny() -> MakeTiny:
    """A function that makes an untrained agent with Do = 3, Da = 2 and units of hundreds."""

    def make(method: str, config: Any = None, obs_horizon: int = 2, pred_horizon: int = 4) -> Agent:
        generator = torch.Generator().manual_seed(0)
        data = {
            "state": 100 + 50 * torch.rand((20, 3), generator=generator),
            "action": 300 * torch.rand((20, 2), generator=generator),
        }
        normalizer = Normalizer.fit(data, {"state": "min-max", "action": "quantile"})
        torch.manual_seed(0)
        spec = Spec({"state": (3,)}, 2, obs_horizon, pred_horizon)
        agent = agent_class(method)(config or TOYS[method].config, spec, normalizer)
        actions = 300 * torch.rand((50, pred_horizon, 2), generator=generator)
        agent.fit(actions, generator)
        states = 100 + 50 * torch.rand((50, obs_horizon, 3), generator=generator)
        agent.remember([Batch({"state": states}, actions)])
        return agent.eval()

    return make


@pytest.fixture
def tiny_agent(make_tiny: MakeTiny) -> DiffusionUnet:
    """An untrained policy with To = 2, Tp = 4, Do = 3, Da = 2 and units of hundreds."""
    agent = make_tiny("diffusion-unet")
    assert isinstance(agent, DiffusionUnet)
    return agent


@pytest.fixture(scope="session")
def train_toy() -> TrainToy:
    """A function that trains an agent on windows obs (W, To, Do) and actions (W, Tp, Da).

    With `obs_horizon` the windows may hold more observations, of which an agent takes what it asks
    for.
    """

    def train(
        method: str, toy: Toy, obs: Tensor, actions: Tensor, obs_horizon: int | None = None
    ) -> Agent:
        To = obs_horizon or obs.shape[1]
        spec = Spec({"state": obs.shape[2:]}, actions.shape[2], To, actions.shape[1])
        data = {"state": obs.flatten(0, 1), "action": actions.flatten(0, 1)}
        normalizer = Normalizer.fit(data, {"state": "min-max", "action": "min-max"})
        torch.manual_seed(0)
        agent = agent_class(method)(toy.config, spec, normalizer)
        generator = torch.Generator().manual_seed(1)
        agent.fit(actions, generator)
        agent.remember([Batch({"state": obs[:, :To]}, actions)])
        obs = obs[:, : agent.obs_steps]
        if toy.updates == 0:
            return agent.eval()
        rate = toy.learning_rate
        optimizer = torch.optim.AdamW(agent.parameter_groups(0.0), lr=rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=toy.updates)
        for _ in range(toy.updates):
            chosen = torch.randint(len(obs), (toy.batch_size,), generator=generator)
            agent.loss(Batch({"state": obs[chosen]}, actions[chosen]), generator).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
        return agent.eval()

    return train

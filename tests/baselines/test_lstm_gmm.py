"""LSTM-GMM: its likelihood by hand, and samples that follow the mixture."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from baselines.agent import Agent, Batch, Obs
from baselines.lstm_gmm import LstmGmm, LstmGmmConfig

MakeTiny = Callable[..., Agent]

TINY = LstmGmmConfig(hidden=16, layers=2, modes=3)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def states(batch: int) -> Obs:
    return {"state": 100 + 50 * torch.rand((batch, 2, 3), generator=stream(3))}


def make(make_tiny: MakeTiny, **settings: Any) -> LstmGmm:
    agent = make_tiny("lstm-gmm", replace(TINY, **settings))
    assert isinstance(agent, LstmGmm)
    return agent


def chunks_of(agent: LstmGmm, actions: Tensor) -> Tensor:
    """Predictions (B, N, Tp, Da) as normalised chunks (B, N, C, Da)."""
    return agent.normalizer.normalize("action", actions)[:, :, 1:]


@torch.no_grad()
def test_the_loss_is_the_likelihood_of_a_mixture_over_whole_chunks(make_tiny: MakeTiny) -> None:
    agent, obs = make(make_tiny), states(5)
    actions = 300 * torch.rand((5, 4, 2), generator=stream(1))
    chunk = agent.normalizer.normalize("action", actions)[:, 1:].double().numpy()  # (B, C, Da)
    logits, means, stds = (each.double().numpy() for each in agent._mixture(obs))
    assert means.shape == stds.shape == (5, 3, 3, 2)
    z = (chunk[:, None] - means) / stds
    gaussians = -0.5 * (z**2 + np.log(2 * np.pi)) - np.log(stds)
    shares = logits - logsumexp(logits, axis=1, keepdims=True)
    likelihood = logsumexp(shares + gaussians.sum((2, 3)), axis=1)
    expected = -likelihood.mean() / 6  # a number of the chunk
    assert agent.loss(Batch(obs, actions), stream(0)).item() == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_means_stay_in_the_range_and_deviations_above_their_least(make_tiny: MakeTiny) -> None:
    agent = make(make_tiny, min_std=0.02)
    agent.means.weight.mul_(1000)
    agent.stds.bias.fill_(-50)
    _, means, stds = agent._mixture(states(20))
    assert means.abs().max() <= 1
    assert means.abs().max() > 0.999
    torch.testing.assert_close(stds, torch.full_like(stds, 0.02), rtol=0, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("test_std", [0.0, 1e-3])
def test_samples_spread_as_at_test_time_or_as_learnt(make_tiny: MakeTiny, test_std: float) -> None:
    agent, obs = make(make_tiny, modes=1, test_std=test_std), states(2)
    learnt = torch.linspace(0.02, 0.07, 6)
    agent.stds.weight.zero_()
    agent.stds.bias.copy_((learnt - TINY.min_std).expm1().log())  # the inverse of softplus
    agent.means.weight.mul_(0.1)  # far from the ends of the range, where actions are clipped
    _, means, _ = agent._mixture(obs)
    found = chunks_of(agent, agent.act(obs, stream(0), num_samples=4000))
    expected = torch.full((6,), test_std) if test_std else learnt
    spread = found.flatten(2).std(1)
    torch.testing.assert_close(spread, expected.expand(2, 6), rtol=0.05, atol=0)
    torch.testing.assert_close(found.mean(1), means[:, 0], rtol=0, atol=0.005)


@torch.no_grad()
def test_modes_are_drawn_with_their_weights_and_never_mixed(make_tiny: MakeTiny) -> None:
    agent, obs = make(make_tiny), states(2)
    shares = torch.tensor([0.1, 0.6, 0.3])
    centres = torch.tensor([-0.5, 0.0, 0.5])
    agent.weights.weight.zero_()
    agent.weights.bias.copy_(shares.log())
    agent.means.weight.zero_()
    agent.means.bias.copy_(centres.atanh().repeat_interleave(6))
    found = chunks_of(agent, agent.act(obs, stream(0), num_samples=4000))  # (B, N, C, Da)
    distance = (found.flatten(2)[..., None] - centres).abs().amax(2)  # (B, N, modes)
    assert distance.amin(2).max() < 1e-3
    for window in distance.argmin(2):
        drawn = window.bincount(minlength=3) / 4000
        torch.testing.assert_close(drawn, shares, rtol=0, atol=0.025)


@torch.no_grad()
def test_the_order_of_the_observations_counts(make_tiny: MakeTiny) -> None:
    agent, obs = make(make_tiny), states(4)
    reversed_ = {"state": obs["state"].flip(1)}
    difference = agent._mixture(obs)[1] - agent._mixture(reversed_)[1]
    assert difference.abs().amax((1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("name", ["hidden", "layers", "modes"])
def test_a_wrong_setting_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; allowed: 1 or more"):
        LstmGmmConfig(**{name: 0})


@pytest.mark.parametrize("name", ["min_std", "test_std"])
def test_a_negative_standard_deviation_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} is -0.1; allowed: 0 or more"):
        LstmGmmConfig(**{name: -0.1})

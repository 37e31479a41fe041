"""BET: bins of chunks, the focal loss by hand, and centre plus offset."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch, Obs
from baselines.bet import Bet, BetConfig

MakeTiny = Callable[..., Agent]

TINY = BetConfig(bins=3, layers=1, heads=2, width=16, dropout=0.0)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def states(batch: int) -> Obs:
    return {"state": 100 + 50 * torch.rand((batch, 2, 3), generator=stream(3))}


def make(make_tiny: MakeTiny, **settings: Any) -> Bet:
    agent = make_tiny("bet", replace(TINY, **settings))
    assert isinstance(agent, Bet)
    return agent


def blobs(places: tuple[float, ...], count: int) -> Tensor:
    """Windows (W, Tp, Da) of which `count` lie within 2 px of each place."""
    noise = 4 * torch.rand((len(places), count, 4, 2), generator=stream(1)) - 2
    return (torch.tensor(places)[:, None, None, None] + noise).flatten(0, 1)


# ---- bins ----


def test_bins_are_the_means_of_the_clusters_from_the_current_step_on(make_tiny: MakeTiny) -> None:
    agent, places = make(make_tiny), (50.0, 150.0, 250.0)
    actions = blobs(places, 40)
    actions[:, 0] = 300 * torch.rand((120, 2), generator=stream(2))  # past: not clustered
    agent.fit(actions, stream(0))
    chunks = agent.normalizer.normalize("action", actions)[:, 1:].flatten(1)
    expected = chunks.unflatten(0, (3, 40)).mean(1)
    found = agent.centres[agent.centres[:, 0].argsort()]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_clusters_depend_on_the_generator_alone(make_tiny: MakeTiny) -> None:
    agent = make(make_tiny, bins=8)
    actions = 300 * torch.rand((200, 4, 2), generator=stream(1))
    centres = []
    for seed in (3, 3, 4):
        torch.manual_seed(len(centres))
        np.random.seed(len(centres))  # noqa: NPY002 - what scipy would draw from by default
        agent.fit(actions, stream(seed))
        centres.append(agent.centres.clone())
    torch.testing.assert_close(centres[1], centres[0], rtol=0, atol=0)
    assert not torch.allclose(centres[2], centres[0], atol=0.01)


def test_fewer_distinct_chunks_than_bins_get_a_bin_each_and_the_rest_is_never_the_nearest(
    make_tiny: MakeTiny,
) -> None:
    agent = make(make_tiny, bins=30, focal_gamma=0.0)
    ways = 300 * torch.rand((2, 4, 2), generator=stream(1))
    actions = ways.repeat(50, 1, 1)
    agent.fit(actions, stream(0))
    chunks = agent.normalizer.normalize("action", ways)[:, 1:].flatten(1)
    distance = torch.cdist(chunks.double(), agent.centres.double())
    assert (distance < 1e-5).sum().item() == 30  # every bin is one of the two
    assert (distance[:, :2] < 1e-5).sum(1).tolist() == [1, 1]
    agent.loss(Batch(states(100), actions), stream(0)).backward()
    gradient = agent.bins.bias.grad
    assert gradient is not None
    # Cross-entropy pulls up what is asked for, here the first two, and pushes down the rest.
    assert (gradient < 0).nonzero().flatten().tolist() == [0, 1]


@torch.no_grad()
def test_a_single_bin_is_the_mean(make_tiny: MakeTiny) -> None:
    agent = make(make_tiny, bins=1)
    actions = 300 * torch.rand((50, 4, 2), generator=stream(1))
    agent.fit(actions, stream(0))
    chunks = agent.normalizer.normalize("action", actions)[:, 1:].flatten(1)
    torch.testing.assert_close(agent.centres[0], chunks.mean(0), rtol=0, atol=1e-5)


# ---- loss ----


@torch.no_grad()
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("weight", [0.0, 5.0])
def test_the_loss_is_focal_on_the_nearest_bin_plus_the_error_of_its_offset(
    make_tiny: MakeTiny, gamma: float, weight: float
) -> None:
    agent = make(make_tiny, focal_gamma=gamma, offset_weight=weight)
    agent.centres.copy_(2 * torch.rand((3, 6), generator=stream(5)) - 1)
    agent.bins.bias.copy_(torch.tensor([1.0, -1.0, 0.5]))
    obs, actions = states(20), 300 * torch.rand((20, 4, 2), generator=stream(1))
    logits, offsets = (each.double().numpy() for each in agent._predict(obs))
    centres = agent.centres.double().numpy()
    chunks = agent.normalizer.normalize("action", actions)[:, 1:].flatten(1).double().numpy()
    losses, asked = [], set()
    for chunk, logit, offset in zip(chunks, logits, offsets, strict=True):
        nearest = int(np.argmin(((chunk - centres) ** 2).sum(1)))
        share = np.exp(logit[nearest]) / np.exp(logit).sum()
        focal = -((1 - share) ** gamma) * np.log(share)
        error = centres[nearest] + offset[nearest] - chunk
        losses.append(focal + weight * (error**2).mean())
        asked.add(nearest)
    assert asked == {0, 1, 2}
    loss = agent.loss(Batch(obs, actions), stream(0)).item()
    assert loss == pytest.approx(np.mean(losses), rel=1e-4)


# ---- prediction ----


@torch.no_grad()
def test_a_prediction_is_the_centre_of_the_drawn_bin_plus_its_offset(make_tiny: MakeTiny) -> None:
    agent = make(make_tiny)
    shares = torch.tensor([0.5, 0.0, 0.5])
    centres = torch.tensor([-0.5, 0.0, 0.5])[:, None].expand(3, 6)
    offsets = 0.1 * torch.rand((3, 6), generator=stream(5))
    agent.centres.copy_(centres)
    agent.bins.weight.zero_()
    agent.bins.bias.copy_(shares.clamp(min=1e-30).log())
    agent.offsets.weight.zero_()
    agent.offsets.bias.copy_(offsets.flatten())
    found = agent.act(states(2), stream(0), num_samples=1000)
    found = agent.normalizer.normalize("action", found)[:, :, 1:].flatten(2)  # (B, N, C * Da)
    distance = (found[:, :, None] - (centres + offsets)).abs().amax(3)  # (B, N, bins)
    assert distance.amin(2).max() < 1e-5
    for window in distance.argmin(2):
        drawn = window.bincount(minlength=3) / 1000
        torch.testing.assert_close(drawn, shares, rtol=0, atol=0.05)
        assert drawn[1] == 0


@torch.no_grad()
def test_what_is_predicted_depends_on_every_observation(make_tiny: MakeTiny) -> None:
    agent, obs = make(make_tiny), states(2)["state"]
    before = agent._predict({"state": obs})[0]
    for step in range(2):
        changed = obs.clone()
        changed[:, step] += 20
        assert (agent._predict({"state": changed})[0] - before).abs().max() > 1e-6


@pytest.mark.parametrize("name", ["bins", "layers"])
def test_a_wrong_setting_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; allowed: 1 or more"):
        BetConfig(**{name: 0})

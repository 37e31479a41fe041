"""BET and LSTM-GMM as published: single steps, a loss at each, a memory that is reset."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines.agent import Agent, Batch, Spec
from baselines.bet import Bet, BetConfig
from baselines.lstm_gmm import LstmGmm, LstmGmmConfig
from baselines.windows import Windows
from benchmark.running.rollout import AgentPolicy

MakeTiny = Callable[..., Agent]
RESETS = LstmGmmConfig(hidden=16, modes=1, resets=True)


def states(batch: int, steps: int) -> torch.Tensor:
    return 100 + 50 * torch.rand((batch, steps, 3), generator=torch.Generator().manual_seed(1))


def actions(batch: int, steps: int) -> torch.Tensor:
    return 300 * torch.rand((batch, steps, 2), generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_a_policy_that_resets_acts_as_one_that_carries_its_hidden_state(
    make_tiny: MakeTiny,
) -> None:
    """The published way step by step: reset every ten steps, one observation a step."""
    agent = make_tiny("lstm-gmm", RESETS, obs_horizon=10, pred_horizon=10)
    assert isinstance(agent, LstmGmm)
    for parameter in agent.parameters():
        parameter.mul_(3)  # so that what was seen before matters
    episode = states(2, 34)  # 9 steps of padding and 25 of two episodes
    policy, hidden, effect = AgentPolicy(agent, [0, 1]), None, 0.0
    for step in range(25):
        window = episode[:, step : step + 10]
        played = policy.predict({"state": window.numpy()}, np.array([0, 1]))[:, 9]
        if step % 10 == 0:
            hidden = None
        seen = agent.normalizer.normalize("state", window[:, -1:])
        out, hidden = agent.lstm(seen, hidden)
        expected = agent.normalizer.denormalize("action", agent.means(out[:, -1]).tanh())
        # Actions are drawn with a standard deviation of 1e-4 of half the range of 300.
        np.testing.assert_allclose(played, expected.numpy(), atol=0.1)
        whole = agent.act({"state": window}, torch.Generator())[:, 0, 9]
        effect = max(effect, (whole - expected).abs().max().item())
    assert effect > 1  # px; a policy that always sees ten observations acts otherwise


def test_the_loss_counts_the_action_after_each_observation(make_tiny: MakeTiny) -> None:
    agent = make_tiny("lstm-gmm", RESETS, obs_horizon=4, pred_horizon=4)
    assert isinstance(agent, LstmGmm)
    batch = Batch({"state": states(5, 4)}, actions(5, 4))
    hidden, _ = agent.lstm(agent.normalizer.normalize("state", batch.obs["state"]))
    mean = agent.means(hidden).tanh()
    std = F.softplus(agent.stds(hidden)) + RESETS.min_std
    target = agent.normalizer.normalize("action", batch.actions)
    expected = -torch.distributions.Normal(mean, std).log_prob(target).mean()
    torch.testing.assert_close(agent.loss(batch, torch.Generator()), expected)


@pytest.mark.parametrize("length", [0, 5])
def test_only_windows_within_a_reset_are_taken(make_tiny: MakeTiny, length: int) -> None:
    agent = make_tiny("lstm-gmm", RESETS, obs_horizon=4, pred_horizon=4)
    with pytest.raises(ValueError, match=rf"\(B, {length}, 3\); this agent needs \(B, 4, 3\)"):
        agent.act({"state": states(2, length)}, torch.Generator())


def test_the_loss_of_bet_is_the_mean_of_those_after_each_observation(make_tiny: MakeTiny) -> None:
    config = BetConfig(bins=8, layers=2, heads=2, width=32, dropout=0.0, every_step=True)
    agent = make_tiny("bet", config, obs_horizon=3, pred_horizon=3)
    assert isinstance(agent, Bet)
    obs, acted = states(6, 3), actions(6, 3)
    found = agent.loss(Batch({"state": obs}, acted), torch.Generator()).item()
    target = agent.normalizer.normalize("action", acted)
    known = agent.network(agent.normalizer.normalize("state", obs))  # (B, To, width)
    losses = []
    for step in range(3):
        logits = agent.bins(known[:, step])
        offsets = agent.offsets(known[:, step]).reshape(6, 8, 2)
        bin_ = torch.cdist(target[:, step], agent.centres).argmin(1)
        share = logits.softmax(1).gather(1, bin_[:, None])[:, 0]
        focal = -((1 - share) ** 2) * share.log()
        error = offsets[torch.arange(6), bin_] - (target[:, step] - agent.centres[bin_])
        losses.append((focal.mean() + 1000 * error.square().mean()).item())
    assert found == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_windows_that_do_not_reach_before_the_start_hold_real_steps_alone() -> None:
    """As published for LSTM-GMM: sequences of ten from within an episode."""
    steps = torch.arange(37.0)[:, None]
    spec, ends = Spec({"state": (1,)}, 1, 10, 10), torch.tensor([25, 37])
    windows = Windows({"state": steps}, steps, ends, spec, 1, False, pads_before=False)
    batch = windows.batch(torch.arange(len(windows)))
    starts = torch.cat([torch.arange(16), torch.arange(25, 28)]).float()
    expected = starts[:, None] + torch.arange(10)
    assert torch.equal(batch.obs["state"][..., 0], expected)
    assert torch.equal(batch.actions[..., 0], expected)

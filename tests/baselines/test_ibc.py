"""IBC: its energy, its loss by hand, and both searches on energies whose minimum is known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import baselines.ibc
from baselines import ibc
from baselines.agent import Agent, Batch, Obs
from baselines.ibc import Energy, Ibc, IbcConfig

MakeTiny = Callable[..., Agent]
Judge = Callable[[Tensor, Tensor], Tensor]

TINY = IbcConfig(
    width=32, layers=2, dropout=0.0, negatives=16, candidates=256, noise=0.3, noise_decay=0.5
)
LANGEVIN = replace(TINY, search="langevin", iterations=30, train_iterations=5, candidates=16)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """In [-1, 1)."""
    return 2 * torch.rand(shape, generator=stream(seed)) - 1


def states(batch: int) -> Obs:
    return {"state": 125 + 25 * uniform(batch, 2, 3)}


def batch_of(size: int) -> Batch:
    return Batch(states(size), 150 + 100 * uniform(size, 4, 2, seed=1))


@pytest.fixture
def make_ibc(make_tiny: MakeTiny) -> Callable[..., Ibc]:
    """A function that makes an untrained agent whose chunks are three actions of two numbers."""

    def make(config: IbcConfig = TINY, pred_horizon: int = 4, **settings: Any) -> Ibc:
        agent = make_tiny("ibc", replace(config, **settings), pred_horizon=pred_horizon)
        assert isinstance(agent, Ibc)
        return agent

    return make


def judged_by(agent: Ibc, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `agent` an energy that is known, of encoded windows (B, width) and chunks (B, N, 6)."""
    monkeypatch.setattr(agent.energy, "judge", judge)


def chunks_of(agent: Ibc, actions: Tensor) -> Tensor:
    """Predictions (B, N, Tp, Da) as normalised chunks (B, N, C * Da)."""
    return agent.normalizer.normalize("action", actions)[:, :, 1:].flatten(2)


# ---- energy ----


@torch.no_grad()
@pytest.mark.parametrize("obs_layers", [0, 2])
def test_energies_are_those_of_one_linear_layer_on_both_side_by_side(obs_layers: int) -> None:
    torch.manual_seed(0)
    energy = Energy(5, 4, replace(TINY, obs_layers=obs_layers, layers=3)).eval()
    obs, actions = uniform(3, 5), uniform(3, 7, 4)
    *alone, last = energy.obs_in
    first = nn.Linear(last.in_features + 4, TINY.width)
    first.weight.copy_(torch.cat([last.weight, energy.action_in.weight], dim=1))
    first.bias.copy_(last.bias)
    seen = nn.Sequential(*alone)(obs)[:, None].expand(-1, 7, -1)
    expected = energy.joint(first(torch.cat([seen, actions], dim=-1)))[..., 0]
    found = energy(obs, actions)
    assert found.shape == (3, 7)
    assert found.std() > 0.005
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert sum(isinstance(layer, nn.Linear) for layer in energy.joint) == 3
    assert sum(isinstance(layer, nn.ReLU) for layer in energy.obs_in) == obs_layers


# ---- loss ----


@pytest.mark.parametrize("windows_at_once", [1, 2, 3, 7])
def test_energies_of_blocks_of_windows_are_those_of_all_at_once(
    windows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    energy = Energy(4, 6, IbcConfig(width=8, layers=2, dropout=0.0))
    obs, actions = uniform(7, 8), uniform(7, 5, 6)
    monkeypatch.setattr(ibc, "UNITS", 5 * 8 * windows_at_once)
    together = energy.judge(obs, actions)
    with torch.no_grad():
        blocks = energy.judge(obs, actions)
    assert blocks.shape == (7, 5)
    torch.testing.assert_close(blocks, together.detach())


def test_the_loss_is_the_surprise_of_the_demonstration_among_uniform_negatives(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """InfoNCE by hand: -log of exp(-E) of the demonstrated chunk over the sum for all."""
    agent, batch = make_ibc(), batch_of(4)
    judged_by(agent, lambda _, actions: 3 * actions.square().sum(-1) + actions[..., 0], monkeypatch)
    demonstrated = agent.normalizer.normalize("action", batch.actions)[:, None, 1:].flatten(2)
    negatives = 2 * torch.rand((4, 16, 6), generator=stream(5)) - 1
    actions = torch.cat([demonstrated, negatives], dim=1).double().numpy()
    energy = 3 * (actions**2).sum(-1) + actions[..., 0]
    share = np.exp(-energy[:, 0]) / np.exp(-energy).sum(1)
    assert agent.loss(batch, stream(5)).item() == pytest.approx(-np.log(share).mean(), rel=1e-5)


# ---- derivative-free search ----


def test_the_derivative_free_search_finds_the_minimum_to_within_its_last_noise(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sample of each window has a minimum of its own, so that none is taken for another."""
    agent = make_ibc(pred_horizon=2, iterations=6, choice="lowest")
    minimum = 0.8 * uniform(6, 1, 2)  # of 2 samples for each of 3 windows
    judged_by(agent, lambda _, actions: 1e4 * (actions - minimum).square().sum(-1), monkeypatch)
    found = chunks_of(agent, agent.act(states(3), stream(0), num_samples=2))
    last_noise = 0.3 * 0.5**4  # 6 rounds shake 5 times
    error = (found.reshape(6, 2) - minimum[:, 0]).norm(dim=1)
    assert error.max() < last_noise


@pytest.mark.parametrize("has_bfloat16", [True, False])
def test_a_search_in_bfloat16_finds_energies_as_low_where_the_processor_multiplies_it(
    has_bfloat16: bool, make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines.ibc, "multiplies_bfloat16", lambda _: has_bfloat16)
    full = make_ibc(choice="lowest", candidates=512, iterations=4)
    narrow = make_ibc(choice="lowest", candidates=512, iterations=4, search_precision="auto")
    narrow.load_state_dict(full.state_dict())
    found = [chunks_of(each, each.act(states(8), stream(0)))[:, 0] for each in (full, narrow)]
    encoded = full.energy.obs_in(full.encoder(states(8), full.normalizer))
    starts = full.energy.judge(encoded, uniform(8, 512, 6))
    wide, thin = (full.energy.judge(encoded, each[:, None])[:, 0] for each in found)
    assert (thin - wide).abs().max() < 0.1 * starts.std(1).mean()
    assert torch.equal(*found) is not has_bfloat16


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.bfloat16, 2**-7)])
def test_energies_of_a_search_are_those_of_training_to_the_rounding_of_its_products(
    dtype: torch.dtype, error: float, make_ibc: Callable[..., Ibc]
) -> None:
    """Without gradients they are computed in place, a block of windows at a time."""
    energy = make_ibc(width=64, layers=4).energy
    obs, actions = uniform(80, 64), uniform(80, 128, 6)  # more than a block of windows
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        trained = energy.judge(obs, actions)
        with torch.no_grad():
            searched = energy.judge(obs, actions)
            again = energy.judge(obs, actions)
    assert trained.requires_grad
    assert searched.dtype == torch.float32
    assert (searched - trained).abs().max() < error * trained.abs().max()
    assert torch.equal(searched, again)  # what was given is left as it was


def test_candidates_are_drawn_from_the_box_and_shaken_once_less_than_judged(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With equal energies nothing is searched: what is judged shows how candidates move."""
    agent = make_ibc(iterations=3, noise=0.01, noise_decay=0.1, candidates=2000)
    rounds: list[Tensor] = []

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        rounds.append(actions[0])
        return torch.zeros(actions.shape[:2])

    judged_by(agent, judge, monkeypatch)
    agent.act(states(1), stream(0))
    assert len(rounds) == 3
    torch.testing.assert_close(rounds[0].std(0), torch.full((6,), 3**-0.5), rtol=0, atol=0.03)
    for before, after, noise in ((rounds[0], rounds[1], 0.01), (rounds[1], rounds[2], 0.001)):
        moved = torch.cdist(after.double(), before.double()).amin(1)
        # The length of a Gaussian of 6 numbers is about noise * sqrt(6).
        assert moved.square().mean().sqrt().item() == pytest.approx(noise * 6**0.5, rel=0.1)
    assert max(each.abs().max().item() for each in rounds) <= 1


def test_resampling_follows_the_energy(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_ibc(iterations=2, noise=1e-6, candidates=4000)
    shares: list[float] = []

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        right = actions[..., 0] > 0
        shares.append(right.float().mean().item())
        return -np.log(4) * right

    judged_by(agent, judge, monkeypatch)
    agent.act(states(1), stream(0))
    assert shares == pytest.approx([0.5, 0.8], abs=0.03)


def test_the_lowest_candidate_is_taken_or_one_is_drawn_by_its_energy(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kinds of actions, left three times as likely as right: exp(-E) is 3 to 1."""

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        return torch.where(actions[..., 0] < 0, -torch.tensor(3.0).log(), 0.0)

    shares = {}
    for choice in ("lowest", "drawn"):
        agent = make_ibc(pred_horizon=2, choice=choice, iterations=1, candidates=64)
        judged_by(agent, judge, monkeypatch)
        found = chunks_of(agent, agent.act(states(2000), stream(2)))
        shares[choice] = (found[..., 0] < 0).float().mean().item()
    assert shares["lowest"] == 1
    assert shares["drawn"] == pytest.approx(0.75, abs=0.04)


# ---- Langevin ----


def test_langevin_dynamics_find_the_minimum_or_the_edge_of_the_box_before_it(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In inference mode, as a rollout predicts."""
    agent = make_ibc(LANGEVIN, choice="lowest")
    minimum = torch.tensor([0.5, -0.5, 0.0, 0.9, 3.0, -3.0])
    judged_by(agent, lambda _, actions: 20 * (actions - minimum).square().sum(-1), monkeypatch)
    with torch.inference_mode():
        found = chunks_of(agent, agent.act(states(3), stream(0), num_samples=2))
    expected = minimum.clamp(-1, 1).expand(3, 2, 6)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    assert found.abs().max() <= 1 + 1e-6


def test_langevin_dynamics_lower_the_energy_of_a_network(make_ibc: Callable[..., Ibc]) -> None:
    agent = make_ibc(LANGEVIN)
    with torch.no_grad():
        for parameter in agent.energy.parameters():
            parameter.mul_(3)  # an energy whose slope outweighs the noise
    start = uniform(5, 16, 6)
    with torch.inference_mode():
        obs = agent.energy.obs_in(agent.encoder(states(5), agent.normalizer))
        found = agent._langevin(obs, start, 30, stream(0))
        fall = agent.energy.judge(obs, start) - agent.energy.judge(obs, found)
    assert not found.requires_grad
    assert found.abs().max() <= 1
    assert fall.mean() > 1
    assert (fall > 0).float().mean() > 0.95


def test_no_step_of_langevin_dynamics_is_longer_than_its_limit(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_ibc(LANGEVIN, step_limit=0.05)
    judged_by(agent, lambda _, actions: 1000 * actions.sum(-1), monkeypatch)
    found = agent._langevin(torch.zeros(2, 32), torch.full((2, 16, 6), 0.9), 3, stream(0))
    # Sizes 0.1, 0.025 and 1e-5: the first two steps meet the limit, the last is 1e-5 * 500.
    torch.testing.assert_close(found, torch.full_like(found, 0.9 - 0.105), rtol=0, atol=1e-3)


def test_training_with_langevin_negatives_reaches_every_parameter(
    make_ibc: Callable[..., Ibc],
) -> None:
    agent = make_ibc(LANGEVIN, dropout=0.1).train()
    agent.loss(batch_of(16), stream(0)).backward()
    for name, parameter in agent.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name != "energy.joint.5.bias":  # shifts all energies alike: no loss sees it
            assert parameter.grad.abs().max() > 1e-6, name
    assert agent.energy.training


@pytest.mark.parametrize(("slope", "penalty"), [(0.9, 0.0), (1.5, 0.25), (3.0, 4.0)])
def test_the_gradient_penalty_is_the_square_of_what_exceeds_the_margin(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch, slope: float, penalty: float
) -> None:
    """The energy is linear: the largest of its slopes counts, whatever its sign."""
    slopes = torch.tensor([0.1, -slope, 0.2, 0.0, slope / 2, 0.3])
    losses = []
    for weight in (0.0, 1.0, 2.0):
        agent = make_ibc(LANGEVIN, gradient_penalty=weight, gradient_margin=1.0)
        judged_by(agent, lambda _, actions: actions @ slopes, monkeypatch)
        losses.append(agent.loss(batch_of(4), stream(0)).item())
    assert losses[1] - losses[0] == pytest.approx(penalty, abs=1e-5)
    assert losses[2] - losses[0] == pytest.approx(2 * penalty, abs=1e-5)


def test_langevin_negatives_are_harder_than_uniform_ones(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        return 5 * actions.square().sum(-1)

    losses = []
    for config in (TINY, replace(LANGEVIN, gradient_penalty=0.0)):
        agent = make_ibc(config)
        judged_by(agent, judge, monkeypatch)
        losses.append(agent.loss(batch_of(16), stream(0)).item())
    assert losses[1] > losses[0] + 1


# ---- settings ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search": "sgd"}, "search is 'sgd'; allowed: derivative-free, langevin"),
        ({"choice": "best"}, "choice is 'best'; allowed: drawn, lowest"),
        ({"layers": 0}, "layers is 0; allowed: 1 or more"),
        ({"negatives": 0}, "negatives is 0; allowed: 1 or more"),
        ({"candidates": 0}, "candidates is 0; allowed: 1 or more"),
        ({"iterations": 0}, "iterations is 0; allowed: 1 or more"),
        ({"train_iterations": -1}, "train_iterations is -1; allowed: 1 or more"),
        ({"obs_layers": -1}, "obs_layers is -1; allowed: 0 or more"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IbcConfig(**settings)


@pytest.mark.parametrize("config", [TINY, LANGEVIN], ids=["derivative-free", "langevin"])
def test_the_number_of_rounds_can_be_changed_at_run_time(
    make_ibc: Callable[..., Ibc], monkeypatch: pytest.MonkeyPatch, config: IbcConfig
) -> None:
    agent = make_ibc(config)
    judge, calls = agent.energy.judge, []

    def counted(obs: Tensor, actions: Tensor) -> Tensor:
        calls.append(1)
        return judge(obs, actions)

    judged_by(agent, counted, monkeypatch)
    for steps in (1, 7):
        calls.clear()
        agent.set_inference_steps(steps)
        assert agent.inference_steps == steps
        agent.act(states(1), stream(0))
        # Each round judges; Langevin's end with a move, after which they are judged once more.
        assert len(calls) == steps + (config.search == "langevin")
    assert agent.config == config  # what it was built with stays
    with pytest.raises(ValueError, match="iterations is 0; allowed: 1 or more"):
        agent.set_inference_steps(0)

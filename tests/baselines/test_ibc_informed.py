"""What `ibc-informed` adds to IBC: fewer numbers to find, negatives that know more."""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch, Obs, Spec
from baselines.checkpoints import load_agent, save_agent
from baselines.ibc import IbcConfig
from baselines.ibc_informed import IbcInformed, IbcInformedConfig
from baselines.normalizer import Normalizer

MakeTiny = Callable[..., Agent]
Judge = Callable[[Tensor, Tensor], Tensor]

TINY = IbcInformedConfig(
    width=32, layers=2, dropout=0.0, negatives=16, candidates=256, noise=0.3, noise_decay=0.5
)


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
def make_informed(make_tiny: MakeTiny) -> Callable[..., IbcInformed]:
    """A function that makes an untrained agent whose chunks are three actions of two numbers."""

    def make(config: IbcInformedConfig = TINY, **settings: Any) -> IbcInformed:
        agent = make_tiny("ibc-informed", replace(config, **settings))
        assert isinstance(agent, IbcInformed)
        return agent

    return make


def judged_by(agent: IbcInformed, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give `agent` an energy that is known, of encoded windows (B, width) and chunks (B, N, 6)."""
    monkeypatch.setattr(agent.energy, "judge", judge)


def chunks_of(agent: IbcInformed, actions: Tensor) -> Tensor:
    """Predictions (B, N, Tp, Da) as normalised chunks (B, N, C * Da)."""
    return agent.normalizer.normalize("action", actions)[:, :, 1:].flatten(2)


def test_without_its_remedies_it_is_ibc_to_the_bit(make_tiny: MakeTiny) -> None:
    published = IbcConfig(width=32, layers=2, dropout=0.0, negatives=16, candidates=64)
    plain = make_tiny("ibc", published, pred_horizon=4)
    informed = make_tiny("ibc-informed", IbcInformedConfig(**asdict(published)), pred_horizon=4)
    losses = [agent.loss(batch_of(8), stream(1)).item() for agent in (plain, informed)]
    assert losses[0] == losses[1]
    with torch.no_grad():
        found = [agent.act(states(3), stream(2), 2) for agent in (plain, informed)]
    assert torch.equal(*found)


def make_agent(chunk: int = 8, **settings: object) -> IbcInformed:
    """An untrained agent with To = 2, Do = 3, Da = 2 and actions of 100 to 300."""
    data = {
        "state": torch.tensor([[-1.0] * 3, [1.0] * 3]),
        "action": torch.tensor([[100.0, 100.0], [300.0, 300.0]]),
    }
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "min-max"})
    torch.manual_seed(0)
    config = IbcInformedConfig(
        width=16, layers=2, dropout=0.0, negatives=40, candidates=64, **settings
    )
    return IbcInformed(config, Spec({"state": (3,)}, 2, 2, chunk + 1), normalizer).eval()


@torch.no_grad()
def act(agent: IbcInformed, windows: int = 4) -> Tensor:
    obs = 2 * torch.rand((windows, 2, 3), generator=torch.Generator().manual_seed(1)) - 1
    return agent.act({"state": obs}, torch.Generator().manual_seed(2))[:, 0]  # (B, Tp, Da)


def test_a_chunk_of_three_knots_has_a_corner_in_the_middle() -> None:
    actions = act(make_agent(knots=3))[:, 1:]  # from the current step on, (B, 8, Da)
    start, middle, end = actions[:, 0], actions[:, 4], actions[:, 7]
    for step in range(5):
        torch.testing.assert_close(actions[:, step], start + (middle - start) * step / 4)
    for step in range(4, 8):
        torch.testing.assert_close(actions[:, step], middle + (end - middle) * (step - 4) / 3)
    assert not torch.allclose(actions[:, 2], (start + end) / 2, atol=1)  # the lines have a corner


@pytest.mark.parametrize(("knots", "judged"), [(0, 8), (1, 1), (2, 2), (8, 8), (20, 8)])
def test_the_energy_judges_as_many_actions_as_there_are_knots(knots: int, judged: int) -> None:
    agent = make_agent(knots=knots)
    assert agent.energy.action_in.in_features == judged * 2
    assert act(agent).shape == (4, 9, 2)


def test_a_single_knot_holds_one_action() -> None:
    actions = act(make_agent(knots=1))
    torch.testing.assert_close(actions, actions[:, :1].expand_as(actions))


def test_negatives_lie_anywhere_but_for_the_share_that_lies_near() -> None:
    agent = make_agent(near_share=0.25, near_noise=(0.01, 0.1))
    demonstrated = torch.full((500, 16), 0.3)
    negatives = agent.negatives(demonstrated, torch.Generator().manual_seed(0))
    assert negatives.shape == (500, 40, 16)
    near, anywhere = negatives[:, :10], negatives[:, 10:]
    spread = (near - 0.3).square().mean(-1).sqrt()  # (B, 10), of sixteen numbers each
    assert spread.min() > 0.005
    assert spread.max() < 0.2
    # Log-uniform: half of them below the geometric mean of the limits.
    assert (spread < 0.0316).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert anywhere.mean().item() == pytest.approx(0.0, abs=0.01)
    assert anywhere.std().item() == pytest.approx(3**-0.5, abs=0.01)  # of a uniform in [-1, 1]


def test_negatives_stay_in_the_range_of_actions() -> None:
    agent = make_agent(near_share=1.0, near_noise=(0.5, 2.0))
    negatives = agent.negatives(torch.ones(50, 16), torch.Generator().manual_seed(0))
    assert negatives.abs().max() <= 1


@pytest.mark.parametrize(("knots", "length"), [(1, 4), (2, 8), (3, 8), (4, 9), (5, 6), (8, 8)])
def test_actions_between_knots_lie_on_straight_lines(
    make_tiny: MakeTiny, knots: int, length: int
) -> None:
    agent = make_tiny("ibc-informed", replace(TINY, knots=knots), pred_horizon=length + 1)
    assert agent.size == knots * 2
    values = uniform(knots, 1)
    places = np.linspace(0, length - 1, knots).round()
    expected = np.interp(np.arange(length), places, values[:, 0].numpy())
    found = (agent.between @ values)[:, 0]
    torch.testing.assert_close(found, torch.as_tensor(expected).float(), rtol=0, atol=1e-6)


def test_the_loss_judges_a_demonstration_by_its_knots(
    make_informed: Callable[..., IbcInformed], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, batch, judged = make_informed(knots=2), batch_of(3), []

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        judged.append(actions)
        return actions.sum(-1)

    judged_by(agent, judge, monkeypatch)
    agent.loss(batch, stream(0))
    normalized = agent.normalizer.normalize("action", batch.actions)
    expected = normalized[:, [1, 3]].flatten(1)  # the current action and the last
    torch.testing.assert_close(judged[0][:, 0], expected, rtol=0, atol=0)


def test_known_negatives_were_demonstrated_and_the_others_lie_near_or_anywhere(
    make_informed: Callable[..., IbcInformed], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_informed(near_share=0.25, near_noise=(1e-3, 1e-3), known_share=0.5)
    windows = torch.rand((30, 4, 2), generator=stream(1)) * 300
    agent.fit(windows, stream(0))
    demonstrated = agent.normalizer.normalize("action", windows)[:, 1:].flatten(1)
    batch, judged = batch_of(3), []

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        judged.append(actions)
        return actions.sum(-1)

    judged_by(agent, judge, monkeypatch)
    agent.loss(batch, stream(0))
    own, negatives = judged[0][:, :1], judged[0][:, 1:]
    to_known = torch.cdist(negatives.flatten(0, 1), demonstrated).amin(1).reshape(3, 16)
    assert (to_known[:, 8:] < 2e-3).all()  # cdist rounds
    assert (to_known[:, :8] > 0.05).all()
    assert len({tuple(row) for row in negatives[:, 8:].flatten(0, 1).tolist()}) > 10
    near = (negatives - own).norm(dim=-1) < 0.01
    assert near[:, :4].all()
    assert not near[:, 4:].any()


def test_a_loaded_policy_searches_among_the_chunks_that_it_knew(
    make_informed: Callable[..., IbcInformed], tmp_path: Path
) -> None:
    agent = make_informed(known_share=1.0)
    save_agent(agent, tmp_path)
    loaded = load_agent(tmp_path)
    assert isinstance(loaded, IbcInformed)
    assert torch.equal(loaded.known, agent.known)
    assert agent.known.std() > 0.3
    found, again = (each.act(states(3), stream(0)) for each in (agent, loaded))
    assert torch.equal(found, again)


def test_too_large_shares_of_negatives_are_refused() -> None:
    with pytest.raises(ValueError, match=r"known_share is 1\.5; allowed: 0 to 1"):
        IbcInformedConfig(known_share=1.5)
    with pytest.raises(ValueError, match=r"near_share 0\.6 and known_share 0\.5 are more than all"):
        IbcInformedConfig(near_share=0.6, known_share=0.5)


def test_in_twelve_dimensions_a_search_finds_what_it_starts_near_and_not_from_anywhere(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a robot, whose poses fill little of the box; the minimum is none of the known ones."""
    errors = {}
    for share in (0.0, 0.5):
        agent = make_tiny(
            "ibc-informed", replace(TINY, known_share=share, noise=0.1), pred_horizon=7
        )
        assert isinstance(agent, IbcInformed)
        line = torch.linspace(0, 300, 101)[:, None, None].expand(-1, 7, 2)
        agent.fit(line, stream(0))
        minimum = agent.normalizer.normalize("action", torch.full((1, 6, 2), 151.0)).flatten(1)
        judge = partial(_squared_distance, minimum=minimum)
        judged_by(agent, judge, monkeypatch)
        found = chunks_of(agent, agent.act(states(5), stream(0)))
        errors[share] = (found[:, 0] - minimum).square().mean().sqrt().item()
    assert errors[0.5] < 0.05 < 0.15 < errors[0.0], errors


def _squared_distance(_: Tensor, actions: Tensor, minimum: Tensor) -> Tensor:
    return 1e3 * (actions - minimum).square().sum(-1)


def test_a_round_shakes_a_share_of_the_numbers_and_keeps_the_others(
    make_informed: Callable[..., IbcInformed], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_informed(iterations=2, noise=0.01, candidates=2000, shaken_share=0.25)
    rounds: list[Tensor] = []

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        rounds.append(actions[0])
        return torch.zeros(actions.shape[:2])

    judged_by(agent, judge, monkeypatch)
    agent.act(states(1), stream(0))
    before, after = rounds
    nearest = torch.cdist(after.double(), before.double()).argmin(1)
    moved = (after - before[nearest]).abs() > 0
    torch.testing.assert_close(moved.float().mean(0), torch.full((6,), 0.25), rtol=0, atol=0.04)


def test_while_the_noise_is_large_a_search_that_shakes_some_numbers_comes_nearer(
    make_tiny: MakeTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {}
    for share in (0.25, 1.0):
        config = replace(TINY, iterations=15, noise_decay=0.9, shaken_share=share)
        agent = make_tiny("ibc-informed", config, pred_horizon=7)
        assert isinstance(agent, IbcInformed)
        minimum = 0.5 * uniform(1, 12)
        judged_by(agent, partial(_squared_distance, minimum=minimum), monkeypatch)
        found = chunks_of(agent, agent.act(states(5), stream(0)))
        errors[share] = (found[:, 0] - minimum).square().mean().sqrt().item()
    assert errors[0.25] < 0.7 * errors[1.0], errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"knots": -1}, "knots is -1; allowed: 0 or more"),
        ({"shaken_share": 0.0}, "shaken_share is 0.0; allowed: more than 0, and 1 at most"),
        ({"shaken_share": 1.1}, "shaken_share is 1.1; allowed: more than 0"),
        ({"near_share": 1.5}, "near_share is 1.5; allowed: 0 to 1"),
        ({"near_noise": (0.0, 0.5)}, r"near_noise is \(0.0, 0.5\); allowed: 0 < least <= largest"),
        ({"near_noise": (0.5, 0.1)}, r"near_noise is \(0.5, 0.1\); allowed"),
        ({"layers": 0}, "layers is 0; allowed: 1 or more"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IbcInformedConfig(**settings)

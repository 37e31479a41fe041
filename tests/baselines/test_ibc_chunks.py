"""How IBC makes a search easier: fewer numbers to find, and negatives where they teach most."""

import pytest
import torch
from torch import Tensor

from baselines.agent import Spec
from baselines.ibc import Ibc, IbcConfig
from baselines.normalizer import Normalizer


def make_agent(chunk: int = 8, **settings: object) -> Ibc:
    """An untrained agent with To = 2, Do = 3, Da = 2 and actions of 100 to 300."""
    data = {
        "state": torch.tensor([[-1.0] * 3, [1.0] * 3]),
        "action": torch.tensor([[100.0, 100.0], [300.0, 300.0]]),
    }
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "min-max"})
    torch.manual_seed(0)
    config = IbcConfig(width=16, layers=2, dropout=0.0, negatives=40, candidates=64, **settings)
    return Ibc(config, Spec({"state": (3,)}, 2, 2, chunk + 1), normalizer).eval()


@torch.no_grad()
def act(agent: Ibc, windows: int = 4) -> Tensor:
    obs = 2 * torch.rand((windows, 2, 3), generator=torch.Generator().manual_seed(1)) - 1
    return agent.act({"state": obs}, torch.Generator().manual_seed(2))[:, 0]  # (B, Tp, Da)


def test_actions_between_knots_lie_on_straight_lines() -> None:
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
    negatives = agent._negatives(demonstrated, torch.Generator().manual_seed(0))
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
    negatives = agent._negatives(torch.ones(50, 16), torch.Generator().manual_seed(0))
    assert negatives.abs().max() <= 1


def test_the_lowest_candidate_is_taken_or_one_is_drawn_by_its_energy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two kinds of actions, left three times as likely as right: exp(-E) is 3 to 1."""

    def judge(obs: Tensor, actions: Tensor) -> Tensor:
        return torch.where(actions[..., 0] < 0, -torch.tensor(3.0).log(), 0.0)

    shares = {}
    for choice in ("lowest", "drawn"):
        agent = make_agent(chunk=1, choice=choice, iterations=1)
        monkeypatch.setattr(agent.energy, "judge", judge)
        shares[choice] = (act(agent, 2000)[:, 1, 0] < 200).float().mean().item()
    assert shares["lowest"] == 1
    assert shares["drawn"] == pytest.approx(0.75, abs=0.04)

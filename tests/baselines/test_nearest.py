"""The look-up: it returns what was demonstrated, and draws among the nearest by distance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.agent import Batch, Obs, Spec
from baselines.checkpoints import load_agent, save_agent
from baselines.nearest import Nearest, NearestConfig
from baselines.normalizer import Normalizer

TO, TP, DA = 2, 5, 2


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def demonstrations(count: int = 3000, scale: float = 1.0) -> Batch:
    """Windows of a walk in three dimensions, so that neighbours in time are near."""
    walk = torch.randn((count + TO, 3), generator=stream(0)).cumsum(0)
    obs = torch.stack([walk[:-TO], walk[1 : 1 - TO]], dim=1) * scale + 7 * (scale - 1)
    return Batch({"state": obs}, 300 * torch.rand((count, TP, DA), generator=stream(1)))


def remembering(batch: Batch, **settings: Any) -> Nearest:
    data = {"state": batch.obs["state"].flatten(0, 1), "action": batch.actions.flatten(0, 1)}
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "quantile"})
    spec = Spec({"state": (3,)}, DA, TO, TP)
    agent = Nearest(NearestConfig(**settings), spec, normalizer).eval()

    def pieces() -> Iterator[Batch]:
        for index in torch.arange(len(batch.actions)).split(700):
            yield Batch({k: v[index] for k, v in batch.obs.items()}, batch.actions[index])

    agent.remember(pieces())
    return agent


def act(agent: Nearest, obs: Tensor, count: int = 1, seed: int = 0) -> Tensor:
    return agent.act({"state": obs}, stream(seed), count)


def test_a_demonstrated_window_is_continued_as_demonstrated() -> None:
    batch = demonstrations()
    found = act(remembering(batch), batch.obs["state"])[:, 0]
    assert torch.equal(found[:, TO - 1 :], batch.actions[:, TO - 1 :])  # not scaled and back
    assert torch.equal(found[:, 0], batch.actions[:, TO - 1])  # what is past repeats it


@pytest.mark.parametrize("k", [1, 7])
def test_the_nearest_are_those_of_a_search_through_all_in_double_precision(k: int) -> None:
    batch = demonstrations()
    agent = remembering(batch, k=k)
    asked = batch.obs["state"][::30] + torch.randn((100, TO, 3), generator=stream(3))
    normalized = [
        agent.normalizer.normalize("state", obs).double().flatten(1).numpy()
        for obs in (asked, batch.obs["state"])
    ]
    gap = normalized[0][:, None] - normalized[1]
    distance = np.sqrt((gap**2).mean(-1))
    distances, index = agent._nearest(agent._key({"state": asked}))
    np.testing.assert_allclose(distances, np.sort(distance, axis=1)[:, :k], rtol=1e-4, atol=1e-6)
    assert (index.numpy() == np.argsort(distance, axis=1, kind="stable")[:, :k]).mean() > 0.99


def test_units_and_the_order_of_demonstrations_do_not_matter() -> None:
    batch, scaled = demonstrations(), demonstrations(scale=40.0)
    noise = torch.randn((50, TO, 3), generator=stream(3))
    asked = batch.obs["state"][::60] + noise
    expected = act(remembering(batch), asked)
    assert torch.equal(act(remembering(scaled), 40 * asked + 7 * 39), expected)
    order = torch.randperm(3000, generator=stream(4))
    shuffled = Batch({"state": batch.obs["state"][order]}, batch.actions[order])
    assert torch.equal(act(remembering(shuffled), asked), expected)


def test_one_of_the_nearest_is_drawn_with_odds_of_one_over_its_distance() -> None:
    obs = torch.tensor([-4.0, 1.0, 2.0, 4.0, 50.0])[:, None, None].expand(-1, TO, 3)
    actions = torch.arange(5.0)[:, None, None].expand(-1, TP, DA)
    agent = remembering(Batch({"state": obs}, actions), k=3)
    drawn = act(agent, torch.zeros(2, TO, 3), 20_000)[:, :, -1, 0]
    shares = torch.stack([(drawn == i).float().mean(1) for i in range(5)], dim=1)
    # Distances 4, 1, 2, 4; of the two at 4 the first demonstrated is the third of k.
    expected = torch.tensor([0.25, 1, 0.5, 0, 0]) / 1.75
    torch.testing.assert_close(shares, expected.expand(2, 5), rtol=0, atol=0.015)
    exact = act(agent, obs[:2], 200)[:, :, -1, 0]
    assert torch.equal(exact, torch.tensor([[0.0], [1.0]]).expand(2, 200))


def test_only_so_many_windows_are_kept_evenly_spread() -> None:
    batch = demonstrations(1000)
    agent = remembering(batch, capacity=100)
    assert (agent.keys.shape, agent.chunks.shape) == ((100, 6), (100, 4, 2))
    spread = torch.linspace(0, 999, 100).round().long()
    assert torch.equal(agent.chunks, batch.actions[spread, 1:])


def test_a_checkpoint_holds_the_data_and_no_more(tmp_path: Path) -> None:
    agent = remembering(demonstrations(1000), k=5)
    save_agent(agent, tmp_path)
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 1000 * 4 * (TO * 3 + 4 * DA) + 3000
    asked = torch.zeros(1, TO, 3)
    loaded = load_agent(tmp_path)
    assert torch.equal(loaded.act({"state": asked}, stream(0)), act(agent, asked))


def test_images_are_compared_by_the_means_of_their_cells_and_count_as_much_as_the_state() -> None:
    spec = Spec({"pixels": (40, 40, 3), "state": (2,)}, DA, 1, 2)
    data = {"state": torch.tensor([[0.0, 0.0], [1.0, 1.0]]), "action": torch.rand(9, DA)}
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "min-max"})
    agent = Nearest(NearestConfig(grid=4), spec, normalizer)
    pixels = torch.zeros((3, 1, 40, 40, 3), dtype=torch.uint8)
    pixels[1, 0, :10, :10] = 255  # one of 16 cells
    obs: Obs = {"pixels": pixels, "state": torch.zeros(3, 1, 2)}
    obs["state"][2] = 0.5  # in normalised units one more than the others
    key = agent._key(obs)
    assert key.shape == (3, 4 * 4 * 3 + 2)
    assert (key[1] - key[0]).norm().item() == pytest.approx((4 / 16) ** 0.5, rel=1e-5)
    assert (key[2] - key[0]).norm().item() == pytest.approx(1.0, rel=1e-5)


def test_it_says_what_it_cannot_do() -> None:
    agent = remembering(demonstrations(10))
    with pytest.raises(ValueError, match=r"nearest learns nothing: give it train\.updates=0"):
        agent.loss(demonstrations(10), stream(0))
    fresh = Nearest(agent.config, agent.spec, agent.normalizer)
    with pytest.raises(ValueError, match="nearest remembers no windows"):
        fresh.act({"state": torch.zeros(1, TO, 3)}, stream(0))
    with pytest.raises(ValueError, match="k is 0; allowed: 1 or more"):
        NearestConfig(k=0)
    with pytest.raises(ValueError, match="k is 9; allowed: capacity, 5, at most"):
        NearestConfig(k=9, capacity=5)

"""Diffusion Policy learns what it is shown, and samples as its interface promises."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig

TrainToy = Callable[..., Agent]


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(*shape: int) -> Tensor:
    """In [-1, 1), the same for the same shape."""
    return 2 * torch.rand(shape, generator=stream(len(shape))) - 1


@torch.no_grad()
def act(agent: Agent, obs: Tensor, num_samples: int = 1) -> Tensor:
    return agent.act({"state": obs}, stream(9), num_samples)


def test_a_linear_map_of_the_whole_window_is_learnt(
    train_toy: TrainToy, tiny_unet_config: DiffusionUnetConfig
) -> None:
    """Actions in px that depend on both observations and on the place in the horizon."""
    weights = torch.tensor([[1.0, -0.5], [0.3, 0.8]])

    def demonstrated(obs: Tensor) -> Tensor:
        movement = obs[:, 1] - 0.5 * obs[:, 0]  # (W, Do)
        place = torch.linspace(0.5, 1.0, 4)[:, None]
        return 256 + 100 * place * (movement @ weights)[:, None]  # (W, Tp, Da)

    obs = uniform(2000, 2, 2)
    agent = train_toy("diffusion-unet", tiny_unet_config, obs, demonstrated(obs))
    unseen = 0.9 * uniform(200, 2, 2)
    error = act(agent, unseen)[:, 0] - demonstrated(unseen)
    spread = demonstrated(unseen).std()
    assert error.square().mean().sqrt() < 0.2 * spread


def test_both_modes_are_kept_with_their_weights(
    train_toy: TrainToy, tiny_unet_config: DiffusionUnetConfig
) -> None:
    """From one observation, seven of ten demonstrations go right and three go left."""
    side = torch.where(torch.arange(1000) % 10 < 7, 1.0, -1.0)
    actions = 50 * side[:, None, None] * torch.linspace(0.5, 1, 4)[:, None]
    obs = torch.zeros(1000, 1, 1)
    agent = train_toy("diffusion-unet", tiny_unet_config, obs, actions)
    sampled = act(agent, torch.zeros(1, 1, 1), num_samples=1000)[0, :, :, 0]  # (N, Tp)
    right = (sampled > 0).all(1)
    left = (sampled < 0).all(1)
    assert (right | left).float().mean() > 0.98  # a sequence never changes its mind
    assert right.float().mean().item() == pytest.approx(0.7, abs=0.06)
    last = sampled[:, -1].abs()
    assert ((last - 50).abs() < 10).float().mean() > 0.9  # and none goes down the middle


def test_one_batch_is_overfitted(
    train_toy: TrainToy, tiny_unet_config: DiffusionUnetConfig
) -> None:
    obs, actions = uniform(8, 1, 3), 100 * uniform(8, 5, 2)
    agent = train_toy("diffusion-unet", tiny_unet_config, obs, actions)
    error = act(agent, obs)[:, 0] - actions
    assert error.square().mean().sqrt() < 0.1 * actions.std()


def test_sampled_actions_are_those_of_the_optimal_controller(
    train_toy: TrainToy, tiny_unet_config: DiffusionUnetConfig
) -> None:
    """DP Sec. IV-E: for s' = A s + B a and a = -K s the action at offset t is -K (A - B K)^t s."""
    A, B = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.tensor([[0.005], [0.1]])
    K = torch.tensor([[3.0, 3.5]])
    closed = A - B @ K

    def controlled(state: Tensor) -> Tensor:
        gains = torch.stack([-K @ torch.linalg.matrix_power(closed, t) for t in range(4)])
        return torch.einsum("tad,wd->wta", gains, state)  # (W, Tp, Da)

    obs = uniform(2000, 1, 2)
    agent = train_toy("diffusion-unet", tiny_unet_config, obs, controlled(obs[:, 0]))
    unseen = 0.9 * uniform(300, 1, 2)
    expected = controlled(unseen[:, 0])
    sampled = act(agent, unseen, num_samples=4)
    assert (sampled - expected[:, None]).square().mean().sqrt() < 0.2 * expected.std()
    # The demonstrations leave no choice, so neither do the samples.
    assert sampled.std(1).mean() < 0.1 * expected.std()


@torch.no_grad()
def test_a_window_with_its_own_noise_does_not_depend_on_its_batch(
    tiny_agent: DiffusionUnet,
) -> None:
    obs = 125 + 25 * uniform(5, 2, 3)
    together = tiny_agent.act({"state": obs}, [stream(seed) for seed in range(5)], 2)
    for i in range(5):
        alone = tiny_agent.act({"state": obs[i : i + 1]}, [stream(i)], 2)
        spread = 300  # px between the ends of the action range
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5 * spread)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@torch.no_grad()
def test_samples_of_one_window_are_drawn_apart(tiny_agent: DiffusionUnet, sampler: str) -> None:
    tiny_agent.diffusion.config = replace(tiny_agent.config, sampler=sampler, clip=0.0)
    obs = 125 + 25 * uniform(2, 2, 3)
    sampled = tiny_agent.act({"state": obs}, stream(0), num_samples=400)
    assert sampled.shape == (2, 400, 4, 2)
    flat = sampled[0].flatten(1)  # (N, Tp * Da)
    neighbours = torch.corrcoef(torch.stack([flat[0::2, 0], flat[1::2, 0]]))[0, 1]
    assert flat.std(0).min() > 1
    assert neighbours.abs() < 0.25


@torch.no_grad()
def test_the_same_stream_gives_the_same_actions_and_another_one_others(
    tiny_agent: DiffusionUnet,
) -> None:
    obs = {"state": 125 + 25 * uniform(2, 2, 3)}
    first = tiny_agent.act(obs, stream(0))
    torch.testing.assert_close(tiny_agent.act(obs, stream(0)), first, rtol=0, atol=0)
    assert not torch.allclose(tiny_agent.act(obs, stream(1)), first, atol=1)


@torch.no_grad()
def test_predictions_stay_within_the_range_of_demonstrated_actions(
    tiny_agent: DiffusionUnet,
) -> None:
    sampled = tiny_agent.act({"state": 1000 * uniform(50, 2, 3)}, stream(0))
    ends = tiny_agent.normalizer.denormalize("action", torch.tensor([[-1.0], [1.0]]).expand(2, 2))
    assert (sampled >= ends[0] - 1e-3).all()
    assert (sampled <= ends[1] + 1e-3).all()


def test_the_loss_draws_all_its_noise_from_the_generator(tiny_agent: DiffusionUnet) -> None:
    batch = Batch({"state": 125 + 25 * uniform(8, 2, 3)}, 150 + 150 * uniform(8, 4, 2))
    torch.manual_seed(0)
    first = tiny_agent.loss(batch, stream(3))
    torch.manual_seed(1)
    assert tiny_agent.loss(batch, stream(3)).item() == first.item()
    assert tiny_agent.loss(batch, stream(4)).item() != first.item()


@torch.no_grad()
def test_the_number_of_denoising_steps_can_be_changed_at_run_time(
    tiny_agent: DiffusionUnet,
) -> None:
    calls = []
    tiny_agent.network.register_forward_hook(lambda *_: calls.append(1))
    obs = {"state": 125 + 25 * uniform(1, 2, 3)}
    for steps in (4, 50):
        calls.clear()
        tiny_agent.set_inference_steps(steps)
        tiny_agent.act(obs, stream(0))
        assert len(calls) == steps == tiny_agent.inference_steps
    assert tiny_agent.config.num_inference_steps == 10  # what it was built with stays
    with pytest.raises(ValueError, match=r"num_inference_steps is 51; allowed: 1 to .* = 50"):
        tiny_agent.set_inference_steps(51)

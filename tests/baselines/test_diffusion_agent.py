"""What the two diffusion policies promise beyond what every method does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.agent import Agent, Batch
from baselines.diffusion.agent import DiffusionTransformer, DiffusionUnet

TrainToy = Callable[..., Agent]
MakeTiny = Callable[..., Agent]

both = pytest.mark.parametrize("method", ["diffusion-unet", "diffusion-transformer"])


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(*shape: int) -> Tensor:
    """In [-1, 1), the same for the same shape."""
    return 2 * torch.rand(shape, generator=stream(len(shape))) - 1


def test_sampled_actions_are_those_of_the_optimal_controller(
    train_toy: TrainToy, toys: dict[str, Any]
) -> None:
    """DP Sec. IV-E: for s' = A s + B a and a = -K s the action at offset t is -K (A - B K)^t s."""
    A, B = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.tensor([[0.005], [0.1]])
    K = torch.tensor([[3.0, 3.5]])
    closed = A - B @ K

    def controlled(state: Tensor) -> Tensor:
        gains = torch.stack([-K @ torch.linalg.matrix_power(closed, t) for t in range(4)])
        return torch.einsum("tad,wd->wta", gains, state)  # (W, Tp, Da)

    obs = uniform(2000, 1, 2)
    agent = train_toy("diffusion-unet", toys["diffusion-unet"], obs, controlled(obs[:, 0]))
    unseen = 0.9 * uniform(300, 1, 2)
    expected = controlled(unseen[:, 0])
    with torch.no_grad():
        sampled = agent.act({"state": unseen}, stream(9), num_samples=4)
    assert (sampled - expected[:, None]).square().mean().sqrt() < 0.2 * expected.std()
    # The demonstrations leave no choice, so neither do the samples.
    assert sampled.std(1).mean() < 0.1 * expected.std()


@both
@torch.no_grad()
def test_noise_that_ddpm_adds_at_every_step_is_drawn_apart_for_each_sample(
    method: str, make_tiny: MakeTiny
) -> None:
    agent = make_tiny(method)
    assert isinstance(agent, DiffusionUnet | DiffusionTransformer)
    obs = {"state": 125 + 25 * uniform(2, 2, 3)}

    def sample() -> Tensor:
        return agent.act(obs, stream(0), num_samples=400)[0, :, -1, 0]

    without = sample()
    agent.diffusion.config = replace(agent.config, sampler="ddpm", clip=0.0)
    sampled = sample()
    neighbours = torch.corrcoef(torch.stack([sampled[0::2], sampled[1::2]]))[0, 1]
    assert sampled.std() > 1  # px
    assert neighbours.abs() < 0.25
    # Both begin with the same noise; what comes on top hides most of it.
    assert torch.corrcoef(torch.stack([sampled, without]))[0, 1].abs() < 0.9


@both
@torch.no_grad()
def test_predictions_stay_within_the_range_of_demonstrated_actions(
    method: str, make_tiny: MakeTiny
) -> None:
    agent = make_tiny(method)
    # A network that asks for actions far outside, wherever it is.
    agent.network.register_forward_hook(lambda _, inputs, out: out + 30 * inputs[0].sign())
    sampled = agent.act({"state": 1000 * uniform(50, 2, 3)}, stream(0))
    ends = agent.normalizer.denormalize("action", torch.tensor([[-1.0], [1.0]]).expand(2, 2))
    assert (sampled >= ends[0] - 1e-3).all()
    assert (sampled <= ends[1] + 1e-3).all()
    assert (sampled > ends[1] - 1).any()


@both
@torch.no_grad()
def test_the_number_of_denoising_steps_can_be_changed_at_run_time(
    method: str, make_tiny: MakeTiny
) -> None:
    agent = make_tiny(method)
    calls: list[int] = []
    agent.network.register_forward_hook(lambda *_: calls.append(1))
    obs = {"state": 125 + 25 * uniform(1, 2, 3)}
    for steps in (4, 50):
        calls.clear()
        agent.set_inference_steps(steps)
        agent.act(obs, stream(0))
        assert len(calls) == steps == agent.inference_steps
    assert agent.config.num_inference_steps == 10  # what it was built with stays
    with pytest.raises(ValueError, match=r"num_inference_steps is 51; allowed: 1 to .* = 50"):
        agent.set_inference_steps(51)


@both
def test_a_window_is_encoded_once_for_all_its_denoising_steps(
    method: str, make_tiny: MakeTiny, toys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is then the mean over that many steps and noises of each window."""
    often = make_tiny(method, replace(toys[method].config, steps_per_window=3))
    batch = Batch({"state": 125 + 25 * uniform(2, 2, 3)}, 150 + 150 * uniform(2, 4, 2))
    seen: list[tuple[int, ...]] = []
    forward = often.encoder.steps
    monkeypatch.setattr(
        often.encoder,
        "steps",
        lambda *args: (seen.append(args[0]["state"].shape), forward(*args))[1],
    )
    thrice = Batch(
        {name: value.repeat_interleave(3, 0) for name, value in batch.obs.items()},
        batch.actions.repeat_interleave(3, 0),
    )
    with torch.no_grad():
        loss = often.loss(batch, stream(7))
        assert seen == [(2, 2, 3)]
        torch.testing.assert_close(make_tiny(method).loss(thrice, stream(7)), loss)

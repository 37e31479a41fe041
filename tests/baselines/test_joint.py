"""The joint model p(A, O): what is put in, what is denoised, and that it draws as p(A | O) does."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.agent import Agent, Batch, Spec
from baselines.checkpoints import load_agent, save_agent
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.diffusion.joint import bounded, inpaint, unknown_entries
from baselines.diffusion.schedule import Diffusion, DiffusionConfig
from baselines.nets.encoder_config import EncoderConfig
from baselines.normalizer import Normalizer

TrainToy = Callable[..., Agent]
MakeTiny = Callable[..., Agent]

both = pytest.mark.parametrize("conditioning", ["film", "joint"])
SIDE = 48  # px


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=stream(seed))


@pytest.fixture
def joint(make_tiny: MakeTiny, tiny_unet_config: DiffusionUnetConfig) -> DiffusionUnet:
    """Untrained, with To = 2, Tp = 4, Do = 3, Da = 2 and units of hundreds."""
    agent = make_tiny("diffusion-unet", replace(tiny_unet_config, conditioning="joint"))
    assert isinstance(agent, DiffusionUnet)
    return agent


def seeing(conditioning: str, state: bool = True) -> DiffusionUnet:
    """A policy with one camera and To = 2, Tp = 4, Da = 2."""
    corners = torch.tensor([[0.0, 0.0], [512.0, 512.0]])
    data = {"state": corners, "action": corners} if state else {"action": corners}
    scaling = Normalizer.fit(data, dict.fromkeys(data, "min-max"))
    shapes: dict[str, tuple[int, ...]] = {"pixels": (SIDE, SIDE, 3)}
    spec = Spec(shapes | ({"state": (2,)} if state else {}), 2, 2, 4, EncoderConfig(16))
    config = DiffusionUnetConfig(
        channels=(16,), step_dim=16, num_inference_steps=5, conditioning=conditioning
    )
    torch.manual_seed(0)
    return DiffusionUnet(config, spec, scaling).eval()


def seen(steps: int, batch: int = 2, state: bool = True) -> dict[str, Tensor]:
    shape = (batch, steps, SIDE, SIDE, 3)
    obs = {"pixels": torch.randint(256, shape, generator=stream(1), dtype=torch.uint8)}
    if state:
        obs["state"] = 512 * torch.rand(batch, steps, 2, generator=stream(2))
    return obs


# ---- both ways draw what follows from an observation ----


@both
def test_a_linear_gaussian_world_is_drawn_with_its_conditional_mean_and_spread(
    conditioning: str, toys: dict[str, Any], train_toy: TrainToy
) -> None:
    """From o ~ N(0, 1): a = -0.6 o + 0.3 e, next o = o + a. So a | o ~ N(-0.6 o, 0.3^2)."""
    first, noise = normal(4000, 1), normal(4000, 1, seed=1)
    action = -0.6 * first + 0.3 * noise
    obs = torch.stack([first, first + action], dim=1)  # (W, Tp, Do)
    actions = torch.stack([action, -0.6 * obs[:, 1]], dim=1)  # (W, Tp, Da)
    toy = toys["diffusion-unet"]
    toy = replace(toy, config=replace(toy.config, conditioning=conditioning), updates=800)
    agent = train_toy("diffusion-unet", toy, obs, actions, obs_horizon=1)
    assert isinstance(agent, DiffusionUnet)
    agent.set_inference_steps(50)
    asked = torch.tensor([-1.0, 0.0, 1.0])[:, None, None]
    with torch.no_grad():
        drawn = agent.act({"state": asked}, stream(9), num_samples=2000)[..., 0]  # (3, N, Tp)
    torch.testing.assert_close(drawn[:, :, 0].mean(1), -0.6 * asked[:, 0, 0], rtol=0, atol=0.06)
    torch.testing.assert_close(drawn[:, :, 0].std(1), torch.full((3,), 0.3), rtol=0, atol=0.06)
    # The next action is -0.6 of an observation that is drawn too, or left out.
    torch.testing.assert_close(drawn[:, :, 1].mean(1), -0.24 * asked[:, 0, 0], rtol=0, atol=0.06)


def test_inpainting_with_the_best_denoiser_draws_from_the_conditional_distribution() -> None:
    """Known in closed form: (a, o) Gaussian with correlation 0.8, so a | o ~ N(0.8 o, 0.36)."""
    diffusion = Diffusion(DiffusionConfig(clip=0.0, prediction="sample", num_inference_steps=100))

    def best(data: Tensor, step: Tensor) -> Tensor:
        """E[a | a_k, o], (n, 1, 2); what it says of o is of no meaning."""
        known = torch.full((len(data), 1, 1), 1.5)
        sequence = inpaint(data, known)
        a_k, o = sequence[..., 0], sequence[..., 1]
        abar = diffusion.abar[step][:, None]
        gain = 0.36 * abar.sqrt() / (0.36 * abar + 1 - abar)
        a = 0.8 * o + gain * (a_k - abar.sqrt() * 0.8 * o)
        return torch.stack([a, torch.full_like(a, 100.0)], dim=-1)

    drawn = diffusion.sample(best, (20_000, 1, 2), stream(0))[:, 0, 0]
    assert drawn.mean().item() == pytest.approx(1.2, abs=0.02)
    assert drawn.std().item() == pytest.approx(0.6, abs=0.03)


# ---- what is put in, and what is drawn ----


def test_known_observations_are_in_every_sample_as_they_were_seen(joint: DiffusionUnet) -> None:
    obs = {"state": 125 + 25 * normal(3, 2, 3).clamp(-1, 1)}
    inputs: list[Tensor] = []
    joint.network.unet.register_forward_hook(lambda _, given, __: inputs.append(given[0].clone()))
    with torch.no_grad():
        drawn = joint.imagine(obs, stream(0), num_samples=5)
    known = joint.normalizer.normalize("state", obs["state"])
    assert drawn.shape == (3, 5, 4, 2 + 3)
    assert torch.equal(drawn[:, :, :2, 2:], known[:, None].expand(-1, 5, -1, -1))
    assert len(inputs) == joint.inference_steps
    for given in inputs:
        assert torch.equal(given[:, :2, 2:], known.repeat_interleave(5, 0))
    # The rest differs from sample to sample.
    assert (drawn[:, :, 2:, 2:].std(1) > 0).all()
    assert (drawn[..., :2].std(1) > 0).all()


def test_what_is_acted_on_are_the_actions_of_the_drawn_sequences(joint: DiffusionUnet) -> None:
    obs = {"state": 125 + 25 * normal(3, 2, 3)}
    with torch.no_grad():
        drawn = joint.imagine(obs, stream(0), 2)[..., :2]
        acted = joint.act(obs, stream(0), 2)
    assert torch.equal(acted, joint.normalizer.denormalize("action", drawn))


def test_the_loss_counts_actions_and_later_observations_alone(joint: DiffusionUnet) -> None:
    counted = unknown_entries(2, 3, 2, 4)
    assert counted.sum() == 4 * 2 + 2 * 3
    assert counted[2:].all()
    assert not counted[:2, 2:].any()
    batch = Batch({"state": 125 + 25 * normal(6, 4, 3)}, 150 + 50 * normal(6, 4, 2))

    def loss(add: Tensor) -> float:
        hook = joint.network.register_forward_hook(lambda _, __, out: out + add)
        with torch.no_grad():
            found = joint.loss(batch, stream(1)).item()
        hook.remove()
        return found

    plain = loss(torch.zeros(4, 5))
    assert loss(100 * (1 - counted)) == plain
    for row, column in counted.nonzero().tolist():
        one = torch.zeros(4, 5)
        one[row, column] = 100.0
        assert loss(one) > plain + 100


def test_a_training_window_of_the_joint_model_holds_the_observations_of_all_steps(
    joint: DiffusionUnet, tiny_agent: DiffusionUnet
) -> None:
    assert (joint.obs_steps, tiny_agent.obs_steps) == (4, 2)
    short = Batch({"state": normal(6, 2, 3)}, normal(6, 4, 2))
    with pytest.raises(ValueError, match=r"hold \[2\] observations; .* of all 4 predicted steps"):
        joint.loss(short, stream(0))
    assert tiny_agent.loss(short, stream(0)).isfinite()


def test_a_window_of_observed_steps_alone_can_be_trained_on(
    make_tiny: MakeTiny, tiny_unet_config: DiffusionUnetConfig
) -> None:
    config = replace(tiny_unet_config, conditioning="joint")
    agent = make_tiny("diffusion-unet", config, obs_horizon=4, pred_horizon=4)
    assert agent.loss(Batch({"state": normal(6, 4, 3)}, normal(6, 4, 2)), stream(0)).isfinite()


def test_observations_that_are_a_condition_cannot_be_drawn(tiny_agent: DiffusionUnet) -> None:
    with pytest.raises(ValueError, match="conditioning is 'film'"):
        tiny_agent.imagine({"state": normal(1, 2, 3)}, stream(0))


def test_another_conditioning_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="conditioning is 'inpaint'; allowed: film, joint"):
        DiffusionUnetConfig(conditioning="inpaint")  # type: ignore[arg-type]


# ---- images ----


@both
def test_the_encoder_runs_once_a_prediction_whatever_the_steps_and_samples(
    conditioning: str,
) -> None:
    agent = seeing(conditioning)
    counts: list[int] = []
    agent.encoder.images["pixels"].register_forward_hook(
        lambda _, given, __: counts.append(len(given[0]))
    )
    with torch.no_grad():
        agent.act(seen(2), stream(0), num_samples=3)
    assert counts == [2 * 2]  # every picture of both windows, once


@pytest.mark.parametrize("state", [True, False])
def test_features_of_images_are_drawn_in_the_range_of_actions(state: bool) -> None:
    agent = seeing("joint", state)
    with torch.no_grad():
        agent.encoder.images["pixels"].head.weight.mul_(1000)
        known = agent.condition(seen(2, state=state))
        drawn = agent.imagine(seen(2, state=state), stream(0))
    assert known.shape == (2, 2, 64 + 2 * state)
    assert known[..., 2 * state :].abs().max() == pytest.approx(1)
    assert drawn.abs().max() <= 1 + 1e-6
    assert torch.equal(bounded(normal(3, 2), 2), normal(3, 2))


def test_the_encoder_learns_by_what_is_put_in_and_not_by_what_is_to_be_drawn() -> None:
    agent = seeing("joint")
    obs = seen(4)
    actions = 512 * torch.rand(2, 4, 2, generator=stream(3))

    def gradient(of: dict[str, Tensor]) -> Tensor:
        agent.zero_grad()
        agent.loss(Batch(of, actions), stream(0)).backward()
        found = agent.encoder.images["pixels"].head.bias.grad
        assert found is not None
        return found.clone()

    assert gradient(obs).abs().sum() > 0
    passes: list[bool] = []
    agent.encoder.images["pixels"].register_forward_hook(
        lambda *_: passes.append(torch.is_grad_enabled())
    )
    gradient(obs)
    assert passes == [True, False]


@both
def test_a_checkpoint_brings_back_the_policy_with_its_conditioning(
    conditioning: str, tmp_path: Any
) -> None:
    agent = seeing(conditioning)
    save_agent(agent, tmp_path)
    again = load_agent(tmp_path)
    assert isinstance(again, nn.Module)
    assert again.config.conditioning == conditioning
    with torch.no_grad():
        assert torch.equal(again.act(seen(2), stream(0)), agent.act(seen(2), stream(0)))

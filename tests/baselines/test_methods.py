"""What every method promises: it learns what it is shown, and samples as its interface says."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from baselines import METHODS
from baselines.agent import Agent, Batch, Spec, agent_class
from baselines.diffusion.schedule import Diffusion
from baselines.normalizer import Normalizer

Toys = dict[str, Any]
TrainToy = Callable[..., Agent]
MakeTiny = Callable[..., Agent]

# Of the loss; the others find their loss without any.
DRAW_NOISE = ("diffusion-transformer", "diffusion-unet", "ibc", "ibc-informed")
DRAW_ACTIONS = (
    "bet",
    "diffusion-transformer",
    "diffusion-unet",
    "ibc",
    "ibc-informed",
    "lstm-gmm",
)
MODEL_CHUNKS = ("bc-mlp", "bet", "ibc", "ibc-informed", "lstm-gmm")

# Adds the same to all energies, of which losses and searches see differences only.
INERT = "energy.joint.5.bias"


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    """In [-1, 1)."""
    return 2 * torch.rand(shape, generator=stream(seed)) - 1


def states(batch: int, obs_horizon: int = 2) -> Tensor:
    """Windows (B, To, 3) in the units of `make_tiny`."""
    return 125 + 25 * uniform(batch, obs_horizon, 3)


def batch_of(size: int) -> Batch:
    return Batch({"state": states(size)}, 150 + 150 * uniform(size, 4, 2, seed=1))


@torch.inference_mode()
def act(agent: Agent, obs: Tensor, num_samples: int = 1, seed: int = 9) -> Tensor:
    return agent.act({"state": obs}, stream(seed), num_samples)


def test_every_built_in_method_is_tested_here(toys: Toys) -> None:
    assert set(toys) == set(METHODS)


# ---- learning ----


def test_a_linear_map_of_the_whole_window_is_learnt(
    method: str, toys: Toys, train_toy: TrainToy
) -> None:
    """Actions in px that depend on both observations and on the place in the horizon."""
    weights = torch.tensor([[1.0, -0.5], [0.3, 0.8]])

    def demonstrated(obs: Tensor) -> Tensor:
        movement = obs[:, 1] - 0.5 * obs[:, 0]  # (W, Do)
        place = torch.linspace(0.5, 1.0, 4)[:, None]
        return 256 + 100 * place * (movement @ weights)[:, None]  # (W, Tp, Da)

    obs = uniform(2000, 2, 2)
    agent = train_toy(method, toys[method], obs, demonstrated(obs))
    unseen = 0.9 * uniform(200, 2, 2, seed=1)
    error = agent.current_and_later(act(agent, unseen)[:, 0] - demonstrated(unseen))
    # Who sees but the last observation misses by sqrt(0.25 / 1.25) = 0.45 of the spread.
    assert error.square().mean().sqrt() < 0.3 * demonstrated(unseen).std()


def test_one_batch_is_overfitted(method: str, toys: Toys, train_toy: TrainToy) -> None:
    obs, actions = uniform(8, 2, 3), 100 * uniform(8, 3, 2, seed=1)
    agent = train_toy(method, toys[method], obs, actions)
    error = agent.current_and_later(act(agent, obs)[:, 0] - actions)
    assert error.square().mean().sqrt() < 0.2 * actions.std()


# ---- two modes: from one observation, seven of ten demonstrations go right and three go left ----

PLACES = torch.linspace(0.5, 1, 4)  # how far a sequence has come, of 50 px
NUM_SAMPLES = 2000


def sample_two_modes(method: str, toy: Any, train_toy: TrainToy) -> Tensor:
    """Train `method` on the two modes and draw sequences (N, Tp)."""
    side = torch.where(torch.arange(1000) % 10 < 7, 1.0, -1.0)
    actions = 50 * side[:, None, None] * PLACES[:, None]
    agent = train_toy(method, toy, torch.zeros(1000, 1, 1), actions)
    return act(agent, torch.zeros(1, 1, 1), NUM_SAMPLES)[0, :, :, 0]


def share_right(sequences: Tensor) -> float:
    return (sequences > 0).all(1).float().mean().item()


def share_left(sequences: Tensor) -> float:
    return (sequences < 0).all(1).float().mean().item()


def share_on_a_mode(sequences: Tensor) -> float:
    """Of last actions within 10 px of where one of the two modes ends."""
    return ((sequences[:, -1].abs() - 50).abs() < 10).float().mean().item()


@pytest.mark.parametrize("method", ["bet", "diffusion-unet", "lstm-gmm"])
def test_both_modes_are_kept_with_their_weights(
    method: str, toys: Toys, train_toy: TrainToy
) -> None:
    sampled = sample_two_modes(method, toys[method], train_toy)
    assert share_right(sampled) + share_left(sampled) > 0.98  # a sequence never changes its mind
    assert share_right(sampled) == pytest.approx(0.7, abs=0.08)
    assert share_on_a_mode(sampled) > 0.9  # and none goes down the middle


def test_ibc_keeps_both_modes_with_about_their_weights(toys: Toys, train_toy: TrainToy) -> None:
    """As published; negatives near a demonstration say nothing of the weight of one mode."""
    toy = toys["ibc"]
    toy = replace(toy, config=replace(toy.config, negatives=64))
    sampled = sample_two_modes("ibc", toy, train_toy)
    assert share_right(sampled) + share_left(sampled) > 0.98
    assert share_right(sampled) == pytest.approx(0.7, abs=0.15)
    assert share_on_a_mode(sampled) > 0.9


def test_the_transformer_keeps_the_modes_of_an_action_but_mixes_those_of_a_sequence(
    toys: Toys, train_toy: TrainToy
) -> None:
    """An action denoised without a look at later ones goes its way whatever these turn to.

    So even the best causal denoiser, which is known here in closed form, lets a third of the
    sequences change their mind.
    """
    toy = toys["diffusion-transformer"]
    diffusion = Diffusion(replace(toy.config, prediction="sample"))

    def best(data: Tensor, step: Tensor) -> Tensor:
        """E[a_0 | what is at k up to the own place] of the modes +-PLACES, (N, Tp)."""
        abar = diffusion.abar[step][:, None]
        evidence = (2 * abar.sqrt() * PLACES * data / (1 - abar)).cumsum(1)  # log-likelihood ratio
        return PLACES * torch.tanh((evidence + np.log(0.7 / 0.3)) / 2)

    ideal = diffusion.sample(best, (NUM_SAMPLES, 4), stream(9))
    mixed = 1 - share_right(ideal) - share_left(ideal)
    assert mixed == pytest.approx(0.33, abs=0.03)

    sampled = sample_two_modes("diffusion-transformer", toy, train_toy)
    assert 1 - share_right(sampled) - share_left(sampled) == pytest.approx(mixed, abs=0.15)
    assert (sampled[:, 0] > 0).float().mean().item() == pytest.approx(0.7, abs=0.12)
    assert share_on_a_mode(sampled) > 0.85


def test_the_focal_loss_of_bet_draws_the_minority_too_often(
    toys: Toys, train_toy: TrainToy
) -> None:
    """With a share q it is lowest not at p = q but nearer to one half: 0.58 for q = 0.7."""
    q, gamma = 0.7, 2.0

    def focal(p: float) -> float:
        return float(-q * (1 - p) ** gamma * np.log(p) - (1 - q) * p**gamma * np.log(1 - p))

    lowest = minimize_scalar(focal, bounds=(0.01, 0.99), method="bounded").x
    assert lowest == pytest.approx(0.578, abs=1e-3)
    toy = toys["bet"]
    toy = replace(toy, config=replace(toy.config, focal_gamma=gamma))
    sampled = sample_two_modes("bet", toy, train_toy)
    assert share_right(sampled) == pytest.approx(lowest, abs=0.05)
    assert share_right(sampled) + share_left(sampled) == pytest.approx(1)
    assert share_on_a_mode(sampled) > 0.98


def test_regression_goes_down_the_middle(toys: Toys, train_toy: TrainToy) -> None:
    sampled = sample_two_modes("bc-mlp", toys["bc-mlp"], train_toy)
    mean = (0.7 - 0.3) * 50 * PLACES
    torch.testing.assert_close(sampled, mean.expand(NUM_SAMPLES, 4), rtol=0, atol=2.0)  # px


# ---- the loss ----


def parameters_without_gradient(agent: Agent) -> list[str]:
    return [
        name
        for name, parameter in agent.named_parameters()
        if name != INERT and (parameter.grad is None or not parameter.grad.any())
    ]


def test_every_parameter_receives_a_gradient(learner: str, make_tiny: MakeTiny) -> None:
    agent = make_tiny(learner)
    agent.loss(batch_of(64), stream(0)).backward()
    assert parameters_without_gradient(agent) == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in agent.parameters())


def test_the_image_encoder_of_every_method_receives_a_gradient(learner: str, toys: Toys) -> None:
    spec = Spec({"pixels": (40, 40, 3), "state": (3,)}, action_dim=2, pred_horizon=4)
    corners = torch.tensor([[0.0] * 3, [1.0] * 3])
    data = {"state": corners, "action": corners[:, :2]}
    torch.manual_seed(0)
    agent = agent_class(learner)(
        toys[learner].config,
        spec,
        Normalizer.fit(data, {"state": "min-max", "action": "min-max"}),
    )
    pixels = torch.randint(256, (2, 2, 40, 40, 3), generator=stream(0), dtype=torch.uint8)
    batch = Batch({"pixels": pixels, "state": uniform(2, 2, 3)}, uniform(2, 4, 2, seed=1))
    agent.fit(batch.actions, stream(0))
    agent.loss(batch, stream(0)).backward()
    assert parameters_without_gradient(agent) == []


def test_the_loss_draws_all_its_noise_from_the_generator(learner: str, make_tiny: MakeTiny) -> None:
    agent, batch = make_tiny(learner), batch_of(8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = agent.loss(batch, stream(3)).item()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert agent.loss(batch, stream(3)).item() == first
    assert (agent.loss(batch, stream(4)).item() != first) == (learner in DRAW_NOISE)


@pytest.mark.parametrize("method", MODEL_CHUNKS)
def test_actions_before_the_current_step_are_not_modelled(method: str, make_tiny: MakeTiny) -> None:
    """The loss does not see them, and a prediction fills them with the current action."""
    agent, batch = (
        make_tiny(method, obs_horizon=3, pred_horizon=5),
        Batch({"state": states(8, obs_horizon=3)}, 150 + 150 * uniform(8, 5, 2, seed=1)),
    )
    first = agent.loss(batch, stream(3)).item()
    for step in range(5):
        changed = batch.actions.clone()
        changed[:, step] = 300 - changed[:, step]
        loss = agent.loss(Batch(batch.obs, changed), stream(3)).item()
        assert (loss != first) == (step >= 2)
    predicted = act(agent, batch.obs["state"], 3)
    torch.testing.assert_close(
        predicted[:, :, :2], predicted[:, :, 2:3].expand(-1, -1, 2, -1), rtol=0, atol=0
    )
    assert (predicted[:, :, 3] != predicted[:, :, 2]).any()


def test_every_parameter_is_in_one_group_of_the_optimiser(method: str, make_tiny: MakeTiny) -> None:
    agent = make_tiny(method)
    grouped = [id(p) for group in agent.parameter_groups(0.1) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in agent.parameters())
    assert {group["weight_decay"] for group in agent.parameter_groups(0.1)} <= {0.0, 0.1}


# ---- predictions ----


@torch.no_grad()
def test_a_window_with_its_own_noise_does_not_depend_on_its_batch(
    method: str, make_tiny: MakeTiny
) -> None:
    agent, obs = make_tiny(method), states(5)
    together = agent.act({"state": obs}, [stream(seed) for seed in range(5)], 2)
    for i in range(5):
        alone = agent.act({"state": obs[i : i + 1]}, [stream(i)], 2)
        spread = 300  # px between the ends of the action range
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-5 * spread)


@pytest.mark.parametrize("method", DRAW_ACTIONS)
def test_samples_are_drawn_apart(method: str, make_tiny: MakeTiny) -> None:
    agent, count = make_tiny(method), 400
    obs = states(1).expand(2, -1, -1)
    sampled = act(agent, obs, count)
    assert sampled.shape == (2, count, 4, 2)
    assert sampled[0].flatten(1).std(0).min() > 0.1  # px
    first, second = sampled[0, :, 1, 0], sampled[1, :, 1, 0]
    neighbours = torch.corrcoef(torch.stack([first[0::2], first[1::2]]))[0, 1]
    windows = torch.corrcoef(torch.stack([first, second]))[0, 1]
    assert neighbours.abs() < 0.25
    assert windows.abs() < 0.2


def test_samples_of_a_regression_are_equal(make_tiny: MakeTiny) -> None:
    sampled = act(make_tiny("bc-mlp"), states(2), num_samples=5)
    assert sampled.shape == (2, 5, 4, 2)
    assert torch.equal(sampled, sampled[:, :1].expand(2, 5, 4, 2))
    assert not torch.allclose(sampled[0], sampled[1], atol=1)


def test_actions_depend_on_the_stream_alone(method: str, make_tiny: MakeTiny) -> None:
    agent, obs = make_tiny(method), states(2)
    torch.manual_seed(0)
    first = act(agent, obs, 4, seed=0)
    torch.manual_seed(1)
    torch.testing.assert_close(act(agent, obs, 4, seed=0), first, rtol=0, atol=0)
    other = act(agent, obs, 4, seed=1)
    assert torch.allclose(other, first, atol=0.1) == (method not in DRAW_ACTIONS)


@pytest.mark.parametrize(("obs_horizon", "pred_horizon"), [(1, 1), (3, 3), (1, 6), (2, 17)])
def test_any_horizon_from_the_observed_one_up_can_be_predicted(
    method: str, make_tiny: MakeTiny, obs_horizon: int, pred_horizon: int
) -> None:
    agent = make_tiny(method, obs_horizon=obs_horizon, pred_horizon=pred_horizon)
    obs = states(3, obs_horizon)
    predicted = act(agent, obs, num_samples=2)
    assert predicted.shape == (3, 2, pred_horizon, 2)
    assert predicted.isfinite().all()
    if method == "nearest":
        return  # has no loss
    actions = 150 + 150 * uniform(3, pred_horizon, 2, seed=1)
    loss = agent.loss(Batch({"state": obs}, actions), stream(0))
    assert loss.shape == ()
    assert loss.isfinite()


@pytest.mark.parametrize("length", [1, 3])
def test_a_window_of_the_wrong_length_is_refused(
    method: str, make_tiny: MakeTiny, length: int
) -> None:
    message = rf"window 'state' is \(B, {length}, 3\); this agent needs \(B, 2, 3\)"
    with pytest.raises(ValueError, match=message):
        make_tiny(method).act({"state": states(4, length)}, stream(0))


@pytest.mark.parametrize("method", ["bc-mlp", "bet", "lstm-gmm", "nearest"])
def test_a_method_without_inference_steps_refuses_to_set_them(
    method: str, make_tiny: MakeTiny
) -> None:
    agent = make_tiny(method)
    assert agent.inference_steps == 0
    with pytest.raises(ValueError, match=f"{method} has no inference steps to set to 4"):
        agent.set_inference_steps(4)

"""Noise schedules and samplers, with diffusers as the oracle and Gaussians as the exact answer."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from torch import Tensor

from baselines.diffusion.schedule import Diffusion, DiffusionConfig, betas

K = 100
SHAPE = (3, 4, 2)
ORACLE_SCHEDULES = {"squared-cosine": "squaredcos_cap_v2", "linear": "linear"}
ORACLE_PREDICTIONS = {"epsilon": "epsilon", "sample": "sample", "v": "v_prediction"}
PREDICTIONS = tuple(ORACLE_PREDICTIONS)
SCHEDULES = ("squared-cosine", "linear", "exponential")


def fake_denoiser(data: Tensor, step: Tensor) -> Tensor:
    """Nonlinear in the data, different at every step and place, of order 1."""
    place = torch.arange(data[0].numel(), dtype=data.dtype).reshape(data.shape[1:])
    level = (step.to(data.dtype) / K).reshape(-1, *[1] * (data.dim() - 1))
    return torch.tanh(1.3 * data + 0.2 * place - level) + 0.1 * data * level


def oracle(config: DiffusionConfig) -> DDIMScheduler | DDPMScheduler:
    """The scheduler of diffusers for a config.

    It gets our betas, which are compared with its own apart: it keeps them in float32, where
    1 - 0.999, the last step of the squared cosine, is wrong by 5e-5.
    """
    cls = DDIMScheduler if config.sampler == "ddim" else DDPMScheduler
    scheduler = cls(
        num_train_timesteps=config.num_train_timesteps,
        prediction_type=ORACLE_PREDICTIONS[config.prediction],
        clip_sample=config.clip > 0,
        clip_sample_range=config.clip or 1.0,
        timestep_spacing=config.spacing,
    )
    scheduler.betas = betas(config)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.set_timesteps(config.num_inference_steps)
    return scheduler


def oracle_sample(config: DiffusionConfig, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scheduler = oracle(config)
    data = torch.randn(SHAPE, generator=generator)
    for step in scheduler.timesteps:
        prediction = fake_denoiser(data, step.expand(SHAPE[0]))
        data = scheduler.step(prediction, step, data, generator=generator).prev_sample
    return data


@pytest.mark.parametrize("schedule", ORACLE_SCHEDULES)
@pytest.mark.parametrize("steps", [10, 100, 1000])
def test_betas_are_those_of_diffusers(schedule: str, steps: int) -> None:
    config = DiffusionConfig(steps, schedule, beta_start=1e-3, beta_end=0.03, num_inference_steps=1)
    scheduler = DDPMScheduler(
        num_train_timesteps=steps,
        beta_schedule=ORACLE_SCHEDULES[schedule],
        beta_start=1e-3,
        beta_end=0.03,
    )
    torch.testing.assert_close(betas(config), scheduler.betas.double(), rtol=1e-6, atol=1e-8)


def test_the_exponential_schedule_multiplies_beta_by_the_same_factor_at_every_step() -> None:
    config = DiffusionConfig(beta_schedule="exponential", beta_start=1e-4, beta_end=0.02)
    expected = np.geomspace(1e-4, 0.02, K)
    np.testing.assert_allclose(betas(config).numpy(), expected, rtol=1e-12)


def test_the_published_process_ends_in_noise_that_holds_no_signal() -> None:
    abar = Diffusion(DiffusionConfig()).abar
    assert abar[0] == pytest.approx(0.9993687, abs=1e-6)  # cos^2 ratio of Eq. 17 at step 1 of 100
    assert abar[-1] < 1e-6


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_noise_is_added_as_diffusers_adds_it(schedule: str) -> None:
    config = DiffusionConfig(beta_schedule=schedule)
    step = torch.tensor([0, 41, 99])
    clean, noise = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    expected = oracle(config).add_noise(clean, noise, step)
    torch.testing.assert_close(
        Diffusion(config).add_noise(clean, noise, step), expected, rtol=1e-6, atol=1e-6
    )


def test_the_target_in_training_is_what_diffusers_trains_on() -> None:
    step = torch.tensor([0, 41, 99])
    clean, noise = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    for prediction, expected in (
        ("epsilon", noise),
        ("sample", clean),
        ("v", oracle(DiffusionConfig()).get_velocity(clean, noise, step)),
    ):
        target = Diffusion(DiffusionConfig(prediction=prediction)).target(clean, noise, step)
        torch.testing.assert_close(target, expected, rtol=1e-6, atol=1e-6, msg=prediction)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("count", [1, 4, 10, 20, 100])
def test_the_steps_visited_are_those_of_diffusers(sampler: str, spacing: str, count: int) -> None:
    config = DiffusionConfig(sampler=sampler, spacing=spacing, num_inference_steps=count)
    assert Diffusion(config).inference_steps() == oracle(config).timesteps.tolist()


def test_a_number_of_steps_that_does_not_divide_k_is_spread_from_pure_noise_to_the_end() -> None:
    assert Diffusion(DiffusionConfig(num_inference_steps=16)).inference_steps() == [
        99, 93, 87, 80, 74, 68, 61, 55, 49, 43, 37, 30, 24, 18, 11, 5
    ]  # fmt: skip


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Without clipping, errors of float32 grow by up to 1 / sqrt(abar), thousands of times."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("clip", [1.0, 0.0])
@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize(
    ("spacing", "count"), [("leading", 10), ("trailing", 4), ("trailing", 100)]
)
def test_sampling_gives_what_diffusers_gives_from_the_same_noise(
    sampler: str, spacing: str, count: int, schedule: str, prediction: str, clip: float
) -> None:
    config = DiffusionConfig(
        beta_schedule=schedule,
        prediction=prediction,
        clip=clip,
        sampler=sampler,
        num_inference_steps=count,
        spacing=spacing,
    )
    diffusion = Diffusion(config)
    diffusion.abar = torch.cumprod(1 - betas(config), 0)  # the buffer holds it in float32
    sampled = diffusion.sample(fake_denoiser, SHAPE, torch.Generator().manual_seed(5))
    torch.testing.assert_close(sampled, oracle_sample(config, 5), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_sampling_in_single_precision_stays_within_rounding_of_diffusers(sampler: str) -> None:
    config = DiffusionConfig(sampler=sampler, num_inference_steps=10)
    sampled = Diffusion(config).sample(fake_denoiser, SHAPE, torch.Generator().manual_seed(5))
    torch.testing.assert_close(sampled, oracle_sample(config, 5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_last_step_returns_the_estimate_of_clean_data(sampler: str, prediction: str) -> None:
    diffusion = Diffusion(DiffusionConfig(sampler=sampler, prediction=prediction, clip=0.0))
    clean, noise = torch.randn((2, *SHAPE), generator=torch.Generator().manual_seed(1))
    step = torch.full(SHAPE[:1], 5)
    noised = diffusion.add_noise(clean, noise, step)
    target = diffusion.target(clean, noise, step)
    found = diffusion.step_back(target, noised, 5, -1, None)
    torch.testing.assert_close(found, clean, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_estimates_are_clipped_to_the_range_of_the_data(prediction: str) -> None:
    config = DiffusionConfig(prediction=prediction, clip=0.25, num_inference_steps=5)
    sampled = Diffusion(config).sample(fake_denoiser, SHAPE, torch.Generator().manual_seed(0))
    assert sampled.abs().max() <= 0.25 + 1e-6


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("count", [1, 7, 100])
def test_ddim_recovers_data_that_a_perfect_network_knows(spacing: str, count: int) -> None:
    """With one known answer every step of any spacing lies on the line to it."""
    clean = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    diffusion = Diffusion(DiffusionConfig(num_inference_steps=count, spacing=spacing))

    def perfect(data: Tensor, step: Tensor) -> Tensor:
        abar = diffusion.abar[step[0]]
        return (data - abar.sqrt() * clean) / (1 - abar).sqrt()

    sampled = diffusion.sample(perfect, SHAPE, torch.Generator().manual_seed(1))
    torch.testing.assert_close(sampled, clean, rtol=0, atol=1e-3)


def gaussian_denoiser(diffusion: Diffusion, mean: float, std: float) -> Callable[..., Tensor]:
    """The optimal prediction of eps, E[eps | a_k], for data N(mean, std^2)."""

    def denoise(data: Tensor, step: Tensor) -> Tensor:
        abar = diffusion.abar[step[0]].double()
        spread = abar * std**2 + 1 - abar
        return ((1 - abar).sqrt() * (data - abar.sqrt() * mean) / spread).to(data.dtype)

    return denoise


@pytest.mark.parametrize(("sampler", "count"), [("ddpm", 500), ("ddim", 500), ("ddim", 100)])
@pytest.mark.parametrize("schedule", ["squared-cosine", "linear"])
def test_the_optimal_denoiser_of_a_gaussian_samples_that_gaussian(
    sampler: str, count: int, schedule: str
) -> None:
    config = DiffusionConfig(500, schedule, clip=0.0, sampler=sampler, num_inference_steps=count)
    diffusion = Diffusion(config)
    mean, std, number = 0.4, 0.3, 10_000
    denoiser = gaussian_denoiser(diffusion, mean, std)
    sampled = diffusion.sample(denoiser, (number, 1), torch.Generator().manual_seed(0))
    # Four standard errors, and 3 % of the spread for the finite number of steps.
    assert sampled.mean() == pytest.approx(mean, abs=4 * std / math.sqrt(number) + 0.03 * std)
    assert sampled.std() == pytest.approx(std, abs=4 * std / math.sqrt(2 * number) + 0.03 * std)


def test_the_loss_of_the_optimal_denoiser_is_the_variance_that_noise_keeps() -> None:
    """For data N(0, 1) any abar leaves E[Var(eps | a_k)] = abar, whose mean over k is known."""
    diffusion = Diffusion(DiffusionConfig())
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn((50_000, 1), generator=generator)

    def optimal(data: Tensor, step: Tensor) -> Tensor:
        return (1 - diffusion.abar[step])[:, None].sqrt() * data

    found = float(diffusion.loss(optimal, clean, generator))
    assert found == pytest.approx(float(diffusion.abar.mean()), rel=0.03)


def test_denoise_yields_the_noise_and_then_the_data_after_every_step() -> None:
    diffusion = Diffusion(DiffusionConfig(num_inference_steps=4))
    trace = list(diffusion.denoise(fake_denoiser, SHAPE, torch.Generator().manual_seed(3)))
    assert len(trace) == 5
    torch.testing.assert_close(
        trace[0], torch.randn(SHAPE, generator=torch.Generator().manual_seed(3)), rtol=0, atol=0
    )
    sampled = diffusion.sample(fake_denoiser, SHAPE, torch.Generator().manual_seed(3))
    torch.testing.assert_close(trace[-1], sampled, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta_schedule": "cosine"}, "beta_schedule is 'cosine'; allowed: squared-cosine, linear"),
        ({"prediction": "noise"}, "prediction is 'noise'; allowed: epsilon, sample, v"),
        ({"sampler": "euler"}, "sampler is 'euler'; allowed: ddpm, ddim"),
        ({"spacing": "linspace"}, "spacing is 'linspace'; allowed: leading, trailing"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0; allowed: 1 to .* = 100"),
        ({"num_inference_steps": 101}, "num_inference_steps is 101; allowed: 1 to .* = 100"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DiffusionConfig(**settings)

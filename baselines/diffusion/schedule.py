"""The diffusion process: noise schedules, what the network predicts, and the two samplers.

Notation of DDPM (Ho et al. 2020, arXiv 2006.11239) and DDIM (Song et al. 2021, arXiv 2010.02502):
a_0 is clean data, abar_k the share of signal variance left after k + 1 of K noising steps,

    a_k = sqrt(abar_k) a_0 + sqrt(1 - abar_k) eps,   eps ~ N(0, I)          (DDPM Eq. 4)

A network predicts eps, a_0 ("sample") or v = sqrt(abar_k) eps - sqrt(1 - abar_k) a_0 (Salimans and
Ho 2022, arXiv 2202.00512); each gives the other two. Steps k run from 0 (least noise) to K - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from baselines.choices import LATER, check_choice, check_least, check_within
from baselines.noise import Generators, randn

BetaSchedule = Literal["squared-cosine", "linear", "exponential"]
Prediction = Literal["epsilon", "sample", "v"]
Sampler = Literal["ddpm", "ddim"]
Spacing = Literal["leading", "trailing"]


@dataclass(frozen=True)
class DiffusionConfig:
    """The diffusion process; the defaults are the published ones (DP Table 7)."""

    num_train_timesteps: int = 100
    """K, noising steps in training."""
    beta_schedule: BetaSchedule = "squared-cosine"
    """How the noise grows; the other two run from `beta_start` to `beta_end`."""
    beta_start: float = 1e-4
    """Variance added by the first step (linear and exponential schedules)."""
    beta_end: float = 0.02
    """Variance added by the last step (linear and exponential schedules)."""
    prediction: Prediction = "epsilon"
    """What the network predicts."""
    clip: float = 1.0
    """Every estimate of a_0 is clipped to [-clip, clip] while sampling; 0 clips nothing."""
    sampler: Sampler = "ddim"
    """ddpm adds noise at every step, ddim (eta = 0) only at the start."""
    num_inference_steps: int = 16
    """Denoising steps at run time, 1 to K."""
    spacing: Spacing = "trailing"
    """Which K' of K steps are visited: trailing starts from pure noise (k = K - 1), leading (the
    published code's) ends at k = 0 and starts lower."""
    steps_per_window: int = field(default=1, metadata=LATER)
    """Denoising steps that a training window serves in an update; it is encoded once for all, which
    pays where it holds images. Published: one."""

    def __post_init__(self) -> None:
        for name, kind in (
            ("beta_schedule", BetaSchedule),
            ("prediction", Prediction),
            ("sampler", Sampler),
            ("spacing", Spacing),
        ):
            check_choice(name, getattr(self, name), get_args(kind))
        check_least(self, steps_per_window=1, clip=0)
        check_within(self, 0, 1, "beta_start", "beta_end")
        if not 1 <= self.num_inference_steps <= self.num_train_timesteps:
            raise ValueError(
                f"num_inference_steps is {self.num_inference_steps}; "
                f"allowed: 1 to num_train_timesteps = {self.num_train_timesteps}"
            )


def betas(config: DiffusionConfig) -> Tensor:
    """Variance added by each noising step, (K,) float64."""
    steps, low, high = config.num_train_timesteps, config.beta_start, config.beta_end
    if config.beta_schedule == "linear":
        return torch.linspace(low, high, steps, dtype=torch.float64)
    if config.beta_schedule == "exponential":
        return torch.logspace(math.log10(low), math.log10(high), steps, dtype=torch.float64)

    # Nichol and Dhariwal 2021 (arXiv 2102.09672), Eq. 17, betas capped as there.
    def remaining(time: Tensor) -> Tensor:
        return torch.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    return (1 - remaining(time[1:]) / remaining(time[:-1])).clamp(max=0.999)


Denoiser = Callable[[Tensor, Tensor], Tensor]
"""The network: noised data (B, ...) and step (B,) to its prediction (B, ...)."""
ConditionalDenoiser = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The same with what it is conditioned on, (B, ...), as its last argument."""


class Diffusion(nn.Module):
    """Noises data for training and samples by reverse diffusion."""

    abar: Tensor

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        with torch.device("cpu"):  # numbers, also where a network is made without any
            abar = torch.cumprod(1 - betas(config), 0)
        # A constant of the config: rebuilt, not stored in checkpoints.
        self.register_buffer("abar", abar.float(), persistent=False)
        self._abar: list[float] = abar.tolist()  # for sampling: read without waiting for a GPU

    def add_noise(self, clean: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """Noise `clean` (B, ...) to step `step` (B,) (DDPM Eq. 4)."""
        signal, sigma = self._levels(step, clean)
        return signal * clean + sigma * noise

    def target(self, clean: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        """What the network is to predict at `step` (B,), (B, ...)."""
        if self.config.prediction == "epsilon":
            return noise
        if self.config.prediction == "sample":
            return clean
        signal, sigma = self._levels(step, clean)
        return signal * noise - sigma * clean

    def loss(
        self,
        denoiser: Denoiser,
        clean: Tensor,
        generator: torch.Generator,
        counted: Tensor | None = None,
    ) -> Tensor:
        """Mean squared error of the denoiser at random steps (DP Eq. 5), a scalar.

        Args:
            denoiser: The network.
            clean: Data, (B, ...).
            generator: Source of the steps and of the noise.
            counted: 1 where the error counts and 0 where not, (...); None counts all.
        """
        noise = randn(tuple(clean.shape), generator, clean.device)
        step = torch.randint(
            self.config.num_train_timesteps,
            clean.shape[:1],
            generator=generator,
            device=generator.device,
        ).to(clean.device)
        prediction = denoiser(self.add_noise(clean, noise, step), step)
        target = self.target(clean, noise, step)
        if counted is None:
            return nn.functional.mse_loss(prediction, target)
        return ((prediction - target).square() * counted).sum() / (len(clean) * counted.sum())

    def sample(self, denoiser: Denoiser, shape: tuple[int, ...], generators: Generators) -> Tensor:
        """Draw data of `shape` (B, ...) by reverse diffusion from pure noise (DP Eq. 4)."""
        return _last(self.denoise(denoiser, shape, generators))

    def sample_sequences(
        self,
        network: ConditionalDenoiser,
        condition: Tensor,
        shape: tuple[int, int, int],
        generators: Generators,
    ) -> Tensor:
        """Draw N sequences (Tp, Da) for each of B conditions.

        Args:
            network: Denoises sequences (B * N, Tp, Da).
            condition: Encoded observations, (B, ...).
            shape: N, Tp and Da.
            generators: Source of the noise.

        Returns:
            (B, N, Tp, Da).
        """
        count, *sequence = shape
        repeated = condition.repeat_interleave(count, 0)  # encoded once, not once a step

        def denoiser(data: Tensor, step: Tensor) -> Tensor:
            flat = data.reshape(-1, *sequence)
            return network(flat, step.repeat_interleave(count), repeated).reshape(data.shape)

        return self.sample(denoiser, (len(condition), *shape), generators)

    def denoise(
        self, denoiser: Denoiser, shape: tuple[int, ...], generators: Generators
    ) -> Iterator[Tensor]:
        """Yield the data (B, ...) from pure noise on, after each denoising step."""
        device = self.abar.device
        data = randn(shape, generators, device)
        yield data
        steps = self.inference_steps()
        for step, previous in zip(steps, [*steps[1:], -1], strict=True):
            prediction = denoiser(data, torch.full(shape[:1], step, device=device))
            noise = None
            if self.config.sampler == "ddpm" and previous >= 0:
                noise = randn(shape, generators, device)
            data = self.step_back(prediction.to(data.dtype), data, step, previous, noise)
            yield data

    def inference_steps(self) -> list[int]:
        """The steps k that sampling visits, from most to least noise."""
        total, count = self.config.num_train_timesteps, self.config.num_inference_steps
        if self.config.spacing == "leading":
            return [i * (total // count) for i in reversed(range(count))]
        return [round(total - i * total / count) - 1 for i in range(count)]

    def step_back(
        self, prediction: Tensor, data: Tensor, step: int, previous: int, noise: Tensor | None
    ) -> Tensor:
        """One denoising step from `step` to `previous` (-1: clean), (B, ...) to (B, ...).

        With `noise` this is the posterior of DDPM (Eq. 6 and 7), without it DDIM with eta = 0
        (Eq. 12). At the last step, to -1, both return the estimate of a_0.
        """
        abar = self._abar[step]
        abar_previous = self._abar[previous] if previous >= 0 else 1.0
        clean, epsilon = self._estimates(prediction, data, abar)
        if self.config.sampler == "ddim":
            return math.sqrt(abar_previous) * clean + math.sqrt(1 - abar_previous) * epsilon
        alpha = abar / abar_previous
        to_clean = math.sqrt(abar_previous) * (1 - alpha) / (1 - abar)
        to_data = math.sqrt(alpha) * (1 - abar_previous) / (1 - abar)
        mean = to_clean * clean + to_data * data
        if noise is None:
            return mean
        variance = (1 - abar_previous) / (1 - abar) * (1 - alpha)
        return mean + math.sqrt(max(variance, 1e-20)) * noise

    def _estimates(self, prediction: Tensor, data: Tensor, abar: float) -> tuple[Tensor, Tensor]:
        """The clipped estimate of a_0 and the estimate of eps, each (B, ...)."""
        signal, sigma = math.sqrt(abar), math.sqrt(1 - abar)
        if self.config.prediction == "epsilon":
            clean, epsilon = (data - sigma * prediction) / signal, prediction
        elif self.config.prediction == "sample":
            clean, epsilon = prediction, (data - signal * prediction) / sigma
        else:
            clean, epsilon = signal * data - sigma * prediction, signal * prediction + sigma * data
        if self.config.clip > 0:
            clean = clean.clamp(-self.config.clip, self.config.clip)
        return clean, epsilon

    def _levels(self, step: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(abar_k) and sqrt(1 - abar_k), (B, 1, ...) to match `like`."""
        abar = self.abar[step].reshape(-1, *[1] * (like.dim() - 1))
        return abar.sqrt(), (1 - abar).sqrt()


def _last(stages: Iterator[Tensor]) -> Tensor:
    last = torch.empty(0)
    for last in stages:  # noqa: B007 - the others are of no use
        pass
    return last

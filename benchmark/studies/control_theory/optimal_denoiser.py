"""The denoiser that imitates a linear-quadratic regulator perfectly, in closed form.

A chunk of the regulator's actions given the state s is Gaussian, N(mu, Sigma), with the mean
-K (A - B K)^t s at offset t (`envs.demos.linear_system_lqr`). A normaliser that scales and shifts
actions keeps it Gaussian. Noised to a_k = sqrt(abar_k) a_0 + sqrt(1 - abar_k) eps, the denoiser
with the least mean squared error is the posterior mean of the noise,

    E[eps | s, a_k] = sqrt(1 - abar_k) (abar_k Sigma + (1 - abar_k) I)^-1 (a_k - sqrt(abar_k) mu).

With Tp = 1 nothing is uncertain, Sigma = 0, and it is what DP Sec. IV-E states:

    eps(s, a_k, k) = (a_k + sqrt(abar_k) K s) / sqrt(1 - abar_k).

A network whose actions attend to earlier ones only, as DP-T's do, cannot compute this for Tp > 1:
later noised actions tell of earlier ones too. The best that it can do is the posterior mean given
the noised actions up to its own, the same formula for each beginning of the chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.diffusion.agent import DiffusionAgent
from baselines.noise import Generators
from envs.demos.linear_system_lqr import action_chunk
from envs.linear_system import LinearSystem


class OptimalDenoiser:
    """The closed form in an agent's coordinates: its normaliser, its noise schedule, its Tp.

    Args:
        system: The system that the agent's demonstrations hold.
        agent: Agent with To = 1 that predicts the noise and observes the state.
        is_causal: Whether to know, for every action, only the noised ones up to it.
    """

    def __init__(
        self, system: LinearSystem, agent: DiffusionAgent, is_causal: bool = False
    ) -> None:
        self.agent = agent
        Tp, Da = agent.spec.pred_horizon, agent.spec.action_dim
        gains, covariance = action_chunk(system, Tp)
        self._gains = torch.as_tensor(gains)  # (Tp, Da, Ds)
        self.variance = torch.as_tensor(covariance).diagonal().reshape(Tp, Da).mean(1)
        """Of the action at each offset, in the environment's units squared, (Tp,)."""
        # What the normaliser multiplies by, for each number of a chunk.
        ends = torch.tensor([[0.0], [1.0]]).expand(2, Da).to(agent.diffusion.abar.device)
        low, high = agent.normalizer.normalize("action", ends).double().cpu()
        scale = (high - low).repeat(Tp)  # (Tp * Da,)
        scaled = torch.as_tensor(covariance) * scale[:, None] * scale
        self._abar = agent.diffusion.abar.double().cpu()
        weights = [_weights(scaled, abar, Da if is_causal else len(scaled)) for abar in self._abar]
        self._weights = torch.stack(weights)  # (K, Tp * Da, Tp * Da)

    def mean(self, states: Tensor) -> Tensor:
        """Mean of the chunk given states (B, Ds), in the environment's units, (B, Tp, Da)."""
        return torch.einsum("tas,bs->bta", self._gains, states.double().cpu())

    def __call__(self, actions: Tensor, step: Tensor, states: Tensor) -> Tensor:
        """The optimal prediction of the noise.

        Args:
            actions: Noised chunks in the network's range, (B, ..., Tp, Da).
            step: Diffusion step k of each, (B,).
            states: Ditto, in the environment's units, (B, Ds).

        Returns:
            E[eps | s, a_k], (B, ..., Tp, Da).
        """
        shape = (len(states), *[1] * (actions.dim() - 3), -1)
        mean = self.mean(states).to(actions.device, torch.float32)
        centre = self.agent.normalizer.normalize("action", mean).double().cpu().reshape(shape)
        abar = self._abar[step.cpu()].reshape(shape)
        deviation = actions.double().cpu().flatten(-2) - abar.sqrt() * centre  # (B, ..., Tp * Da)
        noise = torch.einsum("bij,b...j->b...i", self._weights[step.cpu()], deviation)
        return noise.reshape(actions.shape).to(actions)

    def act(self, states: Tensor, generator: Generators, num_samples: int = 1) -> Tensor:
        """What the agent would draw from the same noise if it had learnt perfectly.

        Args:
            states: In the environment's units, (B, Ds).
            generator: As for the agent's own `act`.
            num_samples: N.

        Returns:
            Actions in the environment's units, (B, N, Tp, Da).
        """
        spec = self.agent.spec
        shape = (len(states), num_samples, spec.pred_horizon, spec.action_dim)
        sample = self.agent.diffusion.sample(lambda x, k: self(x, k, states), shape, generator)
        return self.agent.normalizer.denormalize("action", sample)


def _weights(covariance: Tensor, abar: Tensor, block: int) -> Tensor:
    """What multiplies a_k - sqrt(abar_k) mu, (M, M).

    Args:
        covariance: Sigma, (M, M).
        abar: Of the step, a scalar.
        block: Rows that know the same: those of one block know it and all before.
    """
    size = len(covariance)
    noised = abar * covariance + (1 - abar) * torch.eye(size, dtype=covariance.dtype)
    weights = torch.zeros_like(covariance)
    for start in range(0, size, block):
        end = start + block
        weights[start:end, :end] = torch.linalg.inv(noised[:end, :end])[start:]
    return (1 - abar).sqrt() * weights


def learnt_noise(agent: DiffusionAgent, actions: Tensor, step: Tensor, states: Tensor) -> Tensor:
    """An agent's own prediction of the noise; arguments and result as of `OptimalDenoiser`.

    Raises:
        ValueError: If the agent predicts something else.
    """
    if agent.diffusion.config.prediction != "epsilon":
        raise ValueError(f"{agent.name} predicts {agent.diffusion.config.prediction}, not epsilon")
    condition = agent.condition({"state": states[:, None]})
    predicted: Tensor = agent.network(actions, step, condition)
    return predicted

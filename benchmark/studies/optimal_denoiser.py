"""The denoiser that imitates a linear-quadratic regulator perfectly, in closed form.

A chunk of the regulator's actions given the state s is Gaussian, N(mu, Sigma), with the mean
-K (A - B K)^t s at offset t (`envs.demos.linear_system_lqr`). A normaliser that scales and shifts
actions keeps it Gaussian. Noised to a_k = sqrt(abar_k) a_0 + sqrt(1 - abar_k) eps, the denoiser
with the least mean squared error is the posterior mean of the noise,

    E[eps | s, a_k] = sqrt(1 - abar_k) (abar_k Sigma + (1 - abar_k) I)^-1 (a_k - sqrt(abar_k) mu).

With Tp = 1 nothing is uncertain, Sigma = 0, and it is what DP Sec. IV-E states:

    eps(s, a_k, k) = (a_k + sqrt(abar_k) K s) / sqrt(1 - abar_k).
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
    """

    def __init__(self, system: LinearSystem, agent: DiffusionAgent) -> None:
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
        self.covariance = torch.as_tensor(covariance) * scale[:, None] * scale
        values, self._vectors = torch.linalg.eigh(self.covariance)
        self._values = values.clamp(min=0)

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
        abar = self.agent.diffusion.abar.double().cpu()[step.cpu()].reshape(shape)
        deviation = actions.double().cpu().flatten(-2) - abar.sqrt() * centre  # (B, ..., Tp * Da)
        weight = (1 - abar).sqrt() / (abar * self._values + 1 - abar)
        noise: Tensor = ((deviation @ self._vectors) * weight) @ self._vectors.T
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

"""Measurements of the control-theory study: one policy against the closed form, a frame each.

Averages over the states of an episode are kept, so that intervals can be taken over episodes.

Shapes: E episodes, P states of each, N samples of a state, T steps of an episode.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.diffusion.agent import DiffusionAgent, DiffusionTransformer
from benchmark.plan.config import Cell, EvalConfig
from benchmark.plan.seeding import FIRST_SEED, derive, episode_seeds
from benchmark.plan.tasks import LINEAR_SYSTEMS, LinearSystemTask
from benchmark.running.rollout import AgentPolicy, Frame, Policy, Trace, play
from benchmark.running.store import Run
from benchmark.studies.control_theory.optimal_denoiser import OptimalDenoiser, learnt_noise
from envs.demos import linear_system_lqr
from envs.linear_system import MAX_EPISODE_STEPS, SYSTEMS, LinearSystem

Floats = NDArray[np.float64]

SAMPLES = 16
"""Chunks drawn for each state, N."""
SAMPLERS = (("ddim", 16), ("ddim", 100), ("ddpm", 16), ("ddpm", 100))
EVERY = 25
"""Steps between the states of an episode that are looked at."""


class Probe:
    """A trained policy, its closed form, and the regulator's test episodes.

    Attributes:
        system: What it holds.
        agent: The policy.
        optimal: The closed form.
        best: What a network of its kind can learn of it: under a causal mask, which a transformer
            has, an action knows of earlier ones only.
        seeds: Of the episodes, E.
        states: Of those, every 25th, (E, P, Ds) float32.
        chunks: The regulator's actions from there on, (E, P, Tp, Da) float32.
    """

    def __init__(self, cell: Cell, run: Run, episodes: int, device: torch.device) -> None:
        self.task = task_of(cell)
        self.system = SYSTEMS[self.task.system]
        agent = run.agent().to(device)
        assert isinstance(agent, DiffusionAgent)
        self.agent, self.device = agent, device
        self.optimal = OptimalDenoiser(self.system, agent)
        is_causal = isinstance(agent, DiffusionTransformer)
        self.best = OptimalDenoiser(self.system, agent, is_causal)
        self.seeds = episode_seeds("test", episodes)
        first, steps, Tp = FIRST_SEED["test"], MAX_EPISODE_STEPS, cell.pred_horizon
        demos = linear_system_lqr.demonstrate(self.task.system, episodes, first_seed=first)
        states, actions = (
            torch.as_tensor(rows.reshape(episodes, steps, -1), dtype=torch.float32, device=device)
            for rows in (demos.states, demos.actions)
        )
        self.states = states[:, : steps - Tp + 1 : EVERY]
        self.chunks = actions.unfold(1, Tp, 1)[:, ::EVERY].transpose(2, 3)

    def generator(self, *names: int | str) -> torch.Generator:
        """A source of noise of its own for every use."""
        return torch.Generator().manual_seed(derive("control-theory", *names))

    def by_episode(self, **columns: Tensor) -> pd.DataFrame:
        """Means over the states of each episode, from values (E * P,)."""
        E = len(self.seeds)
        means = {name: value.reshape(E, -1).mean(1).cpu() for name, value in columns.items()}
        return pd.DataFrame({"seed": self.seeds} | means)


def task_of(cell: Cell) -> LinearSystemTask:
    """The task of a cell of this study."""
    return next(task for task in LINEAR_SYSTEMS if task.name == cell.task)


@torch.inference_mode()
def denoiser_errors(probe: Probe) -> pd.DataFrame:
    """Squared difference of learnt and optimal noise at each step k, a row an episode and step.

    `error` and `reference` are of the closed form, `best_error` and `best_reference` of what a
    network of this kind can learn of it, and `floor` is the difference of these two.
    """
    states = probe.states.flatten(0, 1)  # (E * P, Ds)
    clean = probe.agent.normalizer.normalize("action", probe.chunks.flatten(0, 1))
    frames = []
    for k in range(probe.agent.diffusion.config.num_train_timesteps):
        noise = torch.randn(clean.shape, generator=probe.generator("noise", k)).to(clean)
        step = torch.full((len(clean),), k, device=probe.device)
        noised = probe.agent.diffusion.add_noise(clean, noise, step)
        exact = probe.optimal(noised, step, states)
        learnt = learnt_noise(probe.agent, noised, step, states)
        best = probe.best(noised, step, states)
        squares = {
            "error": learnt - exact,
            "reference": exact,
            "best_error": learnt - best,
            "best_reference": best,
            "floor": best - exact,
        }
        frame = probe.by_episode(**{n: v.square().mean((1, 2)) for n, v in squares.items()})
        frames.append(frame.assign(step=k))
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def action_errors(probe: Probe) -> pd.DataFrame:
    """Sampled actions against the regulator's, a row an episode and offset, in units squared.

    At offset 0 nothing is uncertain, and `error` is that of every sample. Later offsets are, and
    there it is the error of the mean of N samples. To see that mean sharply, the closed form (as
    far as a network of this kind can learn it) draws too, from the same noise: the error is the
    mean difference. (Its own mean is the regulator's, whatever the number of denoising steps.)
    """
    states = probe.states.flatten(0, 1)
    learnt = probe.agent.act({"state": states[:, None]}, probe.generator("actions"), SAMPLES)
    exact = probe.best.act(states, probe.generator("actions"), SAMPLES)  # (E * P, N, Tp, Da)
    mean = probe.optimal.mean(states).to(learnt)  # (E * P, Tp, Da)
    frames = []
    for t in range(mean.shape[1]):
        if t == 0:
            error = (learnt[:, :, t] - mean[:, None, t]).square().mean((1, 2))
        else:
            error = (learnt - exact)[:, :, t].mean(1).square().mean(1)
        frame = probe.by_episode(
            error=error,
            reference=mean[:, t].square().mean(1),
            variance=learnt[:, :, t].var(1).mean(1),
        )
        frames.append(frame.assign(offset=t, exact_variance=float(probe.optimal.variance[t])))
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def sampler_errors(probe: Probe) -> pd.DataFrame:
    """What a policy of one action draws by other samplers against -K s, a row an episode each.

    `median` is that of the difference's size over all samples, as a share of the RMS of -K s.
    """
    if probe.agent.spec.pred_horizon > 1:
        return pd.DataFrame()
    states = probe.states.flatten(0, 1)
    truth = probe.optimal.mean(states).to(states)[:, 0]  # (E * P, Da)
    configured = probe.agent.diffusion.config
    frames = []
    for sampler, steps in SAMPLERS:
        probe.agent.set_sampler(sampler)
        probe.agent.set_inference_steps(steps)
        generator = probe.generator("samplers")
        drawn = probe.agent.act({"state": states[:, None]}, generator, SAMPLES)[:, :, 0]
        error = (drawn - truth[:, None]).square().mean(2)  # (E * P, N)
        reference = truth.square().mean(1)
        frame = probe.by_episode(error=error.mean(1), reference=reference)
        median = float((error.median() / reference.mean()).sqrt())
        frames.append(frame.assign(sampler=sampler, inference_steps=steps, median=median))
    probe.agent.diffusion.config = configured
    return pd.concat(frames, ignore_index=True)


def closed_loop_costs(probe: Probe) -> pd.DataFrame:
    """Mean cost of a step, the policy's and the regulator's on the same starts and noise."""
    policy = AgentPolicy(probe.agent, probe.seeds)
    return pd.DataFrame(
        {
            "seed": probe.seeds,
            "cost": _mean_cost(policy, probe),
            "regulator": _mean_cost(Regulator(probe.system), probe),
        }
    )


class Regulator:
    """The regulator in a rollout."""

    obs_horizon = pred_horizon = 1

    def __init__(self, system: LinearSystem) -> None:
        self._system = system

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Floats:  # noqa: ARG002
        """Its action -K s, (B, 1, Da)."""
        actions: Floats = -window["state"] @ self._system.K.T
        return actions


def _mean_cost(policy: Policy, probe: Probe) -> Floats:
    """Of each test episode, (E,)."""
    trace, config = Trace(), EvalConfig(action_horizon=1)
    what = "closed loops"
    play(policy, probe.task, "state", "position", probe.seeds, config, what, trace=trace)
    states = np.stack([frame["state"] for frame in trace.frames[:-1]])  # (T, E, Ds)
    costs: Floats = probe.system.cost(states, np.stack(trace.actions)).mean(0)
    return costs


MEASUREMENTS: dict[str, Callable[[Probe], pd.DataFrame]] = {
    "denoiser": denoiser_errors,
    "actions": action_errors,
    "samplers": sampler_errors,
    "costs": closed_loop_costs,
}

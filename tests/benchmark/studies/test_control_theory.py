"""The closed-form denoiser, and what the control-theory study measures against it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.agent import Spec, agent_class
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.normalizer import Normalizer
from benchmark.errors import UsageError
from benchmark.plan.tasks import LINEAR_SYSTEMS
from benchmark.running.store import Run
from benchmark.running.train import train
from benchmark.studies import runner
from benchmark.studies.control_theory import measure as control_theory_measure
from benchmark.studies.control_theory import study as control_theory
from benchmark.studies.control_theory.measure import (
    Probe,
    action_errors,
    closed_loop_costs,
    denoiser_errors,
)
from benchmark.studies.control_theory.optimal_denoiser import OptimalDenoiser, learnt_noise
from benchmark.studies.control_theory.study import ControlTheory, cell, ratio
from benchmark.studies.study import StudyConfig
from envs.demos.linear_system_lqr import action_chunk, demonstrate, load
from envs.linear_system import SYSTEMS

CPU = torch.device("cpu")
STABLE = next(task for task in LINEAR_SYSTEMS if task.system == "stable")


def untrained(system: str, Tp: int) -> DiffusionUnet:
    """An agent whose normaliser shifts and scales, with the study's diffusion process."""
    demos = demonstrate(system, 20)
    data = {"state": torch.as_tensor(demos.states), "action": torch.as_tensor(demos.actions + 0.3)}
    normalizer = Normalizer.fit(data, {"state": "min-max", "action": "standard"}).float()
    config = DiffusionUnetConfig(
        channels=(8,), groups=1, step_dim=8, clip=8.0, sampler="ddpm", num_inference_steps=100
    )
    spec = Spec({"state": (demos.states.shape[1],)}, 1, obs_horizon=1, pred_horizon=Tp)
    torch.manual_seed(0)
    return DiffusionUnet(config, spec, normalizer).eval()


def states_of(system: str, count: int) -> torch.Tensor:
    visited = demonstrate(system, 2, first_seed=300_000).states
    return torch.as_tensor(visited[:: len(visited) // count][:count], dtype=torch.float32)


@pytest.mark.parametrize("system", ["stable", "unstable"])
def test_for_one_action_the_closed_form_is_that_of_the_paper(system):
    agent = untrained(system, 1)
    states, actions = states_of(system, 50), torch.linspace(-3, 3, 50).reshape(50, 1, 1)
    K = torch.as_tensor(SYSTEMS[system].K, dtype=torch.float32)
    scale, offset = agent.normalizer.action_scale, agent.normalizer.action_offset
    for k in (0, 3, 40, 99):
        abar = agent.diffusion.abar[k]
        expected = (actions[:, 0] + abar.sqrt() * (scale * (states @ K.T) - offset)) / (
            1 - abar
        ).sqrt()
        found = OptimalDenoiser(SYSTEMS[system], agent)(actions, torch.full((50,), k), states)
        torch.testing.assert_close(found[:, 0], expected, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("k", [5, 30, 60])
def test_for_two_actions_the_closed_form_is_the_posterior_mean_found_by_integration(k):
    # Bayes' rule on a grid over the second action; the first is known for certain.
    system, agent = SYSTEMS["stable"], untrained("stable", 2)
    optimal, state = OptimalDenoiser(system, agent), states_of("stable", 1)
    gains, covariance = action_chunk(system, 2)
    mean = agent.normalizer.normalize(
        "action", torch.as_tensor(gains, dtype=torch.float32) @ state[0]
    ).double()
    spread = float(covariance[1, 1] ** 0.5 * agent.normalizer.action_scale)
    noised = torch.tensor([[0.4], [-0.9]])
    signal, sigma = agent.diffusion.abar[k].sqrt(), (1 - agent.diffusion.abar[k]).sqrt()
    second = torch.linspace(-8, 8, 40_001).double() * spread + mean[1]
    prior = torch.exp(-0.5 * ((second - mean[1]) / spread) ** 2)
    likelihood = torch.exp(-0.5 * ((noised[1] - signal * second) / sigma) ** 2)
    weight = prior * likelihood / (prior * likelihood).sum()
    clean = torch.stack([mean[0, 0], (weight * second).sum()])
    expected = (noised[:, 0] - signal * clean) / sigma
    found = optimal(noised[None], torch.tensor([k]), state)[0, :, 0]
    torch.testing.assert_close(found, expected.float(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("Tp", [1, 4])
def test_no_correction_of_the_closed_form_lowers_the_denoising_loss(Tp):
    system, agent = SYSTEMS["unstable"], untrained("unstable", Tp)
    optimal = OptimalDenoiser(system, agent)
    demos = demonstrate("unstable", 60)
    starts = np.concatenate([100 * i + np.arange(100 - Tp + 1) for i in range(60)])
    chunks = np.stack([demos.actions[starts + t] for t in range(Tp)], axis=1)
    clean = agent.normalizer.normalize("action", torch.as_tensor(chunks, dtype=torch.float32))
    states = torch.as_tensor(demos.states[starts], dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    for k in (10, 50, 90):
        noise, step = torch.randn(clean.shape, generator=generator), torch.full((len(clean),), k)
        noised = agent.diffusion.add_noise(clean, noise, step)
        residual = (noise - optimal(noised, step, states)).flatten(1).double()
        # The residual of a posterior mean is orthogonal to whatever was known.
        known = torch.cat([noised.flatten(1), states, torch.ones(len(states), 1)], 1).double()
        fitted = known @ torch.linalg.lstsq(known, residual).solution
        assert fitted.square().sum() <= 0.005 * residual.square().sum() + 1e-4


def test_under_a_causal_mask_an_action_is_denoised_by_the_ones_up_to_it():
    system, agent, k = SYSTEMS["stable"], untrained("stable", 4), torch.full((3,), 20)
    full, causal = (OptimalDenoiser(system, agent, is_causal) for is_causal in (False, True))
    states = states_of("stable", 3)
    noised = torch.randn(3, 4, 1, generator=torch.Generator().manual_seed(0))
    changed = noised.clone()
    changed[:, 3] += 1.0
    known, other = causal(noised, k, states), causal(changed, k, states)
    torch.testing.assert_close(other[:, :3], known[:, :3])
    torch.testing.assert_close(known[:, 3], full(noised, k, states)[:, 3])
    assert (full(changed, k, states) - full(noised, k, states))[:, 1].abs().min() > 0.01
    # The first action is known from the state alone, with or without the others.
    torch.testing.assert_close(known[:, 0], full(noised, k, states)[:, 0], rtol=1e-4, atol=1e-4)


def test_the_transformer_cannot_see_later_actions_and_the_unet_can():
    states, changes = states_of("stable", 1), {}
    for method, small in (
        ("diffusion-transformer", {"layers": 1, "width": 16}),
        ("diffusion-unet", {}),
    ):
        made = cell(STABLE, method, 4, seed=0, preset="smoke")
        agent = agent_class(method)(
            replace(made.agent, **small),
            Spec({"state": (2,)}, 1, 1, 4),
            untrained("stable", 4).normalizer,
        ).eval()
        noised = torch.zeros(1, 4, 1)
        step = torch.tensor([20])
        before = learnt_noise(agent, noised, step, states)
        noised[:, 3] += 1.0
        changes[method] = (learnt_noise(agent, noised, step, states) - before)[:, :3].abs().max()
    assert changes["diffusion-transformer"] == 0
    assert changes["diffusion-unet"] > 0


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
def test_sampling_by_the_closed_form_gives_the_regulators_actions(sampler):
    agent = untrained("unstable", 1)
    agent.set_sampler(sampler)
    agent.set_inference_steps(20)
    states = states_of("unstable", 20)
    drawn = OptimalDenoiser(SYSTEMS["unstable"], agent).act(
        states, torch.Generator().manual_seed(0), 3
    )
    K = torch.as_tensor(SYSTEMS["unstable"].K, dtype=torch.float32)
    expected = (-states @ K.T)[:, None, None].expand_as(drawn)
    torch.testing.assert_close(drawn, expected, rtol=1e-3, atol=1e-3)


def test_sampled_chunks_of_the_closed_form_have_the_mean_and_spread_of_the_regulators():
    agent, system = untrained("stable", 4), SYSTEMS["stable"]
    optimal, states = OptimalDenoiser(system, agent), states_of("stable", 4)
    drawn = optimal.act(states, torch.Generator().manual_seed(0), 4000)[..., 0]  # (4, N, Tp)
    _, covariance = action_chunk(system, 4)
    spread = covariance.diagonal() ** 0.5
    error = drawn.mean(1) - optimal.mean(states)[..., 0]
    assert error.abs().max() < 0.04 * spread.max()
    np.testing.assert_allclose(drawn.std(1).mean(0)[1:], spread[1:], rtol=0.04)
    np.testing.assert_allclose(optimal.variance**0.5, spread, atol=1e-12)


def test_an_agent_that_predicts_something_else_than_noise_is_refused():
    agent = untrained("stable", 1)
    agent.diffusion.config = replace(agent.diffusion.config, prediction="sample")
    with pytest.raises(ValueError, match="predicts sample, not epsilon"):
        learnt_noise(
            agent, torch.zeros(1, 1, 1), torch.zeros(1, dtype=torch.long), states_of("stable", 1)
        )


# ---- learning ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The smoke cell of the stable system for one action, trained a little longer."""
    made = cell(STABLE, "diffusion-transformer", 1, seed=42, preset="smoke")
    made = replace(
        made,
        train=replace(made.train, updates=1500),
        agent=replace(made.agent, num_inference_steps=100),
    )
    run = Run(made, tmp_path_factory.mktemp("runs"))
    train(run, load("stable"), CPU)
    return Probe(made, run, episodes=8, device=CPU)


def test_a_trained_policy_samples_the_regulators_action_within_a_few_percent(trained):
    errors = action_errors(trained)
    assert set(errors["offset"]) == {0}
    assert np.sqrt(errors["error"].mean() / errors["reference"].mean()) < 0.04


def test_a_trained_denoiser_is_near_the_closed_form_at_most_steps(trained):
    errors = denoiser_errors(trained)
    assert errors.groupby("step").size().tolist() == [8] * 100
    means = errors.groupby("step")[["error", "reference"]].mean()
    relative = np.sqrt(means["error"] / means["reference"])
    assert relative.median() < 0.1
    # Of unit noise itself; the mean over steps, since 32 draws a step scatter by a quarter.
    assert means["reference"].mean() == pytest.approx(1.0, abs=0.1)


def test_a_trained_policy_costs_about_what_the_regulator_costs(trained, monkeypatch):
    faster = replace(trained.agent.diffusion.config, num_inference_steps=20)
    monkeypatch.setattr(trained.agent.diffusion, "config", faster)
    costs = closed_loop_costs(trained)
    assert costs["seed"].tolist() == list(range(300_000, 300_008))
    demos = demonstrate("stable", 8, first_seed=300_000)
    regulator = SYSTEMS["stable"].cost(demos.states, demos.actions).reshape(8, -1).mean(1)
    np.testing.assert_allclose(costs["regulator"], regulator, rtol=1e-9)
    assert costs["cost"].mean() == pytest.approx(regulator.mean(), rel=0.02)


def test_a_policy_with_another_gain_is_told_from_the_regulator(trained, monkeypatch):
    # What the measurements are for: an agent that is 10 % off must not pass.
    honest = trained.agent.act
    monkeypatch.setattr(trained.agent, "act", lambda *given: 1.1 * honest(*given))
    errors = action_errors(trained)
    assert np.sqrt(errors["error"].mean() / errors["reference"].mean()) > 0.08


# ---- the study ----


def test_the_study_compares_both_systems_and_one_action_with_eight():
    jobs = ControlTheory().jobs(StudyConfig(preset="quick", seeds=(42,)))
    cells = [job.cell for job in jobs]
    found = {(c.task, c.method, c.pred_horizon) for c in cells}
    assert len(found) == len({c.id for c in cells}) == 8
    assert {c.obs_horizon for c in cells} == {c.action_horizon for c in cells} == {1}
    assert {c.agent.prediction for c in cells} == {"epsilon"}


def test_a_method_without_a_denoiser_is_refused():
    with pytest.raises(UsageError, match="this study compares diffusion-transformer"):
        ControlTheory().jobs(StudyConfig(methods=("ibc",)))


def test_a_ratio_of_squares_is_that_of_the_roots():
    over = [1.0, 3.0, 4.0, 8.0] * 10
    frame = pd.DataFrame({"train_seed": 42, "seed": range(40), "a": over, "b": 16.0})
    plain, root = (ratio(frame, "a", "b", squared).interval() for squared in (False, True))
    assert plain.estimate == pytest.approx(0.25)
    assert root.estimate == pytest.approx(0.5)
    assert 0.15 < plain.low < 0.25 < plain.high < 0.35
    assert root.low == pytest.approx(plain.low**0.5)
    assert root.high == pytest.approx(plain.high**0.5)


def test_the_study_writes_its_page_and_measures_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setitem(control_theory.UPDATES, "smoke", 3)
    monkeypatch.setattr(control_theory, "HORIZONS", (1, 2))
    monkeypatch.setitem(control_theory.INFERENCE_STEPS, "smoke", 2)
    monkeypatch.setattr(control_theory_measure, "SAMPLES", 2)
    monkeypatch.setattr(control_theory_measure, "SAMPLERS", (("ddim", 4), ("ddpm", 4)))
    config = StudyConfig(
        preset="smoke", methods=("diffusion-unet",), episodes=3, workers=1, out=tmp_path / "out"
    )
    runner.run_study(ControlTheory(), config, tmp_path / "runs", "test")
    folder = tmp_path / "out" / "control-theory-linear-systems-smoke"
    text = (folder / "README.md").read_text()
    assert "suggests not" in text  # 3 updates teach nothing
    for stem in ("denoiser-error", "future-actions"):
        assert f"({stem}.png)" in text
        assert (folder / f"{stem}.svg").is_file()
    measured = sorted((tmp_path / "runs").rglob("measured/control-theory-*.parquet"))
    assert len(measured) == 4 * len(control_theory_measure.MEASUREMENTS)
    times = [path.stat().st_mtime_ns for path in measured]
    for job in ControlTheory().jobs(config):
        ControlTheory().measured(config, Run(job.cell, tmp_path / "runs"))
    assert [path.stat().st_mtime_ns for path in measured] == times

"""The linear systems, their regulator and its demonstrations."""

import gymnasium
import numpy as np
import pytest
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov

import envs
from envs.demos.linear_system_lqr import action_chunk, demonstrate, load
from envs.linear_system import (
    CONTROL_HZ,
    MAX_EPISODE_STEPS,
    SYSTEMS,
    LinearSystemEnv,
    held,
    lqr_gain,
)

gymnasium.register_envs(envs)

BOTH = pytest.mark.parametrize("system", list(SYSTEMS))


def stationary_cost(system, gain):
    """Mean cost of a step under a = -gain s in the long run; the noise sets it."""
    closed_loop = system.A - system.B @ gain
    moment = solve_discrete_lyapunov(closed_loop, np.diag(system.noise**2))
    return np.trace((system.Q + gain.T @ system.R @ gain) @ moment)


def test_one_system_is_stable_and_the_other_is_not():
    radius = {name: np.abs(np.linalg.eigvals(system.A)).max() for name, system in SYSTEMS.items()}
    assert radius["stable"] < 1 < radius["unstable"]


@BOTH
def test_the_regulator_makes_every_system_stable(system):
    assert np.abs(np.linalg.eigvals(SYSTEMS[system].closed_loop)).max() < 0.97


@BOTH
def test_the_gain_is_a_fixed_point_of_the_riccati_iteration(system):
    own = SYSTEMS[system]
    value = own.Q
    for _ in range(3000):
        gain = np.linalg.solve(own.R + own.B.T @ value @ own.B, own.B.T @ value @ own.A)
        value = own.Q + own.A.T @ value @ (own.A - own.B @ gain)
    np.testing.assert_allclose(own.K, gain, rtol=1e-9)
    np.testing.assert_allclose(value, solve_discrete_are(own.A, own.B, own.Q, own.R), rtol=1e-8)


@BOTH
def test_no_gain_near_the_regulators_costs_less(system):
    own = SYSTEMS[system]
    best = stationary_cost(own, own.K)
    rng = np.random.default_rng(0)
    for size in (0.01, 0.1):
        changes = size * own.K * rng.choice([-1.0, 1.0], (8, *own.K.shape))
        costs = [stationary_cost(own, own.K + change) for change in changes]
        assert min(costs) > best


def test_the_gain_of_a_scalar_system_is_the_one_worked_out_by_hand():
    # p = 1 + p - p^2 / (1 + p) gives the golden ratio p, and K = p / (1 + p) = 1 / p.
    golden = (1 + 5**0.5) / 2
    np.testing.assert_allclose(lqr_gain([[1.0]], [[1.0]], [[1.0]], [[1.0]]), [[1 / golden]])


def test_a_held_action_moves_the_system_as_many_small_steps_do():
    F, G = np.array([[0.0, 1.0], [-4.0, -0.4]]), np.array([[0.0], [1.0]])
    state, steps = np.array([1.0, -0.5]), 200_000
    A, B = held(F, G, 0.05)
    small = state.copy()
    for _ in range(steps):
        small = small + (F @ small + G @ [2.0]) * 0.05 / steps
    np.testing.assert_allclose(A @ state + B @ [2.0], small, atol=1e-6)


@BOTH
def test_a_step_without_noise_is_the_linear_map(system):
    env, own = LinearSystemEnv(system, noise=0.0), SYSTEMS[system]
    start = np.linspace(0.1, 0.4, len(own.A))
    env.reset(seed=0, options={"state": start})
    state, reward, terminated, truncated, info = env.step(np.array([0.7]))
    np.testing.assert_allclose(state, own.A @ start + own.B @ [0.7], rtol=1e-12)
    cost = start @ own.Q @ start + 0.7**2 * own.R[0, 0]
    assert info["cost"] == pytest.approx(cost)
    assert reward == pytest.approx(1 / (1 + cost))
    assert not terminated
    assert not truncated


@BOTH
def test_the_noise_has_the_spread_it_is_said_to_have(system):
    own = SYSTEMS[system]
    residuals = {}
    for noise in (1.0, 3.0):
        demos = demonstrate(system, 40, noise=noise)
        states = demos.states.reshape(40, MAX_EPISODE_STEPS, -1)
        residual = states[:, 1:] - states[:, :-1] @ own.closed_loop.T
        residuals[noise] = residual.reshape(-1, len(own.A))
        np.testing.assert_allclose(
            residuals[noise].std(0), noise * own.noise, rtol=0.05, atol=1e-12
        )
    np.testing.assert_allclose(residuals[3.0], 3 * residuals[1.0], atol=1e-10)


def test_the_noise_of_a_seed_does_not_depend_on_where_it_starts():
    env = LinearSystemEnv("unstable")
    own, ends = env.system, []
    for start in (None, np.array([0.1, 0.0, -0.02, 0.3])):
        state, _ = env.reset(seed=5, options=None if start is None else {"state": start})
        if start is not None:
            np.testing.assert_array_equal(state, start)
        after, *_ = env.step(np.zeros(1))
        ends.append(after - own.A @ state)
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-15)
    assert np.abs(ends[0]).max() > 0.001


def test_velocity_control_adds_its_actions_up():
    forces = np.array([[1.0], [0.5], [-2.0]])
    position = LinearSystemEnv("stable", control="position")
    velocity = LinearSystemEnv("stable", control="velocity")
    position.reset(seed=1)
    velocity.reset(seed=1)
    for force, change in zip(forces, np.diff(forces, axis=0, prepend=0.0), strict=True):
        expected, *_ = position.step(force)
        state, *_ = velocity.step(change)
        np.testing.assert_allclose(state, expected, rtol=1e-12)


def test_the_largest_actions_keep_the_state_inside_its_space_for_a_whole_episode():
    for control in ("position", "velocity"):
        env = gymnasium.make("dpbench/LinearSystem-v1", system="unstable", control=control)
        env.reset(seed=0)
        truncated = False
        while not truncated:
            state, _, _, truncated, _ = env.step(env.action_space.high)
        assert env.observation_space.contains(state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"system": "chaotic"}, "unknown system 'chaotic'; choose one of stable, unstable"),
        ({"obs_type": "pixels"}, "unknown obs_type 'pixels'; choose one of state"),
        ({"control": "torque"}, "choose one of position, velocity"),
        ({"noise": -1.0}, "noise is -1.0; give a factor of 0 or more"),
    ],
)
def test_an_unknown_argument_is_named_beside_what_is_allowed(arguments, message):
    with pytest.raises(ValueError, match=message):
        LinearSystemEnv(**arguments)


def test_a_wrong_state_or_action_is_refused():
    env = LinearSystemEnv("stable")
    with pytest.raises(ValueError, match="give 2 finite numbers"):
        env.reset(seed=0, options={"state": np.zeros(4)})
    with pytest.raises(ValueError, match="unknown reset options"):
        env.reset(seed=0, options={"order": "angle-first"})
    env.reset(seed=0)
    for action in (np.zeros(2), np.array([np.nan])):
        with pytest.raises(ValueError, match="give 1 finite numbers"):
            env.step(action)


# ---- demonstrations ----


@BOTH
def test_every_demonstrated_action_is_the_regulators(system):
    demos = load(system)
    assert demos.num_episodes == 200
    np.testing.assert_allclose(demos.actions, -demos.states @ SYSTEMS[system].K.T, atol=1e-12)
    np.testing.assert_array_equal(demos.observations["state"], demos.states)


@BOTH
def test_demonstrations_are_the_episodes_of_their_seeds(system):
    first, again = demonstrate(system, 3), demonstrate(system, 2, first_seed=1)
    np.testing.assert_array_equal(first.states[MAX_EPISODE_STEPS:], again.states)
    start, _ = LinearSystemEnv(system).reset(seed=2)
    np.testing.assert_array_equal(first.states[2 * MAX_EPISODE_STEPS], start)


def test_demonstrations_of_another_noise_have_another_version():
    assert demonstrate("stable", 1).metadata.version == "v1-LinearSystem-v1"
    assert demonstrate("stable", 1, noise=0.5).metadata.version == "v1-LinearSystem-v1-noise0.5"


def test_a_source_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="source is human; allowed: scripted"):
        load("stable", "human")


@BOTH
def test_chunks_of_demonstrated_actions_have_the_mean_and_covariance_given_in_closed_form(system):
    own, Tp, count = SYSTEMS[system], 5, 40_000
    gains, covariance = action_chunk(own, Tp)
    rng = np.random.default_rng(0)
    start = own.start
    states, actions = np.tile(start, (count, 1)), []
    for _ in range(Tp):
        actions.append(-states @ own.K.T)
        states = own.next_states(states, actions[-1])
        states = states + own.noise * rng.standard_normal(states.shape)
    chunks = np.concatenate(actions, axis=1)  # (count, Tp)
    scale = np.sqrt(covariance.diagonal().max())
    np.testing.assert_allclose(chunks.mean(0), (gains @ start)[:, 0], atol=0.02 * scale)
    np.testing.assert_allclose(np.cov(chunks.T), covariance, atol=0.03 * scale**2)
    assert covariance[0].max() == 0
    np.testing.assert_allclose(gains[2], -own.K @ own.closed_loop @ own.closed_loop, rtol=1e-12)


def test_an_episode_lasts_five_seconds():
    assert gymnasium.spec("dpbench/LinearSystem-v1").max_episode_steps == MAX_EPISODE_STEPS
    assert MAX_EPISODE_STEPS / CONTROL_HZ == 5

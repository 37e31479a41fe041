"""The mechanics of Push-T against recordings of gym-pusht and the protocol's published numbers."""

import copy
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from envs.pusht.geometry import coverage
from envs.pusht.physics import PushTPhysics, draw_state, initial_state

GOLDEN = Path(__file__).parents[1] / "golden" / "pusht_trajectories.npz"


@pytest.fixture(scope="module")
def golden() -> dict[str, NDArray[np.float64]]:
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


def play(
    start: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    physics = PushTPhysics()
    physics.reset_to(start, "position-first")
    states, contacts = [physics.state], [0]
    for target in targets:
        contacts.append(physics.step(target))
        states.append(physics.state)
    return np.array(states), np.array(contacts)


@pytest.mark.parametrize("kind", ["trajectory", "overlap"])
def test_trajectories_equal_those_of_gym_pusht(golden, kind):
    for index, start in enumerate(golden[f"{kind}_start"]):
        states, contacts = play(start, golden[f"{kind}_targets"][index])
        np.testing.assert_allclose(states[0], golden[f"{kind}_reset"][index], atol=1e-9, rtol=0)
        np.testing.assert_allclose(states[1:], golden[f"{kind}_states"][index], atol=1e-9, rtol=0)
        points = golden[f"{kind}_contact_points"][index]
        np.testing.assert_array_equal(contacts[1:], np.ceil(points / 10))


def test_golden_trajectories_are_long_and_rich_in_contact(golden):
    assert golden["trajectory_states"].shape[1] == 1000
    assert (np.mean(golden["trajectory_contact_points"] > 0, axis=1) > 0.4).all()
    assert (golden["overlap_contact_points"][:, 0] > 0).all()


def test_coverage_equals_that_of_gym_pusht(golden):
    states = golden["trajectory_states"].reshape(-1, 5)
    recorded = golden["trajectory_coverage"].ravel()
    assert np.mean(recorded > 0) > 0.4
    np.testing.assert_allclose([coverage(state) for state in states], recorded, atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("seed", "state"),
    [
        (0, (222, 97, 222.993827, 381.599036, 3.007999)),
        (1, (87, 285, 158.162507, 357.180334, 5.970621)),
        (100000, (235, 124, 299.612885, 145.201581, 5.378258)),
        (100001, (365, 182, 234.934254, 304.51254, 5.185072)),
        (100049, (143, 388, 70.293037, 339.186569, 5.436568)),
    ],
)
def test_a_seed_starts_in_the_state_of_the_protocol(seed, state):
    reached = initial_state(seed)
    reached[4] %= 2 * math.pi
    np.testing.assert_allclose(reached, state, atol=1e-6, rtol=0)


def test_agent_answers_a_step_of_100_px_as_the_original(golden):
    physics = PushTPhysics()
    physics.reset_to((100, 100, 400, 400, 0))
    travelled = []
    for _ in range(6):
        physics.step((200, 100))
        travelled.append(physics.state[0] - 100)
    np.testing.assert_allclose(travelled, [29.57, 61.59, 80.76, 90.70, 95.58, 97.91], atol=5e-3)
    np.testing.assert_allclose(travelled, golden["step_response"], atol=1e-9, rtol=0)


def test_angle_first_gives_the_state_asked_for_and_position_first_turns_about_the_gravity_center():
    asked = np.array([100.0, 100.0, 300.0, 300.0, math.pi / 2])
    physics = PushTPhysics()
    physics.reset_to(asked)
    np.testing.assert_allclose(physics.state, asked, atol=1e-12, rtol=0)
    physics.reset_to(asked, "position-first")
    # p + c - R(angle) c with c = (0, 45) and a quarter turn.
    np.testing.assert_allclose(physics.state[2:4], [345.0, 345.0], atol=1e-12, rtol=0)


def test_a_reset_forgets_the_past(golden):
    start, targets = golden["overlap_start"][0], golden["overlap_targets"][0]
    first, _ = play(start, targets)
    physics = PushTPhysics()
    for state in golden["overlap_start"]:
        physics.reset_to(state)
        physics.step(state[:2])
    physics.reset_to(start, "position-first")
    for target, expected in zip(targets, first[1:], strict=True):
        physics.step(target)
        np.testing.assert_array_equal(physics.state, expected)


def test_a_reset_takes_the_velocity_of_the_agent():
    physics = PushTPhysics()
    physics.reset_to((100, 100, 400, 400, 0))
    physics.step((200, 120))
    state, velocity = physics.state, physics.agent_velocity
    other = PushTPhysics()
    other.reset_to(state, agent_velocity=velocity)
    for target in ((250, 100), (180, 90)):
        physics.step(target)
        other.step(target)
        np.testing.assert_array_equal(other.state, physics.state)
        np.testing.assert_array_equal(other.agent_velocity, physics.agent_velocity)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_in_the_middle_of_a_push_continues_to_the_bit(golden, clone):
    targets = golden["trajectory_targets"][0]
    physics = PushTPhysics()
    physics.reset_to(golden["trajectory_start"][0], "position-first")
    contacts = [physics.step(target) for target in targets[:120]]
    assert contacts[-1] > 0
    copied = clone(physics)
    for target in targets[120:160]:
        assert copied.step(target) == physics.step(target)
        np.testing.assert_array_equal(copied.state, physics.state)


@pytest.mark.parametrize("state", [(1, 2, 3, 4), (1, 2, 3, 4, math.nan), (1, 2, 3, 4, math.inf)])
def test_a_state_that_is_not_five_finite_numbers_is_refused(state):
    with pytest.raises(ValueError, match="not five finite numbers"):
        PushTPhysics().reset_to(state)


def test_an_unknown_order_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="'angle_first'; choose one of angle-first, position-first"
    ):
        PushTPhysics().reset_to((1, 2, 3, 4, 5), "angle_first")


@pytest.mark.parametrize("target", [(math.nan, 1.0), (1.0, math.inf)])
def test_a_set_point_that_is_not_finite_is_refused_and_moves_nothing(target):
    physics = PushTPhysics()
    before = physics.state
    with pytest.raises(ValueError, match="not finite"):
        physics.step(target)
    np.testing.assert_array_equal(physics.state, before)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_the_protocol_cannot_draw_from_is_refused(seed):
    with pytest.raises(ValueError, match=rf"seed {seed} is out of range"):
        draw_state(seed)

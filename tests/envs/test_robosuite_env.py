"""Lift, Can and Square: observations, control modes, seeds, states and errors."""

import ctypes.util
import json
import logging
import os
import pickle
import subprocess
import sys
from importlib.util import find_spec

import gymnasium
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import envs
from envs.robosuite.actions import absolute, pose_action
from envs.robosuite.observations import observe, robot_part
from envs.robosuite.rotations import from_axis_angle
from envs.robosuite.scenes import SCENES, TASK_NAMES
from envs.robosuite.simulation import Simulation

# Not importorskip: robosuite is to be imported by what is tested.
pytestmark = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
gymnasium.register_envs(envs)


@pytest.fixture(scope="module")
def simulations() -> dict[tuple[str, str], Simulation]:
    """Simulations made when they are first asked for."""

    class Made(dict):
        def __missing__(self, key):
            self[key] = Simulation(*key)
            return self[key]

    return Made()


def random_deltas(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, 7))


@pytest.mark.parametrize("task", TASK_NAMES)
def test_observations_have_robomimics_names_and_lengths(task, simulations):
    slices = SCENES[task].slices
    object_dim = {"lift": 10, "can": 14, "square": 14}[task]
    assert SCENES[task].state_dim == object_dim + 3 + 4 + 2
    assert list(slices)[-3:] == ["robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"]
    assert slices["robot0_eef_pos"] == slice(object_dim, object_dim + 3)
    simulation = simulations[task, "velocity"]
    simulation.start(simulation.initial_state(0))
    seen = observe(simulation)
    assert seen.shape == (SCENES[task].state_dim,)
    np.testing.assert_array_equal(seen[slices["robot0_eef_pos"]], simulation.eef_pose[0])
    np.testing.assert_array_equal(seen[:3], simulation.object_pose[0])
    np.testing.assert_array_equal(robot_part(seen), seen[object_dim:])


@pytest.mark.parametrize(("task", "name"), [("can", "Can"), ("square", "SquareNut")])
def test_the_object_relative_to_the_gripper_is_its_pose_in_the_grippers_frame(
    task, name, simulations
):
    simulation = simulations[task, "velocity"]
    simulation.start(simulation.initial_state(3))
    for delta in random_deltas(5):
        simulation.step(delta)
    seen = {part: observe(simulation)[where] for part, where in SCENES[task].slices.items()}
    hand = Rotation.from_quat(seen["robot0_eef_quat"])
    thing = Rotation.from_quat(seen[f"{name}_quat"])
    between = seen[f"{name}_pos"] - seen["robot0_eef_pos"]
    np.testing.assert_allclose(
        seen[f"{name}_to_robot0_eef_pos"], hand.inv().apply(between), atol=1e-12
    )
    relative = Rotation.from_quat(seen[f"{name}_to_robot0_eef_quat"])
    assert ((hand.inv() * thing).inv() * relative).magnitude() < 1e-7


def test_observations_equal_robosuites_own(simulations):
    simulation = simulations["lift", "velocity"]
    simulation.start(simulation.initial_state(1))
    robosuites = simulation._env._setup_observables()
    seen = {part: observe(simulation)[where] for part, where in SCENES["lift"].slices.items()}
    for part in ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos"):
        np.testing.assert_allclose(robosuites[part]._sensor({}), seen[part], atol=1e-15)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_observations_and_success_follow_from_the_state_alone(task, simulations):
    simulation = simulations[task, "velocity"]
    simulation.start(simulation.initial_state(2))
    states, seen = [], []
    for delta in random_deltas(4):
        simulation.step(delta)
        states.append(simulation.state)
        seen.append(observe(simulation))
    for state, expected in zip(states, seen, strict=True):
        simulation.show(state)
        np.testing.assert_allclose(observe(simulation), expected, atol=1e-12)


@pytest.mark.parametrize("task", TASK_NAMES)
def test_an_absolute_pose_does_what_the_change_that_meant_it_did(task, simulations):
    velocity, position = simulations[task, "velocity"], simulations[task, "position"]
    start = velocity.initial_state(4)
    velocity.start(start)
    position.start(start)
    for delta in random_deltas(12):
        meant = absolute(delta, *velocity.eef_pose)
        velocity.step(delta)
        # robosuite turns axis-angles to matrices by way of float32 quaternions.
        np.testing.assert_allclose(pose_action(*velocity.goal, delta[6]), meant, atol=2e-7)
        rotation = Rotation.from_matrix(velocity.goal[1]).as_rotvec()
        position.step([*velocity.goal[0], *rotation, delta[6]])
    np.testing.assert_allclose(observe(position), observe(velocity), atol=1e-5)


def test_a_change_is_clipped_as_robosuite_clips_it():
    position, rotation = np.array([0.1, 0.2, 0.9]), from_axis_angle([0.3, 0.0, 0.0])
    far = absolute([3.0, -2.0, 0.5, 0.0, 0.0, 0.0, 1.0], position, rotation)
    np.testing.assert_allclose(far[:3], [0.15, 0.15, 0.925], atol=1e-15)
    np.testing.assert_allclose(far[3:], pose_action(position, rotation, 1.0)[3:], atol=1e-15)


@pytest.mark.parametrize("control", ["position", "velocity"])
def test_the_first_state_of_an_episode_gives_the_episode_to_the_bit(control, simulations):
    simulation = simulations["can", control]
    commands = random_deltas(6)
    if control == "position":
        commands[:, :6] = [-0.1, -0.1, 1.0, 2.2, 2.2, 0.0]
    start = simulation.initial_state(100000)
    seen = []
    for _ in range(2):
        simulation.start(start)
        seen.append([])
        for command in commands:
            simulation.step(command)
            seen[-1].append(observe(simulation))
        simulation.initial_state(5)  # another episode in between leaves no trace
        simulation.step(commands[0])
    np.testing.assert_array_equal(seen[0], seen[1])


def test_robosuites_randomness_leaves_the_global_generator_alone(simulations):
    simulation = simulations["lift", "velocity"]
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random(3)  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    first = simulation.initial_state(0)
    np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002
    np.testing.assert_array_equal(simulation.initial_state(0), first)
    assert (simulation.initial_state(1) != first).any()


def test_two_models_are_the_same_whatever_the_global_generator_is_in(simulations):
    np.random.seed(1)  # noqa: NPY002
    other = Simulation("lift", "velocity")
    sizes = other.model.geom_size, simulations["lift", "velocity"].model.geom_size
    np.testing.assert_array_equal(*sizes)


def test_a_pickle_of_an_episode_under_way_continues_to_the_bit():
    env = gymnasium.make("dpbench/Lift-v1", control="velocity")
    env.reset(seed=0)
    actions = random_deltas(8)
    for action in actions[:4]:
        env.step(action)
    again = pickle.loads(pickle.dumps(env))
    for action in actions[4:]:
        np.testing.assert_array_equal(again.step(action)[0], env.step(action)[0])


def test_a_lifted_cube_is_success_and_ends_the_episode():
    env = gymnasium.make("dpbench/Lift-v1", control="velocity")
    env.reset(seed=0)
    state = env.unwrapped.state
    cube_height = 1 + 9 + 2  # time, seven joints and two fingers, then x, y, z
    assert state[cube_height] == pytest.approx(0.83, abs=0.01)
    state[cube_height] = 0.95
    _, info = env.reset(options={"state": state})
    assert info["is_success"] is True
    _, reward, terminated, truncated, info = env.step(np.zeros(7))
    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)


def test_make_truncates_after_400_steps():
    for name in ("Lift", "Can", "Square"):
        assert gymnasium.spec(f"dpbench/{name}-v1").max_episode_steps == 400


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="task 'stack'; choose one of lift, can, square"):
        gymnasium.make("dpbench/Lift-v1", task="stack")
    with pytest.raises(ValueError, match="control 'torque'; choose one of position, velocity"):
        gymnasium.make("dpbench/Lift-v1", control="torque")
    env = gymnasium.make("dpbench/Lift-v1").unwrapped
    with pytest.raises(ValueError, match="there is only state"):
        env.reset(options={"states": 0})
    with pytest.raises(ValueError, match="is not 32 finite numbers: time, 16 positions and 15"):
        env.reset(options={"state": np.zeros(5)})
    env.reset(seed=0)
    for action, message in (
        (np.zeros(7), r"shape \(7,\); position control takes \(10,\)"),
        (np.full(10, np.nan), "is not finite"),
        (np.zeros(10), "first two columns of a rotation matrix"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(action)


def test_robosuite_says_nothing_and_draws_nothing_unless_it_is_asked(tmp_path):
    script = (
        "import json, logging, sys, gymnasium, envs\n"
        "early = sorted({'robosuite', 'mujoco'} & set(sys.modules))\n"
        "env = gymnasium.make('dpbench/Lift-v1'); env.reset(seed=0)\n"
        "print(json.dumps([early, sorted({'pygame', 'torch'} & set(sys.modules))]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert json.loads(done.stdout) == [[], []]
    assert done.stderr == ""


def test_errors_of_robosuite_are_still_logged(caplog):
    with caplog.at_level(logging.INFO, "robosuite_logs"):
        logging.getLogger("robosuite_logs").warning("a file of macros is missing")
        logging.getLogger("robosuite_logs").error("it broke")
    assert "it broke" in caplog.text
    assert "macros" not in caplog.text


def test_without_robosuite_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "robosuite", None)
    with pytest.raises(ImportError, match=r"need robosuite .*dpbench\[robosuite\]"):
        Simulation("lift", "position")


def test_pictures_are_drawn_when_they_are_asked_for():
    env = gymnasium.make("dpbench/Lift-v1", obs_type="pixels", render_mode="rgb_array")
    assert env.unwrapped._graphics == {}
    try:
        observation, _ = env.reset(seed=0)
    except RuntimeError as error:
        pytest.skip(str(error))
    assert {name: seen.shape for name, seen in observation.items()} == {
        "agentview": (84, 84, 3),
        "wrist": (84, 84, 3),
        "state": (9,),
    }
    red = observation["agentview"].astype(int) @ [1, -1, 0] > 80
    assert 10 < red.sum() < 800  # the cube
    frame = env.render()
    assert frame.shape == (480, 480, 3)
    assert frame.std() > 10
    env.close()


@pytest.mark.parametrize("platform", [None, "egl"])
@pytest.mark.parametrize("renderer", ["osmesa", "nonsense"])
def test_without_the_renderer_that_was_named_states_work_and_pictures_say_what_is_missing(
    renderer, platform
):
    code = (
        "import gymnasium, envs; gymnasium.register_envs(envs)\n"
        "print(gymnasium.make('dpbench/Lift-v1').reset(seed=0)[0].shape)\n"
        "try: gymnasium.make('dpbench/Lift-v1', obs_type='pixels').reset(seed=0)\n"
        "except RuntimeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        # PyOpenGL's platform is set by whatever drew before in this process.
        env={k: v for k, v in os.environ.items() if k != "PYOPENGL_PLATFORM"}
        | {"MUJOCO_GL": renderer}
        | ({"PYOPENGL_PLATFORM": platform} if platform else {}),
    )
    assert done.stdout.startswith("(19,)"), done.stderr
    if renderer == "osmesa" and platform is None and ctypes.util.find_library("OSMesa"):
        return
    assert f"MuJoCo cannot draw here (MUJOCO_GL={renderer}: " in done.stdout

"""Tasks: their actions under either control mode, and that every row fits its environment."""

import dataclasses

import gymnasium
import numpy as np
import pytest

from benchmark.plan.tasks import CAN, LIFT, PUSHT, PUSHT_IMAGE, SQUARE, get_task
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.observations import observe
from envs.robosuite.actions import ACTION_DIM, action_space
from envs.robosuite.env import observation_space
from envs.robosuite.scenes import SCENES

ROBOSUITE = (LIFT, CAN, SQUARE)


def demonstrations(task: str, states: list, actions: list, **observations) -> Demonstrations:
    arrays = {name: np.array(rows, dtype=float) for name, rows in observations.items()}
    return Demonstrations(
        np.array(states, dtype=float),
        np.array(actions, dtype=float),
        np.array([len(states)]),
        arrays,
        Metadata(task, "import", "made up", None),
    )


def test_velocities_of_pusht_are_differences_of_set_points_from_the_agent_on():
    demos = demonstrations("pusht", [[1, 2, 0, 0, 0], [0] * 5], [[4, 4], [5, 2]])
    np.testing.assert_array_equal(PUSHT.actions_of(demos, "position"), [[4, 4], [5, 2]])
    np.testing.assert_array_equal(PUSHT.actions_of(demos, "velocity"), [[3, 2], [1, -2]])


def test_velocities_of_robosuite_are_the_recorded_ones():
    delta = np.arange(14.0).reshape(2, 7)
    demos = demonstrations("can", [[0], [0]], [[1] * 10, [2] * 10], delta=delta)
    np.testing.assert_array_equal(CAN.actions_of(demos, "velocity"), delta)
    np.testing.assert_array_equal(CAN.actions_of(demos, "position")[1], [2] * 10)


@pytest.mark.parametrize("task", ROBOSUITE, ids=lambda task: task.name)
def test_rows_of_robosuite_fit_their_environments(task):
    assert get_task(task.name) is task
    spec = gymnasium.spec(task.env_id)
    assert spec.kwargs == {"task": task.name}
    assert spec.max_episode_steps == task.max_steps
    state, pixels = (observation_space(task.name, obs_type) for obs_type in ("state", "pixels"))
    assert task.obs_types == ("state", "pixels")
    assert task.obs_shapes("state") == {"state": state.shape}
    assert task.obs_shapes("pixels") == {name: space.shape for name, space in pixels.items()}
    for control, dim in task.action_dim.items():
        assert action_space(control).shape == (dim,)
    assert task.action_dim == ACTION_DIM


def test_the_agent_is_the_gripper_and_its_set_point_what_was_commanded():
    seen = np.arange(2 * 23.0).reshape(2, 23)
    where = SCENES["square"].slices["robot0_eef_pos"]
    np.testing.assert_array_equal(SQUARE.motion.position(seen, "state"), seen[:, where])
    poses = np.arange(30.0).reshape(3, 1, 10)
    np.testing.assert_array_equal(SQUARE.motion.commanded(poses, "position"), poses[..., :3])
    moves = np.zeros((3, 1, 7))
    moves[:, 0, 0] = [1.0, 0.5, -1.0]
    path = SQUARE.motion.commanded(moves, "velocity")
    np.testing.assert_allclose(path[:, 0, 0], [0.05, 0.075, 0.025])


def test_push_t_from_images_is_push_t_but_for_what_is_seen():
    assert PUSHT_IMAGE.obs_types == ("pixels",)
    assert PUSHT_IMAGE.obs_shapes("pixels") == {"pixels": (96, 96, 3), "state": (2,)}
    known, images = (get_task(name).catalogue("human") for name in ("pusht", "pusht-image"))
    assert images.metadata == dataclasses.replace(known.metadata, task="pusht-image")
    assert images.num_steps == known.num_steps


def test_demonstrations_of_push_t_from_images_are_those_of_push_t_drawn(
    human_npz, tmp_path, monkeypatch
):
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path))
    states, images = (
        get_task(name).load("human", obs_type, human_npz, 1, 0)
        for name, obs_type in (("pusht", "state"), ("pusht-image", "pixels"))
    )
    np.testing.assert_array_equal(states.actions, images.actions)
    assert images.metadata.task == "pusht-image"
    expected = observe(states.states, "pixels")
    for name, array in expected.items():
        np.testing.assert_array_equal(images.observations[name], array)

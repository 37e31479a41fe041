"""Robomimic's HDF5 files: the public low-dimensional demonstrations, and our own for robomimic.

    data                    attributes `env_args` (JSON: environment and controller), `total`
      demo_0, demo_1, ...   attribute `num_samples`
        actions             (T, 7), those of velocity control
        states              (T, Ds), MuJoCo's before each action
        rewards, dones      (T,)
        obs, next_obs       by robosuite's names, (T, ...)

Human demonstrations were recorded as changes of pose. Which absolute pose each of them meant is
found as robomimic finds it: the simulation is put into the recorded state and the change is applied
to where the gripper is there. Observations are computed from the states too, by the function that
the environment uses, so a policy sees the same thing in training and in evaluation.

The public files were recorded with robosuite 1.4 and older. Their states have the same layout, but
the physics is not quite the same, and their cubes differ in size from episode to episode: not every
recording that succeeded then succeeds when it is replayed now.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.files import check_finite, check_range, refuse
from envs.demos.robomimic_file import checksum, import_h5py, read_parts
from envs.robosuite.actions import absolute
from envs.robosuite.observations import observe
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import CONTROL_HZ, SCENES, Scene, TaskName
from envs.robosuite.simulation import Simulation, controller

Floats = NDArray[np.float64]

HOMEPAGE = "https://robomimic.github.io"
LARGEST = 1.01
"""Of an action's numbers, -1 to 1 when they were recorded."""
UNIT_TOLERANCE = 0.01
"""Of a quaternion's length, recorded as float32 or float64."""


def read(path: Path, task: TaskName, filter_key: str | None = None) -> Demonstrations:
    """Read a robomimic file, or what robosuite's own collector wrote (demo.hdf5).

    Args:
        path: The file, such as low_dim_v141.hdf5.
        task: Which task it has to be of.
        filter_key: Only the demonstrations that the file lists under `mask/` and this name.

    Returns:
        Position actions, with the recorded arrays `low_dim` (N, Do) and `delta` (N, 7).

    Raises:
        ImportError: If h5py or robosuite is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If it is no robomimic file, or of another task, robot or controller, damaged, or
            without that filter key.
    """
    parts = read_parts(path, task, filter_key)
    simulation = shared_simulation(task, "velocity")
    for name, (states, deltas) in parts.items():
        check_episode(path, name, task, simulation, states, deltas)
    states = np.concatenate([part[0] for part in parts.values()])
    deltas = np.concatenate([part[1] for part in parts.values()])
    low_dim, actions = convert(simulation, states, deltas)
    return Demonstrations(
        states=states,
        actions=actions,
        episode_ends=np.cumsum([len(part[0]) for part in parts.values()], dtype=np.int64),
        observations={"low_dim": low_dim, "delta": deltas},
        metadata=Metadata(task, "human", path.stem, None),
    )


def check_episode(
    path: Path, name: str, task: TaskName, simulation: Simulation, states: Floats, deltas: Floats
) -> None:
    """Hold one demonstration against the task: widths, lengths, units.

    Raises:
        ValueError: If states (T, Ds) or changes of pose (T, 7) cannot be of the task.
    """
    for array, what, width in ((states, "states", simulation.state_dim), (deltas, "actions", 7)):
        if array.ndim != 2 or array.shape[1] != width:
            raise refuse(
                path, f"{name}/{what}", f"have shape {array.shape}", f"{task} has (T, {width})"
            )
        check_finite(path, f"{name}/{what}", array)
    if len(states) != len(deltas) or not len(states):
        found = f"has {len(states)} states and {len(deltas)} actions"
        raise refuse(path, name, found, "expected one state before each action")
    expected = "shares of the largest move, -1 to 1"
    check_range(path, f"{name}/actions", deltas, -LARGEST, LARGEST, expected)
    for columns in simulation.quaternions:
        lengths = np.linalg.norm(states[:, columns], axis=1)
        expected = "quaternions of length 1"
        place = f"{name}/states, length of the numbers {columns.start} to {columns.stop - 1},"
        check_range(path, place, lengths, 1 - UNIT_TOLERANCE, 1 + UNIT_TOLERANCE, expected)
    for at, low, high in simulation.joint_ranges:
        place, expected = f"{name}/states, joint angle {at}", f"{low:.3g} to {high:.3g} rad"
        check_range(path, place, states[:, at], low, high, expected)


def convert(simulation: Simulation, states: Floats, deltas: Floats) -> tuple[Floats, Floats]:
    """Observations (N, Do) of states (N, Ds), and what changes of pose (N, 7) meant, (N, 10)."""
    seen, positions, rotations = [], [], []
    for state in states:
        simulation.show(state)
        seen.append(observe(simulation))
        position, rotation = simulation.eef_pose
        positions.append(position)
        rotations.append(rotation)
    return np.array(seen), absolute(deltas, np.array(positions), np.array(rotations))


def write(demonstrations: Demonstrations, task: TaskName, path: Path) -> None:
    """Write demonstrations as robomimic's loader reads them.

    The observation after the last action was not recorded; the last one is repeated there.

    Args:
        demonstrations: As recorded, with the arrays `low_dim` and `delta`; all successful.
        task: Of which.
        path: The file; it is written whole or not at all.
    """
    h5py = import_h5py(path)
    scene = SCENES[task]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with h5py.File(part, "w") as file:
            data = file.create_group("data")
            data.attrs["total"] = demonstrations.num_steps
            data.attrs["env_args"] = json.dumps(env_args(scene))
            for index in range(demonstrations.num_episodes):
                _write_episode(
                    data.create_group(f"demo_{index}"), demonstrations.episode(index), scene
                )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def env_args(scene: Scene) -> dict[str, Any]:
    """What robomimic makes the environment of a scene from."""
    return {
        "env_name": scene.robosuite_name,
        "type": 1,  # robomimic's EnvType.ROBOSUITE_TYPE
        "env_version": version("robosuite"),
        "env_kwargs": {
            "robots": ["Panda"],
            "controller_configs": controller("velocity"),
            "control_freq": CONTROL_HZ,
            "has_renderer": False,
            "has_offscreen_renderer": False,
            "use_camera_obs": False,
            "use_object_obs": True,
            "ignore_done": True,
            "reward_shaping": False,
        },
    }


def _write_episode(group: Any, episode: Demonstrations, scene: Scene) -> None:
    low_dim = episode.observations["low_dim"]
    following = np.concatenate([low_dim[1:], low_dim[-1:]])
    ended = np.arange(1, episode.num_steps + 1) == episode.num_steps
    group.attrs["num_samples"] = episode.num_steps
    deltas = episode.observations["delta"]
    group["actions"], group["states"] = deltas, episode.states
    group.attrs["sha256"] = checksum(episode.states, deltas)
    group["rewards"] = ended.astype(np.float64)
    group["dones"] = ended.astype(np.int64)
    object_dim = sum(scene.object_parts.values())
    for name, seen in (("obs", low_dim), ("next_obs", following)):
        group[f"{name}/object"] = seen[:, :object_dim]
        for part, where in scene.slices.items():
            if part not in scene.object_parts:
                group[f"{name}/{part}"] = seen[:, where]

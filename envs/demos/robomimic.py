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
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.robosuite.actions import absolute
from envs.robosuite.observations import observe
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import CONTROL_HZ, SCENES, Scene, TaskName
from envs.robosuite.simulation import MAX_DELTA, Simulation, controller

Floats = NDArray[np.float64]

HOMEPAGE = "https://robomimic.github.io"
_DEMO = re.compile(r"demo_(\d+)")


def read(path: Path, task: TaskName) -> Demonstrations:
    """Read a robomimic file.

    Args:
        path: The file, such as low_dim_v141.hdf5.
        task: Which task it has to be of.

    Returns:
        Position actions, with the recorded arrays `low_dim` (N, Do) and `delta` (N, 7).

    Raises:
        ImportError: If h5py or robosuite is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If it is no robomimic file, or of another task, robot or controller.
    """
    h5py = _import_h5py(path)
    if not path.exists():
        raise FileNotFoundError(f"no demonstrations at {path}; give the path of a robomimic file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not a readable HDF5 file ({error}); copy it again") from error
    with file:
        if "data" not in file or "env_args" not in file["data"].attrs:
            raise ValueError(f"{path} is no robomimic file: it lacks data with env_args")
        problem = mismatch(json.loads(file["data"].attrs["env_args"]), SCENES[task])
        if problem:
            raise ValueError(f"{path} does not fit {task}: {problem}")
        demos = sorted(filter(_DEMO.fullmatch, file["data"]), key=_number)
        if not demos:
            raise ValueError(f"{path} holds no demonstrations: no group demo_0 in data")
        missing = [
            f"{name}/{part}"
            for name in demos
            for part in ("states", "actions")
            if part not in file["data"][name]
        ]
        if missing:
            raise ValueError(f"{path} lacks data/{missing[0]}; each demonstration needs it")
        parts = [
            (np.asarray(group["states"], np.float64), np.asarray(group["actions"], np.float64))
            for group in (file["data"][name] for name in demos)
        ]
    states = np.concatenate([part[0] for part in parts])
    deltas = np.concatenate([part[1] for part in parts])
    simulation = shared_simulation(task, "velocity")
    for name, array, width in (
        ("states", states, simulation.state_dim),
        ("actions", deltas, 7),
    ):
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(f"{path}: {name} have shape {array.shape}; {task} has (N, {width})")
    low_dim, actions = convert(simulation, states, deltas)
    return Demonstrations(
        states=states,
        actions=actions,
        episode_ends=np.cumsum([len(part[0]) for part in parts], dtype=np.int64),
        observations={"low_dim": low_dim, "delta": deltas},
        metadata=Metadata(task, "human", path.stem, None),
    )


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


def mismatch(env_args: dict[str, Any], scene: Scene) -> str:
    """What keeps recordings made under `env_args` from being a scene's; empty if nothing does."""
    if env_args.get("env_name") != scene.robosuite_name:
        return f"it is of {env_args.get('env_name')!r}, not of {scene.robosuite_name!r}"
    kwargs = env_args.get("env_kwargs", {})
    robots = kwargs.get("robots")
    if robots not in ("Panda", ["Panda"]):
        return f"its robot is {robots!r}, not a Panda"
    if kwargs.get("control_freq", CONTROL_HZ) != CONTROL_HZ:
        return f"it was recorded at {kwargs['control_freq']} Hz, not {CONTROL_HZ}"
    configs = kwargs.get("controller_configs", {})
    # robosuite 1.5 has one entry a part of the body, 1.4 has the arm's alone.
    arm = configs.get("body_parts", {}).get("right", configs)
    if arm.get("type") != "OSC_POSE":
        return f"its controller is {arm.get('type')!r}, not 'OSC_POSE'"
    if arm.get("control_delta") is False or arm.get("input_type", "delta") != "delta":
        return "its actions are absolute poses; take the file whose actions are changes of pose"
    for name, expected in (("output_max", MAX_DELTA), ("output_min", -MAX_DELTA)):
        if not np.allclose(arm.get(name, expected), expected):
            return f"its controller has {name} {arm[name]}, not {expected.tolist()}"
    return ""


def write(demonstrations: Demonstrations, task: TaskName, path: Path) -> None:
    """Write demonstrations as robomimic's loader reads them.

    The observation after the last action was not recorded; the last one is repeated there.

    Args:
        demonstrations: As recorded, with the arrays `low_dim` and `delta`; all successful.
        task: Of which.
        path: The file; it is written whole or not at all.
    """
    h5py = _import_h5py(path)
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
        "env_version": "1.5.1",
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
    group["actions"] = episode.observations["delta"]
    group["states"] = episode.states
    group["rewards"] = ended.astype(np.float64)
    group["dones"] = ended.astype(np.int64)
    object_dim = sum(scene.object_parts.values())
    for name, seen in (("obs", low_dim), ("next_obs", following)):
        group[f"{name}/object"] = seen[:, :object_dim]
        for part, where in scene.slices.items():
            if part not in scene.object_parts:
                group[f"{name}/{part}"] = seen[:, where]


def _number(name: str) -> int:
    return int(name.removeprefix("demo_"))


def _import_h5py(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{path} needs h5py; install it by pip install -c constraints.txt 'dpbench[robosuite]'"
        ) from error
    return h5py

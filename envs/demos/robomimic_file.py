"""What is in a robomimic file: demonstrations, which of them, and what they were recorded under.

Nothing is taken from the file before it is known how large it is. A data set with a missing chunk
is refused, since HDF5 would read zeros. Data sets in other files are not followed.
"""

import difflib
import hashlib
import json
import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.demos.files import MAX_MEMBERS, check_array, decoding, refuse
from envs.robosuite.scenes import CONTROL_HZ, SCENES, Scene, TaskName
from envs.robosuite.simulation import MAX_DELTA

Floats = NDArray[np.float64]
Parts = dict[str, tuple[Floats, Floats]]

_KIND = "HDF5 file"
_DEMO = re.compile(r"demo_(\d{1,9})")


def read_parts(path: Path, task: TaskName, filter_key: str | None) -> Parts:
    """States (T, Ds) and actions (T, 7) of each demonstration by name, in the order of numbers.

    Raises:
        ImportError: If h5py is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of something else, or lacks the filter key.
    """
    h5py = import_h5py(path)
    if not path.exists():
        raise FileNotFoundError(f"no demonstrations at {path}; give the path of a robomimic file")
    with decoding(path, _KIND), h5py.File(path, "r") as file:
        data = file.get("data")
        if not isinstance(data, h5py.Group):
            raise refuse(path, "", "is no robomimic file: it lacks data", "expected a group data")
        if problem := mismatch(_env_args(path, data), SCENES[task]):
            raise refuse(
                path, "", f"does not fit {task}: {problem}", f"expected {task} as played here"
            )
        names = sorted(filter(_DEMO.fullmatch, data), key=lambda name: int(name[5:]))
        if not names:
            raise refuse(path, "", "holds no demonstrations", "expected a group demo_0 in data")
        names = _chosen(path, file, names, filter_key)
        if len(names) > MAX_MEMBERS:
            raise refuse(
                path, "", f"holds {len(names):,} demonstrations", f"at most {MAX_MEMBERS:,}"
            )
        left, parts = [path.stat().st_size], {}
        for name in names:
            states, actions = (
                _array(path, data[name], name, what, left) for what in ("states", "actions")
            )
            expected = data[name].attrs.get("sha256")
            if expected is not None and (found := checksum(states, actions)) != expected:
                raise refuse(
                    path, name, f"was changed: its checksum is {found[:12]}", str(expected)[:12]
                )
            parts[name] = states, actions
    return parts


def _array(path: Path, group: Any, name: str, what: str, left: list[int]) -> Floats:
    """A data set as float64; `left` is the file's size, of which all of them share."""
    place = f"{name}/{what}"
    with decoding(path, _KIND, place):
        if what not in group:
            raise refuse(path, "", f"lacks data/{place}", "each demonstration needs it")
        array = group[what]
        if not hasattr(array, "chunks"):
            raise refuse(path, place, "is a group", "expected an array")
        check_array(path, place, array.shape, array.dtype, left[0])
        if array.is_virtual or array.external:
            raise refuse(path, place, "is in another file", "expected the numbers in this one")
        if array.chunks is None:
            if array.size and array.id.get_storage_size() < array.size * array.dtype.itemsize:
                raise refuse(
                    path, place, "was never written", "HDF5 would read zeros; copy it again"
                )
        else:
            check_array(path, f"a chunk of {place}", array.chunks, array.dtype, left[0])
            pairs = zip(array.shape, array.chunks, strict=True)
            wanted = math.prod(-(-length // chunk) for length, chunk in pairs)
            if (there := array.id.get_num_chunks()) != wanted:
                found = f"has {there} of {wanted} chunks"
                raise refuse(path, place, found, "HDF5 would read zeros; copy it again")
        return np.asarray(array[()], np.float64)


def _chosen(path: Path, file: Any, names: list[str], filter_key: str | None) -> list[str]:
    """The demonstrations of a filter key; all of them without one, which is said."""
    keys = sorted(file["mask"]) if "mask" in file else []
    if filter_key is None:
        if keys:
            warnings.warn(
                f"{path} has filter keys ({', '.join(keys)}); all {len(names)} demonstrations are "
                "taken, --filter-key KEY takes those of one",
                stacklevel=4,
            )
        return names
    if filter_key not in keys:
        found = f"has no filter key {filter_key!r}"
        near = difflib.get_close_matches(filter_key, keys, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise refuse(path, "", found, f"its keys: {', '.join(keys) or 'none'}{meant}")
    with decoding(path, _KIND, f"mask/{filter_key}"):
        mask = file["mask"][filter_key]
        if mask.ndim != 1 or mask.shape[0] > MAX_MEMBERS:
            raise refuse(path, f"mask/{filter_key}", f"has shape {mask.shape}", "expected names")
        listed = {n.decode() if isinstance(n, bytes) else str(n) for n in mask[()]}
    if unknown := sorted(listed - set(names)):
        raise refuse(path, f"mask/{filter_key}", f"lists {unknown[0]!r}", "which is not in data")
    if not listed:
        raise refuse(path, f"mask/{filter_key}", "is empty", "expected names of demonstrations")
    return [name for name in names if name in listed]


def _env_args(path: Path, data: Any) -> dict[str, Any]:
    """What the demonstrations were recorded under, in robomimic's words or robosuite's own."""
    if "env_args" in data.attrs:
        with decoding(path, _KIND, "attribute env_args"):
            return dict(json.loads(data.attrs["env_args"]))
    if "env" not in data.attrs:
        raise refuse(
            path,
            "",
            "is no robomimic file: it lacks data with env_args",
            "convert robosuite's demo.hdf5 by python -m robomimic.scripts.conversion."
            f"convert_robosuite --dataset {path}",
        )
    with decoding(path, _KIND, "attribute env_info"):
        kwargs = dict(json.loads(data.attrs.get("env_info", "{}")))
        return {"env_name": str(data.attrs["env"]), "env_kwargs": kwargs}


def mismatch(env_args: Mapping[str, Any], scene: Scene) -> str:
    """What keeps recordings made under `env_args` from being a scene's; empty if nothing does."""
    if env_args.get("env_name") != scene.robosuite_name:
        return f"it is of {env_args.get('env_name')!r}, not of {scene.robosuite_name!r}"
    kwargs = env_args.get("env_kwargs") or {}
    if not isinstance(kwargs, dict):
        return f"its env_kwargs are {kwargs!r}"
    robots = kwargs.get("robots")
    if robots not in ("Panda", ["Panda"]):
        return f"its robot is {robots!r}, not a Panda"
    if kwargs.get("control_freq", CONTROL_HZ) != CONTROL_HZ:
        return f"it was recorded at {kwargs['control_freq']} Hz, not {CONTROL_HZ}"
    return _controller_mismatch(kwargs.get("controller_configs"))


def _controller_mismatch(configs: Any) -> str:
    """The same of a controller: one, a list of one a robot, or none for robosuite's own.

    A Panda's own controller is OSC_POSE with changes of pose, in robosuite 1.4 and 1.5.
    """
    if isinstance(configs, list):
        if len(configs) != 1:
            return f"it has {len(configs)} controllers, not 1"
        configs = configs[0]
    if not configs:
        return ""
    if not isinstance(configs, dict):
        return f"its controller is {configs!r}"
    # robosuite 1.5 has one entry a part of the body, 1.4 has the arm's alone.
    parts = configs.get("body_parts")
    arm = parts.get("right") if isinstance(parts, dict) else configs
    kind = arm.get("type") if isinstance(arm, dict) else arm
    if not isinstance(arm, dict) or kind != "OSC_POSE":
        return f"its controller is {kind!r}, not 'OSC_POSE'"
    if arm.get("control_delta") is False or arm.get("input_type", "delta") != "delta":
        return "its actions are absolute poses; take the file whose actions are changes of pose"
    for name, expected in (("output_max", MAX_DELTA), ("output_min", -MAX_DELTA)):
        given = arm.get(name, expected.tolist())
        try:
            same = np.allclose(given, expected)
        except (TypeError, ValueError):
            same = False
        if not same:
            return f"its controller has {name} {given}, not {expected.tolist()}"
    return ""


def checksum(states: Floats, actions: Floats) -> str:
    """SHA-256 of the states and actions of a demonstration, as little-endian float64."""
    total = hashlib.sha256()
    for array in (states, actions):
        total.update(f"{array.shape}".encode())
        total.update(array.astype("<f8").tobytes())
    return total.hexdigest()


def import_h5py(path: Path) -> Any:
    """The package h5py.

    Raises:
        ImportError: If it is not installed; the message says how to.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            f"{path} needs h5py; install it by pip install -c constraints.txt 'dpbench[mujoco]'"
        ) from error
    return h5py

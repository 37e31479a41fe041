"""Where the demonstrations of Lift, Can and Square come from, with what a policy sees."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from envs.demos import npz, robomimic, robosuite_scripted
from envs.demos.cache import cached
from envs.demos.demonstrations import DataSet, Demonstrations, Metadata
from envs.demos.files import refuse
from envs.demos.robosuite_pictures import pictures
from envs.demos.sources import Source
from envs.robosuite.actions import ACTION_DIM
from envs.robosuite.observations import ObsType, robot_part
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import SCENES, TaskName


def load_robosuite(
    task: TaskName,
    source: Source = "scripted",
    obs_type: ObsType = "state",
    path: Path | None = None,
    num_episodes: int | None = None,
    seed: int = 0,
    filter_key: str | None = None,
) -> Demonstrations:
    """Demonstrations of a robosuite task with the observations of `obs_type`.

    Their array `delta` (N, 7) holds the actions of velocity control.

    Args:
        task: Which.
        source: `scripted` is generated on first use and cached; `human` is a robomimic file.
        obs_type: `state`, or `pixels` (two pictures a step, 0.1 s each on a CPU; cached).
        path: The robomimic file, or an NPZ that one was imported to.
        num_episodes: So many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.
        filter_key: Only what a robomimic file lists under `mask/` and this name.

    Raises:
        ValueError: If a file is damaged or of something else, more episodes are asked for than
            there are, or a path is missing or given where none is wanted.
    """
    recorded = recorded_robosuite(
        task, source, path, max(num_episodes or 0, robosuite_scripted.NUM_EPISODES), filter_key
    )
    if num_episodes is not None:
        recorded = recorded.choose(num_episodes, seed)
    delta = {"delta": recorded.observations["delta"]}
    return replace(recorded, observations={**_observe(recorded, task, obs_type), **delta})


def catalogue(task: TaskName, source: Source) -> DataSet | None:
    """What the demonstrations of a source are, without making them; None of a user's own file."""
    if source != "scripted":
        return None
    return DataSet(robosuite_scripted.metadata(task), robosuite_scripted.NUM_EPISODES)


def recorded_robosuite(
    task: TaskName,
    source: Source,
    path: Path | None = None,
    num_scripted: int = robosuite_scripted.NUM_EPISODES,
    filter_key: str | None = None,
) -> Demonstrations:
    """Demonstrations as recorded, with the arrays `low_dim`, `delta` and, if scripted, `seed`.

    Raises:
        ValueError: See `load_robosuite`.
    """
    if filter_key is not None and (path is None or path.suffix == ".npz"):
        raise ValueError(
            f"filter key {filter_key!r} given, but only robomimic's HDF5 files have such: drop it"
        )
    if source == "scripted":
        if path is not None:
            raise ValueError(
                f"{path} given, but scripted demonstrations come from no file: drop it"
            )
        metadata = robosuite_scripted.metadata(task)
        return cached(
            metadata, num_scripted, lambda: robosuite_scripted.generate(task, num_scripted)
        )
    if path is None:
        raise ValueError(
            f"human demonstrations of {task} are robomimic's: download low_dim_v141.hdf5 of "
            f"{task} (ph or mh) from {robomimic.HOMEPAGE} and give its path (DATA_PATH=FILE)"
        )
    if path.suffix == ".npz":
        recorded = npz.read(path, Metadata(task, "human", path.stem, None))
        check(recorded, path, task)
    else:
        recorded = robomimic.read(path, task, filter_key)
    return recorded.with_fingerprint()


def check(recorded: Demonstrations, path: Path, task: TaskName) -> None:
    """Hold demonstrations that were imported before against the task.

    Raises:
        ValueError: If an array is missing, or of another shape or unit than the task's.
    """
    simulation = shared_simulation(task, "velocity")
    widths = {"low_dim": SCENES[task].state_dim, "delta": ACTION_DIM["velocity"]}
    for name, width in widths.items():
        array = recorded.observations.get(name)
        if array is None or array.shape[1:] != (width,):
            found = "is missing" if array is None else f"has shape {array.shape}"
            raise refuse(path, f"array {name!r}", found, f"{task} has (steps, {width})")
    if recorded.actions.shape[1] != ACTION_DIM["position"]:
        found = f"has shape {recorded.actions.shape}"
        raise refuse(path, "array 'action'", found, f"{task} has (steps, {ACTION_DIM['position']})")
    for index, (start, end) in enumerate(zip(recorded.starts, recorded.episode_ends, strict=True)):
        robomimic.check_episode(
            path,
            f"episode {index}",
            task,
            simulation,
            recorded.states[start:end],
            recorded.observations["delta"][start:end],
        )


def _observe(
    recorded: Demonstrations, task: TaskName, obs_type: ObsType
) -> Mapping[str, NDArray[Any]]:
    low_dim = recorded.observations["low_dim"]
    if obs_type == "state":
        return {"state": low_dim}
    return {**pictures(recorded, task), "state": robot_part(low_dim)}

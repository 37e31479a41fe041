"""What `python -m benchmark demos` prints of Lift, Can and Square."""

from pathlib import Path

import numpy as np

from benchmark.text_table import Table
from envs.control import CONTROLS
from envs.demos import npz, robomimic, robosuite_scripted
from envs.demos.cache import cache_path
from envs.demos.demonstrations import Demonstrations
from envs.demos.robosuite_replay import replay
from envs.demos.robosuite_sources import recorded_robosuite
from envs.demos.sources import Source
from envs.robosuite.scenes import TaskName
from envs.robosuite.simulation import MAX_DELTA

REPLAYED = 20
"""Episodes that are replayed under each control mode."""


def source_row(task: TaskName) -> tuple[str, ...]:
    """A row of the list: task, source, episodes, steps, version, file."""
    metadata = robosuite_scripted.metadata(task)
    path = cache_path(metadata, robosuite_scripted.NUM_EPISODES)
    if not path.exists():
        return task, "scripted", "-", "-", "-", f"not here yet: demos {task}"
    found = npz.read(path, metadata)
    counts = str(found.num_episodes), f"{found.num_steps:,}"
    return task, "scripted", *counts, found.metadata.version, str(path)


def inspect_robosuite(
    task: TaskName, source: Source, path: Path | None, filter_key: str | None = None
) -> None:
    """Print what demonstrations hold and what the first of them achieve when replayed."""
    demonstrations = recorded_robosuite(task, source, path, filter_key=filter_key)
    print(summary(demonstrations, task).text())


def import_robosuite(
    task: TaskName, path: Path, to: Path | None, filter_key: str | None = None
) -> None:
    """Convert a robomimic file once, so that it need not be converted for each run.

    Raises:
        ValueError: If the file does not fit, or it is not said where to keep it.
    """
    if to is None:
        raise ValueError(
            "say where to keep it (--to FILE.npz) and use it by its path (DATA=human "
            "DATA_PATH=FILE.npz)"
        )
    demonstrations = robomimic.read(path, task, filter_key)
    npz.write(demonstrations, to)
    counts = f"{demonstrations.num_episodes} episodes, {demonstrations.num_steps:,} steps"
    print(f"{counts} of {demonstrations.metadata.source} data imported to {to}")


def summary(demonstrations: Demonstrations, task: TaskName) -> Table:
    """A table of what demonstrations hold: length, speed, the demonstrator's success, replays."""
    lengths = demonstrations.lengths
    moves = np.linalg.norm(demonstrations.observations["delta"][:, :3] * MAX_DELTA[:3], axis=1)
    rows = [
        ("episodes", str(demonstrations.num_episodes)),
        ("steps", f"{demonstrations.num_steps:,}"),
        (
            "steps an episode",
            f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):.0f}",
        ),
        (
            "moves asked for",
            f"median {1e3 * np.median(moves):.0f}, 99 % {1e3 * np.percentile(moves, 99):.0f} mm",
        ),
    ]
    if "seed" in demonstrations.observations:
        tried = int(demonstrations.observations["seed"][-1, 0]) + 1
        rows.append(("solved by the demonstrator", f"{demonstrations.num_episodes} of {tried}"))
    first = demonstrations.subset(range(min(REPLAYED, demonstrations.num_episodes)))
    for control in CONTROLS:
        success = replay(first, task, control)
        rows.append((f"replays under {control} control", f"{success.sum()} of {len(success)}"))
    metadata = demonstrations.metadata
    caption = f"Demonstrations of {metadata.task}, {metadata.source}, {metadata.version}"
    return Table(caption, ("", "value"), tuple(rows), "ll")

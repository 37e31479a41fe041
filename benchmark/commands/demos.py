"""What `python -m benchmark demos` does: list, inspect and import demonstrations."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import numpy as np

from benchmark.errors import usage_errors
from benchmark.evidence.text_table import Table
from benchmark.files import check_writable, write_whole
from benchmark.plan.request import Source
from benchmark.plan.tasks import Task, get_task
from benchmark.progress import say
from envs.demos import npz
from envs.demos.cache import cache_path
from envs.demos.demonstrations import Demonstrations

_KINDS = (".png", ".svg", ".pdf")


def demos_command(
    task: str,
    source: Source,
    path: Path | None,
    filter_key: str | None,
    figure: Path | None,
    import_from: Path | None,
    to: Path | None,
    check: bool = False,
) -> int:
    """List, inspect or check the demonstrations of a task, or import a file; the exit code."""
    with usage_errors():
        chosen = get_task(task)
        if check:
            if task != "pusht":
                raise ValueError(f"--check given for {task}: only pusht has what to check")
            from benchmark.commands import demo_bars

            return demo_bars.check(path)
        if import_from is not None:
            import_file(chosen, import_from, to, filter_key)
            return 0
        say(listing(chosen).text())
        inspect(chosen, "human" if path else source, path, figure, filter_key)
    return 0


def listing(task: Task) -> Table:
    """Which demonstrations of a task there are, and how to get those that are not there."""
    rows = []
    for source in get_args(Source):
        known = task.catalogue(source)
        if known is None:
            continue
        if source == "human" and task.public_path is not None:
            path, otherwise = task.public_path(), f"demos {task.name} --from FILE"
        else:
            path, otherwise = cache_path(known.metadata, known.num_episodes), f"demos {task.name}"
        if path.exists():
            found = npz.read(path, known.metadata)
            counts = (str(found.num_episodes), f"{found.num_steps:,}")
            rows.append((task.name, source, *counts, found.metadata.version, str(path)))
        else:
            rows.append((task.name, source, "-", "-", "-", f"not here yet: {otherwise}"))
    head = ("task", "source", "episodes", "steps", "version", "file")
    return Table("Demonstrations", head, tuple(rows), "llrrll")


def inspect(
    task: Task,
    source: Source,
    path: Path | None,
    figure: Path | None,
    filter_key: str | None = None,
) -> None:
    """Print what demonstrations hold and what they achieve when replayed.

    Args:
        task: Whose.
        source: scripted or human.
        path: File of recorded demonstrations.
        figure: Draw some trajectories to this file (.png, .svg or .pdf).
        filter_key: Only what a robomimic file lists under this key.

    Raises:
        ValueError: If a figure is asked for that cannot be drawn.
    """
    if figure is not None and figure.suffix not in _KINDS:
        raise ValueError(f"no figure of kind {figure.suffix!r}; use {', '.join(_KINDS)}")
    if figure is not None:
        check_writable(figure.parent, "--figure")
    if figure is not None and task.demo_figure is None:
        raise ValueError(f"there is no figure of {task.name}; leave it out or take pusht")
    demonstrations = _recorded(task, source, path, filter_key)
    say(summary(task, demonstrations).text())
    if figure is not None and task.demo_figure is not None:
        content = io.BytesIO()
        task.demo_figure(demonstrations).savefig(content, format=figure.suffix[1:])
        say(f"trajectories: {write_whole(figure, content.getvalue())}")


def summary(task: Task, demonstrations: Demonstrations) -> Table:
    """A table of what demonstrations hold, and of what the task says of them."""
    lengths = demonstrations.lengths
    rows = [
        ("episodes", str(demonstrations.num_episodes)),
        ("steps", f"{demonstrations.num_steps:,}"),
        (
            "steps an episode",
            f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):.0f}",
        ),
    ]
    if task.demo_facts is not None:
        rows += task.demo_facts(demonstrations)
    metadata = demonstrations.metadata
    caption = f"Demonstrations of {metadata.task}, {metadata.source}, {metadata.version}"
    return Table(caption, ("", "value"), tuple(rows), "ll")


def import_file(
    task: Task, path: Path, to: Path | None = None, filter_key: str | None = None
) -> None:
    """Check a file of recorded demonstrations and keep it as a compressed NPZ.

    Push-T's may be NPZ, zarr or ZIP, those of robosuite's tasks are robomimic's HDF5.

    Args:
        task: Whose.
        path: What to import.
        to: Where to; None for where `human` finds the public demonstrations, which takes no others.
        filter_key: Only what a robomimic file lists under this key.

    Raises:
        ValueError: If the file is damaged, or is not the public data and `to` is missing.
    """
    demonstrations = _recorded(task, "human", path, filter_key)
    public = task.catalogue("human")
    if to is None and task.public_path and public and public.metadata == demonstrations.metadata:
        to = task.public_path()
    if to is None:
        raise ValueError(
            f"{path} does not hold the public human demonstrations; say where to keep it "
            "(--to FILE.npz) and use it by its path (DATA=human DATA_PATH=FILE.npz)"
        )
    npz.write(demonstrations, to)
    counts = f"{demonstrations.num_episodes} episodes, {demonstrations.num_steps:,} steps"
    say(f"{counts} of {demonstrations.metadata.source} data imported to {to}")


def _recorded(
    task: Task, source: Source, path: Path | None, filter_key: str | None
) -> Demonstrations:
    """Demonstrations as they were recorded, with all that the file holds."""
    if task.recorded is not None:
        return task.with_key(task.recorded, filter_key)(source, path)
    return task.with_key(task.load, filter_key)(source, task.obs_types[0], path, None, 0)

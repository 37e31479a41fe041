"""What `python -m benchmark demos` does: list, inspect and import demonstrations."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.demos_robosuite import import_robosuite, inspect_robosuite, source_row
from benchmark.files import write_whole
from benchmark.text_table import Table
from envs.demos import npz, pusht_human
from envs.demos.cache import cache_path
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_replay import Replay, replay
from envs.demos.sources import NUM_SCRIPTED, Source, recorded_pusht, scripted_metadata
from envs.pusht.geometry import GOAL_POSE, OUTLINE, WORLD_SIZE, place
from envs.robosuite.scenes import TASK_NAMES, TaskName

TASKS = ("pusht", *TASK_NAMES)

_KINDS = (".png", ".svg", ".pdf")
_SHOWN = 12  # episodes in a figure
_OUTLINE_EVERY = 12  # steps between the blocks drawn


def list_demonstrations(task: str) -> None:
    """Print which demonstrations there are, and how to get those that are not there.

    Args:
        task: Name of the task.
    """
    _check_task(task)
    robosuite = _robosuite_name(task)
    rows = _pusht_rows() if robosuite is None else [source_row(robosuite)]
    head = ("task", "source", "episodes", "steps", "version", "file")
    print(Table("Demonstrations", head, tuple(rows), "llrrll").text())


def _pusht_rows() -> list[tuple[str, ...]]:
    sources = (
        ("scripted", cache_path(scripted_metadata(), NUM_SCRIPTED), "demos pusht"),
        ("human", pusht_human.imported_path(), "demos pusht --from pusht.zip"),
    )
    rows: list[tuple[str, ...]] = []
    for source, path, command in sources:
        if path.exists():
            found = npz.read(path, scripted_metadata())
            counts = (str(found.num_episodes), f"{found.num_steps:,}")
            rows.append(("pusht", source, *counts, found.metadata.version, str(path)))
        else:
            rows.append(("pusht", source, "-", "-", "-", f"not here yet: {command}"))
    return rows


def inspect(
    task: str,
    source: Source = "scripted",
    path: Path | None = None,
    figure: Path | None = None,
    filter_key: str | None = None,
) -> None:
    """Print what demonstrations hold and what they achieve when replayed.

    Args:
        task: Name of the task.
        source: scripted or human.
        path: File of recorded demonstrations.
        figure: Draw some trajectories to this file (.png, .svg or .pdf).
        filter_key: Only what a robomimic file lists under this key.
    """
    _check_task(task)
    if figure is not None and figure.suffix not in _KINDS:
        raise ValueError(f"no figure of kind {figure.suffix!r}; use {', '.join(_KINDS)}")
    if (robosuite := _robosuite_name(task)) is not None:
        if figure is not None:
            raise ValueError(f"there is no figure of {task}; leave it out or take pusht")
        inspect_robosuite(robosuite, source, path, filter_key)
        return
    _no_filter_keys(task, filter_key)
    demonstrations = recorded_pusht(source, path)
    replayed = replay(demonstrations)
    print(summary(demonstrations, replayed).text())
    if figure is not None:
        content = io.BytesIO()
        trajectory_figure(demonstrations, replayed).savefig(content, format=figure.suffix[1:])
        print(f"trajectories: {write_whole(figure, content.getvalue())}")


def import_file(
    task: str, path: Path, to: Path | None = None, filter_key: str | None = None
) -> None:
    """Check a file of recorded demonstrations and keep it as a compressed NPZ.

    Push-T's may be NPZ, zarr or ZIP, those of robosuite's tasks are robomimic's HDF5.

    Args:
        task: Name of the task.
        path: What to import.
        to: Where to; None for where `human` finds the public demonstrations, which takes no others.
        filter_key: Only what a robomimic file lists under this key.

    Raises:
        ValueError: If the file is damaged, or is not the public data and `to` is missing.
    """
    _check_task(task)
    if (robosuite := _robosuite_name(task)) is not None:
        import_robosuite(robosuite, path, to, filter_key)
        return
    _no_filter_keys(task, filter_key)
    demonstrations = pusht_human.read(path)
    if to is None and demonstrations.metadata.source != "human":
        raise ValueError(
            f"{path} does not hold the public human demonstrations; say where to keep it "
            "(--to FILE) and use it by its path (DATA=human DATA_PATH=FILE)"
        )
    target = to or pusht_human.imported_path()
    npz.write(demonstrations, target)
    counts = f"{demonstrations.num_episodes} episodes, {demonstrations.num_steps:,} steps"
    print(f"{counts} of {demonstrations.metadata.source} data imported to {target}")


def summary(demonstrations: Demonstrations, replayed: Replay) -> Table:
    """A table of what demonstrations hold: length, speed, contact, coverage, success."""
    moves = _set_point_moves(demonstrations)
    lengths = demonstrations.lengths
    rows = [
        ("episodes", str(demonstrations.num_episodes)),
        ("steps", f"{demonstrations.num_steps:,}"),
        (
            "steps an episode",
            f"{lengths.min()} to {lengths.max()}, median {np.median(lengths):.0f}",
        ),
        (
            "set-point moves",
            f"median {np.median(moves):.1f}, 99 % {np.percentile(moves, 99):.1f} px",
        ),
        ("set-point rests", f"{(moves < 0.5).mean():.1%} of steps"),
    ]
    contacts = demonstrations.observations.get("n_contacts")
    if contacts is not None:
        rows.append(("in contact", f"{(contacts > 0).mean():.0%} of steps"))
    final = np.percentile(replayed.final_coverage, [0, 50, 100])
    rows += [
        ("final coverage", f"{final[0]:.3f} to {final[2]:.3f}, median {final[1]:.3f}"),
        ("success", f"{replayed.is_success.sum()} of {demonstrations.num_episodes}"),
        (
            "replay drift",
            f"median {np.median(replayed.drift):.2g}, max {replayed.drift.max():.2g} px",
        ),
    ]
    metadata = demonstrations.metadata
    caption = f"Demonstrations of {metadata.task}, {metadata.source}, {metadata.version}"
    return Table(caption, ("", "value"), tuple(rows), "ll")


def trajectory_figure(demonstrations: Demonstrations, replayed: Replay) -> Figure:
    """Draw episodes spread over the set: agent coloured by time, set-points, block and goal."""
    count = min(_SHOWN, demonstrations.num_episodes)
    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.0 * columns, 3.2 * rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    chosen = np.linspace(0, demonstrations.num_episodes - 1, count).astype(int)
    for axes, index in zip(
        figure.subplots(rows, columns, squeeze=False).flat, chosen, strict=False
    ):
        episode = demonstrations.episode(int(index))
        _draw_episode(axes, episode)
        covered = replayed.final_coverage[index]
        axes.set_title(f"episode {index}: {episode.num_steps} steps, {covered:.0%}", fontsize=9)
    for axes in figure.axes[count:]:
        axes.set_axis_off()
    return figure


def _draw_episode(axes: Axes, episode: Demonstrations) -> None:
    axes.fill(*place(OUTLINE, GOAL_POSE).T, color="#90EE90")
    closed = [*OUTLINE, OUTLINE[0]]
    blocks = episode.states[::_OUTLINE_EVERY, 2:]
    for share, pose in zip(np.linspace(0.2, 1.0, len(blocks)), blocks, strict=True):
        axes.plot(*place(closed, pose).T, color="#778899", linewidth=0.7, alpha=share)
    axes.plot(*episode.actions.T, color="#D55E00", linewidth=0.5)
    x, y = episode.states[:, :2].T
    axes.scatter(x, y, c=np.arange(episode.num_steps), s=4, cmap="viridis")
    axes.set(xlim=(0, WORLD_SIZE), ylim=(WORLD_SIZE, 0), aspect="equal", xticks=[], yticks=[])


def _set_point_moves(demonstrations: Demonstrations) -> np.ndarray:
    """How far the set-point moves from step to step within episodes, px."""
    moves = np.hypot(*np.diff(demonstrations.actions, axis=0).T)
    return np.delete(moves, demonstrations.episode_ends[:-1] - 1)


def _check_task(task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"no demonstrations of a task {task!r}; choose from {', '.join(TASKS)}")


def _no_filter_keys(task: str, filter_key: str | None) -> None:
    if filter_key is not None:
        raise ValueError(
            f"--filter-key {filter_key} given, but files of {task} have no filter keys: drop it"
        )


def _robosuite_name(task: str) -> TaskName | None:
    return next((name for name in TASK_NAMES if name == task), None)

"""What `python -m benchmark demos` says of demonstrations beside their number and length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from envs.control import CONTROLS
from envs.demos import pusht_replay, robosuite_replay
from envs.demos.demonstrations import Demonstrations
from envs.pusht.geometry import GOAL_POSE, OUTLINE, WORLD_SIZE, place
from envs.robosuite.scenes import TaskName
from envs.robosuite.simulation import MAX_DELTA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Facts = list[tuple[str, str]]
REPLAYED = 20
"""Episodes of a robosuite task that are replayed under each control mode."""
_SHOWN = 12  # episodes in a figure
_OUTLINE_EVERY = 12  # steps between the blocks drawn


def pusht_facts(demonstrations: Demonstrations) -> Facts:
    """How the set-point moves, contact, and what a replay reaches."""
    replayed = pusht_replay.replay(demonstrations)
    moves = _set_point_moves(demonstrations)
    rows = [
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
    return [
        *rows,
        ("final coverage", f"{final[0]:.3f} to {final[2]:.3f}, median {final[1]:.3f}"),
        ("success", f"{replayed.is_success.sum()} of {demonstrations.num_episodes}"),
        (
            "replay drift",
            f"median {np.median(replayed.drift):.2g}, max {replayed.drift.max():.2g} px",
        ),
    ]


def robosuite_facts(task: TaskName, demonstrations: Demonstrations) -> Facts:
    """The moves asked for, the demonstrator's success, and replays in both control modes."""
    moves = np.linalg.norm(demonstrations.observations["delta"][:, :3] * MAX_DELTA[:3], axis=1)
    rows = [
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
        success = robosuite_replay.replay(first, task, control)
        rows.append((f"replays under {control} control", f"{success.sum()} of {len(success)}"))
    return rows


def pusht_figure(demonstrations: Demonstrations) -> Figure:
    """Draw episodes spread over the set: agent coloured by time, set-points, block and goal."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    replayed = pusht_replay.replay(demonstrations)
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

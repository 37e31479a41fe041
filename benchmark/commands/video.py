"""Films of trained policies: `python -m benchmark video RUN...`, and `bench --video N`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from benchmark.errors import UsageError
from benchmark.files import check_writable
from benchmark.plan.config import Cell
from benchmark.plan.request import BenchConfig
from benchmark.plan.sweep import evaluation
from benchmark.play.film import (
    best_kind,
    check_films,
    check_kind,
    episode,
    film_hz,
    side_by_side,
    stacked,
    write_film,
)
from benchmark.play.policies import Trained, load_policy
from benchmark.play.session import FIRST_SEED
from benchmark.running.machine import best_device
from benchmark.running.store import Run

MOST_IN_A_ROW = 4


def video_command(
    runs: Sequence[str], to: Path, episodes: int, seed: int | None, task: str, paths: int
) -> int:
    """Film the policies and print where the film is; the exit code."""
    if not runs:
        raise UsageError("video is given no policy; name run folders, checkpoints or 'shipped'")
    if episodes < 1 or paths < 1:
        raise UsageError(f"episodes is {episodes} and paths {paths}; allowed: 1 or more")
    check_kind(to)
    check_writable(to.parent, "the folder of the film")
    policies = [load_policy(run, task) for run in runs]
    tasks = sorted({policy.task for policy in policies})
    if len(tasks) > 1:
        raise UsageError(f"the policies are of {' and '.join(tasks)}; film those of one task")
    check_films(tasks[0], policies[0].obs_type)
    print(film_policies(policies, to, episodes, FIRST_SEED if seed is None else seed, paths))
    return 0


def film_policies(
    policies: Sequence[Trained], to: Path, episodes: int, seed: int, paths: int = 12
) -> Path:
    """Write a film: a column a policy and a row an initial state; one policy fills the rows.

    More policies than stand in a row go on below, on the same initial states.

    Args:
        policies: Of one task.
        to: The film, .mp4 or .gif.
        episodes: Initial states.
        seed: Of the first of them.
        paths: Action sequences drawn of each prediction.
    """
    seeds = range(seed, seed + episodes)
    if len(policies) == 1:
        one = [episode(policies[0], each, paths - 1) for each in seeds]
        width = min(episodes, MOST_IN_A_ROW)
        one += [one[-1]] * (-episodes % width)
        films = [one[first : first + width] for first in range(0, len(one), width)]
        film = side_by_side(films, [policies[0].name, *[""] * (width - 1)])
    else:
        width = ceil(len(policies) / ceil(len(policies) / MOST_IN_A_ROW))
        bands = [policies[first : first + width] for first in range(0, len(policies), width)]
        film = stacked(
            [
                side_by_side(
                    [[episode(each, s, paths - 1) for each in band] for s in seeds],
                    [each.name for each in band],
                )
                for band in bands
            ]
        )
    return write_film(film, to, film_hz(policies[0].task))


def film_cells(cells: Sequence[Cell], config: BenchConfig, store: Path) -> list[Path]:
    """Film every cell as a sweep plays it, unless that was done before; where the films are."""
    films = []
    for cell in cells:
        run, played = Run(cell, store), evaluation(config, cell)
        action_horizon, steps = run.resolved(played).action_horizon, played.inference_steps
        settings = f"ta{action_horizon}" + (f"-k{steps}" if steps else "")
        path = run.folder / "films" / f"{settings}-{config.video}{best_kind()}"
        if not path.is_file():
            trained = load_policy(str(run.folder), action_horizon=action_horizon)
            if steps:
                trained.agent.set_inference_steps(steps)
            trained = replace(trained, agent=trained.agent.to(best_device()))
            film_policies([trained], path, config.video, FIRST_SEED)
        films.append(path)
    return films

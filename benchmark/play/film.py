"""Films of policies: the frames of an episode, several beside each other, and their file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from numpy.typing import NDArray
from PIL import Image

from benchmark.errors import UsageError, usage_errors
from benchmark.files import write_whole
from benchmark.plan.config import EvalConfig
from benchmark.plan.tasks import get_task
from benchmark.play.policies import Trained
from benchmark.play.session import Session
from benchmark.play.table import INK, Plan, draw_table, write
from benchmark.running.rollout import AgentPolicy, rollout
from envs.progress import progress_bar
from envs.pusht.env import CONTROL_HZ, MAX_EPISODE_STEPS
from envs.pusht.render import pygame

TILE = 240
"""Width and height of an episode, px."""
KINDS = (".gif", ".mp4")
COLORS = 128
"""Of a GIF, chosen once for all its frames."""
CAPTION_HEIGHT = 20  # px of letters
STILL_SECONDS = 1.0
"""The last frame stays so long."""

Film = NDArray[np.uint8]
"""Frames (T, H, W, 3), RGB."""


def check_kind(path: Path) -> None:
    """See that a film can be written to a file of that name.

    Raises:
        UsageError: If its ending is none of `KINDS`, or MP4 needs a package that is not here.
    """
    if path.suffix not in KINDS:
        raise UsageError(f"{path} ends in none of {', '.join(KINDS)}: name a film by its kind")
    if path.suffix == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UsageError(
            "MP4 needs imageio-ffmpeg, which is not here: pip install -c constraints.txt "
            "'dpbench[video]', or let the name end in .gif"
        )


def best_kind() -> str:
    """The ending of films where nobody asks for one: .mp4 where it can be written, else .gif."""
    return ".mp4" if find_spec("imageio_ffmpeg") else ".gif"


def check_films(task: str, obs_type: str) -> None:
    """See that episodes of a task can be drawn here, before anything is played.

    Raises:
        UsageError: If the task draws nothing, or there is nothing to draw with.
    """
    if task.startswith("pusht"):
        return
    try:
        with (
            usage_errors(),
            warnings.catch_warnings(action="ignore"),  # what is missing is an error
            closing(get_task(task).make(obs_type, "position", render_mode="rgb_array")) as env,
        ):
            env.reset(seed=0)
            env.render()
    except (RuntimeError, UsageError) as missing:
        raise UsageError(f"{task} cannot be filmed here: {missing}") from missing


def film_hz(task: str) -> float:
    """Frames a second at which a film of a task is as fast as its control."""
    if task.startswith("pusht"):
        return float(CONTROL_HZ)
    return float(gymnasium.make(get_task(task).env_id).metadata["render_fps"])


def episode(trained: Trained, seed: int, others: int) -> Film:
    """The frames of an episode; on Push-T with the action sequences that the policy draws.

    Args:
        trained: The policy.
        seed: Initial state of the episode.
        others: Sequences drawn beside the one that is followed.
    """
    if trained.task.startswith("pusht"):
        return _at_the_table(trained, seed, others)
    task, frames = get_task(trained.task), list[NDArray[np.uint8]]()

    def make() -> gymnasium.Env[object, object]:
        return task.make(trained.obs_type, trained.control, render_mode="rgb_array")

    env = SyncVectorEnv([make], autoreset_mode=AutoresetMode.DISABLED)

    def look(_: int) -> None:
        frames.append(_small(np.asarray((env.render() or (None,))[0])))

    try:
        policy = AgentPolicy(trained.agent, [seed])
        rollout(policy, env, [seed], EvalConfig(trained.action_horizon, episodes=1), look)
    finally:
        env.close()
    return np.stack(frames)


def side_by_side(films: Sequence[Sequence[Film]], captions: Sequence[str]) -> Film:
    """Films as a grid, a row each of `films`; those that are shorter end with a still.

    Args:
        films: Rows of films of one size.
        captions: Above each column.
    """
    longest = max(len(film) for row in films for film in row)
    rows = [np.concatenate([_lasting(film, longest) for film in row], axis=2) for row in films]
    heads = np.concatenate([_caption(text) for text in captions], axis=1)
    head = np.broadcast_to(heads, (longest, *heads.shape))
    return np.concatenate([head, *rows], axis=1)


def stacked(films: Sequence[Film]) -> Film:
    """Films one below the other, the narrow ones with white at their right."""
    longest = max(len(film) for film in films)
    widest = max(film.shape[2] for film in films)
    wide = [
        np.pad(film, ((0, 0), (0, 0), (0, widest - film.shape[2]), (0, 0)), constant_values=255)
        for film in films
    ]
    return np.concatenate([_lasting(film, longest) for film in wide], axis=1)


def write_film(film: Film, path: Path, hz: float) -> Path:
    """Write a film, as MP4 or GIF by the ending of its name."""
    check_kind(path)
    film = _lasting(film, len(film) + round(STILL_SECONDS * hz))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}{path.suffix}")
    if path.suffix == ".mp4":
        import imageio_ffmpeg

        _, height, width, _ = film.shape
        # yuv420p halves both sides: they must be even.
        even = np.ascontiguousarray(film[:, : height // 2 * 2, : width // 2 * 2])
        size = even.shape[2], even.shape[1]
        writer = imageio_ffmpeg.write_frames(str(part), size, fps=hz, macro_block_size=2)
        writer.send(None)
        for frame in even:
            writer.send(frame)
        writer.close()
    else:
        spread = np.linspace(0, len(film) - 1, min(len(film), 8)).astype(int)
        palette = Image.fromarray(np.concatenate(film[spread])).quantize(COLORS)
        frames = [
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in film
        ]
        frames[0].save(
            part, save_all=True, append_images=frames[1:], duration=round(1000 / hz), loop=0
        )
    content = part.read_bytes()
    part.unlink()
    return write_whole(path, content)


def _at_the_table(trained: Trained, seed: int, others: int) -> Film:
    session = Session([trained], seed=seed, others=others)
    frames = [_seen(session)]
    with progress_bar(MAX_EPISODE_STEPS, f"{trained.name}, filming", "step") as bar:
        while not session.is_over:
            session.step()
            frames.append(_seen(session))
            bar.update()
    return np.stack(frames)


def _seen(session: Session) -> NDArray[np.uint8]:
    plan, planner = None, session.planner
    if planner is not None and len(planner.paths):
        plan = Plan(planner.paths, planner.age, planner.trained.action_horizon)
    return _pixels(draw_table(TILE, session.state, plan, session.set_point))


def _caption(text: str) -> NDArray[np.uint8]:
    surface = pygame.Surface((TILE, CAPTION_HEIGHT + 4))
    surface.fill((255, 255, 255))
    write(surface, text, (6, 4), CAPTION_HEIGHT, INK)
    return _pixels(surface)


def _pixels(surface: pygame.Surface) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1), dtype=np.uint8)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((TILE, TILE)))


def _lasting(film: Film, frames: int) -> Film:
    return np.concatenate([film, np.repeat(film[-1:], frames - len(film), axis=0)])

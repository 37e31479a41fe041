"""Recorded episodes: the best, a median and the worst of an evaluation, to be looked at later.

They are played again from the actions that were executed, in an environment that shows its state
or draws itself, and kept with what studies measured of the policy.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from benchmark.plan.config import EvalConfig
from benchmark.plan.tasks import Task
from benchmark.progress import say
from benchmark.running.store import MEASURED, Run
from benchmark.sealed import is_whole, read_sealed
from envs.control import Control

ACTIONS = "actions"
"""The column of what was executed in each episode, (length, Da)."""
STATES_EVERY = 2
"""Control steps from one recorded state to the next."""
FRAMES, FRAME_SIZE, FRAME_QUALITY = 24, 128, 45
"""Frames of an episode at most, their height and width in px, and WebP's quality."""

_PREFIX = "recorded-"

Recorded = Mapping[str, Any]
"""An episode: kind (best, median or worst), seed, score, is_success, length, every (control steps
from one look to the next) and either `states`, a list a look, or `frames`: one picture of all
looks side by side as a data URI."""


def record(task: Task, control: Control, episodes: pd.DataFrame) -> bytes | None:
    """Play three episodes of an evaluation again and record them.

    Args:
        task: Says whether its states or its frames are shown.
        control: What the actions mean.
        episodes: A row an episode, with ACTIONS.

    Returns:
        What `recorded` reads; None where the task is not shown, or nothing can draw it here.
    """
    if task.shown_by is None:
        return None
    options = {"render_mode": "rgb_array"} if task.shown_by == "frames" else {}
    try:
        with closing(task.make("state", control, **options)) as env:
            told = [
                {
                    "kind": kind,
                    **{name: episodes[name].iloc[row].item() for name in ("seed", "length")},
                    "score": round(float(episodes["score"].iloc[row]), 3),
                    "is_success": bool(episodes["is_success"].iloc[row]),
                    **_play(env, task.shown_by == "states", episodes.iloc[row]),
                }
                for kind, row in _telling(episodes).items()
            ]
    except RuntimeError as missing:  # no graphics
        say(f"no episodes of {task.name} are recorded for the report: {missing}")
        return None
    return gzip.compress(json.dumps(told, separators=(",", ":")).encode(), mtime=0)


def recorded_name(config: EvalConfig) -> str:
    """The file, among what is measured of a policy, of the recorded episodes of an evaluation."""
    return f"{_PREFIX}{config.id}.json.gz"


def is_recorded(name: str) -> bool:
    """Whether a file among what is measured of a policy holds recorded episodes."""
    return name.startswith(_PREFIX)


def recorded(run: Run, config: EvalConfig) -> list[Recorded]:
    """The recorded episodes of an evaluation, from the run store or the evidence, if any."""
    name = recorded_name(run.resolved(config))
    path = run.folder / MEASURED / name
    content = read_sealed(path) if is_whole(path) else None
    if content is None and run.evidence is not None:
        content = run.evidence.measured.get(name)
    return [] if content is None else json.loads(gzip.decompress(content))


def _telling(episodes: pd.DataFrame) -> dict[str, int]:
    """Rows of the best, a median and the worst episode; fewer where there are fewer."""
    order = np.lexsort((episodes["length"], -episodes["score"], ~episodes["is_success"]))
    rows = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    return {kind: int(rows[kind]) for kind in ("best", "worst", "median")[: len(order)]}


def _play(env: gymnasium.Env[Any, Any], by_states: bool, episode: pd.Series[Any]) -> dict[str, Any]:
    """What is seen of an episode: its states, or one picture of its frames."""
    length = int(episode["length"])
    every = STATES_EVERY if by_states else max(1, -(-length // (FRAMES - 1)))
    looks = []
    seen, _ = env.reset(seed=int(episode["seed"]))
    for step in range(length + 1):
        if step % every == 0 or step == length:
            looks.append(np.array(seen) if by_states else _small(env.render()))
        if step < length:
            seen, *_ = env.step(episode[ACTIONS][step])
    if by_states:
        return {"every": every, "states": np.round(looks, 2).tolist()}
    return {"every": every, "frames": _side_by_side(looks)}


def _small(frame: Any) -> NDArray[np.uint8]:
    size = (FRAME_SIZE, FRAME_SIZE)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def _side_by_side(frames: list[NDArray[np.uint8]]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(frames, axis=1)).save(buffer, "WEBP", quality=FRAME_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"

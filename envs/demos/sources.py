"""Where the demonstrations of a task come from, with the observations that a policy sees."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.demos import pusht_human, pusht_scripted
from envs.demos.cache import cached
from envs.demos.demonstrations import DataSet, Demonstrations, Metadata
from envs.demos.pusht_human import PUBLIC
from envs.demos.pusht_pictures import pictures
from envs.progress import progress_bar
from envs.pusht.geometry import keypoints
from envs.pusht.observations import ObsType, observe

Source = Literal["scripted", "human"]

NUM_SCRIPTED = 200


def load_pusht(
    source: Source = "scripted",
    obs_type: ObsType = "keypoints",
    path: Path | None = None,
    num_episodes: int | None = None,
    seed: int = 0,
) -> Demonstrations:
    """Push-T demonstrations with the observations of `obs_type`.

    Observations are computed from the recorded states by the function that the environment uses,
    so a policy sees the same thing in training and in evaluation.

    Args:
        source: `scripted` is generated on first use and cached; `human` is the public data.
        obs_type: `keypoints` (20 numbers), `state` (5) or `pixels` (96 x 96 x 3, drawn on
            first use and cached).
        path: File of recorded data; None takes the public data, imported or downloaded.
        num_episodes: So many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.

    Raises:
        ValueError: If a file is damaged, more episodes are asked for than there are, or a path is
            given for the scripted source.
    """
    demonstrations = recorded_pusht(source, path, max(num_episodes or 0, NUM_SCRIPTED))
    if num_episodes is not None:
        demonstrations = demonstrations.choose(num_episodes, seed)
    return replace(demonstrations, observations=_observe(demonstrations, obs_type))


def catalogue(source: Source) -> DataSet:
    """What Push-T's demonstrations of a source are, without reading or making them."""
    return DataSet(scripted_metadata(), NUM_SCRIPTED) if source == "scripted" else PUBLIC


def _observe(demonstrations: Demonstrations, obs_type: ObsType) -> dict[str, NDArray[Any]]:
    """Observations of every row."""
    if obs_type != "pixels":
        return observe(demonstrations.states, obs_type)
    agent = demonstrations.states[:, :2].copy()
    return {"pixels": pictures(demonstrations), "state": agent}


def recorded_pusht(
    source: Source, path: Path | None = None, num_scripted: int = NUM_SCRIPTED
) -> Demonstrations:
    """Push-T demonstrations as they were recorded, with their `keypoint` and `n_contacts`.

    Raises:
        ValueError: If a path is given for the scripted source, or the file is damaged.
    """
    if source == "human":
        return pusht_human.load(path)
    if path is not None:
        raise ValueError(f"{path} given, but scripted demonstrations come from no file: drop it")
    return cached(scripted_metadata(), num_scripted, lambda: _generate(num_scripted))


def scripted_metadata() -> Metadata:
    """Of the scripted demonstrations: a version of demonstrator and environment, the first seed."""
    return Metadata("pusht", "scripted", f"v{pusht_scripted.VERSION}-PushT-v1", seed=0)


def _generate(num_episodes: int) -> Demonstrations:
    """Let the demonstrator solve seeds 0 to num_episodes - 1; test seeds start at 100000."""
    episodes = []
    with progress_bar(num_episodes, "scripted demonstrations", "episode") as bar:
        for seed in range(num_episodes):
            episodes.append(pusht_scripted.demonstrate(seed))
            bar.update()
    states = np.concatenate([episode.states for episode in episodes])
    return Demonstrations(
        states=states,
        actions=np.concatenate([episode.actions for episode in episodes]),
        episode_ends=np.cumsum([len(episode.actions) for episode in episodes], dtype=np.int64),
        observations={
            "keypoint": keypoints(states),
            "n_contacts": np.concatenate([episode.contacts for episode in episodes])[:, None],
        },
        metadata=scripted_metadata(),
    )

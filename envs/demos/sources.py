"""Where the demonstrations of a task come from, with the observations that a policy sees."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from envs.demos import pusht_human, pusht_scripted
from envs.demos.cache import cached
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.geometry import keypoints
from envs.pusht.observations import ObsType, observe

Source = Literal["scripted", "human"]

NUM_SCRIPTED = 200
PUSHT_ENVIRONMENT = "PushT-v1"  # part of the cache's file name


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
        obs_type: `keypoints` (20 numbers), `state` (5) or `pixels` (96 x 96 x 3, drawn now).
        path: File of recorded data; None takes the public data, imported or downloaded.
        num_episodes: So many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.

    Raises:
        ValueError: If a file is damaged, more episodes are asked for than there are, or a path is
            given for the scripted source.
    """
    if source == "human":
        demonstrations = pusht_human.load(path)
    elif path is not None:
        raise ValueError(f"{path} was given, but scripted demonstrations are in no file of yours")
    else:
        demonstrations = scripted_pusht(max(num_episodes or 0, NUM_SCRIPTED))
    if num_episodes is not None:
        demonstrations = demonstrations.choose(num_episodes, seed)
    return replace(demonstrations, observations=observe(demonstrations.states, obs_type))


def scripted_pusht(num_episodes: int = NUM_SCRIPTED, seed: int = 0) -> Demonstrations:
    """The scripted demonstrations, generated on first use with a progress bar and then cached.

    Args:
        num_episodes: How many.
        seed: Of the first episode; episode i has seed + i. Test seeds start at 100000.
    """
    version = f"v{pusht_scripted.VERSION}-{PUSHT_ENVIRONMENT}"
    metadata = Metadata("pusht", "scripted", version, seed)

    def generate() -> Demonstrations:
        seeds = tqdm(range(seed, seed + num_episodes), "scripted demonstrations", unit="episode")
        episodes = [pusht_scripted.demonstrate(episode) for episode in seeds]
        states = np.concatenate([episode.states for episode in episodes])
        return Demonstrations(
            states=states,
            actions=np.concatenate([episode.actions for episode in episodes]),
            episode_ends=np.cumsum([len(episode.actions) for episode in episodes], dtype=np.int64),
            observations={
                "keypoint": keypoints(states),
                "n_contacts": np.concatenate([episode.contacts for episode in episodes])[:, None],
            },
            metadata=metadata,
        )

    return cached(metadata, num_episodes, generate)

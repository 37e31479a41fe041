"""Where the demonstrations of a task come from, with the observations that a policy sees."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from envs.demos import npz, pusht_scripted
from envs.demos.cache import cached
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.geometry import keypoints
from envs.pusht.observations import observe

Source = Literal["scripted", "human"]
ObsType = Literal["keypoints", "state", "pixels"]

NUM_SCRIPTED = 200
KEYPOINT_TOLERANCE = 1e-3  # px; the public float32 keypoints differ from ours by 2e-5


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
        obs_type: `keypoints` (20 numbers), `state` (5) or `pixels` (96 x 96 x 3, rendered here).
        path: File of the human data; None looks for imported data.
        num_episodes: So many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.

    Raises:
        FileNotFoundError: If the human data are not there.
        ValueError: If a file is damaged, or more episodes are asked for than there are.
    """
    if source == "scripted":
        demonstrations = scripted_pusht(max(num_episodes or 0, NUM_SCRIPTED))
    elif path is None:
        raise FileNotFoundError(
            "no human demonstrations given; download "
            "https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip and pass the file"
        )
    else:
        demonstrations = read_pusht(path)
    if num_episodes is not None:
        demonstrations = demonstrations.choose(num_episodes, seed)
    return replace(demonstrations, observations=observe(demonstrations.states, obs_type))


def scripted_pusht(num_episodes: int = NUM_SCRIPTED, seed: int = 0) -> Demonstrations:
    """The scripted demonstrations, generated on first use with a progress bar and then cached.

    Args:
        num_episodes: How many.
        seed: Of the first episode; episode i has seed + i. Test seeds start at 100000.
    """
    metadata = Metadata("pusht", "scripted", f"v{pusht_scripted.VERSION}-PushT-v1", seed)
    return cached(metadata, num_episodes, lambda: _generate_pusht(metadata, num_episodes))


def _generate_pusht(metadata: Metadata, num_episodes: int) -> Demonstrations:
    first = metadata.seed or 0
    seeds = tqdm(range(first, first + num_episodes), "scripted demonstrations", unit="episode")
    episodes = [pusht_scripted.demonstrate(seed) for seed in seeds]
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


def read_pusht(path: Path) -> Demonstrations:
    """Read recorded Push-T demonstrations and hold them against the task's geometry.

    Raises:
        ValueError: If states or actions have the wrong width, or the recorded keypoints are not
            those of the recorded states.
    """
    demonstrations = npz.read(path, Metadata("pusht", "human", path.name, None))
    check_pusht(demonstrations, path)
    return demonstrations


def check_pusht(demonstrations: Demonstrations, path: Path) -> None:
    """Hold demonstrations against Push-T: the arrays' widths, keypoints against states.

    Keypoints are compared where the block rests until the next row. In the public data those of a
    moving block are of the pose one physics step later than the state: up to 2 px away.

    Raises:
        ValueError: If they are of another task or another block.
    """
    widths = demonstrations.states.shape[1], demonstrations.actions.shape[1]
    if widths != (5, 2):
        raise ValueError(
            f"{path}: states have {widths[0]} numbers and actions {widths[1]}; Push-T has 5 "
            "(agent x, y, block x, y, angle) and 2 (target x, y)"
        )
    recorded = demonstrations.observations.get("keypoint")
    if recorded is None:
        return
    block = demonstrations.states[:, 2:]
    resting = np.flatnonzero((block[1:] == block[:-1]).all(axis=1))
    error = np.abs(recorded - keypoints(demonstrations.states)).max(axis=(1, 2))[resting]
    if error.max(initial=0.0) > KEYPOINT_TOLERANCE:
        raise ValueError(
            f"{path}: the keypoints of row {resting[error.argmax()]} are {error.max():.3g} px from "
            f"those of its state, more than {KEYPOINT_TOLERANCE} px; the file records another block "
            "or another pose"
        )

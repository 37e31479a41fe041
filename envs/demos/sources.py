"""Where the demonstrations of a task come from, with the observations that a policy sees."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from envs.demos import npz
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.geometry import keypoints
from envs.pusht.observations import observe

Source = Literal["scripted", "human"]
ObsType = Literal["keypoints", "state", "pixels"]

KEYPOINT_TOLERANCE = 1e-3  # px; recorded float32 keypoints differ from ours by less than 1e-4


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
        num_episodes: Train on so many episodes, drawn by `seed`; None takes all.
        seed: Seed of that draw.

    Raises:
        FileNotFoundError: If the human data are not there.
        ValueError: If a file is damaged, or more episodes are asked for than there are.
    """
    if path is None:
        raise FileNotFoundError(
            "no human demonstrations given; download "
            "https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip and pass the file"
        )
    demonstrations = read_pusht(path)
    if num_episodes is not None:
        demonstrations = demonstrations.choose(num_episodes, seed)
    return replace(demonstrations, observations=observe(demonstrations.states, obs_type))


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
    """Raise a ValueError unless arrays are those of Push-T and keypoints agree with states."""
    widths = demonstrations.states.shape[1], demonstrations.actions.shape[1]
    if widths != (5, 2):
        raise ValueError(
            f"{path}: states have {widths[0]} numbers and actions {widths[1]}; Push-T has 5 "
            "(agent x, y, block x, y, angle) and 2 (target x, y)"
        )
    recorded = demonstrations.observations.get("keypoint")
    if recorded is None:
        return
    error = np.abs(recorded - keypoints(demonstrations.states)).max(axis=(1, 2))
    row = int(error.argmax())
    if error[row] > KEYPOINT_TOLERANCE:
        raise ValueError(
            f"{path}: the keypoints of row {row} are {error[row]:.3g} px from those of its state, "
            f"more than {KEYPOINT_TOLERANCE} px; the file records another block or another pose"
        )

"""The public human demonstrations of Push-T (Chi et al. 2023; MIT licence), and files like them.

206 episodes, 25,650 steps. Whatever file they come in, they are known by a checksum of their
states, actions and episode ends; recorded demonstrations with another content are a user's own.
"""

import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from envs.cache import cache_dir
from envs.demos import npz, zarr
from envs.demos.cache import kept
from envs.demos.demonstrations import DataSet, Demonstrations, Metadata
from envs.demos.files import check_range, refuse
from envs.pusht.geometry import WORLD_SIZE, keypoints

URL = "https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip"
SHA256 = "6ba0039f48c3436e567e9836ad1db58d3e26b9fc01ae989b43f85c81c489f90e"  # of digest()
PUBLIC = DataSet(Metadata("pusht", "human", "pusht_cchi_v7", None), 206, 25_650)

KEYPOINT_TOLERANCE = 1e-3  # px; the public float32 keypoints differ from ours by 2e-5
MARGIN = 64.0  # px; walls do not stop the agent, and a target may lie beyond them
LARGEST_SCALED = 2.0  # what scaling to -1 and 1, or to 0 and 1, leaves of a position
MAX_ANGLE = 10 * np.pi  # rad; the protocol draws angles of up to 4 * 2 pi and more


def load(path: Path | None) -> Demonstrations:
    """The demonstrations in a file, or the public ones: imported before, or downloaded now.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ConnectionError: If the download fails.
        ImportError: If a package of the extra `human` is needed and missing.
        ValueError: If the file is damaged or of another task.
    """
    if path is not None:
        return read(path)
    imported = imported_path()
    if imported.exists():
        with suppress(ValueError):  # known by its content, with our checksum or without
            if (found := read(imported)).metadata == PUBLIC.metadata:
                return found
    return kept(imported, PUBLIC.metadata, _download)


def imported_path() -> Path:
    """Where the public demonstrations are kept once imported or downloaded."""
    return cache_dir() / "pusht-human.npz"


def read(path: Path) -> Demonstrations:
    """Read recorded Push-T demonstrations, NPZ or zarr, and hold them against the task.

    Raises:
        ValueError: If they are of another task or another block, or damaged.
    """
    metadata = Metadata("pusht", "import", path.name, None)
    reader = npz.read if path.suffix == ".npz" else zarr.read
    demonstrations = reader(path, metadata)
    check(demonstrations, path)
    if demonstrations.digest() == SHA256:
        return replace(demonstrations, metadata=PUBLIC.metadata)
    return demonstrations.with_fingerprint()


def check(demonstrations: Demonstrations, path: Path) -> None:
    """Hold demonstrations against Push-T: widths, units, keypoints against states.

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
    _check_units(demonstrations, path)
    recorded = demonstrations.observations.get("keypoint")
    if recorded is None:
        return
    if recorded.shape[1:] != (9, 2):
        raise ValueError(f"{path}: keypoints have shape {recorded.shape}; give (steps, 9, 2)")
    block = demonstrations.states[:, 2:]
    resting = np.flatnonzero((block[1:] == block[:-1]).all(axis=1))
    error = np.abs(recorded - keypoints(demonstrations.states)).max(axis=(1, 2))[resting]
    if error.max(initial=0.0) > KEYPOINT_TOLERANCE:
        raise ValueError(
            f"{path}: the keypoints of row {resting[error.argmax()]} are {error.max():.3g} px from "
            f"those of its state, more than {KEYPOINT_TOLERANCE} px; this is another block"
        )


def _check_units(demonstrations: Demonstrations, path: Path) -> None:
    """Positions and targets in px, angles in rad, whatever episode they are in."""
    for index, (start, end) in enumerate(
        zip(demonstrations.starts, demonstrations.episode_ends, strict=True)
    ):
        states = demonstrations.states[start:end]
        in_px = {
            "state's positions": states[:, :4],
            "action": demonstrations.actions[start:end],
        }
        for name, array in in_px.items():
            place = f"episode {index}: {name}"
            check_range(path, place, array, -MARGIN, WORLD_SIZE + MARGIN, "px of 0 to 512")
            if np.abs(array).max() <= LARGEST_SCALED:
                found = f"never leaves {array.min():.3g} to {array.max():.3g}"
                raise refuse(path, place, found, "expected px of 0 to 512, not scaled numbers")
        place = f"episode {index}: state's angle"
        check_range(path, place, states[:, 4], -MAX_ANGLE, MAX_ANGLE, "rad, not degrees")


def _download() -> Demonstrations:
    """Fetch the published ZIP file and take the demonstrations out of it."""
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            "downloading the human demonstrations needs the pooch package; install it by "
            "pip install 'dpbench[human]'"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        try:
            # Checked by content below: what is pinned is the data, not how they were packed.
            file = pooch.retrieve(URL, None, "pusht.zip", folder, progressbar=sys.stderr.isatty())
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"the human demonstrations could not be downloaded from {URL} ({error}); fetch "
                "the file by other means and pass its path: DATA_PATH=, or demos pusht --from"
            ) from error
        demonstrations = read(Path(file))
    if demonstrations.metadata.source != "human":
        raise ValueError(
            f"what {URL} gave has the checksum {demonstrations.digest()}, not {SHA256}; it is not "
            "the data that were published with the paper"
        )
    return demonstrations

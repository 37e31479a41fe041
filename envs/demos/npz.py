"""Demonstrations as one compressed NPZ file.

Arrays: `action` (N, Da), `state` (N, Ds), `episode_ends` (E,), one array (N, ...) for each recorded
observation (on Push-T `keypoint` (N, 9, 2) in px and `n_contacts` (N, 1)), and, in files that we
write, `metadata`: a JSON string with the fields of `Metadata`.
"""

import json
import os
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path

import numpy as np

from envs.demos.demonstrations import Demonstrations, Metadata

REQUIRED = ("action", "state", "episode_ends")


def read(path: Path, default: Metadata) -> Demonstrations:
    """Read demonstrations from an NPZ file.

    Args:
        path: The file.
        default: Metadata of a file that carries none, as the public data do.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no NPZ, lacks an array, or its arrays do not fit together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, TypeError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(
                f"no demonstrations at {path}; give the path of a file"
            ) from None
        raise ValueError(f"{path} is not a readable NPZ file ({error}); copy it again") from error
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} lacks the array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'} "
            f"and needs {', '.join(REQUIRED)}"
        )
    recorded = arrays.pop("metadata", None)
    try:
        return Demonstrations(
            states=arrays.pop("state").astype(np.float64),
            actions=arrays.pop("action").astype(np.float64),
            episode_ends=arrays.pop("episode_ends").astype(np.int64),
            observations=arrays,
            metadata=default if recorded is None else Metadata(**json.loads(str(recorded))),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def write(demonstrations: Demonstrations, path: Path) -> None:
    """Write demonstrations to an NPZ file, whole or not at all.

    The file is written beside its place under a name of this process and moved there in one step,
    so a reader, a second writer or an interruption never meets half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                allow_pickle=False,
                action=demonstrations.actions,
                state=demonstrations.states,
                episode_ends=demonstrations.episode_ends,
                metadata=np.array(json.dumps(asdict(demonstrations.metadata))),
                **demonstrations.observations,
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

"""Demonstrations in the public zarr layout, `pusht_cchi_v7_replay.zarr` (Chi et al. 2023).

Groups `data` (`action`, `state`, `keypoint`, `n_contacts`, `img`) and `meta` (`episode_ends`), as a
folder or within a ZIP file such as the published pusht.zip, in either format of zarr stores (2, 3).
`img` is left where it is: policies are shown images that the environment's own code draws from the
states, in training as in evaluation.
"""

import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from envs.demos.demonstrations import Demonstrations, Metadata

OBSERVATIONS = ("keypoint", "n_contacts")
REQUIRED = ("data/action", "data/state", "meta/episode_ends")


def read(path: Path, metadata: Metadata) -> Demonstrations:
    """Read demonstrations from a zarr store.

    Args:
        path: The store's folder, a folder that holds one, or a ZIP file that does.
        metadata: Of the demonstrations; a store carries none.

    Raises:
        ImportError: If the zarr package is not installed.
        FileNotFoundError: If there is nothing at the path.
        ValueError: If there is no replay buffer in it, or its arrays do not fit together.
    """
    group = _open(path)
    missing = [name for name in REQUIRED if name not in group]
    if missing:
        raise ValueError(
            f"{path} lacks the array {missing[0]!r}; a replay buffer has {', '.join(REQUIRED)}"
        )
    try:
        return Demonstrations(
            states=np.asarray(group["data/state"][:], dtype=np.float64),
            actions=np.asarray(group["data/action"][:], dtype=np.float64),
            episode_ends=np.asarray(group["meta/episode_ends"][:], dtype=np.int64),
            observations={
                name: np.asarray(group[f"data/{name}"][:])
                for name in OBSERVATIONS
                if f"data/{name}" in group
            },
            metadata=metadata,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _open(path: Path) -> Any:
    """The group that has `data` and `meta`."""
    try:
        import zarr
        import zarr.storage
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the zarr package; install it by pip install 'dpbench[human]'"
        ) from error
    if not path.exists():
        raise FileNotFoundError(f"no demonstrations at {path}; give the path of a file or folder")
    if path.is_dir():
        root = _root_of([p.relative_to(path).as_posix() for p in path.glob("**/data/action/*")])
        store: Any = str(path)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            root = _root_of(archive.namelist())
        store = zarr.storage.ZipStore(str(path), mode="r")
    else:
        raise ValueError(f"{path} is neither a folder nor a ZIP file; give a .zarr, .zip or .npz")
    if root is None:
        raise ValueError(f"{path} holds no replay buffer: no array data/action in it")
    return zarr.open_group(store, mode="r", path=root)


def _root_of(names: list[str]) -> str | None:
    """The part of a path before data/action, from the names of the files of a store."""
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        if parts[-1] in (".zarray", "zarr.json") and parts[-3:-1] == ("data", "action"):
            return "/".join(parts[:-3])
    return None

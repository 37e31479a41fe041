"""Demonstrations in the public zarr layout, `pusht_cchi_v7_replay.zarr` (Chi et al. 2023).

Groups `data` (`action`, `state`, `keypoint`, `n_contacts`, `img`) and `meta` (`episode_ends`), as a
folder or within a ZIP file such as the published pusht.zip, in either format of zarr stores (2, 3).
`img` is left where it is: policies are shown images that the environment's own code draws from the
states, in training as in evaluation.
"""

import itertools
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.files import MAX_MEMBERS, check_array, check_size, check_zip, decoding, refuse

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
    root, sizes = _look(path)
    group = _open(path, root)
    with decoding(path, "zarr store"):
        arrays = _arrays(path, group, {name.removeprefix(root): s for name, s in sizes.items()})
    try:
        return Demonstrations(
            states=arrays.pop("data/state").astype(np.float64, copy=False),
            actions=arrays.pop("data/action").astype(np.float64, copy=False),
            episode_ends=arrays.pop("meta/episode_ends").astype(np.int64, copy=False),
            observations={name.removeprefix("data/"): array for name, array in arrays.items()},
            metadata=metadata,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _arrays(path: Path, group: Any, sizes: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """The arrays of numbers, each checked before it is read."""
    names = [*REQUIRED, *(f"data/{name}" for name in OBSERVATIONS if f"data/{name}" in group)]
    missing = [name for name in names if name not in group]
    if missing:
        needed = ", ".join(REQUIRED)
        raise refuse(path, "", f"lacks the array {missing[0]!r}", f"a replay buffer has {needed}")
    found: dict[str, NDArray[Any]] = {}
    for name in names:
        array = group[name]
        place = f"array {name!r}"
        with decoding(path, "zarr store", place):
            stored = sum(size for file, size in sizes.items() if file.startswith(f"{name}/"))
            check_array(path, place, array.shape, array.dtype, stored)
            chunk = getattr(array, "shards", None) or array.chunks
            check_array(path, f"a chunk of {place}", chunk, array.dtype, stored)
            in_chunk = math.prod(chunk) * array.dtype.itemsize
            for file, size in sizes.items():
                if file.startswith(f"{name}/") and size > 2 * in_chunk + 2**20:
                    expected = f"a chunk has {in_chunk:,}"
                    raise refuse(path, f"file {file!r}", f"has {size:,} bytes", expected)
            there, wanted = array.nchunks_initialized, array.nchunks
            if there != wanted and name not in REQUIRED:
                continue  # zarr leaves out chunks of zeros alone, and nothing is made up here
            if there != wanted:
                found_ = f"has {there} of {wanted} chunks"
                raise refuse(path, place, found_, "zarr would read zeros; copy the store again")
            found[name] = np.asarray(array[:])
    return found


def _look(path: Path) -> tuple[str, dict[str, int]]:
    """Where the replay buffer is in what is at a path, and the sizes of its files by name."""
    if not path.exists():
        raise FileNotFoundError(f"no demonstrations at {path}; give the path of a file or folder")
    if path.is_dir():
        files = [file for file in itertools.islice(path.rglob("*"), MAX_MEMBERS) if file.is_file()]
        sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in files}
    elif zipfile.is_zipfile(path):
        with decoding(path, "ZIP file"), zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            root = _root_of(sizes)
            for name in sizes:
                # CRC-32 and blosc's own header, before zarr sees either.
                if root is not None and name.startswith(root) and "/img/" not in name:
                    _check_blosc(path, name, archive.read(name))
        return _rooted(path, root), sizes
    else:
        raise refuse(path, "", "is neither a folder nor a ZIP file", "give a .zarr, .zip or .npz")
    root = _rooted(path, _root_of(sizes))
    for name in sizes:
        if name.startswith(root) and "/img/" not in name:
            with (path / name).open("rb") as opened:
                _check_blosc(path, name, opened.read(16), sizes[name])
    return root, sizes


def _check_blosc(path: Path, name: str, start: bytes, size: int | None = None) -> None:
    """Hold the sizes in the header of a chunk packed by blosc against the file's.

    Its decoder believes them: it allocates what they say, and reads beyond the chunk.
    """
    size = len(start) if size is None else size
    if len(start) < 16 or start[0] not in (1, 2) or PurePosixPath(name).name.startswith("."):
        return
    unpacked, packed = (int.from_bytes(start[i : i + 4], "little") for i in (4, 12))
    if packed == size and unpacked > 255 * size + 2**20:
        check_size(path, f"file {name!r}", unpacked, size)


def _rooted(path: Path, root: str | None) -> str:
    if root is None:
        raise refuse(path, "", "holds no replay buffer", "expected an array data/action in it")
    return root


def _open(path: Path, root: str) -> Any:
    """The group that has `data` and `meta`."""
    try:
        import zarr
        import zarr.storage
    except ImportError as error:
        raise ImportError(
            f"reading {path} needs the zarr package; install it by pip install 'dpbench[human]'"
        ) from error
    with decoding(path, "zarr store"):
        zipped = not path.is_dir()
        store: Any = zarr.storage.ZipStore(str(path), mode="r") if zipped else str(path)
        return zarr.open_group(store, mode="r", path=root.rstrip("/"))


def _root_of(names: Iterable[str]) -> str | None:
    """The part of a path before data/action, from the names of the files of a store."""
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        if parts[-1] in (".zarray", "zarr.json") and parts[-3:-1] == ("data", "action"):
            return "".join(f"{part}/" for part in parts[:-3])
    return None

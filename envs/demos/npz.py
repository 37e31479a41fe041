"""Demonstrations as one compressed NPZ file.

Arrays: `action` (N, Da), `state` (N, Ds), `episode_ends` (E,), one array (N, ...) for each recorded
observation (on Push-T `keypoint` (N, 9, 2) in px and `n_contacts` (N, 1)), and, in files that we
write, `metadata`: a JSON string with the fields of `Metadata` and `sha256`, a checksum of all the
others. A scalar, text or object array beside these is left alone: no policy sees it.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.files import check_array, check_zip, decoding, refuse

REQUIRED = ("action", "state", "episode_ends")
_KIND = "NPZ file"
_MAX_METADATA = 100_000  # characters


def read(path: Path, default: Metadata, own: bool = False) -> Demonstrations:
    """Read demonstrations from an NPZ file.

    Args:
        path: The file.
        default: Metadata of a file that carries none, as the public data do.
        own: Whether the file has to be one of ours, with its checksum.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no NPZ, lacks an array, differs from its checksum, or its arrays
            do not fit together.
    """
    if not path.exists():
        raise FileNotFoundError(f"no demonstrations at {path}; give the path of a file")
    with decoding(path, _KIND), zipfile.ZipFile(path) as archive:
        arrays, recorded = _arrays(path, archive)
    missing = [name for name in REQUIRED if name not in arrays]
    if missing:
        raise refuse(
            path,
            "",
            f"lacks the array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'}",
            f"it needs {', '.join(REQUIRED)}",
        )
    metadata, expected = _metadata(path, recorded, default)
    if expected is None and own:
        raise refuse(path, "", "has no checksum", "expected one in 'metadata'")
    if expected is not None and (found := _checksum(arrays, metadata)) != expected:
        raise refuse(path, "", f"was changed: its checksum is {found[:12]}", expected[:12])
    try:
        return Demonstrations(
            states=arrays.pop("state").astype(np.float64, copy=False),
            actions=arrays.pop("action").astype(np.float64, copy=False),
            episode_ends=arrays.pop("episode_ends").astype(np.int64, copy=False),
            observations=arrays,
            metadata=metadata,
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _arrays(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, NDArray[Any]], str | None]:
    """The arrays of numbers by name, and what `metadata` says."""
    check_zip(path, archive)
    stored = path.stat().st_size
    arrays: dict[str, NDArray[Any]] = {}
    recorded = None
    for member in archive.infolist():
        if not member.filename.endswith(".npy"):
            continue
        name = member.filename.removesuffix(".npy")
        with decoding(path, _KIND, f"array {name!r}"):
            with archive.open(member) as file:
                shape, dtype, start = _header(file)
            if name == "metadata":
                if shape or dtype.kind != "U" or dtype.itemsize > 4 * _MAX_METADATA:
                    raise refuse(path, "array 'metadata'", f"is {dtype}", "expected a short text")
            elif name not in REQUIRED and (not shape or dtype.kind not in "biuf"):
                continue
            else:
                check_array(path, f"array {name!r}", shape, dtype, stored)
            size = start + int(np.prod(shape, dtype=object)) * dtype.itemsize
            if size != member.file_size:
                found = f"has {member.file_size:,} bytes"
                raise refuse(path, f"array {name!r}", found, f"its shape {shape} needs {size:,}")
            with archive.open(member) as file:
                array = npy.read_array(file, allow_pickle=False)
                file.read(1)  # the end, where the ZIP file's own checksum is compared
        if name == "metadata":
            recorded = str(array)
        else:
            arrays[name] = array
    return arrays, recorded


def _header(file: Any) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and length of the header of an array; its numbers are not read."""
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(file)
    else:
        raise ValueError(f"version {version} of NPY; expected (1, 0) or (2, 0)")
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    return shape, dtype, file.tell()


def _metadata(path: Path, recorded: str | None, default: Metadata) -> tuple[Metadata, str | None]:
    """Metadata of a file and the checksum in it, if there is one."""
    if recorded is None:
        return default, None
    with decoding(path, _KIND, "array 'metadata'"):
        values = json.loads(recorded)
        if not isinstance(values, dict):
            raise ValueError(f"it holds {type(values).__name__}")
        expected = values.pop("sha256", None)
        if unknown := set(values) - {field.name for field in fields(Metadata)}:
            raise ValueError(f"it has a field {min(unknown)!r}")
        return Metadata(**values), expected


def _checksum(arrays: Mapping[str, NDArray[Any]], metadata: Metadata) -> str:
    """SHA-256 of metadata and of every array's name, type, shape and numbers."""
    total = hashlib.sha256(json.dumps(asdict(metadata), sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype.str} {array.shape}".encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def write(demonstrations: Demonstrations, path: Path) -> None:
    """Write demonstrations to an NPZ file with a checksum, whole or not at all.

    The file is written beside its place under a name of this process and moved there in one step,
    so a reader, a second writer or an interruption never meets half a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    arrays = {
        "action": demonstrations.actions,
        "state": demonstrations.states,
        "episode_ends": demonstrations.episode_ends,
        **demonstrations.observations,
    }
    metadata = demonstrations.metadata
    recorded = {**asdict(metadata), "sha256": _checksum(arrays, metadata)}
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, metadata=np.array(json.dumps(recorded)), **arrays
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

"""What is a mistake in a user's file, decided in one place for every reader of demonstrations.

A reader asks here before it allocates: how large an array claims to be, what a ZIP file holds, and
what an array is made of. What a decoder throws at damaged bytes becomes one line with the file.
"""

import math
import stat
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL = 256 * 2**20
"""Bytes that any file may unpack to."""
RATIO = 20
"""Times its own size that a larger file may unpack to; pictures come to about ten."""
MAX_MEMBERS = 100_000
"""Files in a ZIP or a zarr folder."""


class FileError(ValueError):
    """A file that cannot be used: the message names file, place, what was found and expected."""


def refuse(path: Path, place: str, found: str, expected: str) -> FileError:
    """The error of a file.

    Args:
        path: The file.
        place: Demonstration and array within it; empty for the whole file.
        found: What is there.
        expected: What should be, or what to do.
    """
    where = f"{path}: {place}" if place else f"{path}"
    return FileError(f"{where} {found}; {expected}")


@contextmanager
def decoding(path: Path, kind: str, place: str = "") -> Iterator[None]:
    """Say of whatever a decoder throws at damaged bytes which file it was reading.

    Decoders of ZIP, zlib, blosc, JSON, HDF5 and NumPy have errors of their own, and throw others
    (KeyError, TypeError, RecursionError) at bytes that they did not expect.
    """
    try:
        yield
    except (FileError, ImportError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise refuse(path, place, f"is not a readable {kind} ({said})", "copy it again") from error


def check_size(path: Path, place: str, size: int, stored: int) -> None:
    """Refuse what claims to be larger than a file of its size can be, before it is allocated.

    Args:
        path: The file.
        place: The array, or the whole.
        size: Bytes in memory, as the file says.
        stored: Bytes of the whole file.
    """
    allowed = SMALL + RATIO * stored
    if not 0 <= size <= allowed:
        raise refuse(
            path,
            place,
            f"claims {size:,} bytes",
            f"a file of {stored:,} bytes may unpack to {allowed:,} at most",
        )


def check_array(path: Path, place: str, shape: Sequence[int], dtype: Any, stored: int) -> None:
    """Refuse an array that is no table of numbers with a row a step, or too large for its file."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "biuf" or dtype.names is not None:
        raise refuse(path, place, f"is of type {dtype}", "it has to hold numbers")
    if not shape:
        raise refuse(path, place, "is a single number", "it needs a row a step")
    check_size(path, place, math.prod(map(int, shape)) * dtype.itemsize, stored)


def check_finite(path: Path, place: str, array: NDArray[Any]) -> None:
    """Refuse NaN and infinity by their row."""
    bad = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
    if bad.size:
        raise refuse(
            path, place, f"has a value in row {bad[0]} that is not finite", "drop or mend it"
        )


def check_range(
    path: Path, place: str, array: NDArray[Any], low: float, high: float, expected: str
) -> None:
    """Refuse numbers beyond what the task can have, by the worst of them."""
    if array.size and not (low <= array.min() and array.max() <= high):
        found = f"goes from {array.min():.4g} to {array.max():.4g}"
        raise refuse(path, place, found, f"expected {expected}")


def check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a ZIP file whose list of members is not what an honest writer makes.

    Raises:
        FileError: If there are too many members, one twice, one with a path out of the archive, a
            link, an encrypted one, or more bytes than a file of that size may unpack to.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise refuse(path, "", f"holds {len(members):,} members", f"at most {MAX_MEMBERS:,}")
    seen: set[str] = set()
    for member in members:
        name = PurePosixPath(member.filename)
        place = f"member {member.filename!r}"
        if name.is_absolute() or ".." in name.parts or "\\" in member.filename:
            raise refuse(path, place, "leads out of the archive", "expected a path within it")
        if member.filename in seen:
            raise refuse(path, place, "is there twice", "expected once")
        if member.flag_bits & 1 or stat.S_ISLNK(member.external_attr >> 16):
            raise refuse(path, place, "is encrypted or a link", "expected a plain file")
        seen.add(member.filename)
    stored = path.stat().st_size
    check_size(path, "its members", sum(member.file_size for member in members), stored)

"""Demonstrations that are made once and kept in the user's cache folder."""

import errno
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from envs.cache import cache_dir
from envs.demos import npz
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.files import refuse


def cache_path(metadata: Metadata, num_episodes: int) -> Path:
    """The file of demonstrations in the cache: task, source, version, seed, number of episodes."""
    return cache_dir() / f"{_prefix(metadata)}seed{metadata.seed}-{num_episodes}.npz"


def _prefix(metadata: Metadata) -> str:
    return f"{metadata.task}-{metadata.source}-{metadata.version}-"


def cached(
    metadata: Metadata, num_episodes: int, make: Callable[[], Demonstrations]
) -> Demonstrations:
    """Demonstrations from the cache, or made now and put there.

    Files of another version are removed: nobody can tell any more what made them. A file is written
    whole or not at all, so an interruption leaves nothing, and two processes at once write the same
    file twice.

    Args:
        metadata: What the demonstrations are; a change of its version makes them anew.
        num_episodes: How many episodes.
        make: Makes them.
    """
    path = cache_path(metadata, num_episodes)
    for other in path.parent.glob(f"{metadata.task}-{metadata.source}-*.npz"):
        if not other.name.startswith(_prefix(metadata)):
            other.unlink(missing_ok=True)
    return kept(path, metadata, make, num_episodes)


def kept(
    path: Path,
    metadata: Metadata,
    make: Callable[[], Demonstrations],
    num_episodes: int | None = None,
) -> Demonstrations:
    """What a file of ours holds, or what `make` makes, which is then kept there.

    A file that is damaged, or holds something else, is said, set aside beside its place and made
    again. The folder is the user's alone.

    Args:
        path: The file.
        metadata: What it has to hold.
        make: Makes it.
        num_episodes: How many episodes it has to hold; None for any.

    Raises:
        PermissionError: If it has to be made and its folder cannot be written.
    """
    if path.exists():
        try:
            found = npz.read(path, metadata, own=True)
            if found.metadata != metadata:
                raise refuse(path, "", f"holds {found.metadata}", f"expected {metadata}")
            if num_episodes not in (None, found.num_episodes):
                held = f"holds {found.num_episodes} episodes"
                raise refuse(path, "", held, f"expected {num_episodes}")
            return found
        except ValueError as error:
            aside = path.with_name(f"{path.name}.damaged")
            path.replace(aside)
            warnings.warn(f"{error}; set aside as {aside.name} and made again", stacklevel=3)
    there = next(folder for folder in path.parents if folder.exists())
    if not os.access(there, os.W_OK):  # said now, not after minutes of work
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))
    demonstrations = make()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    npz.write(demonstrations, path)
    path.chmod(0o600)
    return demonstrations

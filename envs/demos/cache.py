"""Demonstrations that are made once and kept in the user's cache folder."""

import warnings
from collections.abc import Callable
from pathlib import Path

from envs.cache import cache_dir
from envs.demos import npz
from envs.demos.demonstrations import Demonstrations, Metadata


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
    if path.exists():
        try:
            return npz.read(path, metadata)
        except ValueError as error:
            warnings.warn(f"{error}; generating the demonstrations again", stacklevel=2)
    demonstrations = make()
    npz.write(demonstrations, path)
    return demonstrations

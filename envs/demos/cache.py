"""Demonstrations that are made once and kept in the user's cache folder."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from envs.demos import npz
from envs.demos.demonstrations import Demonstrations, Metadata


def cache_dir() -> Path:
    """The folder of cached demonstrations: $DPBENCH_CACHE, or dpbench in the user's cache."""
    given = os.environ.get("DPBENCH_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "dpbench"


def cached(
    metadata: Metadata, num_episodes: int, make: Callable[[], Demonstrations]
) -> Demonstrations:
    """Demonstrations from the cache, or made now and put there.

    The file's name carries task, source, version, seed and number of episodes. Files of another
    version are removed: nobody can tell any more what made them. A file is written whole or not at
    all, so an interruption leaves nothing and two processes at once write the same file twice.

    Args:
        metadata: What the demonstrations are; a change of its version makes them anew.
        num_episodes: How many episodes.
        make: Makes them.
    """
    kind = f"{metadata.task}-{metadata.source}-"
    version = f"{kind}{metadata.version}-"
    path = cache_dir() / f"{version}seed{metadata.seed}-{num_episodes}.npz"
    for other in path.parent.glob(f"{kind}*.npz"):
        if not other.name.startswith(version):
            other.unlink(missing_ok=True)
    if path.exists():
        try:
            return npz.read(path, metadata)
        except ValueError as error:
            warnings.warn(f"{error}; generating the demonstrations again", stacklevel=2)
    demonstrations = make()
    npz.write(demonstrations, path)
    return demonstrations

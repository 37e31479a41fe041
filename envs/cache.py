"""Where files are kept that are made once and can be made again."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The folder of cached files: $DPBENCH_CACHE, or dpbench in the user's cache.

    That one is $XDG_CACHE_HOME where it is set, else ~/.cache.
    """
    given = os.environ.get("DPBENCH_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dpbench"

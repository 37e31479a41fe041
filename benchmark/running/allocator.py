"""Memory that is freed and asked for again, update by update, stays with the process.

glibc hands large blocks back to the system as soon as they are freed, and gets them anew, page by
page, each zeroed. An energy-based policy that judges thousands of candidates spends up to half of
its time on that (docs/performance.md).
"""

from __future__ import annotations

import ctypes

# malloc.h of glibc.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let malloc keep what is freed, for the rest of this process; nothing it computes changes.

    Returns:
        Whether that is so. It is not with another C library than glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # no such function, or no library to look it up in
        return False
    settings = ((_M_TRIM_THRESHOLD, _NEVER), (_M_MMAP_MAX, 0))
    return all(mallopt(name, value) == 1 for name, value in settings)

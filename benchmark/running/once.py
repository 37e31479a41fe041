"""Files that are made once, also where several commands want the same one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.progress import say
from benchmark.sealed import is_whole


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """The file at a path; a missing or damaged one is made, by one process at a time.

    A process that comes while another makes the file says so, waits, and takes what the other has
    made. If the other ended without making it, however that was, the next one does.

    Args:
        path: What is wanted; the lock is a file beside it, which stays.
        make: Writes it, whole, at the path that it is given.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for another command that makes {path}")
        lock.acquire()
    try:
        if not is_whole(path):
            make(path)
    finally:
        lock.release()
    return path

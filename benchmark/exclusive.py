"""One process at a time, of all that share a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from benchmark.progress import say


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Within it no other process is in one for the same path; who comes second says so and waits.

    What was to be made may be there when it was waited for, so look inside, not before. A process
    that ends, however it does, holds nothing any more.

    Args:
        path: What is about to be made; the lock is a file beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"waiting for another command that makes {path}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()

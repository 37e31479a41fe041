"""A user's mistake, told apart from a fault of ours: only the latter shows a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """What was asked for does not exist or cannot be; the message says what is allowed."""


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn the complaints of checked settings and missing files into `UsageError`."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(str(error)) from error

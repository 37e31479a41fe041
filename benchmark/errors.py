"""A user's mistake or a full disk, told apart from a fault of ours: only that shows a traceback."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class UsageError(Exception):
    """What was asked for does not exist or cannot be; the message says what is allowed."""


STORAGE = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "your quota is used up: make room there",
    errno.EFBIG: "files may not grow so large here: raise the limit (ulimit -f)",
    errno.EROFS: "it can only be read: name another place",
    errno.EACCES: "it is not yours: name another place, or change its permissions",
    errno.EPERM: "it is not yours: name another place, or change its permissions",
    errno.ENOENT: "it is gone, or was never there",
    errno.ENOTDIR: "a part of its path is a file: name another place",
    errno.EISDIR: "it is a folder: name a file",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.EIO: "the disk fails",
    errno.ESTALE: "its file system is gone",
}
"""What the system says of a file or disk, with what to do; nothing of it is a fault of ours."""


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn the complaints of checked settings and missing files into `UsageError`."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise UsageError(said(error) or str(error)) from error


def said(error: BaseException) -> str:
    """What an error says to a user in one line; empty for a fault of ours."""
    if isinstance(error, UsageError):
        return str(error)
    if isinstance(error, OSError) and error.errno in STORAGE:
        return f"{error.filename or 'a file'}: {error.strerror}; {STORAGE[error.errno]}"
    if isinstance(error, ValueError):
        from envs.demos.files import FileError  # with numpy, which the command line does without

        return str(error) if isinstance(error, FileError) else ""
    return ""

"""Files that are written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

from benchmark.errors import UsageError


def check_writable(path: Path, flag: str) -> None:
    """Refuse a place that nothing can be written to; the folder itself is not made.

    Args:
        path: A folder that is to be written to, or to be made.
        flag: That named it.

    Raises:
        UsageError: With what the system says.
    """
    place = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    try:
        if not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{place} is a file")
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UsageError(
            f"{flag} {path} cannot be written: {error.strerror}; name another place"
        ) from error


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file so that a reader, or an interruption, never meets half of it.

    The content goes to a file beside the target first; renaming it is one step of the file system.

    Args:
        path: Where to write; missing folders are made, an old file is replaced.
        content: The whole content; text is written as UTF-8.

    Returns:
        The path written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as part:
        try:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).chmod(0o644)  # temporary files are private, results are not
            Path(part.name).replace(path)
        except BaseException as error:
            Path(part.name).unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno:  # a full disk is told without the file
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise
    return path

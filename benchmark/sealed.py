"""Files of ours with a checksum, whatever they hold; reading compares it.

`.NAME.sha256` beside a file is what `sha256sum --check` reads. A file without one is of before
there were any, or its writing was interrupted after the file and before the seal: it is believed.
"""

import hashlib
import shutil
from pathlib import Path

from benchmark.files import write_whole
from benchmark.progress import say
from envs.demos.files import decoding, refuse


def write_sealed(path: Path, content: str | bytes) -> Path:
    """Write a file, whole or not at all, and its checksum beside it.

    The old seal goes first, so that no reader meets it beside the new file.
    """
    data = content.encode() if isinstance(content, str) else content
    seal_of(path).unlink(missing_ok=True)
    write_whole(path, data)
    write_whole(seal_of(path), f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")
    return path


def read_sealed(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: If there is none.
        FileError: If it is not what was written.
    """
    data = path.read_bytes()
    seal = seal_of(path)
    if seal.is_file():
        with decoding(seal, "checksum"):
            expected = seal.read_text().split()[0]
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            held = f"was damaged or changed: its checksum is {found[:12]}"
            raise refuse(path, "", held, f"{seal.name} expects {expected[:12]}")
    return data


def is_whole(path: Path) -> bool:
    """Whether a working file is there and as it was written; a damaged one is set aside."""
    if not path.is_file():
        return False
    try:
        read_sealed(path)
    except ValueError as error:
        set_aside(path, error)
        return False
    return True


def set_aside(path: Path, why: Exception) -> None:
    """Move a damaged file or folder of ours away, and say so: it is made again when it is needed.

    It stays beside its place as .NAME.damaged, until the next one.
    """
    aside = path.with_name(f".{path.name}.damaged")
    if aside.is_dir():
        shutil.rmtree(aside)
    path.replace(aside)
    seal_of(path).unlink(missing_ok=True)
    say(f"warning: {why}; set aside as {aside.name}, to be made again")


def seal_of(path: Path) -> Path:
    """Where the checksum of a file is."""
    return path.with_name(f".{path.name}.sha256")

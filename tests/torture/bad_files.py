"""Makes bad files of one kind and counts what becomes of each; see test_bad_files.py."""

import collections
import contextlib
import functools
import io
import json
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.torture.file_kinds import KINDS, Content
from tests.torture.table import WRONG

SECONDS, BYTES = 10, 2**30


def mutate(content: Content, rng: np.random.Generator) -> None:
    """Damage one of the files in one way."""
    name = sorted(content)[rng.integers(len(content))]
    data = bytearray(content[name])
    way = rng.integers(10)
    at = int(rng.integers(max(1, len(data))))
    if way == 0:
        data[at : at + 1] = bytes([data[at] ^ (1 << int(rng.integers(8)))]) if data else b""
    elif way == 1:
        for place in rng.integers(max(1, len(data)), size=16):
            data[place : place + 1] = bytes([int(rng.integers(256))])
    elif way == 2:
        del data[at:]
    elif way == 3:
        data[at : at + 64] = bytes(64)
    elif way == 4:
        data[at:at] = rng.bytes(32)
    elif way == 5:
        del content[name]
        return
    elif way == 6:
        data[at : at + 8] = np.float64(np.nan).tobytes()
    elif way == 7:
        data[at : at + 8] = np.int64(10**12).tobytes()
    elif way == 8:
        _change_number_in_text(data, rng)
    else:
        data = bytearray(bomb(Path(name).suffix if name.endswith((".npz", ".zip")) else ""))
    content[name] = bytes(data)


@functools.cache
def bomb(suffix: str) -> bytes:
    """A file that unpacks to more than BYTES: a ZIP in place of one, else a stream of zlib."""
    blocks = range(BYTES // 2**24 + 8)
    if not suffix:
        packer = zlib.compressobj(1)
        return b"".join([packer.compress(bytes(2**24)) for _ in blocks]) + packer.flush()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        inside = "action.npy" if suffix == ".npz" else "replay.zarr/data/action/.zarray"
        with archive.open(inside, "w", force_zip64=True) as file:
            for _ in blocks:
                file.write(bytes(2**24))
    return packed.getvalue()


def _change_number_in_text(data: bytearray, rng: np.random.Generator) -> None:
    """Put a gigantic, negative or other number where text (JSON, an NPY header) has one."""
    import re

    found = list(re.finditer(rb"(?<=[ \[(,:])\d+(?=[,\])}\n])", bytes(data)))
    if found:
        chosen = found[int(rng.integers(len(found)))]
        new = (b"1000000000000", b"-1", b"0", b'"x"', b"null", b"NaN", b"[]")[rng.integers(7)]
        data[chosen.start() : chosen.end()] = new
    else:
        data[:] = rng.bytes(int(rng.integers(2000)))


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError("hung")

    # Of the processor's time: how long a file takes on a busy machine says nothing of the reader.
    signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def outcome(read: Callable[[Path], str], folder: Path, right: str, fresh: str) -> str:
    """What becomes of a bad file, in the words of the table.

    Args:
        read: Its reader.
        folder: Where it is.
        right: What is read of the whole one.
        fresh: What is read where there is none, if it is made again.
    """
    began = time.process_time()
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            with _limits():
                found = read(folder)
        except (ValueError, OSError) as error:
            if "hung" in str(error) or time.process_time() - began > SECONDS:
                return "over 10 s"
            if str(folder) not in str(error) or "\n" in str(error):
                return "file not named"
            return "clear error"
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return "traceback"
    told = "\n".join([printed.getvalue(), *(str(warning.message) for warning in warned)])
    if "made again" in told and found in (right, fresh):
        return "made again"
    if found == right:
        return "nothing changed"
    return "made again" if found == fresh else "other result"


def _fresh(read: Callable[[Path], str], folder: Path) -> str:
    """What is read where there is no file: made again, or nothing."""
    folder.mkdir()
    try:
        return read(folder)
    except (ValueError, OSError):
        return ""


def peak() -> int:
    """Most memory that this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name: str, count: int, home: Path) -> None:
    """Print the counts as JSON."""
    kind = KINDS[name]
    whole = home / "whole"
    whole.mkdir(parents=True)
    kind.write(whole)
    files = {
        file.relative_to(whole).as_posix(): file.read_bytes()
        for file in sorted(whole.rglob("*"))
        if file.is_file()
    }
    right, fresh = kind.read(whole), _fresh(kind.read, home / "none")
    before = peak()
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(count):
        content = dict(files)
        (kind.damage or mutate)(content, np.random.default_rng(seed))
        folder = home / "bad"
        for file, data in content.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
        folder.mkdir(exist_ok=True)
        result = outcome(kind.read, folder, right, fresh)
        if peak() > before + BYTES:
            result, before = "over 1 GB", peak()
        if result == "other result" and not kind.is_known:
            result = "cannot be known"
        if result in WRONG:
            print(name, "seed", seed, result, file=sys.stderr)
        counts[result] += 1
        shutil.rmtree(folder)
    print(json.dumps(counts))

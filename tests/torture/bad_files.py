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
import pandas as pd
import torch

from baselines.agent import Spec
from baselines.bc_mlp import BcMlp
from baselines.checkpoints import load_agent, save_agent
from baselines.normalizer import Normalizer
from benchmark.evidence.cell_file import CellEvidence, read_cell, write_cell
from benchmark.running.store import read_frame, write_parquet
from benchmark.sealed import read_sealed, write_sealed
from envs.demos import cache, npz, pusht_human, pusht_scripted, robomimic
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.geometry import keypoints

SECONDS, BYTES = 10, 2**30
METADATA = Metadata("pusht", "import", "made up", 0)
Content = dict[str, bytes]


def demonstrations() -> Demonstrations:
    episodes = [pusht_scripted.demonstrate(seed) for seed in range(2)]
    states = np.concatenate([episode.states for episode in episodes])
    return Demonstrations(
        states,
        np.concatenate([episode.actions for episode in episodes]),
        np.cumsum([len(episode.actions) for episode in episodes]),
        {"keypoint": keypoints(states)},
        METADATA,
    )


def _npz(folder: Path) -> None:
    npz.write(demonstrations(), folder / "demos.npz")


def _plain_npz(folder: Path) -> None:
    found = demonstrations()
    np.savez(
        folder / "demos.npz",
        state=found.states,
        action=found.actions,
        episode_ends=found.episode_ends,
    )


def _zarr(folder: Path) -> None:
    import zarr

    found = demonstrations()
    group = zarr.open_group(str(folder / "replay.zarr"), mode="w", zarr_format=2)
    for name, values in {
        "data/state": found.states,
        "data/action": found.actions,
        "data/keypoint": found.observations["keypoint"],
        "meta/episode_ends": found.episode_ends,
    }.items():
        options = {"compressors": _blosc()} if name != "data/action" else {}
        group.create_array(name, data=values, chunks=(100, *values.shape[1:]), **options)


def _blosc() -> object:
    import numcodecs

    return numcodecs.Blosc("zstd")


def _zarr_zip(folder: Path) -> None:
    _zarr(folder)
    with zipfile.ZipFile(folder / "replay.zip", "w") as archive:
        for file in sorted((folder / "replay.zarr").rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    shutil.rmtree(folder / "replay.zarr")


def _hdf5(folder: Path) -> None:
    from envs.demos import robosuite_scripted

    robomimic.write(robosuite_scripted.generate("lift", 2, processes=1), "lift", folder / "a.hdf5")


def _checkpoint(folder: Path) -> None:
    torch.manual_seed(0)
    spec = Spec({"state": (5,)}, 2)
    values = {"state": torch.rand(50, 5), "action": torch.rand(50, 2)}
    normalizer = Normalizer.fit(values, {"state": "min-max", "action": "quantile"})
    save_agent(BcMlp(BcMlp.Config(), spec, normalizer), folder)


def _cached(folder: Path) -> str:
    return cache.kept(folder / "demos.npz", METADATA, demonstrations).digest()


def _load(folder: Path) -> str:
    weights = load_agent(folder).state_dict()
    return str({name: float(value.double().sum()) for name, value in weights.items()})


def _all(found: Demonstrations) -> str:
    extra = [name + str(np.asarray(a, "f8").sum()) for name, a in found.observations.items()]
    return found.digest() + "".join(extra)


def _evidence(folder: Path) -> None:
    episodes = pd.DataFrame({"evaluation": "test", "seed": range(40), "score": np.arange(40) / 40})
    history = pd.DataFrame({"update": [1.0, 2.0], "loss": [0.5, 0.25]})
    write_cell(CellEvidence('{"task": "pusht"}', episodes, history), folder / "cell.parquet")


def _read_evidence(folder: Path) -> str:
    found = read_cell(folder / "cell.parquet")
    return found.config + found.episodes.to_csv() + found.history.to_csv()


def _sealed(folder: Path) -> None:
    frame = pd.DataFrame({"update": np.arange(50.0), "loss": np.linspace(1, 0, 50)})
    write_parquet(frame, folder / "history.parquet")
    write_sealed(folder / "config.json", json.dumps({"task": "pusht", "seed": 1}))


def _read_sealed(folder: Path) -> str:
    config = json.loads(read_sealed(folder / "config.json"))
    return str(config) + read_frame(folder / "history.parquet").to_csv()


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], str]]] = {
    "npz of ours": (_npz, lambda f: _all(npz.read(f / "demos.npz", METADATA))),
    "npz of a user": (_plain_npz, lambda f: _all(pusht_human.read(f / "demos.npz"))),
    "cache": (_npz, _cached),
    "zarr folder": (_zarr, lambda f: _all(pusht_human.read(f / "replay.zarr"))),
    "zarr in a ZIP": (_zarr_zip, lambda f: _all(pusht_human.read(f / "replay.zip"))),
    "robomimic HDF5": (_hdf5, lambda f: _all(robomimic.read(f / "a.hdf5", "lift"))),
    "checkpoint": (_checkpoint, _load),
    "evidence": (_evidence, _read_evidence),
    "run store": (_sealed, _read_sealed),
}
WITH_CHECKSUM = {"npz of ours", "cache", "checkpoint", "evidence", "run store"}
"""Where a changed number has to be known; robomimic's is, but its masks and attributes are not."""


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
    """A file of 2 MB that unpacks to 2 GB: a ZIP in place of one, else a stream of zlib."""
    if not suffix:
        packer = zlib.compressobj(1)
        return b"".join([packer.compress(bytes(2**24)) for _ in range(128)]) + packer.flush()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        inside = "action.npy" if suffix == ".npz" else "replay.zarr/data/action/.zarray"
        with archive.open(inside, "w", force_zip64=True) as file:
            for _ in range(128):
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

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def outcome(read: Callable[[Path], str], folder: Path, right: str) -> str:
    """What becomes of a bad file."""
    began = time.monotonic()
    with warnings.catch_warnings(record=True) as said, contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("always")
        try:
            with _limits():
                found = read(folder)
        except (ValueError, OSError) as error:
            if "hung" in str(error) or time.monotonic() - began > SECONDS:
                return "hung"
            if str(folder) not in str(error) or "\n" in str(error):
                return "unnamed"
            return "refused by name"
        except Exception:
            traceback.print_exc(file=sys.__stderr__)
            return "traceback"
    if found != right:
        return "other data"
    if any("made again" in str(warning.message) for warning in said):
        return "made again"
    return "nothing changed"


def peak() -> int:
    """Most memory that this process has had, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(kind: str, count: int, home: Path) -> None:
    """Print the counts as JSON."""
    write, read = KINDS[kind]
    whole = home / "whole"
    whole.mkdir(parents=True)
    write(whole)
    right = read(whole)
    files = {
        file.relative_to(whole).as_posix(): file.read_bytes()
        for file in sorted(whole.rglob("*"))
        if file.is_file()
    }
    before = peak()
    counts: collections.Counter[str] = collections.Counter()
    for seed in range(count):
        content = dict(files)
        mutate(content, np.random.default_rng(seed))
        folder = home / "bad"
        for name, data in content.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        folder.mkdir(exist_ok=True)
        result = outcome(read, folder, right)
        if peak() > before + BYTES:
            result, before = "memory", peak()
        if result in ("unnamed", "traceback", "hung", "memory", "other data"):
            print(kind, "seed", seed, result, file=sys.stderr)
        counts[result] += 1
        shutil.rmtree(folder)
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

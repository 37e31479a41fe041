"""The kinds of file that are damaged: what writes one, what reads it, and what it read.

A reader's text differs where what it read does.
"""

import functools
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from baselines.agent import Spec, agent_class
from baselines.checkpoints import DESCRIPTION, checksum, load_agent, save_agent
from baselines.normalizer import Normalizer
from benchmark.errors import UsageError
from benchmark.evidence.cell_file import CellEvidence, read_cell, write_cell
from benchmark.play.policies import load_policy
from benchmark.running.store import Run, read_frame, write_parquet
from benchmark.running.train import Trainer, training
from benchmark.sealed import read_sealed, seal_of, write_sealed
from envs.demos import cache, npz, pusht_human, pusht_scripted, robomimic
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.files import FileError
from envs.pusht.geometry import keypoints
from tests.benchmark.running.cells import tiny_cell

CPU = torch.device("cpu")
METADATA = Metadata("pusht", "import", "made up", 0)


Content = dict[str, bytes]
"""Files by name."""
Write = Callable[[Path], object]
Read = Callable[[Path], str]
Damage = Callable[[Content, np.random.Generator], None]


@functools.cache
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


def _checkpoint(method: str, **settings: object) -> Write:
    def write(folder: Path) -> None:
        torch.manual_seed(0)
        cls = agent_class(method)
        values = {"state": torch.rand(50, 5), "action": torch.rand(50, 2)}
        normalizer = Normalizer.fit(values, {"state": "min-max", "action": "quantile"})
        save_agent(cls(cls.Config(**settings), Spec({"state": (5,)}, 2), normalizer), folder)

    return write


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


def _unsealed(folder: Path) -> None:
    _sealed(folder)
    for path in (*folder.glob(".*.sha256"), folder / "config.json"):
        path.unlink()


def _run(folder: Path) -> None:
    _checkpoint("bc-mlp", width=8, blocks=1)(folder / "checkpoint")
    write_sealed(folder / "config.json", tiny_cell().to_json())


def _play(folder: Path) -> str:
    try:
        found = load_policy(str(folder))
    except UsageError as error:
        raise FileError(str(error)) from error
    return str((found.task, found.obs_type, found.control, found.action_horizon))


def _seen() -> Demonstrations:
    """With what a policy sees: keypoints and agent."""
    states = demonstrations().states
    seen = np.hstack([keypoints(states).reshape(len(states), 18), states[:, :2]])
    return replace(demonstrations(), observations={"state": seen})


def _state(folder: Path) -> None:
    trainer = Trainer(tiny_cell(), _seen(), CPU)
    trainer.step()
    trainer.save(Run(tiny_cell(), folder))


def _continue(folder: Path) -> str:
    steps = training(Run(tiny_cell(), folder), _seen(), CPU)
    trainer = next(steps)
    steps.close()
    return f"{trainer.update} {float(trainer.optimizer.flat.double().sum())} {trainer.history}"


def change_json(name: str, seal: Callable[[dict[str, Any]], None] = lambda _: None) -> Damage:
    """Put something else for one value of a JSON file, as a forger would: the checksum is right.

    Args:
        name: Of the file.
        seal: Puts the checksum into what it holds, where it stands there.
    """

    def change(content: Content, rng: np.random.Generator) -> None:
        told = json.loads(content[name])
        places = list(_places(told))
        inside, key = places[rng.integers(len(places))]
        new = (10**12, 10**6, -1, 0, 0.5, float("nan"), 10**400, "x", None, True, [], {}, [10**9])
        inside[key] = new[rng.integers(len(new))]
        seal(told)
        content[name] = json.dumps(told).encode()
        of = seal_of(Path(name)).as_posix()
        if of in content:
            content[of] = f"{hashlib.sha256(content[name]).hexdigest()}  {name}\n".encode()

    return change


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value where something else can be put."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in list(pairs):
        yield value, key
        if isinstance(inside, dict | list):
            yield from _places(inside)


def _sign(told: dict[str, Any]) -> None:
    told["sha256"] = checksum(told)


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    write: Write
    read: Read
    is_known: bool = False
    """Whether a changed number has to be known, because the file carries a checksum."""
    damage: Damage | None = None
    """Another way to damage it than any file's."""


FORGED = change_json(DESCRIPTION, _sign)
UNET = _checkpoint("diffusion-unet", channels=(8,), groups=4, step_dim=8)
TRANSFORMER = _checkpoint("diffusion-transformer", layers=1, width=8, heads=2)
KINDS = {
    "npz of ours": Kind(_npz, lambda f: _all(npz.read(f / "demos.npz", METADATA)), True),
    "npz of a user": Kind(_plain_npz, lambda f: _all(pusht_human.read(f / "demos.npz"))),
    "cache": Kind(_npz, _cached, True),
    "zarr folder": Kind(_zarr, lambda f: _all(pusht_human.read(f / "replay.zarr"))),
    "zarr in a ZIP": Kind(_zarr_zip, lambda f: _all(pusht_human.read(f / "replay.zip"))),
    "robomimic HDF5": Kind(_hdf5, lambda f: _all(robomimic.read(f / "a.hdf5", "lift"))),
    "checkpoint": Kind(_checkpoint("bc-mlp"), _load, True),
    "agent.json forged: bc-mlp": Kind(_checkpoint("bc-mlp"), _load, True, FORGED),
    "agent.json forged: diffusion-unet": Kind(UNET, _load, True, FORGED),
    "agent.json forged: diffusion-transformer": Kind(TRANSFORMER, _load, True, FORGED),
    "evidence": Kind(_evidence, _read_evidence, True),
    "run store: config, history, episodes": Kind(_sealed, _read_sealed, True),
    "history without a checksum": Kind(
        _unsealed, lambda f: read_frame(f / "history.parquet").to_csv()
    ),
    "run store: config forged": Kind(_run, _play, False, change_json("config.json")),
    "training state": Kind(_state, _continue, True),
}
"""Of robomimic's file the numbers have a checksum, but not its masks and attributes."""

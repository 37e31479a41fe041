"""Checkpoints that hold no code: tensors as safetensors, everything else as JSON with checksums.

`agent.json` carries the checksum of `model.safetensors` and one of itself, so that a damaged or
altered checkpoint is refused by name. While what it describes is built, its parameters are counted
against the weights: a description of a gigantic network is refused before it takes memory.

Checkpoints written before there were checksums are read, with a warning.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from baselines.agent import Agent, Spec, agent_class, config_from_json
from baselines.choices import LARGEST, check_numbers
from baselines.nets.encoder_config import EncoderConfig
from baselines.normalizer import Normalizer

WEIGHTS, DESCRIPTION = "model.safetensors", "agent.json"
FIELDS = {"name", "config", "spec", "normalizer"}
CHECKSUMS = {"weights_sha256", "sha256"}
LONGEST = 4096
"""Steps of a horizon; masks of attention grow with its square."""
MAX_DESCRIPTION = 2**20
"""Bytes of agent.json."""


def save_agent(agent: Agent, folder: Path, halved: bool = False) -> None:
    """Write `agent` into `folder`, each file whole or not at all.

    Args:
        agent: What is written.
        folder: Where.
        halved: Round its weights to bfloat16, which halves the file; `load_agent` gives float32
            again. The normaliser stays as it is: it turns px and m into numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().cpu().contiguous() for k, v in agent.state_dict().items()}
    if halved:
        trained = {name for name, _ in agent.named_parameters()}
        weights = {k: v.bfloat16() if k in trained else v for k, v in weights.items()}
    data = safetensors.torch.save(weights)
    description = {
        "name": agent.name,
        "config": dataclasses.asdict(agent.config),
        "spec": dataclasses.asdict(agent.spec),
        "normalizer": agent.normalizer.kinds,
        "weights_sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps({**description, "sha256": checksum(description)}, indent=2)
    for name, content in ((WEIGHTS, data), (DESCRIPTION, text.encode())):
        part = folder / f"{name}.part"
        try:
            part.write_bytes(content)
            part.replace(folder / name)
        except OSError as error:
            if error.errno and not error.filename:  # a full disk is told without the file
                raise OSError(error.errno, error.strerror, str(folder / name)) from error
            raise
        finally:
            part.unlink(missing_ok=True)


def checksum(description: Mapping[str, Any]) -> str:
    """SHA-256 of what agent.json says, without its own `sha256`."""
    rest = {name: value for name, value in description.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def load_agent(folder: Path) -> Agent:
    """Read an agent back from `folder`, on the CPU and in evaluation mode.

    Raises:
        FileNotFoundError: If `folder` holds no complete checkpoint.
        ValueError: If it is damaged or was altered, names an unknown method or a setting that the
            method does not have, or describes another network than its weights are of.
    """
    description, weights = read_files(folder)
    with _said_of(folder / DESCRIPTION):
        cls = agent_class(str(description["name"]))
        check_numbers(description)
        fields = dict(description["spec"])
        fields["obs_shapes"] = {k: tuple(v) for k, v in fields["obs_shapes"].items()}
        if "encoder" in fields:
            fields["encoder"] = config_from_json(EncoderConfig, fields["encoder"])
        spec = Spec(**fields)
        for name, shape in spec.obs_shapes.items():
            if math.prod(shape) > LARGEST:
                raise ValueError(f"its {name!r} is of shape {shape}; at most {LARGEST:,} numbers")
        if max(spec.obs_horizon, spec.pred_horizon) > LONGEST:
            raise ValueError(
                f"its horizons are {spec.obs_horizon} and {spec.pred_horizon}; at most {LONGEST}"
            )
        config = config_from_json(cls.Config, description["config"])
        stored = sum(weight.numel() for weight in weights.values())
        # A module may make a few that it drops again.
        with at_most(2 * len(weights) + 100, 2 * stored + LARGEST, "its weights are of"):
            agent = cls(config, spec, Normalizer.blank(description["normalizer"], weights))
        _check_shapes(agent, weights)
        agent.load_state_dict(weights)
    # Images are multiplied channels-last; otherwise every prediction would turn all weights round.
    agent.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in its stub
    return agent.eval()


def read_files(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What both files of a checkpoint hold, held against their checksums; nothing is built of it.

    Raises:
        FileNotFoundError: If one is missing.
        ValueError: If one is damaged.
    """
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"no checkpoint in {folder}: {name} is missing")
    description = _description(folder / DESCRIPTION)
    return description, _weights(folder / WEIGHTS, description.get("weights_sha256"))


def _description(path: Path) -> dict[str, Any]:
    with _said_of(path):
        if path.stat().st_size > MAX_DESCRIPTION:
            raise ValueError(f"it has {path.stat().st_size:,} bytes; at most {MAX_DESCRIPTION:,}")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}; expected an object")
        if unknown := set(found) - FIELDS - CHECKSUMS:
            raise ValueError(
                f"it has a field {min(unknown)!r}; fields: {', '.join(sorted(FIELDS))}"
            )
        if missing := FIELDS - set(found):
            raise ValueError(f"it lacks the field {min(missing)!r}")
        signed = CHECKSUMS & set(found)
        if not all(isinstance(found[name], str) for name in signed):
            raise ValueError("its checksums are no texts")
        if signed and (signed != CHECKSUMS or found["sha256"] != checksum(found)):
            raise ValueError("it was changed: its checksum is another than the one in it")
    if not signed:
        warnings.warn(f"{path} is of before checkpoints had checksums: not checked", stacklevel=3)
    return found


def _weights(path: Path, expected: str | None) -> dict[str, Tensor]:
    data = path.read_bytes()
    if expected is not None and (found := hashlib.sha256(data).hexdigest()) != expected:
        raise ValueError(
            f"{path} was damaged or changed: its checksum is {found[:12]}; "
            f"{DESCRIPTION} expects {expected[:12]}"
        )
    with _said_of(path):
        weights: dict[str, Tensor] = safetensors.torch.load(data)
    return weights


@contextmanager
def at_most(tensors: int, numbers: int, what: str) -> Iterator[None]:
    """Within it no more parameters are made.

    Torch registers a parameter before it fills it, so that what is too large is never in memory.

    Args:
        tensors: How many parameters at most.
        numbers: How many numbers they have in all at most.
        what: Has that many, as the end of a sentence.
    """
    count, size = 0, 0

    def counted(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal count, size
        if parameter is None:
            return
        count, size = count + 1, size + parameter.numel()
        if count > tensors or size > numbers:
            raise ValueError(
                f"the settings describe a larger network than {what}: {name!r} of "
                f"{type(module).__name__} is beyond {tensors:,} tensors of {numbers:,} numbers"
            )

    handle = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()


def _check_shapes(agent: nn.Module, weights: Mapping[str, Tensor]) -> None:
    described = {name: tuple(value.shape) for name, value in agent.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(set(described) | set(found)):
        made, stored = described.get(name), found.get(name)
        # What a method remembers of the demonstrations: as many rows as there were.
        is_memory = made and stored and 0 in made and len(made) == len(stored)
        if made != stored and not is_memory:
            raise ValueError(
                f"tensor {name!r} is {found.get(name, 'missing')} in {WEIGHTS}; the settings "
                f"make it {described.get(name, 'none')}"
            )


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Say of whatever goes wrong with a file which one it is, in one line."""
    try:
        yield
    except Exception as error:  # JSON, safetensors and constructors have errors of their own
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{path}: {said}") from error

"""What is run: a cell (one policy, trained once) and the settings it is evaluated under.

A cell's id is the hash of its resolved config, so that the same settings are never trained twice
and no two settings share a run. Evaluation settings are a second key: sweeping them never retrains.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from baselines.choices import (
    LARGEST,
    LATER,
    Scaling,
    check_choice,
    check_least,
    check_within,
    nearest,
)
from baselines.nets.encoder_config import EncoderConfig
from benchmark.plan.seeding import FIRST_SEED, Split
from envs.control import CONTROLS, Control

Precision = Literal["auto", "float32", "bfloat16"]
Schedule = Literal["cosine", "constant"]
Optimizer = Literal["adamw", "muon"]
Disturbance = Literal["none", "calm", "moved", "turned", "held"]
MEASURES = 3
"""Version of what an evaluation measures and on which seeds: raised when that changes, so that all
are played again."""
CHOSEN = 0
"""As an action horizon: the one that did best on the cell's own validation episodes."""
HORIZONS = (1, 2, 4, 8)
"""Action horizons that a policy is given the choice of."""
MOST_UPDATES = 10**8
"""Of a training."""
LONGEST = 4096
"""Steps of a prediction; masks of attention grow with its square."""
KEPT = 10
"""Checkpoints of the published statistics, of the last tenth of a training."""


@dataclass(frozen=True)
class TrainConfig:
    """How a policy is trained."""

    updates: int = 6000
    """Optimiser updates; 0 for a method that learns nothing."""
    batch_size: int = 256
    """Windows an update."""
    learning_rate: float = 1e-4
    """Peak of the learning rate."""
    warmup_updates: int = 500
    """Updates over which the learning rate rises linearly from 0."""
    schedule: Schedule = "cosine"
    """Of the learning rate after the warm-up: cosine falls to 0, constant stays at the peak."""
    betas: tuple[float, float] = (0.95, 0.999)
    """Of AdamW."""
    weight_decay: float = 1e-6
    """A share of the learning rate that weights lose in an update."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0 clips nothing."""
    ema_power: float = 0.75
    """Exponent of the warm-up of the weights' average, see `baselines.ema`."""
    ema_maximum: float = 0.9999
    """Largest decay of that average; 0 evaluates the weights themselves."""
    pads_before: bool = True
    """Whether windows reach before an episode's start, repeating its first observation."""
    precision: Precision = "auto"
    """Of the forward pass in training: auto is bfloat16 where the device multiplies it in hardware
    (see `baselines.processor.multiplies_bfloat16`) and float32 elsewhere."""
    checkpoints: int = 5
    """How often, evenly spread, action error and validation score are measured."""
    validation_episodes: int = 20
    """Episodes of each validation; 0 leaves it out."""
    held_out: int = field(default=0, metadata=LATER)
    """Demonstrations, the last ones, that are not trained on: action error is measured on them. 0
    trains on all and measures it there."""
    optimizer: Optimizer = field(default="adamw", metadata=LATER)
    """muon moves the matrices inside a network by the orthogonal part of their gradient, and leaves
    the rest to AdamW (`baselines.muon`)."""

    def __post_init__(self) -> None:
        check_least(self, batch_size=1, checkpoints=1)
        check_least(self, updates=0, warmup_updates=0, validation_episodes=0, held_out=0)
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                f"learning_rate is {self.learning_rate}; it must be above 0 and finite"
            )
        check_within(self, 0, math.inf, "weight_decay", "gradient_clip", "ema_power")
        check_within(self, 0, 1, "ema_maximum")
        check_within(self, 1, LARGEST, "batch_size", "checkpoints")
        check_within(self, 0, MOST_UPDATES, "updates", "warmup_updates")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas is {self.betas}; allowed: two numbers from 0 to below 1")
        check_choice("precision", self.precision, get_args(Precision))
        check_choice("schedule", self.schedule, get_args(Schedule))
        check_choice("optimizer", self.optimizer, get_args(Optimizer))


@dataclass(frozen=True)
class Cell:
    """One policy, trained once: everything that its weights depend on."""

    task: str
    """Name in `benchmark.plan.tasks`."""
    method: str
    """Name an agent is registered under."""
    control: Control
    """What an action means."""
    seed: int
    """Of initial weights, batches and noise in training."""
    preset: str
    """Where the settings come from; results of several presets are never mixed unsaid."""
    data: str
    """Source of the demonstrations: scripted or human."""
    data_version: str
    """Version or fingerprint of the demonstrations."""
    num_demonstrations: int
    """Episodes trained on."""
    obs_type: str
    """What the policy observes."""
    agent: Any
    """The method's own config."""
    train: TrainConfig
    """How it is trained."""
    action_scaling: Scaling
    """How actions are scaled to the network's range."""
    obs_scaling: Scaling = "min-max"
    """How the observed numbers are scaled to it."""
    obs_horizon: int = 2
    """To."""
    pred_horizon: int = 16
    """Tp."""
    action_horizon: int = 8
    """Ta that windows are padded for, and the default of evaluation."""
    encoder: EncoderConfig | None = field(default=None, metadata=LATER)
    """How images are encoded; None where there are none."""
    origin: str = field(default="", metadata=LATER)
    """Id of the run whose policy this training starts from; empty starts from fresh weights."""

    def __post_init__(self) -> None:
        check_choice("control", self.control, CONTROLS)
        check_choice("action_scaling", self.action_scaling, get_args(Scaling))
        check_choice("obs_scaling", self.obs_scaling, get_args(Scaling))
        if not 1 <= self.obs_horizon <= self.pred_horizon <= LONGEST:
            raise ValueError(
                f"obs_horizon is {self.obs_horizon}, pred_horizon {self.pred_horizon}; allowed: "
                f"1 <= obs_horizon <= pred_horizon <= {LONGEST}"
            )
        longest = self.pred_horizon - self.obs_horizon + 1
        if not 1 <= self.action_horizon <= longest:
            raise ValueError(
                f"action_horizon is {self.action_horizon}; allowed: 1 to {longest} "
                f"(pred_horizon {self.pred_horizon} - obs_horizon {self.obs_horizon} + 1)"
            )

    @property
    def id(self) -> str:
        """A readable name that ends in the hash of all settings."""
        return f"{self.task}-{self.data}-{self.method}-{self.control}-s{self.seed}-{_hash(self)}"

    @property
    def sees(self) -> str:
        """What the policy observes, and how it encodes images."""
        return f"{self.obs_type} by {self.encoder.title}" if self.encoder else self.obs_type

    def to_json(self) -> str:
        """The resolved config."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Cell:
        """Read `to_json` back."""
        from baselines.agent import agent_class, config_from_json

        values = json.loads(text)
        parts = {
            "agent": agent_class(values["method"]).Config,
            "train": TrainConfig,
            "encoder": EncoderConfig,
        }
        built = {
            name: config_from_json(part, values[name])
            for name, part in parts.items()
            if values.get(name) is not None
        }
        return cls(**{**values, **built})


@dataclass(frozen=True)
class EvalConfig:
    """How a trained policy is evaluated."""

    action_horizon: int = 8
    """Ta, actions executed before the next prediction; CHOSEN for the one of HORIZONS with the best
    mean score on validation episodes."""
    latency: int = 0
    """Steps between the newest observation that the policy sees and its first executed action."""
    inference_steps: int = 0
    """Denoising steps of a prediction (IBC: rounds of its search); 0 leaves the method as it was
    configured."""
    sampler: str = ""
    """ddpm or ddim, for a method that denoises; empty leaves it as it was configured."""
    split: Split = "test"
    """Which episode seeds."""
    episodes: int = 50
    """How many of them."""
    checkpoint: int = 0
    """0 for the last one; 1 to KEPT for one of those that `--checkpoints` keeps."""
    disturbance: Disturbance = field(default="none", metadata=LATER)
    """What happens once in mid-episode (`benchmark.running.disturbance`)."""

    def __post_init__(self) -> None:
        check_least(self, action_horizon=CHOSEN, latency=0, inference_steps=0, episodes=1)
        if not 0 <= self.checkpoint <= KEPT:
            raise ValueError(f"checkpoint is {self.checkpoint}; allowed: 0 to {KEPT}")
        check_choice("split", self.split, FIRST_SEED)
        check_choice("disturbance", self.disturbance, get_args(Disturbance))

    @property
    def id(self) -> str:
        """A readable name that ends in the hash of all settings."""
        key = _hash(self, MEASURES)
        return f"{self.split}-ta{self.action_horizon}-l{self.latency}-{key}"


_SETTINGS = (
    "seed",
    "action_scaling",
    "obs_scaling",
    "obs_horizon",
    "pred_horizon",
    "action_horizon",
)
"""What `override` changes of a cell itself; the rest says what it is trained on and called."""


def override(cell: Cell, changes: Mapping[str, str]) -> Cell:
    """Replace settings of a cell by name: `seed`, `train.updates`, `agent.channels`.

    Values are JSON (`300`, `[64, 128]`, `"ddpm"`); a word that is no JSON is taken as text.

    Raises:
        ValueError: If there is no such setting, or the value is of another type.
    """
    parts = {"": cell, "train": cell.train, "agent": cell.agent}
    if cell.encoder is not None:
        parts["encoder"] = cell.encoder
    values: dict[str, dict[str, Any]] = {owner: {} for owner in parts}
    for key, text in changes.items():
        owner, _, name = key.rpartition(".")
        known = [*_SETTINGS, *(f"{part}.NAME" for part in parts if part)]
        if owner and owner in parts:
            known = [field.name for field in dataclasses.fields(parts[owner])]
        if owner not in parts or name not in known:
            near = nearest(name if owner in parts else key, known)
            raise ValueError(
                f"no setting {key!r}; settings there: {', '.join(sorted(known))}{near}"
            )
        value, old = _parse(text), getattr(parts[owner], name)
        if isinstance(old, float) and type(value) is int:
            value = float(value)
        if type(value) is not type(old):
            raise ValueError(f"{key}={text}: expected {type(old).__name__}, such as {old!r}")
        values[owner][name] = value
    # All of a part at once: they are checked together, so their order does not matter.
    changed = {name: dataclasses.replace(parts[name], **values[name]) for name in parts if name}
    return dataclasses.replace(cell, **changed, **values[""])


def check_horizon(cell: Cell, config: EvalConfig) -> None:
    """Refuse an evaluation that needs more actions than a policy predicts.

    Raises:
        ValueError: With what is allowed.
    """
    longest = cell.pred_horizon - cell.obs_horizon + 1
    if max(config.action_horizon, 1) + config.latency > longest:
        raise ValueError(
            f"action_horizon {config.action_horizon or 'chosen'} with latency {config.latency} is "
            f"too long for {cell.method}; allowed: {longest} together "
            f"(pred_horizon {cell.pred_horizon} - obs_horizon {cell.obs_horizon} + 1)"
        )


def override_evaluation(config: EvalConfig, changes: Sequence[str]) -> EvalConfig:
    """Replace how a policy is evaluated, as in eval.action_horizon=12; leave out other names.

    Raises:
        ValueError: If there is no such setting, or the value is no whole number.
    """
    known = ("action_horizon", "latency", "inference_steps")
    for change in changes:
        key, _, text = change.partition("=")
        if not key.startswith("eval."):
            continue
        name = key.removeprefix("eval.")
        if name not in known or not text.isdecimal():
            raise ValueError(f"{change}: write eval.NAME=NUMBER with one of {', '.join(known)}")
        config = dataclasses.replace(config, **{name: int(text)})  # type: ignore[arg-type]
    return config


def _parse(text: str) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return text
    return tuple(value) if isinstance(value, list) else value


def _hash(config: Any, *more: int) -> str:
    text = "".join([json.dumps(_known(config), sort_keys=True), *map(str, more)])
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def _known(config: Any) -> dict[str, Any]:
    """The fields of a config and of those in it, but for later ones that are at their defaults."""
    return {
        each.name: _known(value) if dataclasses.is_dataclass(value) else value
        for each in dataclasses.fields(config)
        for value in [getattr(config, each.name)]
        if not (each.metadata.get("later") and value == each.default)
    }

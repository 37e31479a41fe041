"""The interface of every agent and their registry; checkpoints are in `checkpoints.py`.

An agent maps a window of observations to a sequence of actions. It is stateless: it owns its
normaliser and its weights, not its history, so the same agent serves any number of episodes.

    step            t-1   t    t+1  ...  t+Ta-1  ...
    observed        [--------]                          obs_horizon  To = 2
    predicted       [-----------------------------]     pred_horizon Tp
    executed             [----------------]             action_horizon Ta <= Tp - To + 1

Entry To - 1 of a prediction is the action of the current step t.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from baselines import METHODS
from baselines.choices import unknown
from baselines.nets.encoder_config import PUBLISHED, EncoderConfig
from baselines.noise import Generators
from baselines.normalizer import Normalizer
from baselines.plugins import AGENTS, load_plugin, plugin_names

Obs = dict[str, Tensor]
"""Observations by name: `state` (..., Do) float; others are images, (..., H, W, 3) uint8."""


@dataclass(frozen=True)
class Spec:
    """What the task fixes for an agent: shapes and horizons."""

    obs_shapes: Mapping[str, tuple[int, ...]]
    """Shape of one observation by name, e.g. {"state": (20,)}."""
    action_dim: int
    """Da."""
    obs_horizon: int = 2
    """To, observations in a window."""
    pred_horizon: int = 16
    """Tp, actions in a prediction."""
    encoder: EncoderConfig = PUBLISHED
    """How images are encoded; of no meaning where there are none."""

    def __post_init__(self) -> None:
        for name in ("action_dim", "obs_horizon", "pred_horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.pred_horizon < self.obs_horizon:
            raise ValueError(
                f"pred_horizon {self.pred_horizon} is shorter than obs_horizon {self.obs_horizon}: "
                "a prediction must reach the current step"
            )
        wrong = [name for name, shape in self.images.items() if len(shape) != 3 or shape[2] != 3]
        if wrong or not self.obs_shapes:
            raise ValueError(
                f"obs_shapes is {dict(self.obs_shapes)}; allowed: state, and images of shape "
                "(height, width, 3) under other names"
            )

    @property
    def chunk(self) -> int:
        """Actions of a prediction from the current step on, Tp - To + 1."""
        return self.pred_horizon - self.obs_horizon + 1

    @property
    def images(self) -> dict[str, tuple[int, ...]]:
        """Shape of an image (H, W, 3) by camera; empty where there is nothing but `state`."""
        return {name: shape for name, shape in self.obs_shapes.items() if name != "state"}

    @property
    def state_dim(self) -> int:
        """Do, the numbers in one `state` observation; 0 when there is none."""
        return math.prod(self.obs_shapes["state"]) if "state" in self.obs_shapes else 0


@dataclass(frozen=True)
class Batch:
    """Training windows: observations (B, To, ...) and actions (B, Tp, Da), in env units.

    Observations are as many as an agent's `obs_steps`, which is To unless it says otherwise.
    """

    obs: Obs
    actions: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same windows on another device."""
        return Batch({k: v.to(device) for k, v in self.obs.items()}, self.actions.to(device))


class Agent(nn.Module, ABC):
    """A policy: a training loss, and actions for a window of observations.

    Args:
        config: The method's settings, an instance of `Config`.
        spec: Shapes and horizons.
        normalizer: Maps environment units to the network's range and back.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]

    def __init__(self, config: Any, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.normalizer = normalizer

    @abstractmethod
    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Training loss of a batch, a scalar; `generator` is the source of all its noise."""

    @abstractmethod
    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:
        """Draw action sequences for windows of observations.

        Args:
            obs: Windows in environment units, each (B, To, ...).
            generator: One source of noise for the batch, or one a window (then a window's noise
                does not depend on what else is in the batch).
            num_samples: Sequences drawn independently for each window, N.

        Returns:
            Actions in environment units, (B, N, Tp, Da).

        Raises:
            ValueError: If a window is not obs_horizon long.
        """

    def act_first(self, obs: Obs, generator: Generators, count: int) -> Tensor:  # noqa: ARG002 - for those that override it
        """Draw one action sequence for each window, of which the first `count` actions are used.

        They are those that `act` draws. A method that can tell them without the others overrides
        this, and is faster where few are executed.

        Args:
            obs: As in `act`.
            generator: As in `act`.
            count: Actions that are used, 1 to Tp.

        Returns:
            Actions in environment units, (B, 1, count, Da), or all: (B, 1, Tp, Da).
        """
        return self.act(obs, generator)

    def fit(self, actions: Tensor, generator: torch.Generator) -> None:
        """Take from the demonstrations what is not learnt by gradients, once, before training.

        Most methods take nothing.

        Args:
            actions: Of all training windows, (W, Tp, Da), in environment units.
            generator: Source of all noise.
        """

    def remember(self, windows: Iterable[Batch]) -> None:
        """Keep all demonstrated windows, for a method that looks them up, before training.

        Most methods keep nothing, and then none is cut.

        Args:
            windows: All training windows, in order, some at a time, in environment units.
        """

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Optimiser groups; a method that decays only some weights overrides this."""
        return [{"params": list(self.parameters()), "weight_decay": weight_decay}]

    @property
    def obs_steps(self) -> int:
        """Observations that a window holds in training: To, or Tp where `loss` models later ones.

        A prediction is always given To.
        """
        return self.spec.obs_horizon

    @property
    def inference_steps(self) -> int:
        """Denoising steps of a prediction, or rounds of its search; 0 for a method without."""
        return 0

    @property
    def reset_every(self) -> int:
        """Predictions after which a policy forgets what it saw before; 0 for one without a memory.

        Such a policy is given 1, 2, ... `reset_every` observations and then 1 again, where any
        other is given the whole window.
        """
        return 0

    def set_inference_steps(self, steps: int) -> None:
        """Predict with another number of denoising steps or rounds.

        Raises:
            ValueError: If the method has none, or cannot take so many.
        """
        raise ValueError(f"{self.name} has no inference steps to set to {steps}")

    def set_sampler(self, sampler: str) -> None:
        """Predict with another sampler, for a method that denoises.

        Raises:
            ValueError: If the method has none, or not that one.
        """
        raise ValueError(f"{self.name} has no sampler to set to {sampler!r}")

    def current_and_later(self, actions: Tensor) -> Tensor:
        """Actions of windows from the current step on, (B, Tp, Da) to (B, Tp - To + 1, Da).

        The ones before are past when a prediction is made: a method need not model them.
        """
        return actions[:, self.spec.obs_horizon - 1 :]

    def as_prediction(self, chunk: Tensor) -> Tensor:
        """Actions from the current step on, (B, N, Tp - To + 1, Da), as a prediction of Tp actions.

        The entries before, of steps that are past and never executed, repeat the first.
        """
        past = chunk[:, :, :1].expand(-1, -1, self.spec.obs_horizon - 1, -1)
        return torch.cat([past, chunk], dim=2)

    def check_window(self, obs: Obs, shorter: bool = False) -> int:
        """Return the batch size of `obs` after checking names, window length and shapes.

        Windows that are too short are refused, but where `shorter` allows 1 to obs_horizon steps.
        """
        if set(obs) != set(self.spec.obs_shapes):
            raise ValueError(
                f"observations have {sorted(obs)}; {self.name} was made for "
                f"{sorted(self.spec.obs_shapes)}"
            )
        for name, value in obs.items():
            length = self.spec.obs_horizon
            if shorter and value.shape[1] in range(1, length):
                length = value.shape[1]
            expected = (length, *self.spec.obs_shapes[name])
            if tuple(value.shape[1:]) != expected:
                raise ValueError(
                    f"observation window {name!r} is (B, {', '.join(map(str, value.shape[1:]))}); "
                    f"this agent needs (B, {', '.join(map(str, expected))})"
                )
        return next(iter(obs.values())).shape[0]


# ---- registry: agents register when their module is imported, which happens by name ----

_AGENTS: dict[str, type[Agent]] = {}
_AgentT = TypeVar("_AgentT", bound=type[Agent])


def register(name: str) -> Callable[[_AgentT], _AgentT]:
    """Class decorator that makes an agent known under `name`."""

    def add(cls: _AgentT) -> _AgentT:
        if name in _AGENTS and _AGENTS[name] is not cls:
            raise ValueError(f"an agent named {name!r} is registered already: {_AGENTS[name]}")
        cls.name = name
        _AGENTS[name] = cls
        return cls

    return add


def agent_class(name: str) -> type[Agent]:
    """The agent registered under `name`.

    Raises:
        ValueError: If there is none, the message lists the names there are; or if the package that
            brings it cannot be imported.
    """
    if name in METHODS:
        importlib.import_module(METHODS[name])
    elif name not in _AGENTS and (found := load_plugin(AGENTS, name)) is not None:
        register(name)(found)
    if name not in _AGENTS:
        known = {*METHODS, *_AGENTS, *plugin_names(AGENTS)}
        raise ValueError(unknown("method", name, sorted(known)))
    return _AGENTS[name]


def config_from_json(cls: type[Any], values: Mapping[str, Any]) -> Any:
    """Build the config dataclass `cls` from JSON values (lists become tuples).

    Raises:
        ValueError: If `values` has a field that `cls` does not have.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := set(values) - known:
        raise ValueError(
            f"{cls.__name__} has no field {sorted(unknown)}; fields: {', '.join(sorted(known))}"
        )
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

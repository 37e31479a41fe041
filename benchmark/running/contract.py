"""What every method promises, held against what it does: `Agent.loss` and `Agent.act`.

Methods come from other packages too. One that breaks its promise fails by its name, with the
promise, before what it gave is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from baselines.agent import Agent

SLOWEST = 60.0
"""Seconds a window that a prediction may take."""


class ContractError(Exception):
    """A method does not do what `baselines.agent.Agent` says."""


@contextmanager
def contract(agent: Agent, what: str) -> Iterator[None]:
    """Say of whatever is raised within which part of which method it came from."""
    try:
        yield
    except (ContractError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever the code of another package does
        said = " ".join(str(error).split())
        raise ContractError(
            f"{agent.name}: {what} raised {type(error).__name__}: {said}"
        ) from error


def loss_of(agent: Agent, loss: object) -> Tensor:
    """What `loss` gave, a scalar with a gradient.

    Raises:
        ContractError: If it is something else.
    """
    if not isinstance(loss, Tensor):
        raise _broken(agent, "loss", f"gave {type(loss).__name__}", "a tensor")
    if loss.shape != () or not loss.is_floating_point():
        given = f"gave {loss.dtype} of shape {tuple(loss.shape)}"
        raise _broken(agent, "loss", given, "a floating-point scalar")
    if not loss.requires_grad and any(p.requires_grad for p in agent.parameters()):
        raise _broken(agent, "loss", "depends on no parameter", "a gradient")
    return loss


def actions_of(
    agent: Agent,
    actions: object,
    windows: int,
    samples: int,
    began: float,
    used: int | None = None,
) -> Tensor:
    """What `act` gave, finite actions (B, N, Tp, Da), or of `act_first` those used.

    Args:
        agent: Whose.
        actions: What it gave.
        windows: B.
        samples: N.
        began: When it was asked, `time.perf_counter()`.
        used: Actions that `act_first` was asked for; None means that all are needed.

    Raises:
        ContractError: If it is something else, or came too late.
    """
    spec = agent.spec
    expected = (windows, samples, spec.pred_horizon, spec.action_dim)
    lengths = {used or spec.pred_horizon, spec.pred_horizon}
    if not isinstance(actions, Tensor):
        raise _broken(agent, "act", f"gave {type(actions).__name__}", "a tensor")
    if tuple(actions.shape) not in {(windows, samples, T, spec.action_dim) for T in lengths}:
        given = f"gave shape {tuple(actions.shape)}"
        raise _broken(agent, "act", given, f"(B, N, Tp, Da) = {expected}")
    if not actions.isfinite().all():
        raise _broken(agent, "act", "gave a number that is not finite", "actions in env units")
    if (seconds := time.perf_counter() - began) > SLOWEST * windows:
        given = f"took {seconds:.3g} s for {windows} windows"
        raise _broken(agent, "act", given, f"at most {SLOWEST:g} s a window")
    return actions


def _broken(agent: Agent, what: str, given: str, expected: str) -> ContractError:
    return ContractError(f"{agent.name}: {what} {given}; its contract: {expected}")

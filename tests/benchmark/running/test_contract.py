"""Methods that break their promise fail by name, with the promise; ten kinds of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import baselines.agent
from baselines.bc_mlp import BcMlp
from benchmark.plan.config import EvalConfig
from benchmark.running import contract
from benchmark.running.workers import Job, run_jobs
from envs.demos.demonstrations import Demonstrations
from tests.benchmark.running.cells import tiny_cell


def _raises(*_: Any) -> Any:
    raise KeyError("a key of theirs")


def _wrong_steps(actions: Any) -> Any:
    return actions[:, :, 1:]


KINDS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "loss raises": ("loss", _raises, "loss raised KeyError: 'a key of theirs'"),
    "loss a number": ("loss", lambda x: x.item(), "loss gave float; its contract: a tensor"),
    "loss a vector": ("loss", lambda x: x.expand(3), "of shape (3,); its contract: a floating"),
    "loss whole": ("loss", lambda x: x.long(), "loss gave torch.int64"),
    "loss detached": ("loss", lambda x: x.detach(), "depends on no parameter"),
    "loss NaN": ("loss", lambda x: x * float("nan"), "the loss is nan at update 1 of 2"),
    "act raises": ("act", _raises, "act raised KeyError: 'a key of theirs'"),
    "act an array": ("act", lambda x: x.numpy(), "act gave ndarray; its contract: a tensor"),
    "act too short": ("act", _wrong_steps, "act gave shape (1, 1, 15, 2); its contract: (B, N,"),
    "act NaN": ("act", lambda x: x * float("nan"), "act gave a number that is not finite"),
}


def broken(what: str, change: Callable[[Any], Any]) -> type[BcMlp]:
    """A method that is fine but for one thing."""

    class Broken(BcMlp):
        name = "broken"

        def loss(self, *given: Any) -> Any:
            found = super().loss(*given)
            return change(found) if what == "loss" else found

        def act(self, *given: Any) -> Any:
            found = super().act(*given)
            return change(found) if what == "act" and len(found) == 1 else found

    return Broken


def outcome(demos: Demonstrations, folder: Path) -> str:
    job = Job(tiny_cell("broken"), (EvalConfig(episodes=1),), lambda: demos)
    ((_, cause),) = run_jobs([job], folder, torch.device("cpu"), 1)
    return cause


@pytest.mark.parametrize("kind", KINDS)
def test_a_method_that_breaks_its_promise_fails_by_name_with_the_promise(
    kind: str,
    three_demonstrations: Demonstrations,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    what, change, message = KINDS[kind]
    monkeypatch.setitem(baselines.agent._AGENTS, "broken", broken(what, change))
    cause = outcome(three_demonstrations, tmp_path)
    assert "broken" in cause
    assert message in cause
    assert "\n" not in cause


def test_a_prediction_that_takes_too_long_fails_too(
    three_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(baselines.agent._AGENTS, "broken", broken("act", lambda x: x))
    assert outcome(three_demonstrations, tmp_path / "fast") == ""
    monkeypatch.setattr(contract, "SLOWEST", 1e-9)
    cause = outcome(three_demonstrations, tmp_path / "slow")
    assert "broken: act took " in cause
    assert "its contract: at most 1e-09 s a window" in cause

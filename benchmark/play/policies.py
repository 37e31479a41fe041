"""Trained policies by the name of their folder, with what it takes to play them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from baselines.agent import Agent
from baselines.checkpoints import DESCRIPTION, load_agent
from baselines.choices import check_choice
from benchmark.errors import UsageError, usage_errors
from benchmark.plan.tasks import get_task
from benchmark.running.store import default_store
from benchmark.sealed import read_sealed
from envs.control import CONTROLS, Control
from envs.demos.files import decoding

SHIPPED = Path(__file__).resolve().parents[2] / "results" / "policies"
"""Policies that come with the repository, a folder each."""


@dataclass(frozen=True)
class Trained:
    """A policy, and how it is played."""

    agent: Agent
    """In evaluation mode, on the CPU."""
    folder: Path
    """Where it was found; films of it go there."""
    task: str
    """Name of its task."""
    obs_type: str
    """What it observes."""
    control: Control
    """What its actions mean."""
    action_horizon: int
    """Ta, actions executed before the next prediction."""

    @property
    def name(self) -> str:
        """Method and control mode, for people."""
        return f"{self.agent.name}, {self.control}"

    @property
    def most_actions(self) -> int:
        """Actions of a prediction from the current step on: the longest Ta."""
        return self.agent.spec.chunk


def load_policy(where: str, task: str = "pusht", action_horizon: int | None = None) -> Trained:
    """The policy of a run or a checkpoint.

    Args:
        where: The folder of a run, or of its checkpoint; the id of a cell in the run store; or
            `shipped` for the policy that comes with the repository.
        task: Whose shipped policy is meant.
        action_horizon: Ta; None takes the one it was trained for.

    Raises:
        UsageError: If there is no policy there, or it does not say how it is played.
    """
    folder = shipped_folder(task) if where == "shipped" else _folder(where)
    is_checkpoint = (folder / DESCRIPTION).is_file()
    checkpoint = folder if is_checkpoint else folder / "checkpoint"
    run = folder.absolute().parent if is_checkpoint else folder
    if not (checkpoint / DESCRIPTION).is_file():
        raise UsageError(
            f"{folder} holds no finished policy; give the folder of a run that is trained, "
            f"such as {default_store()}/<cell id>, or 'shipped'"
        )
    if not (run / "config.json").is_file():
        raise UsageError(
            f"{run} has no config.json, which says what the policy observes and what its actions "
            "mean; give the folder of its run"
        )
    path = run / "config.json"
    with usage_errors():
        with decoding(path, "config of a cell"):
            # Only what playing needs: settings of training may be of another version.
            said = json.loads(read_sealed(path))
            task, obs_type = str(said["task"]), str(said["obs_type"])
            control: Control = said["control"]
            chosen = int(said["action_horizon"]) if action_horizon is None else action_horizon
            check_choice("control", control, CONTROLS)
            check_choice("obs_type", obs_type, get_task(task).obs_types)
        trained = Trained(load_agent(checkpoint), run, task, obs_type, control, chosen)
    if not 1 <= trained.action_horizon <= trained.most_actions:
        raise UsageError(
            f"action_horizon is {trained.action_horizon}; {where} allows 1 to "
            f"{trained.most_actions}"
        )
    return trained


def shipped_folder(task: str) -> Path:
    """Where the policy of a task that comes with the repository is.

    Raises:
        UsageError: If none does.
    """
    shipped = {
        str(json.loads(read_sealed(path))["task"]): path.parent
        for path in sorted(SHIPPED.glob("*/config.json"))
    }
    if task not in shipped:
        there = ", ".join(sorted(shipped)) or "none"
        raise UsageError(f"no policy of {task} is shipped; there are some of: {there}")
    return shipped[task]


def _folder(where: str) -> Path:
    for folder in (Path(where), default_store() / where):
        if folder.is_dir():
            return folder
    raise UsageError(
        f"no folder {where}, and no run of that name in {default_store()}; give a folder of a run, "
        "its name there, or 'shipped'"
    )

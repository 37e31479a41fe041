"""`python -m benchmark export`: a trained policy, small enough to be committed, with evidence."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from baselines.checkpoints import DESCRIPTION, WEIGHTS, save_agent
from benchmark.commands.play import PLAYABLE
from benchmark.errors import UsageError, usage_errors
from benchmark.files import check_writable, write_whole
from benchmark.plan.config import EvalConfig
from benchmark.plan.seeding import Split, episode_seeds
from benchmark.plan.tasks import get_task
from benchmark.play.policies import SHIPPED, Trained, load_policy
from benchmark.running.machine import best_device, machine
from benchmark.running.rollout import AgentPolicy, play
from benchmark.sealed import read_sealed
from envs.demos.files import decoding

SPLIT: Split = "validation"  # nothing that is shipped was chosen by test episodes, or looks at them


def export_command(
    where: str, to: Path, episodes: int, action_horizon: int | None, command: str
) -> int:
    """Write the policy, play what was written, and say what it achieved; the exit code."""
    if episodes < 1:
        raise UsageError(f"episodes is {episodes}; allowed: 1 or more")
    trained = load_policy(where, action_horizon=action_horizon)
    if to.absolute() == trained.folder.absolute():
        raise UsageError(f"{to} is the run itself: name another folder")
    check_writable(to, "the folder")
    with usage_errors():
        training = _training(trained.folder / "config.json")
    save_agent(trained.agent, to / "checkpoint", halved=True)
    write_whole(to / "config.json", (trained.folder / "config.json").read_text())
    written = load_policy(str(to), action_horizon=action_horizon)
    played = _play(written, episodes)
    low, high = _interval(played)
    evidence = {
        "command": command,
        "cell": trained.folder.name,
        "split": SPLIT,
        "action_horizon": written.action_horizon,
        "episodes": len(played),
        "successes": int(played["is_success"].sum()),
        "success_interval": [low, high],
        "mean_score": float(played["score"].mean()),
        "machine": machine(best_device()),
        "each": played[["seed", "is_success", "score", "length"]].to_dict("records"),
    }
    write_whole(to / "evidence.json", json.dumps(evidence, indent=1) + "\n")
    write_whole(to / "README.md", _page(written, played, training, command))
    print(_sentence(played, written))
    print(f"Watch it: {_way_to_watch(written)}")
    print(to)
    return 0


def _play(trained: Trained, episodes: int) -> pd.DataFrame:
    seeds = episode_seeds(SPLIT, episodes)
    return play(
        AgentPolicy(trained.agent, seeds),
        get_task(trained.task),
        trained.obs_type,
        trained.control,
        seeds,
        EvalConfig(trained.action_horizon, split=SPLIT, episodes=episodes),
        f"{trained.name}: {SPLIT} episodes",
    )


def _interval(played: pd.DataFrame) -> tuple[float, float]:
    """Exact 95 % limits of the success rate (Clopper and Pearson), of these episodes alone."""
    limits = binomtest(int(played["is_success"].sum()), len(played)).proportion_ci(0.95)
    return float(limits.low), float(limits.high)


def _sentence(played: pd.DataFrame, trained: Trained) -> str:
    seeds, (low, high) = played["seed"], _interval(played)
    return (
        f"It succeeds in {played['is_success'].sum()} of {len(played)} {SPLIT} episodes "
        f"(95 % interval {low:.0%} to {high:.0%}; seeds "
        f"{seeds.min()} to {seeds.max()}; Ta {trained.action_horizon}), mean score "
        f"{played['score'].mean():.3f}."
    )


def _way_to_watch(trained: Trained) -> str:
    """The command that shows the policy; a task without a table is filmed."""
    if trained.folder.resolve().parent == SHIPPED:
        policy = f"shipped --task {trained.task}"
    else:
        policy = shlex.quote(str(trained.folder))
    verb = "play --policy" if trained.task in PLAYABLE else "video"
    return f"python -m benchmark {verb} {policy}"


def _training(path: Path) -> str:
    """What the config of a cell says of its training.

    Raises:
        FileError: If it does not.
    """
    with decoding(path, "config of a cell"):
        cell = json.loads(read_sealed(path))
        return (
            f"Trained with seed {cell['seed']} on {cell['num_demonstrations']} {cell['data']} "
            f"demonstrations, {cell['train']['updates']:,} updates of "
            f"{cell['train']['batch_size']} windows."
        )


def _page(trained: Trained, played: pd.DataFrame, training: str, command: str) -> str:
    """What stands beside the policy for whoever finds it."""
    size = (trained.folder / "checkpoint" / WEIGHTS).stat().st_size / 1e6
    parameters = sum(p.numel() for p in trained.agent.parameters()) / 1e6
    return f"""# A policy of {trained.task} to play with

`{trained.agent.name}` under {trained.control} control from {trained.obs_type}, \
{parameters:.2f} M parameters, \
{size:.1f} MB as bfloat16 safetensors.
{training}

{_sentence(played, trained)} It is one training; the interval is of these episodes only.

    {_way_to_watch(trained)}

| file | what |
|---|---|
| `checkpoint/{WEIGHTS}`, `checkpoint/{DESCRIPTION}` | weights and settings, no code |
| `config.json` | the settings of its training |
| `evidence.json` | every episode of the sentence above, the machine, and the command |

Written by `{command}`.
"""

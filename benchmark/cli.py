"""The command line: `python -m benchmark COMMAND`, or `dpbench COMMAND`.

Exit code 0: all done; 1: some cells failed, named with the cause; 2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from baselines.agent import agents
from benchmark.allocator import keep_freed_memory
from benchmark.demos_cli import import_file, inspect, list_demonstrations
from benchmark.doctor import doctor_command
from benchmark.errors import UsageError, usage_errors
from benchmark.perf import perf_command
from benchmark.presets import PRESETS
from benchmark.record import read_record
from benchmark.report import write_report
from benchmark.search import search
from benchmark.store import default_store
from benchmark.studies import STUDIES
from benchmark.studies.runner import find_studies, run_studies
from benchmark.studies.runner import show_plan as show_studies
from benchmark.studies.study import StudyConfig
from benchmark.sweep import SweepConfig, show_plan, sweep
from benchmark.tasks import tasks
from envs.control import Control
from envs.demos.sources import Source


def list_command() -> None:
    """List tasks, methods and presets."""
    print("tasks (TASK=)")
    for task in tasks().values():
        observations = ", ".join(task.obs_types)
        print(f"  {task.name:10} {task.env_id}; observations: {observations}")
    print("methods by preset (PRESET=, METHODS=)")
    for preset, methods in PRESETS.items():
        print(f"  {preset:10} {', '.join(methods)}")
    known = {method for methods in PRESETS.values() for method in methods}
    if others := sorted(set(agents()) - known):
        print(f"  of other packages, under any preset: {', '.join(others)}")


def sweep_command(config: SweepConfig, dry_run: bool = False) -> int:
    """Train and evaluate methods, print the table after each cell, write the report.

    Args:
        config: Which cells.
        dry_run: Print the cells and which are done; run nothing.
    """
    if dry_run:
        show_plan(config, default_store())
        return 0
    return 0 if sweep(config, default_store(), [_command()]) else 1


def run_command(
    task: tyro.conf.Positional[str],
    method: tyro.conf.Positional[str],
    preset: str = "quick",
    control: Control = "position",
    seed: int = 42,
    data: Source = "scripted",
    data_path: Path | None = None,
    obs_type: str | None = None,
    set: tuple[str, ...] = (),  # noqa: A002 - the name of the flag
) -> int:
    """Train and evaluate one method; what is done already is not done again.

    Args:
        task: Name of the task.
        method: Name of the method.
        preset: smoke, quick, laptop or paper.
        control: What an action means.
        seed: Training seed.
        data: scripted or human demonstrations.
        data_path: File of human demonstrations.
        obs_type: What the policy observes; None takes the task's default.
        set: Changed settings, such as train.updates=500 or agent.channels=[64,128].
    """
    config = SweepConfig(
        task,
        preset,
        (method,),
        (control,),
        (seed,),
        data=data,
        data_path=data_path,
        obs_type=obs_type,
        set=set,
    )
    return 0 if sweep(config, default_store(), [_command()]) else 1


def report_command(config: SweepConfig, redraw: tuple[Path, ...] = ()) -> int:
    """Write the report of what has been run already; train and evaluate nothing.

    Args:
        config: Which cells.
        redraw: Folders of reports to draw again from what each keeps of its episodes, in place of
            reporting cells.
    """
    if redraw:
        for record, folder in [(read_record(folder), folder) for folder in redraw]:
            print(f"Report: {write_report(record, folder)}")
        return 0
    # What a report names is the command that makes its numbers again.
    command = _command().replace(" report ", " sweep ", 1)
    return 0 if sweep(config, default_store(), [command], only_done=True) else 1


def demos_command(
    task: tyro.conf.Positional[str],
    source: Source = "scripted",
    data_path: Path | None = None,
    filter_key: str | None = None,
    figure: Path | None = None,
    import_from: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    to: Path | None = None,
) -> None:
    """List, generate, inspect and import the demonstrations of a task.

    Args:
        task: Name of the task.
        source: Which to inspect; scripted ones are generated on first use.
        data_path: File to inspect instead of the known ones.
        filter_key: Only what a robomimic file lists under this key, such as train.
        figure: Draw some trajectories to this file (.png, .svg or .pdf).
        import_from: Check this NPZ, zarr folder or ZIP of one and keep it as a compressed NPZ.
        to: Where to keep it; None for where DATA=human finds the public demonstrations.
    """
    with usage_errors():
        if import_from is not None:
            import_file(task, import_from, to, filter_key)
            return
        list_demonstrations(task)
        inspect(task, "human" if data_path else source, data_path, figure, filter_key)


def study_command(
    name: tyro.conf.Positional[str], config: StudyConfig, dry_run: bool = False
) -> int:
    """Test a published claim: its runs, its table, its figure and a verdict.

    Args:
        name: Name of the study; `list` shows them all, `all` runs them all.
        config: What it is run on.
        dry_run: Print the cells and which are done; run nothing.
    """
    if name == "list":
        for study in STUDIES:
            print(f"{study.name:22} {study.claim} ({study.source})")
        return 0
    studies = find_studies(STUDIES, name)
    if dry_run:
        show_studies(studies, config, default_store())
        return 0
    return 0 if run_studies(studies, config, default_store(), _command()) else 1


def search_command(
    task: tyro.conf.Positional[str],
    method: tyro.conf.Positional[str],
    candidates: tyro.conf.Positional[tuple[str, ...]],
    preset: str = "quick",
    control: Control = "position",
    seed: int = 42,
    data: Source = "scripted",
    data_path: Path | None = None,
    episodes: int = 50,
    out: Path = Path("results/search"),
) -> None:
    """Compare settings of one method on validation seeds; test seeds are not touched.

    Args:
        task: Name of the task.
        method: Name of the method.
        candidates: Changed settings of each candidate, such as
            "train.batch_size=64 train.updates=8000"; "" is the preset as it is.
        preset: The settings that candidates change.
        control: What an action means.
        seed: Training seed.
        data: scripted or human demonstrations.
        data_path: File of human demonstrations.
        episodes: Validation episodes of each candidate.
        out: Folder of the log.
    """
    config = SweepConfig(
        task, preset, (method,), (control,), (seed,), data=data, data_path=data_path
    )
    search(config, candidates, episodes, out, default_store())


COMMANDS: dict[str, Callable[..., Any]] = {
    "list": list_command,
    "demos": demos_command,
    "run": run_command,
    "sweep": sweep_command,
    "report": report_command,
    "study": study_command,
    "search": search_command,
    "perf": perf_command,
    "doctor": doctor_command,
}


def _gathered(arguments: Sequence[str], flag: str) -> list[str]:
    """Arguments with the values of a repeated flag put together: `--set A --set B` as `--set A B`.

    The parser would keep the last one alone and drop the others without a word.
    """
    if list(arguments).count(flag) < 2:
        return list(arguments)
    rest: list[str] = []
    values: list[str] = []
    target = rest
    for argument in arguments:
        if argument == flag:
            target = values
        else:
            target = rest if argument.startswith("--") else target
            target.append(argument)
    return [*rest, flag, *values]


def _command() -> str:
    """The command as it was given, for the report."""
    return " ".join(["python -m benchmark", *sys.argv[1:]])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    keep_freed_memory()
    given = _gathered(sys.argv[1:] if arguments is None else arguments, "--set")
    try:
        result = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="python -m benchmark",
            description="dpbench: visuomotor imitation policies compared.",
            args=given,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except KeyboardInterrupt:
        print("\nInterrupted; the same command continues where it stopped.", file=sys.stderr)
        return 130
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(result or 0)

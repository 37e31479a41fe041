"""The command line: `python -m benchmark COMMAND`, or `dpbench COMMAND`.

What a user can type, and nothing else: the command that was typed is imported when it runs.
Exit code 0: all done; 1: some cells failed, named with the cause; 2: wrong usage; 130: interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from baselines.choices import unknown
from benchmark.errors import UsageError, said
from benchmark.plan.candidates import SEARCH_EPISODES, SEARCH_SEEDS
from benchmark.plan.request import (
    BenchConfig,
    Control,
    PlayRequest,
    Source,
    StudyRequest,
    SweepConfig,
)
from benchmark.running.allocator import keep_freed_memory
from benchmark.start import INTERRUPTED
from benchmark.typed import as_typed, compute_on, gathered, meant


def list_command() -> None:
    """List tasks, methods and presets."""
    from benchmark.commands.list import list_command

    list_command()


def bench_command(config: BenchConfig, dry_run: bool = False) -> int:
    """Train and evaluate methods, print the table after each cell, write the report.

    Args:
        config: Which cells.
        dry_run: Print the cells and which are done; run nothing.
    """
    from benchmark.commands.bench import bench_command

    compute_on(config.device)
    return bench_command(config, as_typed(), dry_run)


def run_command(
    task: tyro.conf.Positional[str],
    method: tyro.conf.Positional[str],
    preset: str = "quick",
    control: Control = "position",
    seed: int = 42,
    data: Source = "scripted",
    data_path: Path | None = None,
    filter_key: str | None = None,
    obs_type: str | None = None,
    set: tuple[str, ...] = (),  # noqa: A002 - the name of the flag
    video: int = 0,
    device: str | None = None,
    origin: Annotated[str | None, tyro.conf.arg(name="from")] = None,
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
        filter_key: Only what a robomimic file lists under this key, such as train.
        obs_type: What the policy observes; None takes the task's default.
        origin: Name or folder of a finished run, whose policy is trained further, as another run.
        set: Changed settings, such as train.updates=500 or agent.channels=[64,128].
        video: Film the policy from so many initial states.
        device: cpu, mps, cuda or cuda:N; None takes $DPBENCH_DEVICE, else the fastest there is.
    """
    from benchmark.commands.bench import bench_command

    compute_on(device)
    config = BenchConfig(
        task=task,
        preset=preset,
        methods=(method,),
        control=(control,),
        seeds=(seed,),
        data=data,
        data_path=data_path,
        filter_key=filter_key,
        origin=origin,
        obs_type=obs_type,
        set=set,
        video=video,
    )
    return bench_command(config, as_typed())


def report_command(
    task: tuple[str, ...] = (),
    out: Path | None = None,
    opens: Annotated[bool, tyro.conf.arg(name="open")] = False,
) -> int:
    """Draw a page a task and one over all, of what was run or is committed; run nothing.

    Args:
        task: Names of tasks; none means all.
        out: Folder of the pages; None takes reports in the run store.
        opens: Open it in the browser.
    """
    from benchmark.commands.report import report_command

    return report_command(task, out, opens)


def keep_command(
    task: str | None = None, preset: str | None = None, data: str | None = None
) -> int:
    """Write the evidence of finished runs to results/evidence, to be committed.

    Args:
        task: Only of this task.
        preset: Only of this preset; smoke runs are kept only when asked for.
        data: Only on demonstrations of this source.
    """
    from benchmark.commands.keep import keep_command

    return keep_command(task, preset, data)


def results_command(out: Path = Path("results")) -> int:
    """Draw everything committed under results/, and the documentation's tables, from the evidence.

    Args:
        out: The folder of results; the documentation is looked for beside it.
    """
    from benchmark.commands.results import results_command

    return results_command(out)


def demos_command(
    task: tyro.conf.Positional[str],
    source: Source = "scripted",
    data_path: Path | None = None,
    filter_key: str | None = None,
    figure: Path | None = None,
    import_from: Annotated[Path | None, tyro.conf.arg(name="from")] = None,
    to: Path | None = None,
    check: bool = False,
) -> int:
    """List, generate, inspect and import the demonstrations of a task.

    Args:
        task: Name of the task.
        source: Which to inspect; scripted ones are generated on first use.
        data_path: File to inspect instead of the known ones.
        filter_key: Only what a robomimic file lists under this key, such as train.
        figure: Draw some trajectories to this file (.png, .svg or .pdf).
        import_from: Check this NPZ, zarr folder or ZIP of one and keep it as a compressed NPZ.
        to: Where to keep it; None for where DATA=human finds the public demonstrations.
        check: Hold those of pusht to what is asked of them, beside people's in --data-path.
    """
    from benchmark.commands.demos import demos_command

    return demos_command(task, source, data_path, filter_key, figure, import_from, to, check)


def study_command(
    name: tyro.conf.Positional[str], config: StudyRequest, dry_run: bool = False
) -> int:
    """Test a published claim: its runs, its table, its figure and a verdict.

    Args:
        name: Name of the study; `list` shows them all, `all` runs them all.
        config: What it is run on.
        dry_run: Print the cells and which are done; run nothing.
    """
    from benchmark.commands.study import study_command

    compute_on(config.device)
    return study_command(name, config, as_typed(), dry_run)


def search_command(
    task: tyro.conf.Positional[str],
    method: tyro.conf.Positional[str],
    candidates: tyro.conf.Positional[tuple[str, ...]],
    preset: str = "quick",
    control: Control = "position",
    seeds: tuple[int, ...] = SEARCH_SEEDS,
    data: Source = "scripted",
    data_path: Path | None = None,
    filter_key: str | None = None,
    episodes: int = SEARCH_EPISODES,
    out: Path = Path("results/search"),
    device: str | None = None,
) -> int:
    """Compare settings of one method on validation seeds; test seeds are not touched.

    Args:
        task: Name of the task.
        method: Name of the method.
        candidates: Changed settings of each candidate, such as
            "train.batch_size=64 train.updates=8000"; "" is the preset as it is. None takes the
            eight that are declared for the method.
        preset: The settings that candidates change.
        control: What an action means.
        seeds: Training seeds.
        data: scripted or human demonstrations.
        data_path: File of human demonstrations.
        filter_key: Only what a robomimic file lists under this key, such as train.
        episodes: Validation episodes of each training.
        out: Folder of the log.
        device: cpu, mps, cuda or cuda:N; None takes $DPBENCH_DEVICE, else the fastest there is.
    """
    from benchmark.commands.search import search
    from benchmark.running.store import default_store

    compute_on(device)
    config = SweepConfig(
        task=task,
        preset=preset,
        methods=(method,),
        control=(control,),
        seeds=seeds,
        data=data,
        data_path=data_path,
        filter_key=filter_key,
    )
    search(config, candidates, episodes, out, default_store())
    return 0


def compare_command(
    a: tyro.conf.Positional[str],
    b: tyro.conf.Positional[str],
    config: SweepConfig,
    until_decided: bool = False,
    by: Literal["success", "score"] = "success",
    most: int = 2000,
) -> int:
    """Say which of two trained policies is better, on the same episodes.

    Args:
        a: METHOD or METHOD:control, with the training seeds of --seeds, or a run folder.
        b: The other one.
        config: Task, preset, data, seeds and evaluation settings of a METHOD.
        until_decided: Play episodes until the answer is sure, and no more.
        by: The outcome that decides.
        most: Episodes at which until_decided gives up.
    """
    from benchmark.commands.compare import compare_command
    from benchmark.running.store import default_store

    compute_on(config.device)
    column = "is_success" if by == "success" else "score"
    return compare_command((a, b), config, column, until_decided, most, default_store())


def plan_command(
    config: SweepConfig,
    difference: float = 0.1,
    power: float = 0.8,
    by: Literal["success", "score"] = "success",
    training_spread: float | None = None,
    cells: int | None = None,
) -> int:
    """Say how many training seeds and episodes a difference needs, and what that costs here.

    Args:
        config: Task, preset, data and methods whose runs tell the spread.
        difference: Between two policies, as a share (0.1: ten percentage points of success).
        power: Chance of finding it.
        by: The outcome.
        training_spread: Standard deviation of a policy's mean between its trainings; None
            estimates it, for which two policies must have two training seeds each.
        cells: Say instead what a sweep of so many cells like these costs and moves on a cluster.
    """
    from benchmark.running.store import default_store

    compute_on(config.device)
    if cells is not None:
        from benchmark.commands.sweep_cost import sweep_cost_command

        return sweep_cost_command(config, cells, default_store())
    from benchmark.commands.plan import plan_command

    column = "is_success" if by == "success" else "score"
    return plan_command(config, difference, power, column, training_spread, default_store())


def play_command(request: PlayRequest) -> int:
    """Push the T with the mouse, record demonstrations, or watch policies and get in their way.

    Args:
        request: What is played.
    """
    from benchmark.commands.play import play_command

    return play_command(request)


def video_command(
    runs: tyro.conf.Positional[tuple[str, ...]],
    to: Path = Path("video.gif"),
    episodes: int = 1,
    seed: int | None = None,
    task: str = "pusht",
    paths: int = 12,
) -> int:
    """Film policies on the same initial states, a column each, up to four beside each other.

    Args:
        runs: Folders or names of runs, checkpoints, or shipped.
        to: The film: .gif, or .mp4 with the extra `video`.
        episodes: Initial states, a row each; of one policy up to four stand in a row.
        seed: Of the first initial state; None takes 400000, where nothing is tested.
        task: Whose shipped policy is meant.
        paths: Action sequences drawn of each prediction on Push-T, the followed one among them.
    """
    from benchmark.commands.video import video_command

    return video_command(runs, to, episodes, seed, task, paths)


def export_command(
    run: tyro.conf.Positional[str],
    to: tyro.conf.Positional[Path],
    episodes: int = 100,
    action_horizon: int | None = None,
) -> int:
    """Write a trained policy with bfloat16 weights, small enough to ship, and what it achieves.

    Args:
        run: Folder or name of a trained run.
        to: Folder that is written: checkpoint, config.json, evidence.json and README.md.
        episodes: Validation episodes that the written policy is played on.
        action_horizon: Ta; None takes what it was trained for.
    """
    from benchmark.commands.export import export_command

    return export_command(run, to, episodes, action_horizon, as_typed())


def look_command(
    run: tyro.conf.Positional[str],
    to: tyro.conf.Positional[Path],
    seed: int | None = None,
) -> int:
    """Draw what a policy of images looks at: keypoints over frames, a video, hidden patches.

    Args:
        run: Folder or name of a trained run.
        to: Folder that the pictures are written to.
        seed: Of the episode; None takes the first validation seed.
    """
    from benchmark.commands.look import look_command

    return look_command(run, to, seed)


def perf_command(
    peers: bool = False, public: Path | None = None, paper: bool = False, out: Path | None = None
) -> None:
    """Measure this machine: environment steps, training, predictions, an evaluation.

    Args:
        peers: Measure gym-pusht too, in a virtual environment of its own, in turns with Push-T.
        public: Checkout of real-stanford/diffusion_policy, which is trained in turns with ours.
        paper: Time the paper preset's training although there is no GPU.
        out: Folder that the table is also written to, as perf.txt, .md, .tex and .csv.
    """
    from benchmark.perf.measure import perf_command

    perf_command(peers, public, paper, out)


def doctor_command() -> int:
    """Check this installation and say what to do about each finding."""
    from benchmark.commands.doctor import doctor_command

    return doctor_command()


COMMANDS: dict[str, Callable[..., Any]] = {
    "list": list_command,
    "demos": demos_command,
    "run": run_command,
    "bench": bench_command,
    "report": report_command,
    "study": study_command,
    "search": search_command,
    "compare": compare_command,
    "plan": plan_command,
    "play": play_command,
    "video": video_command,
    "keep": keep_command,
    "export": export_command,
    "look": look_command,
    "results": results_command,
    "perf": perf_command,
    "doctor": doctor_command,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    keep_freed_memory()
    given = gathered(sys.argv[1:] if arguments is None else arguments, "--set")
    if given and not given[0].startswith("-") and given[0] not in COMMANDS:
        print(f"error: {unknown('command', given[0], COMMANDS)}", file=sys.stderr)
        return 2

    try:
        result = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="python -m benchmark",
            description="dpbench: visuomotor imitation policies compared.",
            args=given,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        return 130
    except SystemExit as ended:  # of the parser, which has said what is wrong
        if ended.code and given:
            print(*meant(COMMANDS.get(given[0]), given[1:]), sep="\n", end="", file=sys.stderr)
        raise
    except BrokenPipeError:  # the reader of what is printed, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or Python complains when it ends
        return 1
    except (UsageError, OSError, ValueError) as error:
        if not said(error):
            raise
        print(f"error: {said(error)}", file=sys.stderr)
        return 1 if isinstance(error, OSError) else 2
    return int(result or 0)

"""`python -m benchmark doctor`: whether this installation works, and what to do where it does not.

Everything that is checked is imported inside its check, so that a broken package shows up as a
finding instead of keeping the doctor from coming.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Literal

Level = Literal["ok", "warn", "fail"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmark", "envs", "baselines")
LEAST_PYTHON = (3, 11)
LEAST_FREE = 2.0  # GB; a preset's runs take about a tenth of it
GOLDEN_SEED = 0
GOLDEN_STATE = (222.0, 97.0, 222.993827, 381.599036, 3.007999)  # px, px, px, px, rad
GOLDEN_TOLERANCE = 1e-6
REINSTALL = "run make install again"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    level: Level
    text: str
    advice: str = ""
    """What to do about it; empty if nothing needs to be done."""


Check = Callable[[], Iterator[Finding]]


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    found = ".".join(map(str, sys.version_info[:3]))
    least = ".".join(map(str, LEAST_PYTHON))
    if sys.version_info[:2] < LEAST_PYTHON:
        yield Finding("fail", f"Python {found}", f"use Python {least} or newer")
    else:
        yield Finding("ok", f"Python {found} ({sys.executable})")


def strangers(path: Sequence[str]) -> list[tuple[str, str]]:
    """Import packages that are not those of this installation, and what to do, as texts.

    Their names are generic: a folder, or another distribution, can take their place.

    Args:
        path: Where Python looks, as `sys.path`.
    """
    advice = "run from another folder, or take that one off PYTHONPATH or out of the environment"
    found = []
    for name in PACKAGES:
        spec = PathFinder.find_spec(name, path)
        origin = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if origin != ROOT / name:
            where = "missing" if spec is None else f"taken from {origin or 'a folder without code'}"
            found.append((f"the package {name} is {where}, not from {ROOT / name}", advice))
    return found


def check_origin() -> Iterator[Finding]:
    """Whether the import packages, whose names are generic, are those of this installation."""
    # `python -m benchmark` would look into the working directory first, `dpbench` does not.
    found = strangers(sys.path) or strangers(["", *sys.path])
    for text, advice in found:
        yield Finding("fail", text, advice)
    if not found:
        yield Finding("ok", f"dpbench from {ROOT}")


def check_packages() -> Iterator[Finding]:
    """Required packages, and versions against those last tested."""
    missing = [name for name in _required() if _version(name) is None]
    if missing:
        yield Finding("fail", f"missing packages: {', '.join(missing)}", REINSTALL)
    tested = _tested_versions(ROOT / "constraints.txt")
    others = [
        f"{name} {found} (tested {version})"
        for name, version in tested.items()
        if (found := _version(name)) is not None and found.split("+")[0] != version
    ]
    if others:
        yield Finding("warn", f"versions never tested: {', '.join(others)}", REINSTALL)
    elif not missing:
        known = f"the {len(tested)} of constraints.txt" if tested else "no constraints.txt here"
        yield Finding("ok", f"package versions: {known}")


def check_pygame() -> Iterator[Finding]:
    """Whether pygame is pygame: pygame-ce installs itself under the same name."""
    other = _version("pygame-ce")
    if other is None:
        yield Finding("ok", f"pygame {metadata.version('pygame')}")
    else:
        yield Finding(
            "fail",
            f"pygame-ce {other} lies over pygame",
            "pip uninstall -y pygame-ce pygame && pip install -c constraints.txt pygame",
        )


def check_device() -> Iterator[Finding]:
    """What PyTorch computes on."""
    import torch

    from benchmark.running.machine import best_device

    device = best_device()
    name = f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    torch.ones(2, device=device).sum().item()  # a driver may be found and yet not work
    yield Finding("ok", f"torch {torch.__version__} on {name}, {threads} threads, {cores} cores")
    if cores is not None and threads > cores:
        yield Finding(
            "warn", f"{threads} threads share {cores} cores", f"set OMP_NUM_THREADS={cores}"
        )


def check_pusht() -> Iterator[Finding]:
    """Whether Push-T starts where the protocol says, and steps."""
    import gymnasium

    import envs

    gymnasium.register_envs(envs)
    env = gymnasium.make("dpbench/PushT-v1", obs_type="state")
    state, _ = env.reset(seed=GOLDEN_SEED)
    env.step(state[:2])
    pymunk = metadata.version("pymunk")
    if max(abs(a - b) for a, b in zip(state, GOLDEN_STATE, strict=True)) > GOLDEN_TOLERANCE:
        yield Finding(
            "fail",
            f"with pymunk {pymunk} Push-T starts seed {GOLDEN_SEED} at "
            f"{[round(float(number), 6) for number in state]}, not at {list(GOLDEN_STATE)}",
            f"episodes are not the benchmark's: {REINSTALL} to get the tested pymunk",
        )
    else:
        yield Finding("ok", f"Push-T starts where the protocol says, and steps (pymunk {pymunk})")


def check_rendering() -> Iterator[Finding]:
    """Whether frames are drawn, which must need no screen."""
    from envs.pusht.physics import initial_state
    from envs.pusht.render import AGENT, GOAL, frame

    picture = frame(initial_state(GOLDEN_SEED).tolist())
    if {AGENT, GOAL} <= {tuple(color) for color in picture.reshape(-1, 3).tolist()}:
        yield Finding("ok", "frames are drawn without a screen")
    else:
        yield Finding("fail", "frames show no agent or no goal", f"{REINSTALL} to get pygame anew")


def check_folders() -> Iterator[Finding]:
    """Whether the cache and the run store can be written, and the room there."""
    from benchmark.running.store import default_store
    from envs.cache import cache_dir

    for what, folder, variable in (
        ("cache", cache_dir(), "DPBENCH_CACHE"),
        ("run store", default_store(), "DPBENCH_RUNS"),
    ):
        # The folder is made when it is needed; until then what counts is where.
        place = folder.absolute()
        there = next(path for path in (place, *place.parents) if path.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            yield Finding(
                "fail",
                f"{what} {folder} cannot be written: {error.strerror}",
                f"set {variable} to a folder of yours",
            )
            continue
        free = shutil.disk_usage(there).free / 1e9
        if free < LEAST_FREE:
            yield Finding(
                "warn",
                f"{what} {folder}: {free:.1f} GB free",
                f"make room for {LEAST_FREE:.0f} GB or set {variable} to another disk",
            )
        else:
            yield Finding("ok", f"{what} {folder}: writable, {free:,.0f} GB free")


def check_demonstrations() -> Iterator[Finding]:
    """Which demonstrations are at hand; none need to be."""
    from envs.demos import pusht_human
    from envs.demos.cache import cache_path
    from envs.demos.sources import NUM_SCRIPTED, scripted_metadata

    for source, path, otherwise in (
        ("scripted", cache_path(scripted_metadata(), NUM_SCRIPTED), "made on first use"),
        ("human", pusht_human.imported_path(), "downloaded on first use unless a path is given"),
    ):
        yield Finding("ok", f"{source} demonstrations: {'cached' if path.is_file() else otherwise}")


def check_plugins() -> Iterator[Finding]:
    """Methods and tasks of other packages."""
    from baselines.plugins import AGENTS, TASKS, broken_plugins, plugin_names

    broken = broken_plugins()
    for text in broken:
        yield Finding("fail", f"plug-in {text}")
    if not broken:
        count = sum(len(plugin_names(group)) for group in (AGENTS, TASKS))
        yield Finding("ok", f"plug-ins: {count or 'none'}")


CHECKS: tuple[Check, ...] = (
    check_python,
    check_origin,
    check_packages,
    check_pygame,
    check_device,
    check_pusht,
    check_rendering,
    check_folders,
    check_demonstrations,
    check_plugins,
)


def examine(checks: Sequence[Check]) -> Iterator[Finding]:
    """Run the checks; one that raises is a failure as well, and the others go on."""
    for check in checks:
        try:
            yield from check()
        except Exception as error:
            what = (check.__doc__ or "").rstrip(".")
            yield Finding("fail", f"{what}: {type(error).__name__}: {error}", REINSTALL)


def doctor_command() -> int:
    """Check this installation and say what to do about each finding.

    Returns:
        1 if something is broken, else 0.
    """
    failed = 0
    # Of a stranger's package the other checks would say nothing but nonsense.
    checks = CHECKS[: CHECKS.index(check_origin) + 1] if strangers(sys.path) else CHECKS
    for finding in examine(checks):
        failed += finding.level == "fail"
        print(f"{finding.level:4}  {finding.text}", flush=True)
        if finding.advice:
            print(f"      -> {finding.advice}")
    print(f"\n{failed} broken" if failed else "\nNothing is broken.")
    return 1 if failed else 0


def _required() -> list[str]:
    """Names of the packages that dpbench cannot do without."""
    requirements = metadata.requires("dpbench") or []
    return [re.split(r"[^\w.-]", each)[0] for each in requirements if "extra ==" not in each]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _tested_versions(constraints: Path) -> dict[str, str]:
    """Versions by name from a file of lines such as `torch==2.13.0`; none if there is no file."""
    if not constraints.is_file():
        return {}
    return dict(re.findall(r"^([\w.-]+)==(\S+)", constraints.read_text(), re.MULTILINE))

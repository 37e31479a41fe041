"""The batched control step of Push-T in C, where it can be had; everything works without it.

`compiled.c` is compiled on first use, which takes half a second, and kept in the user's cache under
a name that holds what it was made from: the source, Python's constants, pymunk, the kind of machine
and its C library. It is written whole, so that processes may start at once, and only after it has
given the bits of the Python path on a few episodes. Where there is no compiler, where the cache
cannot be written or where anything else fails, the Python path is taken and `status` says why.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pymunk
from numpy.typing import NDArray
from pymunk._chipmunk_cffi import ffi, lib

from envs.cache import cache_dir
from envs.pusht import geometry
from envs.pusht.observations import observe
from envs.pusht.physics import DAMPING, PHYSICS_STEPS, STIFFNESS, TIME_STEP, PushTPhysics

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SOURCE = Path(__file__).with_name("compiled.c")
FLAGS = (
    *("-std=c99", "-O2", "-shared", "-fPIC"),
    # A product and a sum are rounded one by one, and the C library's sin and cos are called as they
    # are by Python's math, not both at once.
    *("-fno-fast-math", "-ffp-contract=off", "-fno-builtin-sin", "-fno-builtin-cos"),
)
FUNCTIONS = (  # the order of compiled.c's Engine
    "cpBodySetVelocity",
    "cpBodyGetVelocity",
    "cpBodyGetPosition",
    "cpBodyGetAngle",
    "cpSpaceStep",
    "cpSpaceEachCachedArbiter",
    "cpArbiterGetCount",
)
CONSTANTS = {
    "PHYSICS_STEPS": PHYSICS_STEPS,
    "TIME_STEP": TIME_STEP,
    "STIFFNESS": STIFFNESS,
    "DAMPING": DAMPING,
    "CORNERS": geometry.OUTLINE,
    "BOXES": geometry.GOAL_BOXES,
    "KEYPOINTS": geometry.LOCAL_KEYPOINTS.tolist(),
    "GOAL_X": geometry.GOAL_POSE[0],
    "GOAL_Y": geometry.GOAL_POSE[1],
    "GOAL_ANGLE": geometry.GOAL_POSE[2],
    "GOAL_COS": geometry.GOAL_COS,
    "GOAL_SIN": geometry.GOAL_SIN,
    "GRAVITY_CENTER_Y": geometry.CENTER_OF_GRAVITY[1],
    "TOUCHING_DISTANCE_SQUARED": geometry.TOUCHING_DISTANCE_SQUARED,
    "T_AREA": geometry.T_AREA,
}
_SIGNATURE = (
    "void(*)(void *, void *, int64_t, int64_t *, double *, double *, double *, int64_t *, "
    "double *, double *)"
)
_LONGEST_COMPILATION = 60.0  # s


@dataclass(frozen=True)
class Status:
    """Whether the compiled step is in use.

    Attributes:
        step: compiled.c's `step_tables`; None where it is not in use.
        text: Which file it is in, or why there is none.
    """

    step: Any
    text: str

    @property
    def in_use(self) -> bool:
        """Whether batched tables are stepped in C."""
        return self.step is not None


@functools.cache
def status() -> Status:
    """Load the compiled step, compiling it where that has not been done; once a process."""
    try:
        path = cache_dir() / "compiled" / f"pusht-{_key()}.so"
        return Status(_load(path), str(path))
    except subprocess.CalledProcessError as error:
        message = error.stderr.decode(errors="replace").strip()
        return Status(None, f"{error.cmd[0]} cannot compile {SOURCE}: {message}")
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError) as error:
        return Status(None, str(error))


def _load(path: Path) -> Any:
    if ffi.sizeof("cpVect") != 16:
        raise ValueError("pymunk was built with another type of number than double")
    if path.is_file():
        try:
            return _step_of(path)
        except OSError:
            pass  # not whole any more, or of another machine: it is replaced
    return _compile(path)


def _compile(path: Path) -> Any:
    command = shlex.split(os.environ.get("CC", "cc"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source, part = Path(folder) / SOURCE.name, Path(folder) / path.name
        source.write_text(_text())
        subprocess.run(
            [*command, *FLAGS, "-o", str(part), str(source), "-lm"],
            check=True,
            capture_output=True,
            timeout=_LONGEST_COMPILATION,
        )
        step = _step_of(part)
        if not _gives_the_same_bits(step):
            raise ValueError(f"what {command[0]} made of {SOURCE} does not give Python's numbers")
        part.replace(path)
    return step


def _step_of(path: Path) -> Any:
    address = ctypes.cast(ctypes.CDLL(str(path)).step_tables, ctypes.c_void_p).value
    return ffi.cast(_SIGNATURE, address)


def _text() -> str:
    constants = (f"#define {name} {_in_c(value)}\n" for name, value in CONSTANTS.items())
    return "".join(constants) + SOURCE.read_text()


def _in_c(value: Any) -> str:
    if isinstance(value, Sequence):
        return "{" + ", ".join(map(_in_c, value)) + "}"
    return repr(value)


def _key() -> str:
    machine = platform.system(), platform.machine(), *platform.libc_ver()
    made_from = _text(), *FLAGS, pymunk.version, pymunk.chipmunk_version, *machine
    return hashlib.sha256("\n".join(made_from).encode()).hexdigest()[:16]


class CompiledTables:
    """Tables as the compiled step takes them.

    It holds where their spaces lie in memory: never copy or pickle it, and tell it of resets.

    Args:
        step: `Status.step`.
        tables: N tables; the caller keeps them.
    """

    def __init__(self, step: Any, tables: Sequence[PushTPhysics]) -> None:
        self._step, self._tables = step, tables
        self._engine = ffi.new("void *[]", [ffi.addressof(lib, name) for name in FUNCTIONS])
        self._addresses = ffi.new("void *[]", 3 * len(tables))
        self.look_again(range(len(tables)))

    def look_again(self, chosen: Sequence[int]) -> None:
        """Find the spaces of the chosen tables, which a reset has replaced."""
        for index in chosen:
            self._addresses[3 * index : 3 * index + 3] = self._tables[index].addresses

    def step(
        self,
        live: Integers,
        targets: Floats,
        states: Floats,
        velocities: Floats,
        contacts: Integers,
        covered: Floats,
        observations: Floats | None,
    ) -> None:
        """Take one control step on some of the tables and write what it gives to their rows.

        Args:
            live: Indices of the tables, (L,).
            targets: Their set-points, (L, 2), px.
            states: `PushTPhysics.state`, (N, 5).
            velocities: `PushTPhysics.agent_velocity`, (N, 2).
            contacts: What `PushTPhysics.step` returns, (N,).
            covered: `geometry.coverage`, (N,).
            observations: Those of "keypoints", (N, 20), or None where they are not wanted.
        """
        self._step(
            self._engine,
            self._addresses,
            len(live),
            ffi.from_buffer("int64_t[]", live),
            ffi.from_buffer("double[]", targets),
            ffi.from_buffer("double[]", states),
            ffi.from_buffer("double[]", velocities),
            ffi.from_buffer("int64_t[]", contacts),
            ffi.from_buffer("double[]", covered),
            ffi.NULL if observations is None else ffi.from_buffer("double[]", observations),
        )
        for index, target in zip(live.tolist(), targets.tolist(), strict=True):
            self._tables[index].remember(target)


def _gives_the_same_bits(step: Any, count: int = 8, length: int = 25) -> bool:
    """Whether the compiled step does what Python does in pushes near the goal."""
    rng = np.random.default_rng(0)
    starts = rng.uniform([100, 100, 200, 200, -7], [400, 400, 300, 300, 7], (count, 5))
    twins, tables = ([PushTPhysics() for _ in range(count)] for _ in range(2))
    for start, twin, table in zip(starts, twins, tables, strict=True):
        twin.reset_to(start)
        table.reset_to(start)
    compiled, every = CompiledTables(step, tables), np.arange(count)
    states, velocities = np.empty((count, 5)), np.empty((count, 2))
    contacts, covered = np.empty(count, dtype=np.int64), np.empty(count)
    observations = np.empty((count, 20))
    for _ in range(length):
        aims = np.array([twin.coordinates[2:4] for twin in twins])
        targets = aims + rng.normal(0.0, 60.0, (count, 2))
        expected = [twin.step(target) for twin, target in zip(twins, targets, strict=True)]
        compiled.step(every, targets, states, velocities, contacts, covered, observations)
        reached = np.array([twin.coordinates for twin in twins])
        pairs = (
            (states, reached),
            (velocities, np.array([twin.velocity for twin in twins])),
            (contacts, np.array(expected)),
            (covered, geometry.coverage_batch(reached)),
            (observations, observe(reached, "keypoints")["state"]),
        )
        if not all(np.array_equal(one, other) for one, other in pairs):
            return False
    return True

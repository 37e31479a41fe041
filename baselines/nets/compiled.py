"""C functions beside a Python file, compiled on first use and kept in the user's cache folder.

There need not be a compiler: who asks gets None then and computes with PyTorch's operations.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

FLAGS = (
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)
TURN_OFF = "DPBENCH_NO_COMPILER"
"""Environment variable; where it is set nothing is compiled, and nothing compiled is used."""


@cache
def library(source: Path, *defines: str) -> ctypes.CDLL | None:
    """The functions of a C file, or None where they cannot be had.

    Args:
        source: The C file.
        defines: Macros, as in `REAL=float`.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if os.environ.get(TURN_OFF) or compiler is None:
        return None
    options = [*FLAGS, *(f"-D{each}" for each in defines)]
    # Another machine may share the folder, and -march=native is for this one.
    made_for = "\n".join([source.read_text(), compiler, *options, _processor()])
    name = f"{source.stem}-{hashlib.sha256(made_for.encode()).hexdigest()[:16]}.so"
    kept = _folder() / name
    try:
        if not kept.is_file():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                made = Path(folder) / name
                command = [compiler, *options, "-o", str(made), str(source), "-lm"]
                subprocess.run(command, check=True, capture_output=True)
                made.replace(kept)  # whole or not at all
        return ctypes.CDLL(str(kept))
    except (OSError, subprocess.CalledProcessError):
        return None


def _folder() -> Path:
    """Where demonstrations are cached too, see `envs.demos.cache`."""
    given = os.environ.get("DPBENCH_CACHE")
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dpbench"
    return (Path(given) if given else cached) / "compiled"


def _processor() -> str:
    """What tells processors of different abilities apart."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.platform()} {platform.processor()} {platform.node()}"
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))

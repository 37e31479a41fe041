"""gym-pusht in a virtual environment of its own, to be measured beside this project's Push-T.

It lies in the cache folder, with the numpy and gymnasium that this project runs on. It is made on
first use and again when a version changes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmark.errors import UsageError
from benchmark.files import write_whole
from benchmark.perf.pusht import Kind, Workload
from envs.cache import cache_dir

GYM_PUSHT = "0.1.8"
_PLAYER = Path(__file__).with_name("gym_pusht_player.py")


def requirements() -> tuple[str, ...]:
    """What is installed: gym-pusht, which needs pymunk < 7, on the numpy and gymnasium of ours."""
    shared = (f"{name}=={version(name)}" for name in ("numpy", "gymnasium", "pygame"))
    return (f"gym-pusht=={GYM_PUSHT}", "pymunk==6.11.1", "shapely==2.2.0", *shared)


def install(folder: Path) -> Path:
    """Make the environment in `folder` unless it is there, and return its Python.

    Raises:
        UsageError: If the packages cannot be installed.
    """
    python = folder / "bin" / "python"
    done, wanted = folder / "installed.txt", "\n".join(requirements())
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"Installing gym-pusht {GYM_PUSHT} into {folder}, once", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    venv = [sys.executable, "-m", "venv", str(folder)]
    for command in (venv, [str(python), *pip, *requirements()]):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise UsageError(
                "gym-pusht could not be installed; without --peers everything else is measured. "
                f"The installation said:\n{ended.stderr.strip()}"
            )
    write_whole(done, wanted)
    return python


class GymPushT:
    """Plays a workload on gym-pusht, in a process that waits between rounds.

    A context manager; the process ends with it.

    Args:
        workload: What it plays.
        python: The Python that has gym-pusht; None installs one.
    """

    def __init__(self, workload: Workload, python: Path | None = None) -> None:
        python = python or install(cache_dir() / "peers" / "gym-pusht")
        self._folder = tempfile.TemporaryDirectory(prefix="dpbench-perf-")
        file = Path(self._folder.name) / "workload.npz"
        np.savez(file, starts=workload.starts, targets=workload.targets, singles=workload.singles)
        # Isolated, or this package's modules would come before those of the same name.
        self._process = subprocess.Popen(
            [str(python), "-I", str(_PLAYER), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def play(self, kind: Kind) -> tuple[float, float]:
        """See `benchmark.perf.pusht.Player.play`.

        Raises:
            RuntimeError: If the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{kind}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("{"):  # pygame greets on standard output
                answer = json.loads(line)
                return answer["seconds"], answer["coverage"]
        raise RuntimeError(
            f"gym-pusht ended with exit code {self._process.wait()}; its message is above"
        )

    def __enter__(self) -> GymPushT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

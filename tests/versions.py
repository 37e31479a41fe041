"""Which versions the environments work with: `python tests/versions.py FOLDER [NAME ...]`.

Each set of versions gets a virtual environment in FOLDER, where the tests of Push-T, of the linear
systems and of the vector environments run. Neither torch nor robosuite is installed: the
environments need none, and policies are tested with the versions of constraints.txt.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("numpy", "scipy", "pygame", "filelock", "tqdm", "zarr", "pooch")
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "shapely")
SHOWN = ("gymnasium", "pymunk", "numpy")
FILES = (
    "test_linear_system",
    "test_pusht_compiled",
    "test_pusht_env",
    "test_pusht_physics",
    "test_pusht_vector",
    "test_vector_gymnasium",
)


@dataclass(frozen=True)
class Versions:
    """A set of versions."""

    name: str
    python: str
    """As found on the PATH."""
    pins: tuple[str, ...] = ("gymnasium", "pymunk")


SETS = (
    Versions("oldest", "python3.11", ("gymnasium==1.1.0", "pymunk==6.11.1", "numpy==2.0.0")),
    Versions("python3.12", "python3.12"),
    Versions("newest", "python3.13"),
)


def run(versions: Versions, folder: Path) -> str:
    """Install and test a set; a row of the table."""
    home = folder / versions.name
    python = str(home / "bin" / "python")
    if not home.exists():
        subprocess.run([versions.python, "-m", "venv", str(home)], check=True)
    install = [python, "-m", "pip", "install", "-q", *versions.pins, *NEEDED, *TOOLS]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    names = ", ".join(["platform.python_version()", *(f"v({name!r})" for name in SHOWN)])
    ask = f"import platform; from importlib.metadata import version as v; print({names})"
    found = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    files = [f"tests/envs/{name}.py" for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "-W", "default", "--tb=short"]
    tested = subprocess.run(
        [python, "-m", "pytest", *options, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tested.returncode:
        print(tested.stdout, file=sys.stderr)
    result = tested.stdout.splitlines()[-1].split(" in ")[0]
    return f"| {versions.name} | {' | '.join(found.stdout.split())} | {result} |"


def main(folder: Path, names: list[str]) -> None:
    """Print the table."""
    print(f"| versions | Python | {' | '.join(SHOWN)} | tests |")
    print("|---|---|---|---|---|---|", flush=True)
    for versions in SETS:
        if not names or versions.name in names:
            print(run(versions, folder), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

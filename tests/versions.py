"""Which versions the suite passes with: `python tests/versions.py FOLDER [NAME ...]`.

Each set of versions gets a virtual environment in FOLDER, or the one that is there, and the whole
suite runs in it. Warnings are no errors there: others' packages warn of each other's versions.
"""

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("gymnasium", "pymunk", "numpy", "torch", "robosuite", "mujoco", "zarr")
OPTIONS = ("-q", "-n", "2", "-W", "default", "-p", "no:cacheprovider", "--tb=short")


@dataclass(frozen=True)
class Versions:
    """A set of versions."""

    name: str
    python: str
    """As found on the PATH."""
    is_lowest: bool = False
    """Whether every package is as old as pyproject.toml allows; else as new as there is."""


SETS = (
    Versions("oldest", "python3.11", is_lowest=True),
    Versions("middle", "python3.12"),
    Versions("newest", "python3.13"),
)


def requirements(extra: str = "dev") -> list[str]:
    """What the project and one of its extras ask for, extras of its own resolved."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def resolved(asked: list[str]) -> list[str]:
        found = []
        for each in asked:
            own = re.fullmatch(r"dpbench\[(\w+)\]", each)
            found += resolved(project["optional-dependencies"][own[1]]) if own else [each]
        return found

    return resolved([*project["dependencies"], f"dpbench[{extra}]"])


def lowest(requirement: str) -> str:
    """A requirement as the oldest version that it allows; as it is if it allows any."""
    bound = re.match(r"([\w.\-]+)>=([\w.]+)", requirement)
    return f"{bound[1]}=={bound[2]}" if bound else requirement


def run(versions: Versions, folder: Path) -> str:
    """Install and test a set; a row of the table."""
    home = folder / versions.name
    python = str(home / "bin" / "python")
    if not home.exists():
        asked = requirements()
        subprocess.run([versions.python, "-m", "venv", str(home)], check=True)
        install = [python, "-m", "pip", "install", "-q"]
        packages = [lowest(each) for each in asked] if versions.is_lowest else asked
        subprocess.run([*install, *packages], check=True, stdout=subprocess.DEVNULL)
        # The one version that there is, without pynput: see pyproject.toml.
        subprocess.run([*install, "--no-deps", "robosuite==1.5.1", "-e", str(ROOT)], check=True)
    names = ", ".join(["platform.python_version()", *(f"v({name!r})" for name in SHOWN)])
    ask = f"import platform; from importlib.metadata import version as v; print({names})"
    found = subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True)
    tested = subprocess.run(
        [python, "-m", "pytest", *OPTIONS, "tests"],
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
    print("|---" * (len(SHOWN) + 3) + "|", flush=True)
    for versions in SETS:
        if not names or versions.name in names:
            print(run(versions, folder), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

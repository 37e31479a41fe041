"""The three packages: where they come from, what they may know of, how long their files are."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import METHODS
from benchmark.plan import request
from benchmark.plan.presets import PRESETS
from envs.control import Control
from envs.demos.sources import Source
from tests import wings

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("benchmark", "envs", "baselines")
FILES = sorted(path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py"))
LONGEST = 450


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_imported_from_this_checkout(package: str) -> None:
    """Their names are generic: another installed package could take their place unseen."""
    file = importlib.import_module(package).__file__
    assert file is not None
    assert Path(file).resolve().parent == REPOSITORY / package


IMPORT_ALL = """
import importlib, pathlib, sys
package, *strangers = sys.argv[1:]
for path in sorted(pathlib.Path(package).rglob("*.py")):
    name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name.split(".")[0] not in ("pooch", "zarr", "ray"):  # optional
            raise
print(*sorted(s for s in strangers if s in sys.modules))
"""


def strangers_loaded(package: str, *strangers: str) -> list[str]:
    """Which of `strangers` are loaded once every module of a package has been imported."""
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package, *strangers],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_environments_know_neither_torch_nor_policies() -> None:
    assert strangers_loaded("envs", "torch", "baselines", "benchmark", "numpy") == ["numpy"]


def test_policies_know_no_simulator_and_no_benchmark() -> None:
    strangers = ("gymnasium", "pymunk", "pygame", "mujoco", "robosuite", "envs", "benchmark")
    assert strangers_loaded("baselines", *strangers, "torch") == ["torch"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_file_is_too_long_to_be_read_from_top_to_bottom(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_the_command_line_imports_nothing_heavy_and_the_doctor_the_standard_library() -> None:
    heavy = {"torch", "scipy", "pandas", "matplotlib", "pyarrow", "gymnasium", "numpy"}
    for module, allowed in (("benchmark.cli", {"tyro"}), ("benchmark.commands.doctor", set())):
        loaded = subprocess.run(
            [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert not heavy & set(loaded)
        packages = {name.split(".")[0] for name in loaded}
        assert ("tyro" in packages) is ("tyro" in allowed)


def test_what_can_be_asked_for_is_what_there_is() -> None:
    assert request.Control == Control
    assert request.Source == Source
    assert tuple(PRESETS) == request.PRESET_NAMES
    assert all(set(PRESETS[name]) == set(METHODS) for name in PRESETS)


def test_each_wing_imports_only_those_below_it() -> None:
    assert wings.upward() == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert wings.circle() == []


def test_an_import_upward_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wings, "ORDER", wings.ORDER[::-1])
    assert "benchmark/cli.py imports benchmark.errors" in wings.upward()


def test_no_file_is_named_after_nothing() -> None:
    empty_names = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert not empty_names & {path.name for path in FILES}

"""Methods and tasks of other packages: each is loaded alone, and a broken one stops nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from baselines.agent import agent_class
from baselines.bc_mlp import BcMlp
from baselines.plugins import AGENTS, TASKS, broken_plugins, load_plugin, plugin_names

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages: one works, of the other a module is gone."""
    for name, target in (("fine", "baselines.bc_mlp:BcMlp"), ("old", "a_module_that_is_gone:X")):
        info = tmp_path / f"{name}_pack-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-pack\nVersion: 0.1\n")
        groups = [AGENTS] if name == "fine" else [AGENTS, TASKS]
        (info / "entry_points.txt").write_text(
            "".join(f"[{group}]\n{name} = {target}\n" for group in groups)
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("site")
def test_a_plugin_is_loaded_by_name_whatever_is_wrong_with_others() -> None:
    assert plugin_names(AGENTS) == ["fine", "old"]
    assert load_plugin(AGENTS, "fine") is BcMlp
    assert load_plugin(AGENTS, "none") is None
    assert agent_class("diffusion-unet").name == "diffusion-unet"


@pytest.mark.usefixtures("site")
def test_a_broken_plugin_that_is_named_says_which_package_and_why() -> None:
    with pytest.raises(ValueError, match=r"'old' of old-pack 0\.1 .* ModuleNotFoundError"):
        agent_class("old")
    assert len(broken_plugins()) == 2


@pytest.mark.parametrize(
    ("command", "code", "is_named"),
    [
        (["list"], 0, True),
        (["doctor"], 1, True),
        (["bench", "--preset", "smoke", "--dry-run"], 0, False),
        (["bench", "--task", "old", "--dry-run"], 2, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_work_beside_a_broken_plugin_and_name_it(
    site: Path, tmp_path: Path, command: list[str], code: int, is_named: bool
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark", *command],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(site), "DPBENCH_RUNS": str(tmp_path / "runs")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ("old-pack" in ended.stdout + ended.stderr) is is_named

"""`export`: what stands beside a policy that is written to be shipped."""

import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from benchmark.commands import export
from benchmark.errors import UsageError
from benchmark.play.policies import load_policy, shipped_folder


def test_the_page_of_an_exported_policy_says_a_command_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    played = pd.DataFrame({"seed": [200_000], "is_success": True, "score": 1.0, "length": 9})
    monkeypatch.setattr(export, "_play", lambda *_: played)
    folder = tmp_path / "my policy"
    assert export.export_command("shipped", folder, 1, None, "command") == 0
    lines = (folder / "README.md").read_text().splitlines()
    (command,) = [line.strip() for line in lines if line.startswith("    ")]
    assert f"Watch it: {command}" in capsys.readouterr().out
    *words, policy = shlex.split(command)
    assert words == ["python", "-m", "benchmark", "play", "--policy"]
    assert load_policy(policy).folder == folder


def test_a_config_that_does_not_say_how_it_was_trained_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    shutil.copytree(shipped_folder("pusht") / "checkpoint", run / "checkpoint")
    told = json.loads((shipped_folder("pusht") / "config.json").read_text())
    del told["seed"]
    (run / "config.json").write_text(json.dumps(told))
    with pytest.raises(UsageError, match=r"config\.json is not a readable config of a cell"):
        export.export_command(str(run), tmp_path / "to", 1, None, "make export")
    assert not (tmp_path / "to").exists()

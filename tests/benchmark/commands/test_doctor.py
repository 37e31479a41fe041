"""What the doctor finds in a working installation and in broken ones."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from benchmark.commands import doctor
from benchmark.commands.doctor import Check, Finding, doctor_command, examine


def found(check: Check) -> list[Finding]:
    return list(examine([check]))


def levels(check: Check) -> list[str]:
    return [finding.level for finding in found(check)]


@pytest.fixture(autouse=True)
def writable_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))


def test_a_working_installation_has_no_failure_and_exit_code_0(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert doctor_command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Nothing is broken."
    assert sum(line.startswith("ok ") for line in lines) >= len(doctor.CHECKS)


def test_looking_at_folders_makes_none(tmp_path: Path) -> None:
    assert levels(doctor.check_folders) == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_cache_folder_that_cannot_be_written_is_a_failure_with_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_folders,))
    assert doctor_command() == 1
    out = capsys.readouterr().out
    assert f"fail  cache {tmp_path}/file/cache cannot be written: Not a directory" in out
    assert "-> set DPBENCH_CACHE to a folder of yours" in out
    assert "ok    run store" in out


def test_a_full_disk_is_a_warning_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE", 1e9)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_folders,))
    assert levels(doctor.check_folders) == ["warn", "warn"]
    assert doctor_command() == 0


def test_a_check_that_raises_is_a_failure_and_the_others_go_on() -> None:
    def check_engine() -> Iterator[Finding]:
        """The engine."""
        raise OSError("no fuel")
        yield

    findings = list(examine([check_engine, doctor.check_python]))
    assert [finding.level for finding in findings] == ["fail", "ok"]
    assert findings[0].text == "The engine: OSError: no fuel"
    assert findings[0].advice


def test_a_package_of_the_same_name_from_elsewhere_is_a_failure_that_names_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = tmp_path / "envs"
    stranger.mkdir()
    (stranger / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (finding,) = found(doctor.check_origin)
    assert finding.level == "fail"
    assert str(stranger) in finding.text
    assert str(doctor.ROOT / "envs") in finding.text


@pytest.mark.parametrize("name", ["envs", "baselines"])
@pytest.mark.parametrize("command", [["doctor"], ["list"]], ids=str)
def test_in_a_folder_with_a_package_of_ours_by_name_commands_say_so_and_end(
    tmp_path: Path, name: str, command: list[str]
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(doctor.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == (1 if command == ["doctor"] else 2)
    assert f"the package {name} is taken from" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_version_that_was_never_tested_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "constraints.txt").write_text("numpy==0.1\npymunk==" + metadata.version("pymunk"))
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    (finding,) = found(doctor.check_packages)
    assert finding.level == "warn"
    assert f"numpy {metadata.version('numpy')} (tested 0.1)" in finding.text
    assert "pymunk" not in finding.text


def test_a_missing_package_is_a_failure_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["tyro>=0.9", "no-such-package>=1", "absent; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    first = found(doctor.check_packages)[0]
    assert (first.level, first.text) == ("fail", "missing packages: no-such-package")


def test_pygame_ce_over_pygame_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda n: "2.5.6" if n == "pygame-ce" else real(n))
    assert levels(doctor.check_pygame) == ["fail"]


def test_an_engine_that_starts_episodes_elsewhere_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "GOLDEN_STATE", (222.0, 97.0, 223.0, 381.6, 3.0))
    (finding,) = found(doctor.check_pusht)
    assert finding.level == "fail"
    assert "222.993827" in finding.text


def test_an_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_PYTHON", (9, 0))
    (finding,) = found(doctor.check_python)
    assert (finding.level, finding.advice) == ("fail", "use Python 9.0 or newer")

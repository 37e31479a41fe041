"""Every wrong call ends with exit code 2, in words, and before any work."""

import shlex
import sys
from pathlib import Path

import pytest

from tests.benchmark.wrong_calls import WRONG_CALLS, code_of, nothing_works


@pytest.mark.parametrize(("call", "message"), WRONG_CALLS, ids=lambda text: text[:60])
def test_a_wrong_call_is_refused_and_says_what_is_right(
    call: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    nothing_works(monkeypatch, tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert code_of(shlex.split(call)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "runs").exists()


def test_a_network_of_a_package_that_is_not_here_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing_works(monkeypatch, tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    call = "bench --task pusht-image --methods diffusion-unet --control position --preset smoke"
    model = "encoder.model=timm:vit_tiny_patch16_224"
    assert code_of([*shlex.split(call), "--set", model]) == 2
    error = capsys.readouterr().err
    assert f"{model} needs timm, which is not installed" in error
    assert "pip install -c constraints.txt 'dpbench[timm]'" in error


def test_the_words_of_one_flag_are_not_proposed_for_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert code_of(["compare", "bet", "--preset", "smoke"]) == 2
    error = capsys.readouterr().err
    assert "Required options" in error
    assert "did you mean" not in error  # 'smoke' is near to the 'score' of another flag

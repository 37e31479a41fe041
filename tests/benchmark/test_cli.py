"""The command line: exit codes, and errors that help without a traceback."""

import subprocess
import sys
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

import benchmark.commands.bench
import benchmark.plan.sweep
from baselines.plugins import AGENTS
from benchmark.cli import main
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations

TINY = ["--preset", "smoke", "--methods", "diffusion-unet", "--control", "position"]
FEW_UPDATES = ["--set", "train.updates=2", "agent.channels=[8]", "agent.groups=4"]


@pytest.fixture(autouse=True)
def store(
    three_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DPBENCH_DEVICE", "")  # what --device sets is forgotten after a test
    return tmp_path / "runs"


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(trainer: Trainer) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr(Trainer, "step", refuse)


def test_the_list_names_tasks_methods_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in ("pusht", "dpbench/PushT-v1", "keypoints", "diffusion-unet", "smoke", "paper"):
        assert name in printed


def test_the_list_names_methods_of_other_packages(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("stranger", "baselines.bc_mlp:BcMlp", AGENTS)
    monkeypatch.setattr(metadata, "entry_points", lambda group, **_: [entry] * (group == AGENTS))
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "  of other packages: stranger"


@pytest.mark.usefixtures("store")
def test_settings_may_be_given_together_or_one_flag_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = ["train.updates=7", "agent.channels=[8]"]
    together = ["bench", *TINY, "--set", *changes, "--dry-run"]
    apart = ["bench", "--set", changes[0], *TINY, "--set", changes[1], "--dry-run"]
    assert main(together) == 0
    expected = capsys.readouterr().out
    assert "7 updates" in expected
    assert main(apart) == 0
    assert capsys.readouterr().out == expected


def test_a_policy_is_trained_on_the_device_that_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # it would be taken, and fail
    options = [*FEW_UPDATES, "--episodes", "1", "--action-horizon", "8", "--device", "cpu"]
    assert main(["bench", *TINY, *options]) == 0
    assert "at a time, on cpu" in capsys.readouterr().out


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "--task", "push-t"], "no task 'push-t'; tasks: "),
        (["bench", "--preset", "fast"], "no preset 'fast'; presets: smoke, quick, laptop, paper"),
        (["bench", "--methods", "dp"], "no method 'dp'; methods: "),
        (["bench", "--obs-type", "depth"], "pusht has no obs_type 'depth'; allowed: keypoints"),
        (["bench", "--num-demonstrations", "0"], "num_demonstrations is 0; allowed: 1 or more"),
        (["bench", "--episodes", "0"], "episodes is 0; allowed: 1 or more"),
        (["bench", "--workers", "0"], "workers is 0; allowed: 1 or more"),
        (["bench", *TINY, "--device", "gpu"], "no device 'gpu' on this machine; devices: "),
        (["run", "pusht", "bet", "--obs-type", "depth"], "pusht has no obs_type 'depth'; allowed"),
        (["bench", "--latency", "-1"], "latency is -1; allowed: 0 or more"),
        (["bench", *TINY, "--set", "train.update=3"], "no setting 'train.update'; settings there"),
        (["bench", *TINY, "--set", "train.updates"], "--set 'train.updates': write NAME=VALUE"),
        (["bench", *TINY, "--set", "train.updates=x"], "train.updates=x: expected int"),
        (["bench", "--data", "human", "--data-path", "nowhere.npz"], "nowhere.npz"),
        (["bench", "--data-path", "mine.npz"], "scripted demonstrations come from no file"),
        (["run", "push-t", "diffusion-unet"], "no task 'push-t'"),
        (["run", "pusht", "dp"], "no method 'dp'; methods: "),
        (["report", "--task", "push-t"], "no task 'push-t'; tasks: "),
        (["demos", "push-t"], "no task 'push-t'; tasks: "),
        (["demos", "pusht", "--from", "nowhere.zip"], "nowhere.zip"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_mistake_ends_with_code_2_and_says_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "--task", "can", "--set", "train.update=3"], "no setting 'train.update'"),
        (["bench", "--task", "can", "--methods", "ibc", "dp"], "no method 'dp'"),
        (["bench", "--task", "can", "--latency", "-1"], "latency is -1"),
        (["run", "can", "ibc-informed", "--set", "agent.shaken_share=2"], "shaken_share is 2.0"),
        (["search", "can", "ibc", "", "train.update=3"], "no setting 'train.update'"),
        (["search", "can", "ibc", "", "eval.horizon=3"], "eval.horizon=3: write eval.NAME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_settings_is_said_before_demonstrations_are_generated(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        benchmark.plan.sweep,
        "load_demonstrations",
        lambda *_: pytest.fail("demonstrations were made"),
    )
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["bench", "--presets", "smoke"], ["bench", "--control", "torque"], ["run", "pusht"]],
    ids=" ".join,
)
def test_an_unknown_option_or_choice_ends_with_code_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


@pytest.mark.parametrize(("succeeded", "code"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("command", [["bench"], ["run", "pusht", "diffusion-unet"]])
def test_cells_that_failed_end_with_code_1(
    command: list[str], succeeded: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark.commands.bench, "bench", lambda *_, **__: succeeded)
    assert main(command) == code


def test_an_interruption_ends_with_code_130_and_the_same_command_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", *TINY, *FEW_UPDATES, "agent.num_inference_steps=1", "--episodes", "1"]
    command += ["--action-horizon", "8"]
    step = Trainer.step

    def interrupted(trainer: Trainer) -> None:
        if trainer.update == 1:
            raise KeyboardInterrupt
        step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        assert main(command) == 130
    assert "the same command continues where it stopped" in capsys.readouterr().err
    assert main(command) == 0
    assert len(list(store.glob("*/episodes/*.parquet"))) == 1


@pytest.mark.usefixtures("no_training")
def test_a_dry_run_lists_cells_and_states_and_runs_nothing(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "--preset", "smoke", "--methods", "diffusion-unet", "--seeds", "42", "43"]
    assert main([*command, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    for line, (seed, control) in zip(
        lines, [(s, c) for s in (42, 43) for c in ("position", "velocity")], strict=True
    ):
        assert line.startswith(f"to do    pusht-scripted-diffusion-unet-{control}-s{seed}-")
        assert line.endswith("updates")
    assert not store.exists()


def test_a_fault_of_ours_is_not_passed_off_as_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object, **__: object) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(benchmark.commands.bench, "bench", faulty)
    with pytest.raises(ValueError, match="a bug"):
        main(["bench"])


def test_the_module_ends_with_the_exit_code_and_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark", "bench", "--task", "push-t"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: no task 'push-t'; tasks: ")
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""


def test_a_reader_that_has_enough_ends_a_command_without_a_traceback() -> None:
    started = subprocess.Popen(
        [sys.executable, "-m", "benchmark", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    started.stdout.close()
    assert started.stderr is not None
    with started.stderr as error:
        assert error.read() == ""
    assert started.wait(timeout=60) == 1

"""What `perf` measures, with as few repetitions as there can be, and the table it makes of it."""

import dataclasses
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmark.errors import UsageError
from benchmark.perf import measure as perf
from benchmark.perf import peers as perf_peers
from benchmark.perf import timing
from benchmark.perf.measure import OURS, PEER
from benchmark.perf.pusht import KINDS, Kind, OwnPlayer, Workload, make_workload, take_turns
from benchmark.perf.timing import Effort, Measurement
from benchmark.plan.config import Cell
from envs.demos.demonstrations import Demonstrations
from envs.pusht.vector import PushTVectorEnv

CPU = torch.device("cpu")
LEAST = Effort(rounds=1, seconds=0.0, block_seconds=0.0, episodes=3, length=40)


class FakePlayer:
    """Takes as long as it is told to, and claims the coverage that it is told to."""

    def __init__(self, seconds: list[float], covered: float = 1.0) -> None:
        self.seconds, self.covered = iter(seconds), covered

    def play(self, _kind: Kind) -> tuple[float, float]:
        return next(self.seconds), self.covered


@pytest.fixture(scope="module")
def workload() -> Workload:
    return make_workload(episodes=3, length=40, singles=2)


@pytest.fixture(scope="module")
def demos(workload: Workload) -> Demonstrations:
    return workload.demonstrations()


@pytest.fixture(scope="module")
def cell(demos: Demonstrations) -> Cell:
    """The smoke preset's policy, with one denoising step so that its evaluation takes no time."""
    smoke = perf.cells("smoke", demos)[0]
    return dataclasses.replace(smoke, agent=dataclasses.replace(smoke.agent, num_inference_steps=1))


@pytest.fixture
def one_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "LEAST_REPETITIONS", 1)


def test_the_default_workload_pushes_the_block_over_the_goal_without_ever_succeeding() -> None:
    work = make_workload()
    env = PushTVectorEnv(50)
    env.reset(options={"state": work.starts, "order": "position-first"})
    infos = [env.step(targets)[4] for targets in work.targets]
    assert np.mean([info["n_contacts"] > 0 for info in infos]) > 0.5
    assert np.mean([info["coverage"] > 0 for info in infos]) > 0.8
    assert not np.any([info["is_success"] for info in infos])


def test_a_workload_is_the_same_every_time_and_its_states_follow_from_its_targets(
    workload: Workload,
) -> None:
    again = make_workload(episodes=3, length=40)
    assert np.array_equal(workload.targets, again.targets)
    env = PushTVectorEnv(3, "state")
    state = env.reset(options={"state": workload.starts, "order": "position-first"})[0]
    for states, targets in zip(workload.states, workload.targets, strict=True):
        assert np.array_equal(states, state)
        state = env.step(targets)[0]


def test_a_workload_longer_than_an_episode_is_refused() -> None:
    with pytest.raises(ValueError, match="length is 301; allowed: 1 to 300"):
        make_workload(length=301)


def test_single_and_batched_tables_do_the_same_work(workload: Workload) -> None:
    everything = dataclasses.replace(workload, singles=3)
    player = OwnPlayer(everything)
    single, batched = player.play("single"), player.play("batched")
    assert single[0] > 0
    assert batched[0] > 0
    assert single[1] == pytest.approx(batched[1], rel=1e-12)
    assert everything.steps("single") == everything.steps("batched") == 120
    assert workload.steps("single") == 80


def test_steps_a_second_and_ratios_are_taken_round_by_round_without_the_first(
    workload: Workload,
) -> None:
    ours = FakePlayer([9.0, 9.0, 2.0, 1.0, 4.0, 1.0])
    peer = FakePlayer([1.0, 1.0, 8.0, 20.0, 12.0, 10.0])
    players = {OURS: ours, PEER: peer}
    rows = perf.environments(workload, players, dataclasses.replace(LEAST, rounds=2))
    assert [(row.how, row.unit, row.values) for row in rows] == [
        (OURS, "steps/s", (40.0, 20.0)),
        (PEER, "steps/s", (10.0, 80 / 12)),
        (f"{OURS} / {PEER}", "times", pytest.approx((4.0, 3.0))),
        (OURS, "steps/s", (120.0, 120.0)),
        (PEER, "steps/s", (6.0, 12.0)),
        (f"{OURS} / {PEER}", "times", pytest.approx((20.0, 10.0))),
    ]
    assert {row.threads for row in rows} == {1}


def test_players_that_report_different_coverage_are_not_compared(workload: Workload) -> None:
    players = {"a": FakePlayer([1.0] * 4, 500.0), "b": FakePlayer([1.0] * 4, 500.01)}
    with pytest.raises(RuntimeError, match="different coverage"):
        take_turns(workload, players, rounds=1)


def test_a_player_of_another_process_plays_the_workload_it_was_given(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "player.py"
    script.write_text(
        "import json, sys\n"
        "import numpy as np\n"
        "work = np.load(sys.argv[1])\n"
        "print('a greeting')\n"
        "for line in sys.stdin:\n"
        "    seconds = len(work['starts']) if line == 'batched\\n' else int(work['singles'])\n"
        "    answer = {'seconds': seconds, 'coverage': work['targets'].sum()}\n"
        "    print(json.dumps(answer), flush=True)\n"
    )
    monkeypatch.setattr(perf_peers, "_PLAYER", script)
    with perf_peers.GymPushT(workload, Path(sys.executable)) as peer:
        assert [peer.play(kind)[0] for kind in KINDS] == [2, 3]
        assert peer.play("single")[1] == pytest.approx(workload.targets.sum())


def test_a_player_whose_process_ends_is_an_error(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "player.py"
    script.write_text("import sys\nsys.stdin.readline()\nsys.exit(3)\n")
    monkeypatch.setattr(perf_peers, "_PLAYER", script)
    with (
        perf_peers.GymPushT(workload, Path(sys.executable)) as peer,
        pytest.raises(RuntimeError, match="ended with exit code 3"),
    ):
        peer.play("single")


def test_gym_pusht_is_installed_once_and_again_when_a_version_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(" ".join(command))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(perf_peers.subprocess, "run", run)
    for _ in range(2):
        assert perf_peers.install(tmp_path / "peer") == tmp_path / "peer" / "bin" / "python"
    made, installed = commands
    assert made.endswith(f"-m venv {tmp_path / 'peer'}")
    assert "install" in installed
    assert f"gym-pusht==0.1.8 pymunk==6.11.1 shapely==2.2.0 numpy=={np.__version__}" in installed
    monkeypatch.setattr(perf_peers, "requirements", lambda: ("gym-pusht==0.2",))
    perf_peers.install(tmp_path / "peer")
    assert commands[3].endswith("gym-pusht==0.2")


def test_an_installation_that_fails_says_why_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1, stderr="no route to host")
    monkeypatch.setattr(perf_peers.subprocess, "run", lambda *_, **__: failed)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"without --peers(.|\n)*no route to host"):
            perf_peers.install(tmp_path / "peer")


def test_training_is_told_in_updates_and_in_samples(cell: Cell, demos: Demonstrations) -> None:
    update, samples, share = perf.training(cell, demos, CPU, dataclasses.replace(LEAST, rounds=2))
    assert (update.unit, samples.unit, share.unit) == ("ms/update", "samples/s", timing.RATE_SHARE)
    assert all(0 < value < 150 for value in share.values)  # the rate may be that of a busy moment
    assert update.how == samples.how == "diffusion-unet, batch 64"
    assert len(update.values) == 2
    assert all(0 < value < math.inf for value in update.values)
    assert [64 * 1e3 / value for value in update.values] == pytest.approx(samples.values)


@pytest.mark.parametrize(("narrow", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_rate_is_that_of_the_products_that_trainings_use_here(
    narrow: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiplied = []
    monkeypatch.setattr(timing, "SIDE", 8)
    monkeypatch.setattr(timing, "multiplies_bfloat16", lambda _: narrow)
    monkeypatch.setattr(torch, "mm", lambda left, _: multiplied.append(left.dtype))
    assert timing.product_rate(CPU) > 0
    assert set(multiplied) == {dtype}


def test_products_of_an_lstm_are_counted_as_those_of_the_same_cells_written_out() -> None:
    module, x = torch.nn.LSTM(10, 32, 2, batch_first=True), torch.randn(4, 7, 10)
    counted = timing.products(module, lambda: module(x)[0].sum().backward())
    # Of each step: inputs and hidden state times the weights; twice as much for the gradients.
    assert counted == 3 * 2 * 4 * 7 * sum(p.numel() for p in module.parameters() if p.ndim == 2)


def test_training_is_timed_on_as_many_threads_as_it_is_told(
    cell: Cell, demos: Demonstrations
) -> None:
    before = torch.get_num_threads()
    rows = perf.training(cell, demos, CPU, dataclasses.replace(LEAST, rounds=1), 3)
    assert {row.threads for row in rows} == {3}
    assert torch.get_num_threads() == before


def test_trainings_are_timed_as_sweeps_run_them_and_one_preset_on_all_cores_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert perf.training_threads("quick", CPU) == [1]
    assert perf.training_threads("laptop", CPU) == [1, 4]
    assert perf.training_threads("laptop", torch.device("cuda")) == [None]


@pytest.mark.usefixtures("one_repetition")
def test_predictions_are_timed_alone_on_one_thread_and_in_a_batch_with_every_sampler(
    cell: Cell, demos: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(perf, "SAMPLERS", (("ddpm", 8), ("ddim", 1)))
    rows = perf.predictions(cell, demos, CPU, LEAST)
    assert [(row.what, row.how) for row in rows] == [
        ("prediction, batch 1", "diffusion-unet, 8 DDPM steps"),
        ("prediction, batch 1", "diffusion-unet, 1 DDIM steps"),
        ("prediction, batch 3", "diffusion-unet, 8 DDPM steps"),
        ("prediction, batch 3", "diffusion-unet, 1 DDIM steps"),
    ]
    assert [row.threads for row in rows] == [1, 1, *[torch.get_num_threads()] * 2]
    assert all(0 < value < math.inf for row in rows for value in row.values)


@pytest.mark.usefixtures("one_repetition")
def test_an_evaluation_is_timed_in_seconds(cell: Cell, demos: Demonstrations) -> None:
    (row,) = perf.evaluations(cell, demos, CPU, LEAST)
    assert (row.what, row.how) == ("evaluation, 3 episodes", "diffusion-unet, 1 DDIM steps")
    assert row.unit == "s"
    assert 0 < row.values[0] < math.inf


def test_repetitions_go_on_until_the_time_is_spent_and_the_first_call_is_not_counted() -> None:
    calls = []
    times = perf.repeat(lambda: calls.append(time.sleep(0.01)), 0.05)
    assert 3 <= len(times) <= 6
    assert sum(times) >= 0.05
    assert len(calls) == len(times) + 1
    assert len(perf.repeat(lambda: time.sleep(0.01), 0.0)) == timing.LEAST_REPETITIONS


def test_threads_are_what_they_were_afterwards() -> None:
    before = torch.get_num_threads()
    with perf.threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_a_row_shows_median_lowest_and_highest_with_unit_threads_and_repetitions() -> None:
    rates = Measurement("Push-T", OURS, "steps/s", (12345.6, 10.0, 20000.0), 1)
    times = Measurement("prediction", "laptop", "s", (0.04567, 0.05), 2, "cuda")
    shown = perf.table([rates, times], load=0.0)
    assert shown.rows == (
        ("Push-T", OURS, "12,346", "10", "20,000", "steps/s", "1", "cpu", "3"),
        ("prediction", "laptop", "0.0478", "0.0457", "0.05", "s", "2", "cuda", "2"),
    )
    assert shown.breaks == {1}


def test_a_busy_machine_is_noted() -> None:
    row = Measurement("Push-T", OURS, "steps/s", (1.0,), 1)
    assert not any("load average" in note for note in perf.table([row], 0.1).notes)
    assert "load average was 1.5 a core" in perf.table([row], 1.5).notes[-1]


def test_the_command_prints_the_table_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Measurement("Push-T", OURS, "steps/s", (1.0, 2.0, 4.0), 1)
    asked = []
    monkeypatch.setattr(perf, "measure", lambda *arguments: asked.append(arguments) or [row])
    perf.perf_command(peers=True, out=tmp_path)
    assert asked == [(Effort(), True, False, None)]
    assert "What this machine does" in capsys.readouterr().out
    data = pd.read_csv(tmp_path / "perf.csv")
    assert data.loc[0, ["median", "lowest", "highest", "threads"]].tolist() == [2.0, 1.0, 4.0, 1]
    assert (tmp_path / "perf.md").is_file()

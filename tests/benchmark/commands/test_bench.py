"""A sweep from demonstrations to the report, with cells of two updates."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import benchmark.commands.bench
import benchmark.commands.video
import benchmark.running.machine
from benchmark.commands.bench import bench, show_plan
from benchmark.errors import UsageError
from benchmark.plan.config import Cell
from benchmark.plan.request import BenchConfig
from benchmark.plan.sweep import evaluation, plan
from benchmark.play.policies import Trained
from benchmark.running.evidence import keep_cell
from benchmark.running.references import Replay
from benchmark.running.rollout import AgentPolicy, HoldStill
from benchmark.running.store import Run
from benchmark.running.train import Trainer
from envs.demos import sources
from envs.demos.demonstrations import Demonstrations

CONFIG = BenchConfig(
    preset="smoke",
    methods=("diffusion-unet",),
    episodes=2,
    workers=1,  # in this process, where the tests patch what trains
    set=(
        "train.updates=2",
        "train.batch_size=8",
        "agent.channels=[8]",
        "agent.groups=4",
        "agent.num_inference_steps=1",
    ),
)
COMMAND = "python -m benchmark bench --preset smoke"


@dataclass(frozen=True)
class Swept:
    """What one call gave."""

    store: Path
    succeeded: bool
    printed: str


def run_sweep(config: BenchConfig, store: Path) -> Swept:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        succeeded = bench(config, store, [COMMAND])
    return Swept(store, succeeded, printed.getvalue())


@pytest.fixture(scope="module")
def swept(cache_of_three: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swept]:
    """Both control modes, run once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPBENCH_CACHE", str(cache_of_three))
        patch.setattr(sources, "NUM_SCRIPTED", 3)
        yield run_sweep(CONFIG, tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def _three_demonstrations(three_demonstrations: Demonstrations) -> None:
    """All that the scripted source has in these tests."""


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever trains a policy, or asks one or a reference for actions, fails."""

    def refuse(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(Trainer, "step", refuse)
    for player in (AgentPolicy, Replay, HoldStill):
        monkeypatch.setattr(player, "predict", refuse)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take longer than all the rest and are tested elsewhere."""
    monkeypatch.setattr(benchmark.commands.bench, "write_report", lambda *_: "report.html")


def cells_of(config: BenchConfig) -> list[Cell]:
    return plan(config)


def test_a_sweep_ends_in_a_table_of_all_cells_between_two_references(
    swept: Swept,
) -> None:
    assert swept.succeeded
    table = swept.printed.rsplit("[2/2]")[1]
    assert table.count("diffusion-unet") >= 2
    for name in ("position", "velocity", "demonstrations, replayed", "hold-still"):
        assert name in table


def test_a_sweep_writes_a_report_that_says_which_command_made_it(swept: Swept) -> None:
    folder = swept.store / "reports" / "pusht-scripted-smoke"
    page = Path(swept.printed.rsplit("Report: ")[1].strip())
    assert page.parent == folder
    assert COMMAND in page.read_text()
    results = pd.read_csv(folder / "results.csv")
    assert set(results["method"]) == {"demonstrations, replayed", "hold-still", "diffusion-unet"}


def test_every_cell_leaves_config_history_policy_and_episodes(swept: Swept) -> None:
    cells = cells_of(CONFIG)
    assert [cell.control for cell in cells] == ["position", "velocity"]
    for cell in cells:
        run = Run(cell, swept.store)
        assert Cell.from_json((run.folder / "config.json").read_text()) == cell
        assert run.history()["update"].tolist() == [1, 2]
        assert run.agent().config.channels == (8,)
        episodes = run.episodes(evaluation(CONFIG, cell))
        assert episodes["seed"].tolist() == [300_000, 300_001]
        assert set(episodes["control"]) == {cell.control}
        assert set(episodes["inference_steps"]) == {1}
        assert np.isfinite(episodes["score"]).all()
        assert episodes["length"].between(1, 300).all()


@pytest.mark.usefixtures("no_work", "no_report")
def test_the_same_sweep_again_computes_nothing(swept: Swept) -> None:
    again = run_sweep(CONFIG, swept.store)
    assert again.succeeded
    table = "Results on pusht"
    assert "about" not in again.printed.split(table)[0]  # nothing is left to wait for
    assert (
        again.printed.split(table)[1].split("Report")[0]
        == (swept.printed.split(table)[1].split("Report")[0])
    )


@pytest.mark.usefixtures("no_work")
def test_a_table_says_which_settings_of_the_preset_were_changed(
    swept: Swept, tmp_path: Path
) -> None:
    result = run_sweep(replace(CONFIG, out=tmp_path), swept.store)
    label = "smoke with train.updates=2 train.batch_size=8 agent.channels=[8]"
    assert f"preset {label}" in " ".join(result.printed.split())
    presets = pd.read_csv(tmp_path / "results.csv")["preset"]
    assert presets.str.startswith(label).all()
    assert BenchConfig(preset="quick").label == "quick"


@pytest.fixture
def committed(swept: Swept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Both cells of the sweep, committed; their runs are elsewhere."""
    monkeypatch.setenv("DPBENCH_EVIDENCE", str(tmp_path / "evidence"))
    cells = cells_of(CONFIG)
    for cell in cells:
        keep_cell(Run(cell, swept.store))
    return cells


@pytest.mark.usefixtures("no_work")
def test_committed_policies_stand_in_the_table_when_asked_for_and_are_marked(
    swept: Swept, committed: list[Cell], tmp_path: Path
) -> None:
    own = replace(CONFIG, control=("position",), out=tmp_path / "page")
    assert run_sweep(own, swept.store).printed.count("velocity") == 0
    assert run_sweep(replace(own, with_evidence=True), swept.store).succeeded
    results = pd.read_csv(tmp_path / "page" / "results.csv")
    rows = results[results["method"] == "diffusion-unet"].set_index("control")["preset"]
    assert rows["velocity"] == "smoke, committed"
    assert rows["position"].startswith("smoke with ")


@pytest.mark.usefixtures("committed", "no_report")
def test_a_bench_runs_what_it_is_asked_for_whatever_is_committed(tmp_path: Path) -> None:
    (cell,) = cells_of(replace(CONFIG, control=("position",)))
    show = replace(CONFIG, control=("position",))
    assert run_sweep(show, tmp_path / "fresh").succeeded
    assert Run(cell, tmp_path / "fresh").is_trained


@pytest.mark.usefixtures("no_report")
def test_a_cell_that_ends_is_told_to_the_tracker(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    config = replace(CONFIG, control=("position",), episodes=1, track="tensorboard")
    assert run_sweep(config, tmp_path).succeeded
    (cell,) = cells_of(config)
    assert [path.name for path in (tmp_path / "tensorboard").iterdir()] == [cell.id]


@pytest.mark.usefixtures("no_work", "no_report")
def test_each_policy_is_filmed_once_and_told_where(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    filmed = []

    def film(policies: list[Trained], path: Path, episodes: int, seed: int) -> None:
        filmed.append((policies[0].control, policies[0].action_horizon, episodes, seed))
        path.parent.mkdir(exist_ok=True)
        path.touch()

    monkeypatch.setattr(benchmark.commands.video, "film_policies", film)
    config = replace(CONFIG, video=3)
    again = [run_sweep(config, swept.store).printed for _ in range(2)][1]
    films = [line.removeprefix("Film: ") for line in again.splitlines() if "Film: " in line]
    chosen = [
        Run(cell, swept.store).resolved(evaluation(config, cell)).action_horizon
        for cell in cells_of(config)
    ]
    assert filmed == [
        ("position", chosen[0], 3, 400_000),
        ("velocity", chosen[1], 3, 400_000),
    ]
    assert [Path(film).parents[1].name for film in films] == [cell.id for cell in cells_of(config)]
    assert all(Path(film).is_file() for film in films)


def test_films_of_what_draws_nothing_are_refused_before_work(tmp_path: Path) -> None:
    config = BenchConfig("linear-system-unstable", preset="smoke", methods=("bc-mlp",), video=1)
    with pytest.raises(UsageError, match="linear-system-unstable cannot be filmed here: "):
        run_sweep(config, tmp_path)
    assert list(tmp_path.iterdir()) == []
    for wrong in ({"video": -1}, {"video": 1, "latency": 2}):
        with pytest.raises(UsageError, match="video"):
            replace(CONFIG, **wrong)


@pytest.mark.usefixtures("no_report")
def test_other_evaluation_settings_never_train_again(
    swept: Swept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(trainer: Trainer) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "step", refuse)
    config = replace(
        CONFIG, control=("position",), episodes=1, action_horizon=4, latency=2, inference_steps=3
    )
    assert run_sweep(config, swept.store).succeeded
    (cell,) = cells_of(config)
    episodes = Run(cell, swept.store).episodes(evaluation(config, cell))
    row = episodes.iloc[0]
    assert (row["action_horizon"], row["latency"], row["inference_steps"]) == (4, 2, 3)
    assert row["predictions"] == -(-row["length"] // 4)


@pytest.mark.usefixtures("no_report")
def test_a_cell_that_fails_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.step

    def failing(trainer: Trainer) -> None:
        if trainer.cell.control == "position":
            raise RuntimeError("out of luck")
        step(trainer)

    config = replace(CONFIG, episodes=1)
    broken, fine = cells_of(config)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", failing)
        result = run_sweep(config, tmp_path)
    assert not result.succeeded
    last = result.printed.splitlines()[-1]
    assert last.startswith(f"Failed: {broken.id}: RuntimeError: out of luck (traceback: ")
    error = Run(broken, tmp_path).folder / "error.txt"
    assert str(error) in last
    assert "Traceback" in error.read_text()
    assert not Run(broken, tmp_path).is_trained
    assert Run(fine, tmp_path).has(evaluation(config, fine))

    assert run_sweep(config, tmp_path).succeeded
    assert not error.exists()


def test_the_plan_says_how_far_each_cell_is(
    swept: Swept, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def states(config: BenchConfig, store: Path) -> list[str]:
        show_plan(config, store)
        lines = capsys.readouterr().out.splitlines()
        assert all(line.endswith("2 updates") for line in lines)
        return [line.split("  ")[0].strip() for line in lines]

    assert states(CONFIG, tmp_path) == ["to do", "to do"]
    begun = Run(cells_of(CONFIG)[1], tmp_path)
    begun.begin({})
    begun.state_path.write_bytes(b"an unfinished training")
    assert states(CONFIG, tmp_path) == ["to do", "begun"]
    assert states(CONFIG, swept.store) == ["done", "done"]
    assert states(replace(CONFIG, episodes=7), swept.store) == ["trained", "trained"]


def test_cells_are_every_seed_control_and_method() -> None:
    cells = cells_of(replace(CONFIG, seeds=(42, 43)))
    assert [(cell.seed, cell.control) for cell in cells] == [
        (42, "position"),
        (42, "velocity"),
        (43, "position"),
        (43, "velocity"),
    ]
    assert {cell.num_demonstrations for cell in cells} == {3}
    assert {cell.train.updates for cell in cells} == {2}


def test_a_report_names_the_simulators_that_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"pymunk": "7.3.1", "mujoco": "3.9.0"}
    monkeypatch.setattr(benchmark.running.machine, "find_spec", installed.get)
    monkeypatch.setattr(
        benchmark.running.machine, "version", lambda name: installed.get(name, "1.0")
    )
    made = benchmark.running.machine.machine(torch.device("cpu"))
    assert (made["pymunk"], made["mujoco"]) == ("7.3.1", "3.9.0")
    assert "robosuite" not in made


@pytest.mark.parametrize(
    "config",
    [
        replace(CONFIG, seeds=(42, 43), set=(*CONFIG.set, "seed=7")),
        replace(CONFIG, seeds=(42, 42)),
        replace(CONFIG, methods=("diffusion-unet", "diffusion-unet")),
    ],
)
def test_a_policy_that_is_asked_for_twice_is_refused(config: BenchConfig) -> None:
    with pytest.raises(UsageError, match=r"asked for more than once: .* vary seeds by --seeds"):
        plan(config)

"""Every study from its cells to its page, with policies of a few updates; and what they share."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest

import benchmark.plan.presets
import benchmark.studies.control_theory.study
import benchmark.studies.study
from benchmark.cli import main
from benchmark.commands.study import draw_kept_studies
from benchmark.errors import UsageError
from benchmark.evidence.text_table import Table
from benchmark.plan.config import EvalConfig
from benchmark.plan.presets import PRESETS, Settings, predicting
from benchmark.plan.tasks import Task
from benchmark.progress import minutes
from benchmark.report.plots import empty_figure
from benchmark.running.cost import cost_text, training_seconds
from benchmark.running.disturbance import AT
from benchmark.running.evidence import finished_cells, keep_cell, keep_shared
from benchmark.running.rollout import Policy, Trace, play
from benchmark.running.store import Run
from benchmark.running.workers import Job, is_done
from benchmark.studies import STUDIES
from benchmark.studies.ablation import Setting, ablation_figure, ablation_table, summarise
from benchmark.studies.runner import find_studies, run_studies, show_plan
from benchmark.studies.study import (
    Drawing,
    Findings,
    Sheet,
    Study,
    StudyConfig,
    merged,
)
from envs.control import Control
from envs.demos import sources
from envs.demos.demonstrations import Demonstrations

EpisodesMaker = Callable[..., pd.DataFrame]
COMMAND = "python -m benchmark study NAME --preset smoke"


@pytest.fixture(scope="module")
def tiny(cache_of_three: Path) -> Iterator[None]:
    """The smoke preset with five updates a policy, on three demonstrations."""

    def small(settings: Settings) -> Settings:
        sizes = {"width": 8, "hidden": 8, "candidates": 4, "negatives": 4}
        changes: dict[str, object] = {
            name: size for name, size in sizes.items() if hasattr(settings.agent, name)
        }
        if hasattr(settings.agent, "channels"):
            changes |= {"channels": (8,), "groups": 4, "step_dim": 8}
        if hasattr(settings.agent, "num_inference_steps"):
            changes["num_inference_steps"] = 1
        updates = min(settings.train.updates, 5)  # none where nothing is learnt
        train = replace(settings.train, updates=updates, batch_size=8, warmup_updates=0)
        return replace(settings, agent=replace(settings.agent, **changes), train=train)

    smoke = {method: small(settings) for method, settings in PRESETS["smoke"].items()}
    presets: Mapping[str, Mapping[str, Settings]] = MappingProxyType({"smoke": smoke})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPBENCH_CACHE", str(cache_of_three))
        patch.setattr(sources, "NUM_SCRIPTED", 3)
        patch.setattr(benchmark.plan.presets, "PRESETS", presets)
        patch.setattr("benchmark.studies.data_efficiency.SMOKE_NUMBERS", (2, 3))
        patch.setattr("benchmark.studies.idle_actions.SMOKE_DEMONSTRATIONS", 3)
        patch.setitem(benchmark.studies.control_theory.study.UPDATES, "smoke", 2)
        patch.setitem(benchmark.studies.control_theory.study.INFERENCE_STEPS, "smoke", 2)
        patch.setattr("benchmark.studies.control_theory.measure.SAMPLES", 2)
        patch.setattr("benchmark.studies.control_theory.measure.SAMPLERS", (("ddim", 2),))
        patch.setattr("benchmark.plan.presets.HORIZONS", (1, 8))
        for module in ("running.run", "studies.temporal_consistency"):
            patch.setattr(f"benchmark.{module}.play", short)
        benchmark.studies.study._load.cache_clear()
        yield
    benchmark.studies.study._load.cache_clear()


def short(
    policy: Policy,
    task: Task,
    obs_type: str,
    control: Control,
    seeds: list[int],
    config: EvalConfig,
    what: str,
    trace: Trace,
) -> pd.DataFrame:
    """`play` for a little longer than a disturbance takes to come."""
    until = np.full(len(seeds), AT + 10)
    return play(policy, task, obs_type, control, seeds, config, what, None, until, trace)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all studies: they share cells."""
    return tmp_path_factory.mktemp("runs")


def run(study: Study, config: StudyConfig, store: Path) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run_studies([study], config, store, COMMAND)
    return printed.getvalue()


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_a_study_runs_from_its_cells_to_its_page_and_a_second_time_trains_nothing(
    study: Study, store: Path, tiny: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "pusht-image" if study.name == "visual-encoder" else "pusht"
    config = StudyConfig(task=task, preset="smoke", episodes=2, workers=1)
    printed = run(study, config, store)
    assert printed.startswith(f"\n{study.name}: {study.claim}")
    told = [line for line in printed.splitlines() if not line.startswith("  ")]  # no progress
    assert re.match(r"\d+ cells?, \d+ to train", told[2])  # the cost comes next
    where = "linear-systems" if study.name == "control-theory" else f"{task}-scripted"
    folder = store / "reports" / "studies" / f"{study.name}-{where}-smoke"
    page = (folder / "README.md").read_text()
    assert study.claim in page
    assert COMMAND in page
    verdicts = pd.read_csv(folder / "verdicts.csv")
    assert len(verdicts) > 0
    # One training seed never decides.
    assert set(verdicts["verdict"]) <= {"suggests", "suggests not", "undecided"}
    assert set(verdicts["train_seeds"]) == {1}
    figures = sorted(path.stem for path in folder.glob("*.png"))
    assert figures
    for stem in figures:
        assert f"({stem}.png)" in page
        assert (folder / f"{stem}.svg").read_text().lstrip().startswith("<?xml")
        assert len(pd.read_csv(folder / f"{stem}.csv")) > 0
    tables = sorted(path.stem for path in folder.glob("*.tex"))
    for stem in tables:
        assert len(pd.read_csv(folder / f"{stem}.csv")) > 0
        assert (folder / f"{stem}.md").read_text().strip() in page

    def refuse(*_: object) -> None:
        raise AssertionError("trained or played again")

    monkeypatch.setattr("benchmark.running.run.train", refuse)
    monkeypatch.setattr("benchmark.running.run.play", refuse)
    run(study, config, store)
    assert pd.read_csv(folder / "verdicts.csv").equals(verdicts)

    monkeypatch.setenv("DPBENCH_EVIDENCE", str(store.parent / "evidence"))
    kept = list(finished_cells(store))
    for each in kept:
        keep_cell(each)
    keep_shared(store)
    empty, out = store.parent / "empty", store.parent / "drawn"
    used, shown = draw_kept_studies(empty, out)
    assert used == {each.cell.id for each in kept}
    studies = [each for of_task in shown.values() for each in of_task]
    (for_page,) = [each for each in studies if each.name == folder.name]
    assert [row[1] for row in for_page.verdicts.rows] == verdicts["verdict"].tolist()
    assert len(for_page.pictures) == len(figures)
    assert all(b"<svg" in drawing for _, drawing in for_page.pictures)
    assert not empty.exists()
    assert (out / folder.name / "README.md").read_text() == (folder / "README.md").read_text()


@pytest.mark.usefixtures("tiny")
def test_of_several_studies_those_that_suit_the_task_run_and_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("multimodality", "idle-actions", "inference-steps")
    several = [study for name in names for study in find_studies(STUDIES, name)]
    config = StudyConfig(
        task="linear-system-stable",
        preset="smoke",
        methods=("diffusion-unet",),
        episodes=1,
        workers=1,
    )
    show_plan(several, config, tmp_path)
    planned = capsys.readouterr().out
    assert run_studies(several, config, tmp_path, COMMAND)
    ran = capsys.readouterr().out
    for printed in (planned, ran):
        assert "multimodality cannot be run: task 'linear-system-stable'" in printed
        assert "idle-actions cannot be run: linear-system-stable has no way to pause" in printed
    assert "inference-steps: 1 cell, 1 to train" in planned
    page = "inference-steps-linear-system-stable-scripted-smoke/README.md"
    assert page in ran
    assert (tmp_path / "reports" / "studies" / page).is_file()


@pytest.mark.parametrize("number", [1, 2])
def test_studies_of_which_none_suits_the_task_are_wrong_usage(tmp_path: Path, number: int) -> None:
    unfit = [find_studies(STUDIES, name)[0] for name in ("multimodality", "idle-actions")]
    config = StudyConfig(task="linear-system-stable", preset="smoke")
    with pytest.raises(UsageError, match=["states of this study", "no study can be"][number - 1]):
        run_studies(unfit[:number], config, tmp_path, COMMAND)


def test_studies_have_names_of_their_own_and_each_says_its_claim_and_source() -> None:
    assert len({study.name for study in STUDIES}) == len(STUDIES)
    for study in STUDIES:
        assert study.claim.endswith(".")
        assert study.source.startswith("DP ")


def test_one_study_is_found_by_its_name_and_all_of_them_by_all() -> None:
    assert [study.name for study in find_studies(STUDIES, "latency")] == ["latency"]
    assert find_studies(STUDIES, "all") == list(STUDIES)


def test_an_unknown_study_is_refused_with_the_names_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(UsageError, match="action-horizon"):
        find_studies(STUDIES, "horizon")
    assert main(["study", "horizon"]) == 2
    assert "no study 'horizon'" in capsys.readouterr().err


def test_the_list_names_every_study_and_its_claim(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "list"]) == 0
    listed = capsys.readouterr().out
    for study in STUDIES:
        assert study.name in listed
        assert study.claim in listed


def test_a_method_that_a_study_does_not_compare_is_refused() -> None:
    config = StudyConfig(preset="smoke", methods=("bet",))
    with pytest.raises(UsageError, match="diffusion-unet"):
        config.chosen(["diffusion-unet"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"preset": "huge"}, "quick"), ({"episodes": 0}, "1 or more"), ({"workers": 0}, "1 or more")],
)
def test_a_wrong_setting_of_a_study_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StudyConfig(**changes)  # type: ignore[arg-type]


# ---- what studies share ----


@pytest.fixture
def config(three_demonstrations: Demonstrations) -> StudyConfig:
    benchmark.studies.study._load.cache_clear()
    return StudyConfig(preset="smoke")


def test_a_figure_and_a_table_of_one_name_that_show_different_data_are_refused() -> None:
    table = Table(caption="Numbers", head=("number",), rows=(("1",),), align="r", notes=())
    drawing = Drawing("numbers", empty_figure(1.0, 1.0), pd.DataFrame({"number": [1.0]}), "")
    Findings([], [Sheet("numbers", table, drawing.data.copy())], [drawing])
    with pytest.raises(ValueError, match="different data under one name, numbers"):
        Findings([], [Sheet("numbers", table, drawing.data + 1)], [drawing])


def test_a_cell_that_is_asked_for_twice_is_one_job_with_all_evaluations(
    config: StudyConfig,
) -> None:
    cell = config.cell("bet", "position", 42)
    other = config.cell("bet", "velocity", 42)
    one, two = EvalConfig(1), EvalConfig(2)
    jobs = merged(
        [
            Job(cell, (one,), config.loader()),
            Job(other, (one,), config.loader()),
            Job(cell, (two, one), config.loader()),
        ]
    )
    assert [(job.cell, job.evaluations) for job in jobs] == [(cell, (one, two)), (other, (one,))]


def test_a_study_makes_the_cells_of_a_sweep(config: StudyConfig, tmp_path: Path) -> None:
    """The same settings have the same id, so that no policy is trained twice."""
    from benchmark.plan.request import SweepConfig
    from benchmark.plan.sweep import plan

    ids = {cell.id for cell in plan(SweepConfig(preset="smoke"))}
    (study,) = find_studies(STUDIES, "outperforms")
    made = {job.cell.id for job in study.jobs(config)}
    assert len(made) == 10
    assert made <= ids


def test_without_pauses_idle_actions_takes_the_policies_of_other_studies(tiny: None) -> None:
    config = StudyConfig(preset="smoke")
    (study,) = find_studies(STUDIES, "idle-actions")
    versions = {job.cell.data_version for job in study.jobs(config)}
    plain = config.loader()().metadata.version
    assert versions == {plain, f"{plain}-idle0.3"}


@pytest.mark.parametrize("method", PRESETS["smoke"])
def test_a_cell_predicts_as_far_as_it_is_asked_to(config: StudyConfig, method: str) -> None:
    cell = config.cell(method, "position", 42)
    own = cell.pred_horizon - cell.obs_horizon + 1
    assert predicting(cell, own) is cell
    for actions, expected in ((own + 1, 16), (17, 64), (100, 100)):
        longer = predicting(cell, actions)
        assert longer.pred_horizon - longer.obs_horizon + 1 == max(expected, actions)
        assert longer.id != cell.id


def cost(jobs: list[Job], store: Path) -> str:
    return cost_text(jobs, training_seconds(jobs, store, 1), store, 1)


def test_the_cost_counts_what_is_to_be_done_and_times_what_is_unknown(
    config: StudyConfig, tmp_path: Path
) -> None:
    cell = config.cell("bc-mlp", "position", 42)
    cell = replace(cell, train=replace(cell.train, updates=100_000))
    job = Job(cell, (EvalConfig(1), EvalConfig(2)), config.loader())
    text = cost([job], tmp_path)
    assert text.startswith("1 cell, 1 to train; 2 of 2 evaluations to play")
    assert "of training, 1 at a time" in text


def test_the_cost_is_read_from_what_was_trained_before_wherever_it_lies(
    config: StudyConfig, tmp_path: Path
) -> None:
    cell = config.cell("bc-mlp", "position", 42)
    folder = tmp_path / "a cell of an older version, whose id is no longer this one"
    folder.mkdir()
    (folder / "config.json").write_text(cell.to_json())
    seconds = 3600.0 * cell.train.updates
    pd.DataFrame({"seconds": [seconds / 2, seconds]}).to_parquet(folder / "history.parquet")
    job = Job(replace(cell, seed=43), (), config.loader())
    expected = f"about {minutes(3600.0 * cell.train.updates)} of training"
    assert expected in cost([job], tmp_path)


def test_a_job_is_done_when_its_training_and_every_evaluation_is_on_disk(
    config: StudyConfig, tmp_path: Path
) -> None:
    cell = config.cell("bc-mlp", "position", 42)
    run_folder = Run(cell, tmp_path)
    job = Job(cell, (EvalConfig(1), EvalConfig(2)), config.loader())
    for path in (
        run_folder.folder / "history.parquet",
        run_folder.evaluation_path(EvalConfig(1)),
        run_folder.evaluation_path(EvalConfig(2)),
    ):
        assert not is_done(job, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert is_done(job, tmp_path)


SETTING = Setting("action_horizon", "action horizon Ta (steps)", "Ta", is_log=True)


@pytest.fixture
def ablated(make_episodes: EpisodesMaker) -> pd.DataFrame:
    frames = [
        make_episodes(method, np.full((1, 10), score), action_horizon=horizon)
        for method, scores in (("bet", (0.2, 0.4)), ("ibc", (0.6, 1.0)))
        for horizon, score in zip((1, 8), scores, strict=True)
    ]
    return pd.concat(frames, ignore_index=True)


def test_a_summary_has_a_row_for_every_policy_and_value(ablated: pd.DataFrame) -> None:
    summary = summarise(ablated, ["method", "action_horizon"], ["stuck"])
    assert list(summary["method"]) == ["bet", "bet", "ibc", "ibc"]
    assert list(summary["action_horizon"]) == [1, 8, 1, 8]
    assert list(summary["score"]) == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert list(summary["success"]) == [0, 0, 0, 1]
    assert list(summary["stuck"]) == [1, 1, 0, 0]


def test_an_ablation_table_has_a_column_for_every_value_and_a_gap_where_nothing_was_run(
    ablated: pd.DataFrame,
) -> None:
    part = ablated[~((ablated["method"] == "bet") & (ablated["action_horizon"] == 8))]
    summary = summarise(part, ["method", "control", "action_horizon"])
    table = ablation_table(summary, SETTING, "A caption")
    assert table.head[3:] == ("Ta 1", "Ta 8")
    assert [row[:3] for row in table.rows] == [
        ("bet", "position", "score"),
        ("ibc", "position", "score"),
        ("bet", "position", "success"),
        ("ibc", "position", "success"),
    ]
    assert table.rows[0][4] == "-"
    assert table.rows[1][4].startswith("1.000")


def test_an_ablation_figure_has_a_line_a_policy_with_its_points_in_order(
    ablated: pd.DataFrame,
) -> None:
    summary = summarise(ablated, ["method", "control", "action_horizon"])
    figure = ablation_figure(summary, SETTING)
    score_axes, success_axes = figure.axes
    lines = [bars.lines[0] for bars in score_axes.containers]
    points = [float(y) for line in lines for y in line.get_ydata()]
    assert points == pytest.approx([0.2, 0.4, 0.6, 1.0])
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["bet", "ibc"]
    assert success_axes.get_ylabel() == "success rate (%)"
    assert score_axes.get_xlabel() == "action horizon Ta (steps)"


def test_an_ablation_figure_parts_the_control_modes_where_methods_have_both(
    make_episodes: EpisodesMaker,
) -> None:
    frames = [
        make_episodes("bet", np.full((1, 10), score), control=control, action_horizon=horizon)
        for control, scores in (("position", (0.1, 0.3)), ("velocity", (0.6, 0.8)))
        for horizon, score in zip((1, 8), scores, strict=True)
    ]
    summary = summarise(pd.concat(frames), ["method", "control", "action_horizon"])
    figure = ablation_figure(summary, SETTING)
    shown = {
        axes.get_title(): axes.containers[0].lines[0].get_ydata().tolist()
        for axes in figure.axes
        if axes.get_ylabel() == "mean score"
    }
    assert shown == {
        "position control": pytest.approx([0.1, 0.3]),
        "velocity control": pytest.approx([0.6, 0.8]),
    }
    assert [label.get_text() for label in figure.legends[0].get_texts()] == ["bet"]

"""What the tables of the documentation say of presets, methods, tasks and statistics is so."""

import dataclasses
import re
from pathlib import Path

import pytest

from baselines import METHODS
from baselines.agent import Spec, agent_class
from baselines.normalizer import Normalizer
from benchmark.evidence.published_ways import PUBLISHED_WAYS
from benchmark.plan.presets import PRESETS, settings
from benchmark.plan.settings import Settings
from benchmark.plan.tasks import Task, tasks
from benchmark.studies import STUDIES
from envs import ENVIRONMENTS

REPOSITORY = Path(__file__).resolve().parents[1]


def parameters(method: str, chosen: Settings) -> int:
    """Parameters of a policy on Push-T keypoints under position control."""
    spec = Spec({"state": (20,)}, 2, chosen.obs_horizon, chosen.pred_horizon)
    normalizer = Normalizer({"state": "min-max", "action": "min-max"}, {"state": 20, "action": 2})
    agent = agent_class(method)(chosen.agent, spec, normalizer)
    return sum(p.numel() for p in agent.parameters())


@pytest.mark.parametrize("method", [name for name in METHODS if name != "nearest"])
def test_preset_tables_are_true(method: str) -> None:
    """Every column of a method's page that says size, horizons, updates or learning rate."""
    page = (REPOSITORY / "docs" / "methods" / f"{method}.md").read_text()
    head = next(line for line in page.splitlines() if line.startswith("| preset |"))
    for preset in PRESETS:
        chosen = settings(preset, method)
        train = chosen.train
        (row,) = re.findall(rf"^\| {preset}[ (|].*$", page, re.MULTILINE)
        said = dict(zip(head.split(" | ")[1:], row.split(" | ")[1:], strict=True))
        said = {name.strip(" |"): value.strip(" |") for name, value in said.items()}
        for name, value in said.items():
            if name == "parameters":
                number = float(value.removesuffix(" M"))
                digits = len(value.removesuffix(" M").partition(".")[2])
                assert number == round(parameters(method, chosen) / 1e6, digits)
            elif name == "To/Ta/Tp":
                horizons = (chosen.obs_horizon, chosen.action_horizon, chosen.pred_horizon)
                assert value.startswith("/".join(map(str, horizons)))
            elif name == "updates x batch" and "epochs" not in value and value != "as `ibc`":
                assert value == f"{train.updates:,} x {train.batch_size}"
            elif name.startswith("learning rate"):
                assert float(value.partition(",")[0]) == train.learning_rate


def test_the_tables_of_methods_and_tasks_are_complete() -> None:
    methods = (REPOSITORY / "docs" / "methods" / "README.md").read_text()
    assert re.findall(r"^\| \[`([a-z-]+)`\]", methods, re.MULTILINE) == list(METHODS)
    named = (REPOSITORY / "docs" / "envs" / "README.md").read_text()
    assert [task for task in tasks() if f"`{task}`" not in named] == []
    assert [known.id for known in ENVIRONMENTS if f"`{known.id}`" not in named] == []


def test_rows_of_the_statistics_are_those_that_were_measured() -> None:
    page = (REPOSITORY / "docs" / "statistics.md").read_text()
    measured = REPOSITORY / "results" / "statistics"
    rows = re.findall(r"^\| [^|]+ \| \d+ \| .*$", page, re.MULTILINE)
    assert len(rows) == 8
    assert set(rows) <= set((measured / "calibration.md").read_text().splitlines())
    stopping = re.findall(r"^\| (0\.\d+ \| .*) \|$", page, re.MULTILINE)
    known = (measured / "stopping.csv").read_text().splitlines()[1:]
    assert [row.replace(" | ", ",") for row in stopping] == known


def test_the_table_of_what_a_task_may_leave_out_is_complete() -> None:
    may = [
        field.name
        for field in dataclasses.fields(Task)
        if field.default is not dataclasses.MISSING and field.name != "obs_scaling"
    ]
    page = (REPOSITORY / "docs" / "tutorial" / "task.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == may


def test_the_tables_of_studies_and_wings_are_complete() -> None:
    studies = (REPOSITORY / "docs" / "studies.md").read_text()
    assert re.findall(r"^\| `([a-z-]+)` \|", studies, re.MULTILINE) == [s.name for s in STUDIES]
    wings = re.findall(
        r"^\| `(\w+)/` \|", (REPOSITORY / "ARCHITECTURE.md").read_text(), re.MULTILINE
    )
    assert set(wings) == {path.parent.name for path in (REPOSITORY / "benchmark").glob("*/*.py")}


def test_the_columns_of_a_printed_table_are_explained() -> None:
    usage = (REPOSITORY / "docs" / "usage.md").read_text()
    folder = REPOSITORY / "results" / "pusht-scripted-quick"
    head = re.findall(r"^\| method .*$", (folder / "results.md").read_text(), re.MULTILINE)[0]
    columns = [*head.strip("| ").split(" | "), *PUBLISHED_WAYS.values()]
    assert [name for name in columns if f"`{name}`" not in usage] == []

"""What the documentation shows works: its snippets run, its links lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from baselines.diffusion.unet import ConditionalUnet1d
from benchmark.plan.presets import PRESETS, settings

REPOSITORY = Path(__file__).resolve().parents[1]
METHODS = (
    "diffusion-unet",
    "diffusion-transformer",
    "ibc",
    "ibc-informed",
    "lstm-gmm",
    "bet",
    "bc-mlp",
    "nearest",
)
README = REPOSITORY / "README.md"
PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (REPOSITORY / page).read_text(), re.DOTALL)


def run(arguments: list[str], folder: Path) -> str:
    """Output of a Python that finds what lies in `folder`, as if it were installed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(folder), "DPBENCH_RUNS": str(folder / "runs")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(folder: Path, module: str, group: str, name: str, target: str, code: str) -> None:
    """Put a module into `folder` with the entry point that its package would have."""
    (folder / f"{module}.py").write_text(code)
    metadata = folder / f"{module}-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{target}\n")


def test_the_preset_table_of_diffusion_unet_is_true() -> None:
    page = (REPOSITORY / "docs" / "methods" / "diffusion-unet.md").read_text()
    for preset in PRESETS:
        chosen = settings(preset, "diffusion-unet")
        config, train = chosen.agent, chosen.train
        network = ConditionalUnet1d(
            2, 2 * 20, config.channels, config.kernel_size, config.groups, config.step_dim
        )
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        row = (
            f"| {preset} | {'-'.join(map(str, config.channels))}, {config.kernel_size} "
            f"| {millions:.2f} M | {train.updates:,} x {train.batch_size} |"
        )
        assert row in page


def rows_of_tasks(page: Path) -> list[dict[str, str]]:
    """Rows of the tables with a column a task, by the titles of their columns."""
    found = []
    for block in page.read_text().split("\n\n"):
        if block.startswith("| ") and "| Lift |" in block:
            lines = [re.split(r" *\| *", line)[1:-1] for line in block.splitlines()]
            found += [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]
    return found


def test_the_tables_of_tasks_say_what_the_results_say() -> None:
    """In the README a row a method and control mode, on a method's page a row a control mode."""
    tasks = {"Push-T": "pusht", "Lift": "lift", "Can": "can", "Square": "square"}
    rows = [row | {"method": row["method"].strip("`")} for row in rows_of_tasks(README)]
    for method in METHODS:
        page = REPOSITORY / "docs" / "methods" / f"{method}.md"
        rows += [row | {"method": method} for row in rows_of_tasks(page)]
    said: dict[tuple[str, str, str], set[str]] = {}
    for row in rows:
        for title in row.keys() & tasks.keys():
            if row[title] != "-":
                key = tasks[title], row["method"], row["control"]
                said.setdefault(key, set()).add(row[title])
    results = pd.concat(
        pd.read_csv(REPOSITORY / "results" / f"{task}-scripted-laptop" / "results.csv")
        for task in tasks.values()
    )
    found = {}
    for result in results[results["role"] == "method"].to_dict("records"):
        success, low, high = (100 * result[f"success{end}"] for end in ("", "_low", "_high"))
        cell = f"{success:.0f} % [{low:.0f}, {high:.0f}]"
        found[result["task"], result["method"], result["control"]] = {cell}
    assert said == found


def test_the_environment_snippet_plays_an_episode(tmp_path: Path) -> None:
    snippet = python_blocks("README.md")[0]
    success, coverage = run(["-W", "error", "-c", snippet], tmp_path).split()
    assert success == "False"
    assert 0 <= float(coverage) < 0.95


def test_a_task_and_a_policy_of_other_packages_meet(tmp_path: Path) -> None:
    policy, task = python_blocks("README.md")[1], python_blocks("docs/extending.md")[0]
    install(tmp_path, "mlp_policy", "dpbench.agents", "mlp", "MlpPolicy", policy)
    install(tmp_path, "reach_task", "dpbench.tasks", "reach", "REACH", task)
    options = ["--task", "reach", "--methods", "mlp", "--preset", "smoke"]
    printed = run(["-m", "benchmark", "sweep", *options], tmp_path)
    rows = re.findall(r"^(mlp|hold-still|demonstrator).*?(\d\.\d+) \[", printed, re.MULTILINE)
    scores: dict[str, list[float]] = {}
    for method, score in rows:
        scores.setdefault(method, []).append(float(score))
    # The last table has both control modes; the policy has nearly learnt what it was shown.
    ceiling, floor = scores["demonstrator"][-1], scores["hold-still"][-1]
    assert len(scores["mlp"]) == 3
    assert floor < 0.5
    assert min(scores["mlp"]) > ceiling - 0.05


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_to_files_lead_somewhere(page: Path) -> None:
    # Pictures are left out: those of results/ come with the results.
    links = re.findall(r"(?<!!)\[[^]]*\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []

"""What the documentation shows works: snippets run, links lead somewhere, commands exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from baselines.diffusion.unet import ConditionalUnet1d
from benchmark.cli import COMMANDS
from benchmark.plan.presets import PRESETS, settings

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    REPOSITORY / "results" / "README.md",
]
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY))
)


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
    printed = run(["-m", "benchmark", "bench", *options], tmp_path)
    names = "mlp|hold-still|demonstrations, replayed"
    rows = re.findall(rf"^({names}).*?(\d\.\d+) \[", printed, re.MULTILINE)
    scores: dict[str, list[float]] = {}
    for method, score in rows:
        scores.setdefault(method, []).append(float(score))
    # Where no terminal watches there is one table; the policy has nearly learnt what it was shown.
    shown, floor = scores["demonstrations, replayed"][-1], scores["hold-still"][-1]
    assert len(scores["mlp"]) == 2
    assert floor < 0.5
    assert min(scores["mlp"]) > shown - 0.05


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\[[^]]*\]\(([^)\s]+)\)", page.read_text())
    lost = []
    for link in links:
        if ":" in link:  # of the web
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


@each_page
def test_commands_and_targets_exist(page: Path) -> None:
    text = page.read_text()
    commands = set(re.findall(r"-m benchmark ([a-z]+)", text))
    targets = set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE))
    known = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert commands - COMMANDS.keys() == set()
    assert targets - set(known) == set()


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:benchmark|envs|baselines|tests|docs|results)/[\w./-]*)`", page.read_text()
    )
    made_later = {"results/studies/"}
    assert [n for n in named if n not in made_later and not (REPOSITORY / n).exists()] == []

"""What the documentation shows works: blocks run, commands are understood, links lead somewhere."""

import functools
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from baselines import METHODS
from benchmark import cli
from benchmark.perf import speedrun
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS
from benchmark.plan.tasks import tasks
from benchmark.studies import STUDIES

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    REPOSITORY / "results" / "README.md",
]
README = REPOSITORY / "README.md"
POLICY, DATA, TASK, CHECKPOINT = (
    REPOSITORY / "docs" / "tutorial" / f"{name}.md"
    for name in ("policy", "data", "task", "checkpoint")
)
TOUR = REPOSITORY / "docs" / "tour.ipynb"
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY))
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    title: str
    """Name of the file that it is; empty where it is none."""
    code: str


def blocks(page: Path, language: str) -> list[Block]:
    fences = r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```'
    found = re.findall(fences, page.read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in (Block(*parts) for parts in found) if block.language == language]


# ---- Python blocks ----


@pytest.fixture
def beside_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder like the repository's root, in which a block may write."""
    (tmp_path / "results").symlink_to(REPOSITORY / "results")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))
    return tmp_path


def run_blocks(page: Path) -> dict[str, Any]:
    """Run the Python blocks of a page one after the other; the names that they leave."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        exec(compile(block.code, f"{page.name}: {block.title}", "exec"), names)
    return names


@pytest.mark.usefixtures("beside_results")
@pytest.mark.parametrize("name", ["README", "pusht", "linear-system", "robosuite"])
def test_the_blocks_of_an_environment_step_it(name: str) -> None:
    if name == "robosuite":
        pytest.importorskip("robosuite")
    names = run_blocks(REPOSITORY / "docs" / "envs" / f"{name}.md")
    assert names["info"]["is_success"] in (False, True)
    assert 0 <= names["reward"] <= 1


@pytest.mark.usefixtures("beside_results")
def test_a_checkpoint_plays_in_a_loop_of_ones_own_is_filmed_and_has_a_held_out_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_blocks(CHECKPOINT)
    many, few, losses = capsys.readouterr().out.splitlines()
    # Seed 200000 is one that the shipped policy solves with its 16 steps, and with 4.
    assert many.startswith("16 steps: success True, coverage 0.9")
    assert few.startswith("4 steps: success True, coverage 0.9")
    trained, held_out = map(float, re.findall(r"\d\.\d+", losses))
    assert 0 < trained < held_out / 2
    with Image.open("pusht.gif") as film:
        assert film.size == (320, 320)
        assert film.n_frames > 50


def test_demonstrations_written_by_a_script_are_trained_on(beside_results: Path) -> None:
    names = run_blocks(DATA)
    assert (beside_results / "mine.npz").is_file()
    command = next(c for c in commands(DATA) if "run pusht" in c)
    few = ["--set", "train.updates=2", "agent.width=8"]
    assert cli.main([*benchmark_arguments(command), *few]) == 0
    (config,) = (beside_results / "runs").glob("*/config.json")
    cell = Cell.from_json(config.read_text())
    assert (cell.data, cell.num_demonstrations) == ("import", len(names["episode_ends"]))


def install(page: Path, folder: Path) -> None:
    """Put the files of a page into `folder`, with the entry points that its package has."""
    for block in blocks(page, "python"):
        (folder / block.title).write_text(block.code)
        metadata = folder / f"{Path(block.title).stem}-0.1.dist-info"
    (project,) = blocks(page, "toml")
    groups = tomllib.loads(project.code)["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
        for group, points in groups.items()
    ]
    metadata.mkdir()
    name = metadata.name.partition("-")[0]
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("".join(lines))


def test_a_task_and_policies_of_other_packages_meet(tmp_path: Path) -> None:
    for page in (README, POLICY, TASK):
        install(page, tmp_path)
    command = (
        "-m benchmark bench --task reach --methods mlp mine --preset smoke --action-horizon 8 "
        "--set train.updates=200"
    )
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "DPBENCH_RUNS": str(tmp_path / "runs")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Where no terminal watches there is one table.
    names = "mlp|mine|hold-still|demonstrations, replayed"
    rows = re.findall(rf"^({names}).*?(\d\.\d+) \[", done.stdout, re.MULTILINE)
    scores: dict[str, list[float]] = {}
    for method, score in rows:
        scores.setdefault(method, []).append(float(score))
    # The policies have nearly learnt what they were shown.
    shown, floor = scores["demonstrations, replayed"][-1], scores["hold-still"][-1]
    assert floor < 0.5
    for method in ("mlp", "mine"):
        assert len(scores[method]) == 2
        assert min(scores[method]) > shown - 0.05


def test_every_python_block_is_run_by_a_test() -> None:
    run = {README, POLICY, DATA, TASK, CHECKPOINT, *(REPOSITORY / "docs" / "envs").glob("*.md")}
    assert {page for page in PAGES if blocks(page, "python")} == run


# ---- the notebook ----


def notebook_cells(kind: str) -> list[dict[str, Any]]:
    cells = json.loads(TOUR.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == kind]


def test_the_notebook_keeps_no_outputs() -> None:
    code = notebook_cells("code")
    assert len(code) >= 4
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
def test_the_notebook_runs_and_shows_environment_policy_table_and_figure(tmp_path: Path) -> None:
    counted = [
        "import matplotlib.pyplot as plt",
        "_figures = []",
        "plt.show = lambda: _figures.append(plt.gcf())",
        *("".join(cell["source"]) for cell in notebook_cells("code")),
        "print('figures:', len(_figures), 'and one of', len(figure.axes), 'panels')",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(counted)],
        cwd=TOUR.parent,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "success True after" in done.stdout
    assert done.stdout.count("Results on pusht") == 2
    assert done.stdout.endswith("figures: 2 and one of 2 panels\n")


# ---- commands ----

SHELL = re.compile(r"^(?:make|pip|python|\.venv/bin/\w+|DPBENCH_\w+=\S+ \S+) ")
OURS = ["python", ".venv/bin/python"]
NOT_OURS = {"mlp", "mine", "reach", "METHOD", "TASK", "NAME", "..."}
"""Names that tutorials define, or that a reader replaces."""


def commands(page: Path) -> Iterator[str]:
    """Every command of a page: lines of shell blocks, indented lines, code within a sentence."""
    text = page.read_text()
    for block in blocks(page, "bash"):
        yield from block.code.replace("\\\n", " ").splitlines()
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    yield from (line for line in [*indented, *spans] if SHELL.match(f"{line} "))


def benchmark_arguments(command: str) -> list[str]:
    """What comes after `python -m benchmark`."""
    return shlex.split(command, comments=True)[3:]


def one_or_more(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value or ()


def understood(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line parse arguments, run nothing, and look up the names in them."""
    given: dict[str, Any] = {}
    quiet = {
        name: functools.wraps(command)(lambda **values: given.update(values))
        for name, command in cli.COMMANDS.items()
    }
    monkeypatch.setattr(cli, "COMMANDS", quiet)
    assert cli.main(arguments) == 0
    config = given.get("config")
    said = {
        "task": [*one_or_more(given.get("task")), *([config.task] if config else [])],
        "method": [*one_or_more(given.get("method")), *(config.methods if config else [])],
        "study": [given["name"]] if arguments[0] == "study" else [],
    }
    known = {
        "task": set(tasks()),
        "method": set(METHODS),
        "study": {study.name for study in STUDIES} | {"all", "list"},
    }
    for what, names in said.items():
        assert set(names) - known[what] - NOT_OURS == set(), f"no such {what}"


def check_command(command: str, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)
    match words:
        case []:
            pass
        case [*_, "TARGET" | "COMMAND"] | [*_, "COMMAND", "--help"]:
            pass  # the form of all of them
        case ["make", *_]:
            # Made targets are no news to `make -n`, which says what it would call.
            shown = subprocess.run(
                ["make", "--dry-run", *words[1:]], cwd=REPOSITORY, capture_output=True, text=True
            )
            assert shown.returncode == 0, shown.stderr
            for line in shown.stdout.replace("\\\n", " ").splitlines():
                if "-m benchmark " in line:
                    understood(benchmark_arguments(line), monkeypatch)
        case [python, "-m", "benchmark", name] if python in OURS:
            assert name in cli.COMMANDS  # perhaps only the beginning of a command
        case [python, "-m", "benchmark", *arguments] if python in OURS:
            understood(arguments, monkeypatch)
        case [python, "-m", "pytest", *arguments] if python in OURS:
            files = [name for name in arguments if name.startswith("tests/")]
            assert [name for name in files if not (REPOSITORY / name).exists()] == []
        case [python, "-m", "benchmark.perf.speedrun", *arguments] if python in OURS:
            speedrun.parser().parse_args(arguments)
        case [python, "-m", module] if python in OURS:
            assert importlib.util.find_spec(module) is not None
        case [python, "-c", code] if python in OURS:
            compile(code, page.name, "exec")
        case [python, ("tests/versions.py" as script), _folder, *_] if python in OURS:
            assert (REPOSITORY / script).is_file()
        case [python, script] if python in OURS:
            titles = {block.title for block in blocks(page, "python")}
            assert script in titles or (REPOSITORY / script).is_file()
        case ["pip" | ".venv/bin/pip", "install", *_] | ["export", _]:
            pass
        case ["ray", name, *arguments]:
            if importlib.util.find_spec("ray") is not None:
                scripts = importlib.import_module("ray.scripts.scripts")
                scripts.cli.commands[name].make_context(name, arguments)
        case _:
            pytest.fail("a command of another kind: teach check_command to check it")


@each_page
def test_commands_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = []
    for command in commands(page):
        try:
            with monkeypatch.context() as patch:
                check_command(command, page, patch)
        except (AssertionError, SystemExit, ValueError, pytest.fail.Exception) as error:
            wrong.append(f"{command}: {error}")
    assert wrong == []


def test_every_command_preset_and_target_is_explained() -> None:
    usage = (REPOSITORY / "docs" / "usage.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \|", usage, re.MULTILINE)
    assert rows[: len(PRESETS) + len(cli.COMMANDS)] == [*PRESETS, *cli.COMMANDS]
    makefile = (REPOSITORY / "Makefile").read_text()
    variables = set(re.findall(r"\$\(if \$\(([A-Z_]+)\)", makefile)) | {"TASK", "PRESET", "STUDY"}
    # Of `play`, `perf` and `torture`, on their pages.
    elsewhere = {"POLICY", "RECORD", "PEERS", "PUBLIC", "ONLY", "UV"}
    assert set(re.findall(r"^\| `([A-Z_]+)=1?`", usage, re.MULTILINE)) == variables - elsewhere


@each_page
def test_environment_variables_exist(page: Path) -> None:
    code = "".join(
        path.read_text()
        for package in ("benchmark", "envs", "baselines")
        for path in (REPOSITORY / package).rglob("*.py")
    )
    named = set(re.findall(r"DPBENCH_[A-Z]+", page.read_text()))
    assert {name for name in named if name not in code} == set()


# ---- links and files ----


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len(README.read_text().splitlines()) <= 130


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, TOUR], ids=lambda page: str(page.relative_to(REPOSITORY)))
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
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:benchmark|envs|baselines|tests|docs|results)/[\w./-]*)`", page.read_text()
    )
    made_later = {"results/studies/"}
    assert [n for n in named if n not in made_later and not (REPOSITORY / n).exists()] == []

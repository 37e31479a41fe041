"""The report: one HTML page, with the tables, figures and data it was made of beside it.

The page holds its style and its figures, needs no network and runs no script.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from benchmark.evidence.tables import (
    REFERENCES,
    SETTINGS,
    headline_episodes,
    paired_table,
    policy_name,
    present,
    rate_text,
    results_table,
    score_text,
    settings_shown,
)
from benchmark.files import write_whole
from benchmark.report.plots import results_figure, save_figure, training_figure
from benchmark.report.published import published_table

TEMPLATES = Path(__file__).parent / "templates"
NAMED = 6  # policies in a sentence


@dataclass(frozen=True)
class Record:
    """Episodes and trainings, and how they came about.

    Attributes:
        episodes: A row an episode, as the store returns them.
        history: Training history, a row a checkpoint; may be empty.
        commands: The commands that made the episodes.
        machine: What they ran on, such as processor, versions and date, by name.
    """

    episodes: pd.DataFrame
    history: pd.DataFrame
    commands: tuple[str, ...] = ()
    machine: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A figure inside the page.

    Attributes:
        stem: Name of the files beside the page that hold it and its data.
        source: The picture as a data URI.
        alt: What it shows, for those who cannot see it.
        caption: What it shows, under it.
        width: Width at which its text is readable, px.
    """

    stem: str
    source: str
    alt: str
    caption: str
    width: int


@dataclass(frozen=True)
class Strip:
    """The episodes of one training run, in the order of their seeds.

    Attributes:
        name: Method, settings and training seed.
        episodes: Seed, score and success of every episode.
    """

    name: str
    episodes: tuple[tuple[int, float, bool], ...]

    @property
    def summary(self) -> str:
        """The strip in words."""
        solved = sum(success for _, _, success in self.episodes)
        return f"{solved} of {len(self.episodes)} solved"


def write_report(record: Record, out_dir: Path) -> Path:
    """Write the report of a benchmark and the files it links to.

    Every file is written whole or not at all, and the page last, so that it links to nothing
    missing. Equal input gives the same page.

    Args:
        record: What it is drawn from.
        out_dir: Folder to write to.

    Returns:
        The path of the page.

    Raises:
        ValueError: If no episode of a last checkpoint on test seeds is there.
    """
    episodes = record.episodes
    results = results_table(episodes)
    table = present(results)
    table.write(results, out_dir, "results")
    pictures = {"results": _results_picture(results, out_dir)}
    if not record.history.empty:
        pictures["training"] = _training_picture(record.history, out_dir)
    headline = headline_episodes(episodes)
    seeds = headline["seed"][headline["method"].map(REFERENCES) != "replay"]
    page = _template().render(
        tasks=" and ".join(sorted(set(results["task"]))),
        summary=_summary(results),
        table=table,
        paired=paired_table(episodes, results),
        published=published_table(results),
        pictures=pictures,
        strips=_strips(headline, results),
        first_seed=int(seeds.min()),
        last_seed=int(seeds.max()),
        is_pusht="pusht" in set(results["task"]),
        commands=list(record.commands),
        machine=dict(record.machine),
    )
    return write_whole(out_dir / "report.html", page)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _summary(results: pd.DataFrame) -> list[str]:
    """Name the policies that cannot be told from the best, a sentence a task, data and preset."""
    methods = results[results["role"] == "method"]
    shown = ["control", *settings_shown(results)]
    sentences = []
    for key, group in methods.groupby(["task", "data", "obs_type", "preset"], sort=False):
        first = group.iloc[0].to_dict()
        score = score_text(first["score"], first["score_low"], first["score_high"])
        rate = rate_text(first["success"], first["success_low"], first["success_high"])
        task, data, obs_type, preset = key
        best = [policy_name(row, shown) for row in group[group["best"]].to_dict("records")]
        who = f"{len(best)} of {len(group)} policies cannot be told from the best"
        if len(best) <= NAMED:
            who = f"{who} ({'; '.join(best)})"
        sentences.append(
            f"On {task} from {data} demonstrations ({obs_type}, {preset} preset) {who}. The first, "
            f"{policy_name(first, shown)}: score {score}, success {rate}."
        )
    return sentences


def _results_picture(results: pd.DataFrame, out_dir: Path) -> Picture:
    _, drawing, _ = save_figure(results_figure(results), results, out_dir, "results")
    count = int((results["role"] == "method").sum())
    return Picture(
        "results",
        _data_uri(drawing),
        f"Dot plot of the mean score and the success rate of {count} policies with their "
        "intervals, against the demonstrations and the floor. The table above holds its numbers.",
        "Mean score and success rate on the test seeds with 95 % intervals.",
        620,
    )


def _training_picture(history: pd.DataFrame, out_dir: Path) -> Picture:
    _, drawing, _ = save_figure(training_figure(history), history, out_dir, "training")
    methods = sorted(set(history["method"]))
    return Picture(
        "training",
        _data_uri(drawing),
        f"Line plots of training loss, action error and validation score against updates, for "
        f"{', '.join(methods)}. training.csv holds its numbers.",
        "Training of every method, a line a training seed. Losses of different methods measure "
        "different things and have scales of their own.",
        max(420, 170 * len(methods)),
    )


def _data_uri(drawing: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.read_bytes()).decode()


def _strips(headline: pd.DataFrame, results: pd.DataFrame) -> list[Strip]:
    """List the outcomes of every training run, in the order of the results.

    The demonstrations are left out: their episodes start from states of their own.
    """
    by = list(SETTINGS)
    groups = dict(iter(headline.groupby(by, dropna=False)))
    shown = settings_shown(results)
    strips = []
    for row in results[results["role"] != "replay"].to_dict("records"):
        reference = row["role"] != "method"
        name = str(row["method"]) if reference else policy_name(row, ["control", *shown])
        for train_seed, run in groups[tuple(row[key] for key in by)].groupby("train_seed"):
            run = run.sort_values("seed")
            outcomes = zip(
                run["seed"].tolist(), run["score"].tolist(), run["is_success"].tolist(), strict=True
            )
            run_name = name if reference else f"{name}, seed {train_seed}"
            strips.append(Strip(run_name, tuple(outcomes)))
    return strips

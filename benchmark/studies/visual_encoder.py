"""Why the image encoder is what it is: places, normalisation, training end to end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmark.errors import UsageError
from benchmark.evidence.effects import difference
from benchmark.evidence.verdicts import Claim, judge
from benchmark.plan.config import Cell
from benchmark.report.plots import empty_figure, estimates, grid, legend, points
from benchmark.running.workers import Job
from benchmark.studies.ablation import by_method, change_of, pick, summarise
from benchmark.studies.sheets import SCORE, SUCCESS, sheet, told_apart, word
from benchmark.studies.study import Drawing, Findings, Study, StudyConfig, merged, played


@dataclass(frozen=True)
class Variant:
    """A change of how images are encoded, or of how its weights are averaged."""

    encoder: dict[str, Any] = field(default_factory=dict)
    """Changed settings of the encoder."""
    is_averaged: bool = True
    """Whether the average of the weights is played."""


PUBLISHED, AVERAGE, BATCH = "as published", "average pooling", "batch norm"
FROZEN, RAW, RAW_BATCH = "frozen", "last weights", "batch norm, last weights"
VARIANTS = {
    PUBLISHED: Variant(),
    AVERAGE: Variant({"pooling": "average"}),
    BATCH: Variant({"norm": "batch"}),
    RAW: Variant(is_averaged=False),
    RAW_BATCH: Variant({"norm": "batch"}, is_averaged=False),
    FROZEN: Variant({"learning_rate_share": 0.0}),
}


class VisualEncoder(Study):
    """Spatial softmax, group normalisation and end-to-end training are each worth it."""

    name = "visual-encoder"
    claim = (
        "Spatial softmax keeps the places that average pooling loses, averaged weights go with "
        "group and not with batch normalisation, and an encoder is best trained end to end."
    )
    source = "DP Sec. III-B"

    def jobs(self, config: StudyConfig) -> list[Job]:
        """The U-Net, or the diffusion policies named, with every variant of the encoder."""
        return merged(
            replace(job, cell=varied(job.cell, variant))
            for job in self.home_jobs(config, config.named_or(config.diffusion_methods[:1]))
            for variant in VARIANTS.values()
        )

    def findings(self, config: StudyConfig, store: Path) -> Findings:
        """Score and success of every variant, and the three reasons."""
        episodes = played(self.jobs(config), store, variant=variant_of)
        summary = summarise(episodes, ["method", "variant"])
        caption = f"Image encoders on {config.label}"
        notes = [
            "As published: group normalisation, spatial softmax, averaged weights, trained end to "
            "end. Frozen: the residual network keeps its initial random weights. Ranges are 95 % "
            "intervals.",
            told_apart([own for _, own in episodes.groupby("variant", sort=False)]),
        ]
        columns = [word("method"), word("variant", "encoder"), SCORE, SUCCESS]
        return Findings(
            verdicts=judge(reasons(episodes)),
            sheets=[sheet(self.name, caption, summary, columns, notes)],
            drawings=[_drawing(summary, caption)],
        )


def varied(cell: Cell, variant: Variant) -> Cell:
    """The cell with a variant's encoder.

    Raises:
        UsageError: If the cell sees no images.
    """
    if cell.encoder is None:
        raise UsageError(
            f"task {cell.task!r} shows {cell.obs_type} and no images; give one that does, such as "
            "--task pusht-image"
        )
    most = cell.train.ema_maximum if variant.is_averaged else 0.0
    return replace(
        cell,
        encoder=replace(cell.encoder, **variant.encoder),
        train=replace(cell.train, ema_maximum=most),
    )


def variant_of(cell: Cell) -> str:
    """The name of a cell's variant."""
    encoder, is_averaged = cell.encoder, cell.train.ema_maximum > 0
    return next(
        name
        for name, variant in VARIANTS.items()
        if encoder is not None
        and replace(replace(encoder, **_PLAIN), **variant.encoder) == encoder
        and variant.is_averaged == is_averaged
    )


_PLAIN: dict[str, Any] = {
    "pooling": "spatial-softmax",
    "norm": "group",
    "learning_rate_share": 1.0,
}


def reasons(episodes: pd.DataFrame) -> list[Claim]:
    """The paper's three reasons for its encoder."""
    claims = []
    for method, own in by_method(episodes):
        part = {name: pick(own, variant=name) for name in VARIANTS}
        claims += [
            Claim(
                f"{method}: spatial softmax scores higher than average pooling.",
                "score, spatial softmax - average pooling",
                difference(part[PUBLISHED], part[AVERAGE]),
            ),
            Claim(
                f"{method}: averaging the weights gains more with group than with batch "
                "normalisation.",
                "score, gain with group - gain with batch normalisation",
                change_of(part[PUBLISHED], part[RAW], part[BATCH], part[RAW_BATCH]),
            ),
            Claim(
                f"{method}: an encoder that is trained end to end scores higher than a frozen one.",
                "score, end to end - frozen",
                difference(part[PUBLISHED], part[FROZEN]),
            ),
        ]
    return claims


def _drawing(summary: pd.DataFrame, caption: str) -> Drawing:
    figure = empty_figure(6.4, 3.8)
    axes = figure.subplots()
    for number, (method, part) in enumerate(by_method(summary)):
        points(axes, np.arange(len(part)), estimates(part, "score"), number, method)
        axes.set_xticks(range(len(part)), part["variant"].str.replace(", ", ",\n").tolist())
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("mean score")
    axes.set_xlabel("image encoder")
    grid(axes, "y")
    legend(figure, *axes.get_legend_handles_labels())
    return Drawing(
        VisualEncoder.name, figure, summary, f"{caption}: mean score with 95 % intervals."
    )

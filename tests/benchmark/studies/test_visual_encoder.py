"""Variants of the image encoder, and what follows from how they score."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from baselines.nets.encoder_config import EncoderConfig
from benchmark.errors import UsageError
from benchmark.evidence.verdicts import judge
from benchmark.plan.config import Cell
from benchmark.studies.observation_horizon import two_is_best
from benchmark.studies.study import StudyConfig
from benchmark.studies.visual_encoder import VARIANTS, VisualEncoder, reasons, variant_of

EpisodesMaker = Callable[..., pd.DataFrame]
IMAGES = StudyConfig(task="pusht-image", preset="smoke")


@pytest.fixture(scope="module")
def cells() -> dict[str, Cell]:
    return {variant_of(job.cell): job.cell for job in VisualEncoder().jobs(IMAGES)}


def test_every_variant_is_a_policy_of_its_own_that_its_name_is_read_from(
    cells: dict[str, Cell],
) -> None:
    assert list(cells) == list(VARIANTS)
    assert len({cell.id for cell in cells.values()}) == 6


def test_variants_differ_from_the_published_encoder_in_what_they_are_named_after(
    cells: dict[str, Cell],
) -> None:
    published = cells["as published"]
    assert published.encoder == EncoderConfig(channels=16)
    assert cells["average pooling"].encoder == EncoderConfig(16, pooling="average")
    assert cells["frozen"].encoder == EncoderConfig(16, learning_rate_share=0.0)
    assert cells["batch norm"].train == published.train
    for name, norm in (("last weights", "group"), ("batch norm, last weights", "batch")):
        assert cells[name].encoder == EncoderConfig(16, norm=norm)
        assert cells[name].train == replace(published.train, ema_maximum=0.0)


def test_a_task_without_images_is_refused() -> None:
    with pytest.raises(UsageError, match=r"task 'pusht' shows keypoints and no images"):
        VisualEncoder().jobs(StudyConfig(preset="smoke"))


@pytest.mark.parametrize(
    ("changed", "score", "expected"),
    [
        ("as published", 0.4, (False, False, False)),
        ("average pooling", 0.2, (True, False, False)),
        ("frozen", 0.2, (False, False, True)),
        # Averaging the weights makes it worse with batch normalisation, and not with group.
        ("batch norm", 0.2, (False, True, False)),
    ],
)
def test_each_reason_rests_on_its_own_variants(
    make_episodes: EpisodesMaker, changed: str, score: float, expected: tuple[bool, ...]
) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal((3, 60))
    episodes = pd.concat(
        make_episodes(
            "diffusion-unet",
            (score if name == changed else 0.5) + noise,
            variant=name,
        )
        for name in VARIANTS
    )
    verdicts = judge(reasons(episodes))
    assert tuple(verdict.answer == "holds" for verdict in verdicts) == expected


def test_two_observations_are_best_where_every_other_number_scores_lower(
    make_episodes: EpisodesMaker,
) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal((3, 60))
    scores = {1: 0.4, 2: 0.6, 4: 0.6}
    episodes = pd.concat(
        make_episodes("diffusion-unet", score + noise, obs_horizon=horizon)
        for horizon, score in scores.items()
    )
    verdicts = judge(two_is_best(episodes, ["diffusion-unet"]))
    assert [verdict.answer == "holds" for verdict in verdicts] == [True, False]

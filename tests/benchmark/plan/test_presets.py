"""Presets: which settings a cell gets, by method and by how many numbers an action has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from baselines.ibc import IbcConfig
from baselines.nets.encoder_config import EncoderConfig
from benchmark.plan.image_presets import IMAGE_PRESETS
from benchmark.plan.presets import HOME_CONTROL, PRESETS, make_cell, settings
from benchmark.plan.tasks import get_task
from envs.demos.demonstrations import Demonstrations, Metadata


def demonstrations(task: str) -> Demonstrations:
    """Two steps of a task; only what they are of is read here."""
    two = np.zeros((2, 1))
    metadata = Metadata(task, "scripted", "made up", seed=0)
    return Demonstrations(two, two, np.array([2]), {}, metadata)


@pytest.mark.parametrize("preset", ["quick", "laptop"])
@pytest.mark.parametrize("task", ["pusht", "lift"])
def test_ibc_informed_searches_among_known_actions_where_they_have_many_numbers(
    task: str, preset: str
) -> None:
    for control, dim in get_task(task).action_dim.items():
        cell = make_cell(preset, "ibc-informed", control, 42, "state", demonstrations(task))
        is_arm = dim > 3
        assert (cell.agent.known_share > 0, cell.agent.shaken_share < 1) == (is_arm, is_arm)
        most = 9_600 if is_arm else 24_000  # longer makes an arm's energy worse
        assert cell.train.updates == min(most, settings(preset, "ibc-informed").train.updates)
        assert cell.agent.width == settings(preset, "ibc-informed").agent.width


@pytest.mark.parametrize("preset", PRESETS)
def test_ibc_is_the_published_method_under_every_preset(preset: str) -> None:
    """Uniform negatives, the published search; its config knows no other ones."""
    config = settings(preset, "ibc").agent
    assert type(config) is IbcConfig
    assert (config.search, config.noise, config.noise_decay) == ("derivative-free", 0.03, 1.0)


@pytest.mark.parametrize("preset", ["quick", "laptop"])
@pytest.mark.parametrize("task", ["pusht", "can"])
def test_lstm_gmm_is_kept_from_narrow_gaussians_where_a_gripper_hardly_changes(
    task: str, preset: str
) -> None:
    for control, dim in get_task(task).action_dim.items():
        cell = make_cell(preset, "lstm-gmm", control, 42, "state", demonstrations(task))
        is_arm = dim > 3
        assert (cell.agent.min_std >= 0.01, cell.train.gradient_clip > 0) == (is_arm, is_arm)
        assert cell.train.updates == settings(preset, "lstm-gmm").train.updates


@pytest.mark.parametrize("preset", IMAGE_PRESETS)
@pytest.mark.parametrize("task", ["pusht-image", "lift"])
def test_every_method_encodes_about_as_many_frames_an_update(task: str, preset: str) -> None:
    images = IMAGE_PRESETS[preset]
    for method, control in HOME_CONTROL.items():
        of_states = task.removesuffix("-image")
        seen, blind = (
            make_cell(preset, method, control, 42, obs_type, demonstrations(name))
            for name, obs_type in ((task, "pixels"), (of_states, get_task(of_states).obs_types[0]))
        )
        assert (seen.encoder, blind.encoder) == (images.encoder, None)
        assert seen.obs_horizon == blind.obs_horizon
        if not blind.train.updates:
            assert seen.train == blind.train
            continue
        frames = seen.train.batch_size * seen.obs_horizon
        assert images.frames - seen.obs_horizon < frames <= images.frames
        assert seen.train.updates == images.updates
        assert seen.train.warmup_updates <= seen.train.updates // 10


def test_a_narrower_encoder_keeps_the_published_pooling_and_normalisation() -> None:
    for images in IMAGE_PRESETS.values():
        assert replace(images.encoder, channels=64) == EncoderConfig()


def test_the_documentation_says_what_presets_do_with_images() -> None:
    page = (Path(__file__).parents[3] / "docs" / "images.md").read_text()
    for name, preset in IMAGE_PRESETS.items():
        row = (
            f"| `{name}` | {preset.encoder.channels} channels | {preset.frames} | "
            f"{preset.updates:,} | {preset.steps_per_window} |"
        )
        assert row in page

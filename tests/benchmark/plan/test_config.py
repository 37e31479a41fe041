"""Cells and evaluation settings: their ids, their JSON, and changes from the command line."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from baselines.diffusion.agent import DiffusionUnetConfig
from baselines.nets.encoder_config import EncoderConfig
from benchmark.plan.config import Cell, EvalConfig, TrainConfig, _known, override

CELL = Cell(
    task="pusht",
    method="diffusion-unet",
    control="position",
    seed=42,
    preset="quick",
    data="scripted",
    data_version="v1",
    num_demonstrations=200,
    obs_type="keypoints",
    agent=DiffusionUnetConfig(),
    train=TrainConfig(),
    action_scaling="min-max",
    encoder=EncoderConfig(),
)


def others(hint: Any, value: Any) -> list[Any]:
    """Other values of a setting, one of which is valid with the rest."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if choice != value]
    if isinstance(value, str):
        return [value + "x", "timm:" + value]
    if isinstance(value, tuple):
        return [(*value[:-1], value[-1] * 0.5)]
    if isinstance(value, bool) or not isinstance(value, int):
        return [value * 0.5 + 1e-3 if isinstance(value, float) else not value]
    return [value + 1, value * 3, value // 2]  # some must be odd, or divide another


def varied(config: Any, name: str, values: list[Any]) -> Any:
    """`config` with the first of some values that it allows."""
    for value in values:
        with suppress(ValueError):
            return dataclasses.replace(config, **{name: value})
    raise AssertionError(f"{name} allows none of {values}")


def variations(config: Any) -> Iterator[tuple[str, Any]]:
    """`config` with one setting changed, for every setting that is no config itself."""
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if not dataclasses.is_dataclass(value):
            yield field.name, varied(config, field.name, others(hints[field.name], value))


def all_variations() -> dict[str, Cell]:
    cells = dict(variations(CELL))
    for owner in ("agent", "train", "encoder"):
        for name, part in variations(getattr(CELL, owner)):
            cells[f"{owner}.{name}"] = dataclasses.replace(CELL, **{owner: part})
    return cells


def test_a_change_of_any_setting_gives_another_id() -> None:
    cells = all_variations()
    assert len(cells) > 35
    ids = {CELL.id} | {cell.id for cell in cells.values()}
    assert len(ids) == len(cells) + 1


def test_a_change_of_any_evaluation_setting_gives_another_id() -> None:
    configs = [EvalConfig(), *(config for _, config in variations(EvalConfig()))]
    assert len({config.id for config in configs}) == len(configs) == 9


def test_a_later_setting_changes_no_id_until_it_is_used() -> None:
    blind = dataclasses.replace(CELL, encoder=None)
    assert "encoder" not in _known(blind)
    assert "steps_per_window" not in _known(blind)["agent"]
    often = dataclasses.replace(CELL, agent=DiffusionUnetConfig(steps_per_window=4))
    assert _known(often)["agent"]["steps_per_window"] == 4
    assert len({cell.id for cell in (blind, CELL, often)}) == 3


def test_a_row_says_what_encodes_images() -> None:
    assert dataclasses.replace(CELL, encoder=None).sees == "keypoints"
    narrow = EncoderConfig(16, "batch", "average")
    assert dataclasses.replace(CELL, obs_type="pixels", encoder=narrow).sees == (
        "pixels by ResNet-18, 16 channels, batch norm, average pooling"
    )


def test_an_id_names_what_is_run() -> None:
    assert CELL.id.startswith("pusht-scripted-diffusion-unet-position-s42-")
    assert EvalConfig(4, latency=2).id.startswith("test-ta4-l2-")


def test_ids_are_the_same_in_every_process() -> None:
    code = (
        "import sys\n"
        "from benchmark.plan.config import Cell, EvalConfig\n"
        "print(Cell.from_json(sys.stdin.read()).id, EvalConfig().id)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        input=CELL.to_json(),
        env=os.environ | {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert found.split() == [CELL.id, EvalConfig().id]


def test_every_setting_comes_back_from_json() -> None:
    for cell in (CELL, *all_variations().values()):
        if cell.method == CELL.method:
            assert Cell.from_json(cell.to_json()) == cell


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("seed=43", {"seed": 43}),
        ("action_scaling=standard", {"action_scaling": "standard"}),
        ("train.updates=300", {"train": TrainConfig(updates=300)}),
        ("train.learning_rate=1", {"train": TrainConfig(learning_rate=1.0)}),
        ("train.betas=[0.9, 0.95]", {"train": TrainConfig(betas=(0.9, 0.95))}),
        ("agent.channels=[64,128]", {"agent": DiffusionUnetConfig(channels=(64, 128))}),
        ("encoder.norm=batch", {"encoder": EncoderConfig(norm="batch")}),
        ("agent.sampler=ddpm", {"agent": DiffusionUnetConfig(sampler="ddpm")}),
        ('agent.sampler="ddpm"', {"agent": DiffusionUnetConfig(sampler="ddpm")}),
    ],
)
def test_a_setting_is_replaced_by_its_name(change: str, expected: dict[str, Any]) -> None:
    name, _, value = change.partition("=")
    assert override(CELL, {name: value}) == dataclasses.replace(CELL, **expected)


def test_several_settings_are_replaced_at_once() -> None:
    changed = override(CELL, {"train.updates": "10", "train.batch_size": "8", "seed": "1"})
    assert (changed.train.updates, changed.train.batch_size, changed.seed) == (10, 8, 1)
    assert changed.agent == CELL.agent


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.update", "5", r"no setting 'train.update'; settings there: .*updates"),
        ("agent.width", "5", r"no setting 'agent.width'; settings there: .*channels"),
        ("optimizer.lr", "5", r"no setting 'optimizer.lr'; settings there: .*agent.NAME"),
        ("train", "5", "no setting 'train'"),
        ("train.updates", "many", r"train.updates=many: expected int, such as 6000"),
        ("train.updates", "1.5", r"train.updates=1.5: expected int"),
        ("train.updates", "true", r"train.updates=true: expected int"),
        ("agent.channels", "64", r"agent.channels=64: expected tuple"),
        ("agent.sampler", "euler", "sampler is 'euler'; allowed: ddpm, ddim"),
        ("train.updates", "-1", "updates is -1; allowed: 0 or more"),
    ],
)
def test_a_wrong_change_is_refused_with_what_is_allowed(
    name: str, value: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        override(CELL, {name: value})


@pytest.mark.parametrize("name", ["task", "method", "preset", "data", "num_demonstrations"])
def test_what_a_cell_is_trained_on_and_named_after_is_no_setting(name: str) -> None:
    """`--set data=human` would name human data what was trained on scripted data."""
    with pytest.raises(ValueError, match=f"no setting '{name}'; settings there: .*seed"):
        override(CELL, {name: '"other"'})


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (TrainConfig, {"batch_size": 0}, "batch_size is 0; allowed: 1 or more"),
        (TrainConfig, {"warmup_updates": -1}, "warmup_updates is -1; allowed: 0 or more"),
        (TrainConfig, {"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        (TrainConfig, {"learning_rate": float("nan")}, "learning_rate is nan"),
        (TrainConfig, {"precision": "fp8"}, "precision is 'fp8'; allowed: auto, float32"),
        (EvalConfig, {"action_horizon": -1}, "action_horizon is -1; allowed: 0 or more"),
        (EvalConfig, {"latency": -1}, "latency is -1; allowed: 0 or more"),
        (EvalConfig, {"episodes": 0}, "episodes is 0; allowed: 1 or more"),
        (EvalConfig, {"split": "train"}, "split is 'train'; allowed: published, validation, test"),
    ],
)
def test_a_wrong_value_is_named_with_its_limit(
    config: type[Any], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config(**settings)


@pytest.mark.parametrize("horizon", [0, 16])
def test_a_cell_cannot_execute_more_than_it_predicts(horizon: int) -> None:
    with pytest.raises(ValueError, match=rf"action_horizon is {horizon}; allowed: 1 to 15 \(pred"):
        dataclasses.replace(CELL, action_horizon=horizon)

"""Observations as a condition and in a joint model: the cells, the timing, and what follows."""

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.agent import Spec, agent_class
from baselines.diffusion.agent import DiffusionUnetConfig
from baselines.nets.encoder_config import EncoderConfig
from baselines.normalizer import Normalizer
from benchmark.errors import UsageError
from benchmark.evidence.verdicts import judge
from benchmark.plan.config import Cell
from benchmark.studies.prediction_time import seconds_of_predictions
from benchmark.studies.study import StudyConfig
from benchmark.studies.visual_conditioning import (
    CONDITION,
    JOINT,
    VisualConditioning,
    accuracy,
    speed,
    timings,
)
from tests.baselines.image_agent import image_agent

EpisodesMaker = Callable[..., pd.DataFrame]


def cells(task: str, **changes: tuple[object, ...]) -> list[Cell]:
    config = StudyConfig(task=task, preset="smoke", **changes)  # type: ignore[arg-type]
    return [job.cell for job in VisualConditioning().jobs(config)]


@pytest.mark.parametrize("task", ["pusht", "pusht-image"])
def test_the_two_policies_differ_in_their_conditioning_alone(task: str) -> None:
    film, joint = cells(task)
    assert (film.agent.conditioning, joint.agent.conditioning) == ("film", "joint")
    assert replace(joint, agent=replace(joint.agent, conditioning="film")) == film
    assert film.id != joint.id
    assert (film.encoder is not None) == (task == "pusht-image")


def test_three_seeds_are_trained_unless_it_is_smoke() -> None:
    config = StudyConfig(preset="quick")
    jobs = VisualConditioning().jobs(config)
    assert sorted({job.cell.seed for job in jobs}) == [42, 43, 44]
    assert len(jobs) == 6


def test_a_method_that_cannot_be_conditioned_both_ways_is_refused() -> None:
    with pytest.raises(UsageError, match="this study compares diffusion-unet"):
        cells("pusht", methods=("diffusion-transformer",))


def test_predictions_of_several_policies_are_timed_in_turns() -> None:
    data = {"action": torch.tensor([[0.0, 0.0], [1.0, 1.0]])}
    spec = Spec({"pixels": (48, 48, 3)}, 2, 2, 4)
    config = DiffusionUnetConfig(channels=(8,), step_dim=8, num_inference_steps=1)
    agents = [
        agent_class("diffusion-unet")(
            replace(config, conditioning=way), spec, Normalizer.fit(data, {"action": "min-max"})
        )
        for way in ("film", "joint")
    ]
    turns: list[int] = []
    for number, agent in enumerate(agents):
        agent.network.register_forward_hook(lambda *_, number=number: turns.append(number))
    found = seconds_of_predictions(agents, 3)
    assert turns == [0, 1] * 4  # a first one of each is not counted
    assert [len(times) for times in found] == [3, 3]
    assert min(map(min, found)) > 0


@pytest.mark.parametrize(
    ("film", "joint", "word"), [(0.8, 0.5, "holds"), (0.5, 0.8, "does not hold")]
)
def test_it_is_more_accurate_where_the_condition_scores_higher(
    make_episodes: EpisodesMaker, film: float, joint: float, word: str
) -> None:
    noise = 0.02 * np.random.default_rng(0).standard_normal((3, 60))
    episodes = pd.concat(
        make_episodes("diffusion-unet", score + noise, models=way, cell=way)
        for way, score in ((CONDITION, film), (JOINT, joint))
    )
    (verdict,) = judge(accuracy(episodes))
    assert verdict.answer == word
    assert verdict.interval.estimate == pytest.approx(film - joint)


@pytest.mark.parametrize(
    ("factor", "word"), [(1.5, "holds"), (0.7, "does not hold"), (1.0, "undecided")]
)
def test_it_is_slower_where_a_joint_prediction_takes_longer_in_the_same_turns(
    factor: float, word: str
) -> None:
    (_, cell) = cells("pusht")
    rng = np.random.default_rng(1)
    frames = []
    for seed in (42, 43, 44):
        load = 0.010 * rng.uniform(1, 3, 40)  # s, whatever else the machine does
        jitter = rng.normal(1, 0.02, (2, 40))
        seconds = {CONDITION: list(load * jitter[0]), JOINT: list(factor * load * jitter[1])}
        frames.append(timings(replace(cell, seed=seed), json.dumps(seconds).encode()))
    (claim,) = speed(pd.concat(frames))
    (verdict,) = judge([claim])
    assert verdict.answer == word
    assert verdict.interval.estimate == pytest.approx(factor, rel=0.02)


def test_policies_of_images_are_timed_in_one_layout_of_their_weights() -> None:
    agents = [image_agent(EncoderConfig(channels=16), num_inference_steps=1) for _ in range(2)]
    agents[0].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds_of_predictions(agents, 1)
    for agent in agents:
        kernels = [weights for weights in agent.parameters() if weights.ndim == 4]
        assert kernels
        assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)

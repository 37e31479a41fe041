"""The two rows that frame every table: the demonstrations themselves, and holding still."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baselines.diffusion.agent import DiffusionUnetConfig
from benchmark.plan.config import Cell, EvalConfig, TrainConfig
from benchmark.running.references import demonstrator, hold_still, references
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_replay import replay
from envs.demos.sources import load_pusht
from envs.pusht.geometry import SUCCESS_COVERAGE
from envs.pusht.vector import PushTVectorEnv


@pytest.fixture
def cell() -> Cell:
    return Cell(
        task="pusht",
        method="diffusion-unet",
        control="position",
        seed=42,
        preset="smoke",
        data="scripted",
        data_version="v1",
        num_demonstrations=3,
        obs_type="keypoints",
        agent=DiffusionUnetConfig(),
        train=TrainConfig(),
        action_scaling="min-max",
    )


def cut_short(demos: Demonstrations, steps: int) -> Demonstrations:
    """The demonstrations without their last steps."""
    kept = np.concatenate(
        [
            np.arange(start, end - steps)
            for start, end in zip(demos.starts, demos.episode_ends, strict=True)
        ]
    )
    return replace(
        demos,
        states=demos.states[kept],
        actions=demos.actions[kept],
        episode_ends=np.cumsum(demos.lengths - steps),
        observations={name: values[kept] for name, values in demos.observations.items()},
    )


def assert_is_replay(episodes: pd.DataFrame, demos: Demonstrations) -> None:
    """The outcome is that of a physics table that plays exactly the recorded actions."""
    replayed = replay(demos)
    np.testing.assert_allclose(episodes["max_coverage"], replayed.max_coverage, atol=1e-9)
    np.testing.assert_allclose(episodes["final_coverage"], replayed.final_coverage, atol=1e-9)
    np.testing.assert_array_equal(episodes["is_success"], replayed.is_success)
    np.testing.assert_array_equal(episodes["length"], demos.lengths)


def test_the_replay_of_scripted_demonstrations_succeeds(
    three_demonstrations: Demonstrations,
) -> None:
    episodes = demonstrator("pusht", three_demonstrations)
    assert episodes["is_success"].all()
    assert episodes["score"].tolist() == [1.0] * 3
    assert_is_replay(episodes, three_demonstrations)


def test_a_replayed_demonstration_has_the_seed_that_it_was_recorded_with(
    three_demonstrations: Demonstrations,
) -> None:
    assert demonstrator("pusht", three_demonstrations)["seed"].tolist() == [0, 1, 2]
    seeds = np.repeat([0.0, 4.0, 7.0], three_demonstrations.lengths)[:, None]
    observations = {**three_demonstrations.observations, "seed": seeds}
    picked = dataclasses.replace(three_demonstrations, observations=observations)
    assert demonstrator("pusht", picked)["seed"].tolist() == [0, 4, 7]


def test_what_comes_after_a_recording_is_no_part_of_it(
    three_demonstrations: Demonstrations,
) -> None:
    """The agent still moves when a recording breaks off, and would go on pushing."""
    short = cut_short(three_demonstrations, 3)
    episodes = demonstrator("pusht", short)
    assert not episodes["is_success"].any()
    assert (episodes["score"] < 1).all()
    assert_is_replay(episodes, short)


def test_a_replay_of_human_demonstrations_is_what_people_reached(human_npz: Path) -> None:
    demos = load_pusht("human", path=human_npz, num_episodes=10)
    episodes = demonstrator("pusht", demos)
    assert_is_replay(episodes, demos)
    assert not episodes["is_success"].any()  # none reaches .95 at its end


def test_holding_still_scores_what_the_initial_state_covers() -> None:
    seeds = [300_000 + i for i in range(8)]
    covered = PushTVectorEnv(len(seeds)).reset(seed=seeds)[1]["coverage"]
    episodes = hold_still("pusht", EvalConfig(episodes=len(seeds)))
    np.testing.assert_allclose(episodes["score"], covered / SUCCESS_COVERAGE, atol=1e-12)
    np.testing.assert_array_equal(episodes["max_coverage"], covered)
    np.testing.assert_array_equal(episodes["final_coverage"], covered)
    assert covered.max() > 0
    assert episodes["seed"].tolist() == seeds
    assert episodes["length"].tolist() == [300] * len(seeds)


def test_references_are_marked_as_not_trained(
    cell: Cell, three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    frames = references(cell, lambda: three_demonstrations, EvalConfig(episodes=2), tmp_path)
    for name, episodes in zip(("demonstrations, replayed", "hold-still"), frames, strict=True):
        assert set(episodes["method"]) == set(episodes["cell"]) == {name}
        assert set(episodes["train_seed"]) == {-1}
        assert set(episodes["updates"]) == set(episodes["inference_steps"]) == {0}


def test_references_are_played_once_and_again_for_other_data_or_episodes(
    cell: Cell,
    three_demonstrations: Demonstrations,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = EvalConfig(episodes=2)
    first = references(cell, lambda: three_demonstrations, two, tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr("benchmark.running.references.play")  # nothing can be played
        again = references(
            replace(cell, preset="quick"), lambda: three_demonstrations, two, tmp_path
        )
        for before, after in zip(first, again, strict=True):
            assert set(after["preset"]) == {"quick"}
            pd.testing.assert_frame_equal(
                before.drop(columns="preset"), after.drop(columns="preset")
            )
        horizon = EvalConfig(1, latency=2, inference_steps=4, episodes=2)
        floor = references(cell, lambda: three_demonstrations, horizon, tmp_path)[1]
        assert floor["score"].tolist() == first[1]["score"].tolist()
    more = references(cell, lambda: three_demonstrations, EvalConfig(episodes=3), tmp_path)
    assert [len(frame) for frame in more] == [3, 3]
    fewer = references(
        replace(cell, num_demonstrations=2),
        lambda: three_demonstrations.subset([2, 0]),
        two,
        tmp_path,
    )
    assert [len(frame) for frame in fewer] == [2, 2]
    short = replace(cell, data_version="v1-short")
    assert not references(short, lambda: cut_short(three_demonstrations, 3), two, tmp_path)[0][
        "is_success"
    ].any()

"""The multimodality study: its measures, its state, and a small policy all the way through."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from benchmark.errors import UsageError
from benchmark.evidence.stats import Interval, Share
from benchmark.plan.config import TrainConfig
from benchmark.running.run import Here, train_cell
from benchmark.running.store import Run
from benchmark.studies.multimodality import paths as multimodality_paths
from benchmark.studies.multimodality import state as multimodality_state
from benchmark.studies.multimodality.paths import (
    STEPS,
    Paths,
    block_centres,
    combined,
    commitment,
    joined,
    mode_entropy,
    path_measures,
    turned_back,
    winding,
)
from benchmark.studies.multimodality.rollouts import SAMPLES, denoise
from benchmark.studies.multimodality.state import (
    candidate,
    candidates,
    count_sides,
    demonstrated,
    search,
    stored_record,
    stored_state,
    visits,
)
from benchmark.studies.multimodality.study import Group, Multimodality, judged, make_group
from benchmark.studies.study import StudyConfig
from envs.demos.demonstrations import Demonstrations
from envs.demos.pusht_human import read
from envs.pusht.geometry import CENTER_OF_GRAVITY, GOAL_POSE, place
from envs.pusht.observations import observe


def going_round(*angles: list[float]) -> Paths:
    """Paths 100 px about a resting centre, from straight below it; angles in degrees."""
    centre = np.array([256.0, 200.0])
    parts = []
    for path in angles:
        turn = np.radians(np.array(path) + 90.0)  # y down: 90 degrees is below
        agent = centre + 100.0 * np.column_stack([np.cos(turn), np.sin(turn)])
        parts.append((agent, np.tile(centre, (len(agent), 1)), agent[1:]))
    return joined(parts)


LEFT = list(np.linspace(0.0, 120.0, STEPS + 1))
RIGHT = [-angle for angle in LEFT]
STILL = [0.0] * (STEPS + 1)
# To the left by 50 degrees, then to the right of where it started.
DITHERING = [*np.linspace(0.0, 50.0, 20), *np.linspace(50.0, -60.0, STEPS - 19)]


def test_clockwise_on_the_picture_is_left_for_an_agent_that_faces_the_block() -> None:
    paths = going_round(LEFT)
    # From below the block, the left is where x is smaller.
    assert paths.agent[0, STEPS // 2, 0] < paths.agent[0, 0, 0]
    measures = path_measures(paths)
    assert measures["side"].tolist() == ["left"]
    assert measures["winding"][0] == pytest.approx(120.0)


def test_sides_and_turning_back_of_known_paths() -> None:
    measures = path_measures(going_round(LEFT, RIGHT, STILL, DITHERING))
    assert measures["side"].tolist() == ["left", "right", "undecided", "right"]
    assert measures["started"].tolist() == [True, True, False, True]
    assert measures["turned_back"].tolist() == [False, False, False, True]
    share = commitment(measures)
    assert share == Share(2, 3).interval()  # who stood still took no way


def test_turning_back_by_less_than_the_threshold_is_keeping_on() -> None:
    small = [*np.linspace(0.0, 50.0, 20), *np.linspace(50.0, 25.0, STEPS - 19)]
    windings = np.array([small])
    assert not turned_back(windings)[0]
    assert turned_back(windings, 15.0)[0]
    measures = path_measures(going_round(small))
    assert not measures["turned_back"][0]
    assert measures["fine_turned_back"][0]


def test_a_way_that_leads_past_the_seam_of_the_angle_is_counted_on() -> None:
    windings = winding(
        going_round(list(np.linspace(0.0, 350.0, STEPS + 1))).agent, np.array([256, 200.0])
    )
    assert windings[0, -1] == pytest.approx(350.0)


@settings(max_examples=30)
@given(
    moves=st.lists(
        st.lists(st.floats(-25.0, 25.0), min_size=STEPS, max_size=STEPS), min_size=1, max_size=6
    )
)
def test_mirrored_paths_swap_left_and_right_and_nothing_else(moves: list[list[float]]) -> None:
    paths = going_round(*[[0.0, *np.cumsum(path)] for path in moves])
    mirror = np.array([-1.0, 1.0])
    mirrored = Paths(
        paths.agent * mirror, paths.centre * mirror, paths.set_points * mirror, paths.lengths
    )
    one, other = path_measures(paths), path_measures(mirrored)
    # At a threshold itself rounding decides.
    away = (np.abs(np.abs(one["winding"]) - multimodality_paths.WAY) > 1e-6).to_numpy()
    swapped = {"left": "right", "right": "left", "undecided": "undecided"}
    assert other["side"][away].tolist() == [swapped[side] for side in one["side"][away]]
    np.testing.assert_allclose(other["winding"], -one["winding"], atol=1e-9)
    np.testing.assert_allclose(other["jitter"], one["jitter"])
    if away.all():
        assert mode_entropy(other).estimate == pytest.approx(
            mode_entropy(one).estimate, nan_ok=True
        )


def test_entropy_is_one_bit_for_a_fair_split_and_nothing_for_one_way() -> None:
    fair = mode_entropy(path_measures(going_round(*[LEFT, RIGHT] * 10)))
    assert (fair.estimate, fair.high) == (1.0, 1.0)
    share = Share(10, 20).interval().low
    expected = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert fair.low == pytest.approx(expected)
    one = mode_entropy(path_measures(going_round(*[LEFT] * 20)))
    assert (one.estimate, one.low) == (0.0, 0.0)
    assert one.high > 0.3  # 20 of 20 do not show that the other way is never taken
    quarter = mode_entropy(path_measures(going_round(LEFT, RIGHT, RIGHT, RIGHT, STILL)))
    assert quarter.estimate == pytest.approx(0.811278, abs=1e-6)  # the undecided does not count


def test_without_a_way_there_is_no_entropy_and_no_commitment() -> None:
    measures = path_measures(going_round(STILL, STILL))
    assert math.isnan(mode_entropy(measures).estimate)
    assert math.isnan(commitment(measures).estimate)


def test_jitter_is_the_mean_squared_second_difference_of_steps_that_were_made() -> None:
    points = np.cumsum([[3.0, 0.0], [3.0, 0.0], [3.0, 4.0], [3.0, 4.0]], axis=0)
    start = np.zeros((1, 2))
    part = (np.vstack([start, points]), np.full((5, 2), 99.0), points)
    measures = path_measures(joined([part]))
    assert measures["jitter"][0] == pytest.approx(16.0 / 2)  # moves 3,0  3,4  3,4
    assert joined([part]).lengths.tolist() == [4]


def test_limits_of_a_difference_add_up_as_squares() -> None:
    a, b = Interval(0.9, 0.6, 1.0, 0.95, ""), Interval(0.2, 0.1, 0.6, 0.95, "")
    difference = combined([(1.0, a), (-1.0, b)])
    assert difference.estimate == pytest.approx(0.7)
    assert difference.low == pytest.approx(0.7 - math.hypot(0.3, 0.4))
    assert difference.high == pytest.approx(0.7 + math.hypot(0.1, 0.1))


def test_limits_of_a_difference_of_entropies_cover_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = mode_entropy(_split(500, 500)).estimate - mode_entropy(_split(900, 100)).estimate
    covered = 0
    for fair, rare in zip(rng.binomial(50, 0.5, 200), rng.binomial(50, 0.9, 200), strict=True):
        terms = [(1.0, mode_entropy(_split(fair, 50 - fair)))]
        terms += [(-1.0, mode_entropy(_split(rare, 50 - rare)))]
        interval = combined(terms)
        covered += interval.low <= truth <= interval.high
    assert covered >= 186  # 93 %; 95 % are meant


def _split(left: int, right: int) -> pd.DataFrame:
    return pd.DataFrame({"side": ["left"] * left + ["right"] * right})


def test_the_centre_of_the_block_is_read_off_its_keypoints() -> None:
    states = np.array([[10.0, 20.0, 200.0, 300.0, 0.3], [50.0, 60.0, 250.0, 120.0, 4.0]])
    expected = place([CENTER_OF_GRAVITY], states[:, 2:])[:, 0]
    np.testing.assert_allclose(block_centres(observe(states, "keypoints")["state"]), expected)


def test_candidates_are_their_own_mirror_images_and_have_the_block_in_the_way() -> None:
    for offset, distance in list(candidates())[::17]:
        state = candidate(offset, distance)
        # The goal's axis is the diagonal x + y = 512; mirroring swaps x and y about it.
        for x, y in state[:2], state[2:4]:
            assert x + y == pytest.approx(512.0, abs=1e-5)
        assert state[4] == pytest.approx(GOAL_POSE[2], abs=1e-6)
        assert (offset > 0) != (distance > 0)


def test_the_stored_state_is_what_the_search_finds(human_npz: Path) -> None:
    assert search(read(human_npz)) == stored_record()


def test_the_stored_state_lets_the_scripted_demonstrator_go_either_way() -> None:
    record = stored_record()
    found = count_sides(demonstrated(stored_state(), multimodality_state.STREAMS))
    assert found == record["scripted from there"]
    assert min(found["left"], found["right"]) >= 4


def test_a_visit_is_the_nearest_row_of_each_demonstration(
    three_demonstrations: Demonstrations,
) -> None:
    row = int(three_demonstrations.starts[1]) + 7
    paths = visits(three_demonstrations, three_demonstrations.states[row])
    assert any(
        np.array_equal(agent, three_demonstrations.states[row : row + STEPS + 1, :2])
        for agent in paths.agent
    )
    far = np.array([-500.0, -500.0, 0.0, 0.0, 0.0])
    assert count_sides(visits(three_demonstrations, far)) == {"left": 0, "right": 0, "in all": 0}


def group(name: str, control: str, *angles: list[float], seed: int = 42) -> Group:
    return make_group(name, control, seed, going_round(*angles))


def test_the_published_picture_gives_the_published_verdicts() -> None:
    both, one = [LEFT, RIGHT] * 25, [LEFT] * 50
    back = [[-angle for angle in DITHERING], DITHERING] * 25
    verdicts, unjudged = judged(
        [
            group("diffusion-unet", "position", *both),
            group("lstm-gmm", "velocity", *one),
            group("ibc", "velocity", *one),
            group("bet", "velocity", *back),
            group("bc-mlp", "position", *one),
        ]
    )
    assert len(verdicts) == 6
    assert {verdict.answer for verdict in verdicts} == {"holds"}
    assert unjudged == []


def test_policies_that_each_go_one_way_do_not_pass_for_both_ways() -> None:
    verdicts, _ = judged(
        [
            group("diffusion-unet", "position", *[LEFT] * 50, seed=42),
            group("diffusion-unet", "position", *[RIGHT] * 50, seed=43),
        ]
    )
    assert verdicts[0].interval.estimate == 0.0
    assert verdicts[0].answer == "does not hold"


def test_a_claim_on_a_policy_that_takes_no_way_is_named_and_not_judged() -> None:
    verdicts, unjudged = judged(
        [group("diffusion-unet", "position", *[LEFT, RIGHT] * 9), group("ibc", "velocity", STILL)]
    )
    assert not any("ibc" in verdict.claim for verdict in verdicts)
    assert len(unjudged) == 1
    assert "ibc, velocity" in unjudged[0]


class Hasty(Multimodality):
    """Its smoke cells, trained for two updates only."""

    def _cells(self, config: StudyConfig) -> list:
        train = TrainConfig(updates=2, batch_size=8, checkpoints=1, validation_episodes=0)
        return [replace(cell, train=train) for cell in super()._cells(config)]


def test_a_policy_goes_from_its_cell_to_the_drawings(
    three_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Hasty()
    config = StudyConfig(preset="smoke", methods=("diffusion-unet", "bet"))
    place = Here(torch.device("cpu"))
    jobs = study.jobs(config)
    assert [job.cell.method for job in jobs] == ["diffusion-unet", "bet"]
    for job in jobs:
        train_cell(job.cell, job.demos, tmp_path, place)
    study.measure(config, tmp_path)
    first = {path: path.read_bytes() for path in tmp_path.glob("*/measured/*.npz")}
    assert len(first) == 3  # two policies' paths, one policy's denoising

    def refuse(*_: object) -> None:
        raise AssertionError("rolled out twice")

    monkeypatch.setattr("benchmark.studies.multimodality.rollouts.roll_out", refuse)
    monkeypatch.setattr("benchmark.studies.multimodality.rollouts.denoise", refuse)
    study.measure(config, tmp_path)
    assert {path: path.read_bytes() for path in first} == first

    findings = study.findings(config, tmp_path)
    (sheet,) = findings.sheets
    assert sheet.data["method"].tolist()[2:] == ["diffusion-unet", "bet"]
    assert sheet.data["rollouts"].tolist()[1:] == [6, 6, 6]
    totals = sheet.data[["left", "right", "undecided"]].iloc[1:].sum(axis=1)
    np.testing.assert_allclose(totals, 1.0)
    rollouts, denoising = findings.drawings
    assert len(_pictures(rollouts.figure)) == 4  # two kinds of demonstrators, two policies
    assert len(_pictures(denoising.figure)) == 6
    assert denoising.data.groupby("panel")["line"].nunique().tolist() == [SAMPLES] * 6
    at_start = rollouts.data[
        (rollouts.data["step"] == 0) & rollouts.data["panel"].str.startswith("bet")
    ]
    np.testing.assert_allclose(at_start[["x", "y"]], np.tile(stored_state()[:2], (6, 1)), atol=0.06)


def test_denoising_ends_at_the_actions_and_starts_from_noise(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    config = StudyConfig(preset="smoke", methods=("diffusion-unet", "bet"))
    unet, bet = (job.cell for job in Hasty().jobs(config))
    for cell in (unet, bet):
        train_cell(cell, config.loader(), tmp_path, Here(torch.device("cpu")))
    agent = Run(unet, tmp_path).agent()
    stages = denoise(agent, unet, stored_state())
    assert stages.shape == (agent.inference_steps + 1, SAMPLES, agent.spec.chunk, 2)
    low, high = three_demonstrations.actions.min(axis=0), three_demonstrations.actions.max(axis=0)
    within = (stages >= low - 1e-2) & (stages <= high + 1e-2)
    assert within[-1].all()  # the last estimate is clipped to what was demonstrated
    assert not within[0].all()
    with pytest.raises(TypeError, match="bet denoises nothing"):
        denoise(Run(bet, tmp_path).agent(), bet, stored_state())


def test_paths_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    paths = going_round(LEFT, DITHERING)
    again = Paths.from_bytes(paths.to_bytes())
    for name in ("agent", "centre", "set_points", "lengths"):
        np.testing.assert_array_equal(getattr(again, name), getattr(paths, name))


def test_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="pusht"):
        Multimodality().jobs(StudyConfig(task="lift"))


def test_smoke_plays_position_control_only(three_demonstrations: Demonstrations) -> None:
    controls = {
        preset: {job.cell.control for job in Multimodality().jobs(StudyConfig(preset=preset))}
        for preset in ("smoke", "quick")
    }
    assert controls == {"smoke": {"position"}, "quick": {"position", "velocity"}}


def _pictures(figure: Figure) -> list[object]:
    return [axes for axes in figure.axes if axes.axison]

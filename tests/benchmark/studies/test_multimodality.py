"""The multimodality study: its measures, its state, and a small policy all the way through."""

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
from benchmark.evidence.verdicts import judge
from benchmark.plan.config import TrainConfig
from benchmark.plan.presets import HOME_CONTROL
from benchmark.running.run import Here, train_cell
from benchmark.running.workers import Job
from benchmark.studies.multimodality import paths as multimodality_paths
from benchmark.studies.multimodality import state as multimodality_state
from benchmark.studies.multimodality.paths import (
    RESOLUTION,
    STEPS,
    Paths,
    block_centres,
    joined,
    parted,
    path_measures,
    turned_back,
    winding,
)
from benchmark.studies.multimodality.state import (
    candidate,
    candidates,
    count_sides,
    demonstrated,
    search,
    stored_record,
    stored_states,
    visits,
)
from benchmark.studies.multimodality.study import Multimodality, claims_on, measured_rollouts
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
    assert winding(paths.agent, paths.centre)[0, -1] == pytest.approx(120.0)


def test_sides_and_turning_back_of_known_paths() -> None:
    measures = path_measures(going_round(LEFT, RIGHT, STILL, DITHERING))
    assert measures["side"].tolist() == ["left", "right", "undecided", "right"]
    assert measures["turned_back"].tolist() == [False, False, False, True]
    assert measures[["left", "right", "undecided"]].to_numpy().tolist() == [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 1, 0],
    ]


def test_turning_back_by_less_than_the_threshold_is_keeping_on() -> None:
    small = [*np.linspace(0.0, 50.0, 20), *np.linspace(50.0, 25.0, STEPS - 19)]
    windings = np.array([small])
    assert not turned_back(windings)[0]
    assert turned_back(windings, 15.0)[0]
    assert not path_measures(going_round(small))["turned_back"][0]
    assert path_measures(going_round(small), 15.0)["turned_back"][0]


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
    ends = winding(paths.agent, paths.centre)[:, -1]
    # At a threshold itself rounding decides.
    away = np.abs(np.abs(ends) - multimodality_paths.WAY) > 1e-6
    swapped = {"left": "right", "right": "left", "undecided": "undecided"}
    assert other["side"][away].tolist() == [swapped[side] for side in one["side"][away]]
    np.testing.assert_allclose(winding(mirrored.agent, mirrored.centre)[:, -1], -ends, atol=1e-9)
    np.testing.assert_allclose(other["jitter"], one["jitter"])
    if away.all():
        np.testing.assert_array_equal(parted(other), parted(one))


def test_two_rollouts_part_if_one_goes_left_and_the_other_right() -> None:
    paths = going_round(LEFT, RIGHT, RIGHT, LEFT, LEFT, LEFT, LEFT, STILL, STILL, STILL, RIGHT)
    assert parted(path_measures(paths)).tolist() == [True, True, False, False, False]
    rng = np.random.default_rng(0)
    for share in (0.5, 0.11):
        side = np.where(rng.random(20_000) < share, "left", "right")
        found = parted(pd.DataFrame({"side": side})).mean()
        assert found == pytest.approx(2 * share * (1 - share), abs=0.015)


def test_jitter_is_the_mean_squared_second_difference_of_steps_that_were_made() -> None:
    points = np.cumsum([[3.0, 0.0], [3.0, 0.0], [3.0, 4.0], [3.0, 4.0]], axis=0)
    start = np.zeros((1, 2))
    part = (np.vstack([start, points]), np.full((5, 2), 99.0), points)
    measures = path_measures(joined([part]))
    assert measures["jitter"][0] == pytest.approx(16.0 / 2)  # moves 3,0  3,4  3,4
    assert joined([part]).lengths.tolist() == [4]


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


def test_the_stored_states_are_what_the_search_finds(human_npz: Path) -> None:
    assert search(read(human_npz)) == stored_record()


def test_a_search_without_peoples_demonstrations_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(*_: object) -> None:
        raise ConnectionError("they could not be downloaded")

    stored = tmp_path / "state.json"
    monkeypatch.setattr(multimodality_state, "STORED", stored)
    monkeypatch.setattr("envs.demos.pusht_human.load", unreachable)
    assert multimodality_state.main() == 2
    assert capsys.readouterr().err == "error: they could not be downloaded\n"
    assert not stored.exists()


def test_the_stored_states_let_the_scripted_demonstrator_go_either_way() -> None:
    for record, state in zip(stored_record()["found"], stored_states(), strict=True):
        found = count_sides(demonstrated(state, multimodality_state.STREAMS))
        assert found == record["scripted from there"]
        assert min(found["left"], found["right"]) >= 4


def test_the_stored_states_lie_apart() -> None:
    states = stored_states()
    assert len(states) == 3
    for i, state in enumerate(states):
        for other in states[:i]:
            agent, block = (np.hypot(*(state - other)[part]) for part in (slice(2), slice(2, 4)))
            assert max(agent, block) >= multimodality_state.NEAR


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


def rollouts(config: StudyConfig, *policies: tuple[str, int, list[list[float]]]) -> pd.DataFrame:
    """The measured rollouts of policies: method, training seed, and what each rollout does."""
    return measured_rollouts(
        {
            (config.cell(method, HOME_CONTROL[method], seed), 0): going_round(*angles)
            for method, seed, angles in policies
        }
    )


BOTH = [LEFT, RIGHT] * 60
ONE = [LEFT] * 120
BACK = [[-angle for angle in DITHERING], DITHERING] * 60


def verdicts_on(frame: pd.DataFrame) -> dict[str, str]:
    found = judge(claims_on(frame, ["diffusion-unet"]))
    return {verdict.claim.split()[0]: verdict.answer for verdict in found}


@pytest.mark.parametrize(("seeds", "word"), [((42, 43, 44), "holds"), ((42,), "suggests")])
def test_the_published_picture_gives_the_published_verdicts(
    three_demonstrations: Demonstrations, seeds: tuple[int, ...], word: str
) -> None:
    ways = {"diffusion-unet": BOTH, "lstm-gmm": ONE, "ibc": ONE, "bet": BACK, "bc-mlp": ONE}
    frame = rollouts(
        StudyConfig(preset="smoke"),
        *((method, seed, own) for method, own in ways.items() for seed in seeds),
    )
    assert verdicts_on(frame) == dict.fromkeys(("diffusion-unet", "lstm-gmm", "ibc", "bet"), word)


def test_policies_that_each_go_one_way_do_not_pass_for_both_ways(
    three_demonstrations: Demonstrations,
) -> None:
    policies = [("diffusion-unet", 42 + i, [way] * 120) for i, way in enumerate([LEFT, RIGHT] * 2)]
    frame = rollouts(StudyConfig(preset="smoke"), *policies)
    assert verdicts_on(frame) == {"diffusion-unet": "does not hold"}


def test_showing_both_ways_and_turning_back_is_no_commitment(
    three_demonstrations: Demonstrations,
) -> None:
    policies = [("diffusion-unet", seed, BACK) for seed in (42, 43, 44)]
    frame = rollouts(StudyConfig(preset="smoke"), *policies)
    assert verdicts_on(frame) == {"diffusion-unet": "does not hold"}


class Hasty(Multimodality):
    """Its smoke cells, trained for two updates only."""

    def jobs(self, config: StudyConfig) -> list[Job]:
        train = TrainConfig(updates=2, batch_size=8, checkpoints=1, validation_episodes=0)
        return [replace(job, cell=replace(job.cell, train=train)) for job in super().jobs(config)]


def test_a_policy_goes_from_its_cell_to_the_drawings(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    study = Hasty()
    config = StudyConfig(preset="smoke", methods=("diffusion-unet", "bet"))
    place = Here(torch.device("cpu"))
    jobs = study.jobs(config)
    assert [(job.cell.method, job.cell.control) for job in jobs] == [
        ("diffusion-unet", "position"),
        ("bet", "velocity"),
    ]
    for job in jobs:
        train_cell(job.cell, job.demos, tmp_path, place)
    findings = study.findings(config, tmp_path)
    assert len(list(tmp_path.glob("*/measured/*.npz"))) == 4  # two states each
    demonstrators, policies, thresholds = (sheet.data for sheet in findings.sheets)
    assert demonstrators["who"].tolist()[0] == "people nearby"
    assert policies["method"].tolist() == ["diffusion-unet", "bet"]
    assert policies["Ta"].tolist() == [8, 1]
    assert policies["rollouts"].tolist() == [12, 12]
    np.testing.assert_allclose(policies[["left", "right", "undecided"]].sum(axis=1), 1.0)
    assert len(thresholds) == 6
    first, _ = findings.drawings
    assert len(_pictures(first.figure)) == 4  # two kinds of demonstrators, two policies
    at_start = first.data[(first.data["step"] == 0) & first.data["panel"].str.startswith("bet")]
    np.testing.assert_allclose(
        at_start[["x", "y"]], np.tile(stored_states()[0][:2], (6, 1)), atol=0.06
    )


def test_paths_come_back_from_disk_to_a_64th_of_a_pixel_and_measure_the_same() -> None:
    exact = going_round(LEFT, DITHERING)
    # Nowhere near whole resolutions, and the errors of steps must not add up along a path.
    paths = replace(exact, agent=exact.agent + 0.3 * RESOLUTION)
    again = Paths.from_bytes(paths.to_bytes())
    for name in ("agent", "centre", "set_points"):
        apart = np.abs(getattr(again, name) - getattr(paths, name))
        assert apart.max() <= RESOLUTION / 2, name
    assert (again.lengths == paths.lengths).all()
    pd.testing.assert_frame_equal(path_measures(again), path_measures(paths), atol=0.01)


def test_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="pusht"):
        Multimodality().jobs(StudyConfig(task="lift"))


def _pictures(figure: Figure) -> list[object]:
    return [axes for axes in figure.axes if axes.axison]

"""What every study concludes from made-up episodes whose answer is known."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence.verdicts import Claim, Joint, judge
from benchmark.studies.action_horizon import best_in_the_middle
from benchmark.studies.control_mode import study as control_mode
from benchmark.studies.control_theory.study import claims_on as linear_claims
from benchmark.studies.data_efficiency import ahead
from benchmark.studies.idle_actions import ONE, SEVERAL, get_over_pauses
from benchmark.studies.inference_steps import few_are_enough
from benchmark.studies.latency import survives
from benchmark.studies.noise_schedule import SCHEDULES, best_schedule
from benchmark.studies.observation_horizon import insensitive
from benchmark.studies.outperforms import compared
from benchmark.studies.perturbation import CALM, KINDS, recovers, solved_by
from benchmark.studies.temporal_consistency import consistent, way
from benchmark.studies.training_stability import steadier, swing, swings

EpisodesMaker = Callable[..., pd.DataFrame]
Play = Callable[..., pd.DataFrame]
DIFFUSION = ["diffusion-unet"]


@pytest.fixture
def play(make_episodes: EpisodesMaker) -> Play:
    """Episodes of a method with a mean score: five trainings that hardly differ, 80 episodes."""
    rng = np.random.default_rng(0)

    def of(method: str, score: float, seeds: int = 5, **columns: Any) -> pd.DataFrame:
        trainings = rng.uniform(-0.002, 0.002, (seeds, 1))
        table = score + trainings + rng.uniform(-0.04, 0.04, (seeds, 80))
        solved = (rng.random(table.shape) < score).ravel()
        return make_episodes(method, np.clip(table, 0, 1), is_success=solved).assign(**columns)

    return of


def answers(claims: Sequence[Claim | Joint]) -> list[str]:
    return [verdict.answer for verdict in judge(claims)]


def test_a_policy_outperforms_those_it_is_ahead_of_and_no_equal(play: Play) -> None:
    episodes = pd.concat(
        [play("diffusion-unet", 0.8), play("ibc", 0.3), play("bet", 0.8), play("lstm-gmm", 0.95)]
    )
    claims, differences = compared(episodes, DIFFUSION)
    assert list(differences["baseline"]) == ["ibc", "bet", "lstm-gmm"]
    found = answers(claims)
    assert found[:2] == ["holds", "holds"]
    assert set(found[2:4]) <= {"undecided"}
    assert found[4] == "does not hold"


def test_one_training_of_each_only_suggests(play: Play) -> None:
    episodes = pd.concat([play("diffusion-unet", 0.9, seeds=1), play("ibc", 0.3, seeds=1)])
    assert answers(compared(episodes, DIFFUSION)[0]) == ["suggests", "suggests"]


@pytest.mark.parametrize(("left", "word"), [(0.84, "holds"), (0.5, "does not hold")])
def test_a_policy_recovers_if_it_loses_less_than_the_margin(
    play: Play, left: float, word: str
) -> None:
    scores = {"diffusion-unet": left, "ibc": 0.2}
    frames = [play(method, 0.8, disturbance=CALM) for method in scores]
    frames += [play(m, score, disturbance=kind) for m, score in scores.items() for kind in KINDS]
    claims = recovers(pd.concat(frames), DIFFUSION)
    assert len(claims) == 2 * len(KINDS)
    assert answers(claims)[::2] == [word] * 3
    assert answers(claims)[1::2] == ["holds"] * 3  # the other loses far more


def test_the_share_solved_by_a_step_counts_times_to_success_only(play: Play) -> None:
    episodes = play("ibc", 0.5, disturbance="none", length=100)
    curve = solved_by(episodes, 300).set_index("step")["solved"]
    assert curve[95] == 0
    assert curve[100] == curve[300] == pytest.approx(episodes["is_success"].mean())


def test_position_control_survives_latency_where_velocity_control_does_not(play: Play) -> None:
    frames = [
        play("diffusion-unet", score, control=control, latency=latency)
        for control, scores in (("position", (0.8, 0.79)), ("velocity", (0.8, 0.5)))
        for latency, score in zip((0, 4), scores, strict=True)
    ]
    frames = [f.assign(cell=f["cell"] + f["control"].iloc[0]) for f in frames]
    assert answers(survives(pd.concat(frames), DIFFUSION)) == ["holds", "holds"]


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ((0.4, 0.79, 0.8, 0.78, 0.3), ["holds", "holds", "holds"]),
        ((0.4, 0.5, 0.6, 0.8, 0.9), ["holds", "does not hold", "does not hold"]),
        ((0.6, 0.75, 0.6, 0.5, 0.3), ["undecided", "holds", "does not hold"]),
    ],
)
def test_eight_is_best_if_neither_half_nor_twice_is_better(
    play: Play, scores: tuple[float, ...], words: list[str]
) -> None:
    frames = [
        play("diffusion-unet", score, action_horizon=Ta)
        for Ta, score in zip((1, 4, 8, 16, 128), scores, strict=True)
    ]
    assert answers(best_in_the_middle(pd.concat(frames), DIFFUSION)) == words


def test_gains_and_losses_of_position_control_follow_the_published_signs(play: Play) -> None:
    scores = {"diffusion-unet": (0.9, 0.3), "bet": (0.3, 0.9), "lstm-gmm": (0.9, 0.3)}
    frames = [
        play(method, score, control=control)
        for method, own in scores.items()
        for control, score in zip(("position", "velocity"), own, strict=True)
    ]
    frames = [f.assign(cell=f["cell"] + f["control"].iloc[0]) for f in frames]
    claims, changes = control_mode.compared(pd.concat(frames), DIFFUSION)
    assert answers(claims) == ["holds"] * 4 + ["does not hold"] * 2
    assert list(changes["score"] > 0) == [True, False, True]


def test_every_scaling_is_tried_beside_the_tasks_own() -> None:
    assert control_mode.scalings("min-max") == ("min-max", "quantile")
    assert control_mode.scalings("quantile") == ("quantile", "min-max")
    assert control_mode.scalings("none") == ("none", "quantile")


def test_an_error_that_stays_is_told_from_one_that_fades(play: Play) -> None:
    def grown(control: str, error: float) -> pd.DataFrame:
        own = play("diffusion-unet", 0.5, control=control, step=control_mode.ERROR_STEPS)
        return own.assign(error=error + own["score"], cell=own["cell"] + control)

    fades = pd.concat([grown("position", 1.0), grown("velocity", 20.0)])
    assert answers(control_mode.error_stays(fades, DIFFUSION)) == ["holds"]
    equal = pd.concat([grown("position", 5.0), grown("velocity", 5.0)])
    assert answers(control_mode.error_stays(equal, DIFFUSION)) == ["undecided"]
    assert control_mode.error_stays(grown("position", 1.0), DIFFUSION) == []


def test_few_steps_are_compared_with_all_steps_of_ddpm(play: Play) -> None:
    name = "diffusion-unet, epsilon"
    frames = [
        play(name, 0.8, sampler="ddpm", inference_steps=100),
        play(name, 0.79, sampler="ddim", inference_steps=10),
        play(name, 0.2, sampler="ddim", inference_steps=100),  # not what counts
    ]
    assert answers(few_are_enough(pd.concat(frames))) == ["holds"]
    frames[1] = play(name, 0.6, sampler="ddim", inference_steps=10)
    assert answers(few_are_enough(pd.concat(frames))) == ["does not hold"]


def test_reversals_count_by_the_way_and_standing_still_apart() -> None:
    back_and_forth = np.array([[0.0, 0], [10, 0], [0, 0], [10, 0], [0, 0]])
    measured = way(back_and_forth, still=3.0)
    assert measured["reversals"] == pytest.approx(3 / 40 * 100)
    assert measured["still"] == 0
    waiting = np.repeat(back_and_forth, 5, axis=0)
    # The same way, with rests between its turns.
    assert way(waiting, still=3.0)["still"] == pytest.approx(20 / 24)
    straight = np.column_stack([10.0 * np.arange(9), np.zeros(9)])
    assert way(straight, still=3.0) == {"reversals": 0.0, "still": 0.0, "jitter": 0.0}
    assert way(np.zeros((5, 2)), still=3.0) == {"reversals": 0.0, "still": 1.0, "jitter": 0.0}


def test_a_policy_that_turns_back_oftener_with_single_actions_is_found(play: Play) -> None:
    frames = [
        (own := play("bet", 0.5, action_horizon=Ta)).assign(reversals=base + own["score"])
        for Ta, base in ((1, 2.0), (8, 1.0))
    ]
    assert answers(consistent(pd.concat(frames))) == ["holds"]
    assert answers(consistent(pd.concat(frames[::-1]).assign(reversals=1.0))) == ["undecided"]


def test_pauses_cost_more_where_one_action_is_predicted(play: Play) -> None:
    def with_stuck(kind: str, idle: float, score: float, stuck: float) -> pd.DataFrame:
        own = play("diffusion-unet", score, idle=idle, predicts=kind)
        rank = own.groupby("train_seed").cumcount() / 80
        return own.assign(stuck=rank < stuck, cell=own["cell"] + kind + str(idle))

    both = pd.concat(
        [
            with_stuck(ONE, 0.0, 0.8, 0.1),
            with_stuck(ONE, 30.0, 0.3, 0.9),
            with_stuck(SEVERAL, 0.0, 0.8, 0.1),
            with_stuck(SEVERAL, 30.0, 0.79, 0.1),
        ]
    )
    assert answers(get_over_pauses(both, DIFFUSION)) == ["holds"] * 3
    assert len(get_over_pauses(both.assign(method="bet"), DIFFUSION)) == 2


def test_a_training_that_learns_steadily_does_not_swing() -> None:
    assert swing(np.linspace(0.2, 0.9, 7)) == pytest.approx(0, abs=1e-12)
    rising = np.linspace(0.2, 0.9, 8) + 0.1 * np.array([1, -1, -1, 1, 1, -1, -1, 1])
    assert 0.08 < swing(rising) < 0.13
    assert np.isnan(swing(np.array([0.1, 0.5])))


@pytest.mark.parametrize(("size", "word"), [(0.2, "holds"), (0.002, "undecided")])
def test_a_method_that_oscillates_swings_more(size: float, word: str) -> None:
    rng = np.random.default_rng(1)
    rows = []
    for method, swings_by in (("diffusion-unet", 0.0), ("ibc", size)):
        for weights in ("averaged", "raw weights"):
            for seed in range(42, 47):
                noise = rng.normal(0, 0.01, 10)
                zigzag = swings_by * np.resize([1.0, -1.0, -1.0, 1.0, 1.0], 10)
                score = np.linspace(0.3, 0.7, 10) + zigzag + noise
                rows += [
                    {
                        "variant": f"{method}, {weights}",
                        "train_seed": seed,
                        "update": update,
                        "validation_score": value,
                        "action_error": 10 * (1.2 - value),
                    }
                    for update, value in zip(range(100, 1100, 100), score, strict=True)
                ]
    claims = steadier(swings(pd.DataFrame(rows)), 200)
    assert len(claims) == 6
    assert set(answers(claims)[:2]) == {word}
    assert judge(claims)[0].seeds == 5


def test_a_rival_that_is_ahead_at_one_number_of_demonstrations_is_told(play: Play) -> None:
    frames = [
        play(method, score, demonstrations=number)
        for number, scores in ((40, (0.5, 0.2)), (200, (0.6, 0.9)))
        for method, score in zip(("diffusion-unet", "lstm-gmm"), scores, strict=True)
    ]
    assert answers(ahead(pd.concat(frames))) == ["holds", "does not hold"]
    assert ahead(frames[0]) == []


def test_flat_is_an_equivalence_with_the_published_observation_horizon(play: Play) -> None:
    frames = [
        play("diffusion-unet", score, obs_horizon=To)
        for To, score in ((1, 0.5), (2, 0.8), (4, 0.79))
    ]
    frames = [f.assign(cell=f["cell"] + str(i)) for i, f in enumerate(frames)]
    assert answers(insensitive(pd.concat(frames), DIFFUSION)) == ["does not hold", "holds"]


def test_the_published_schedule_is_compared_with_every_other_one(play: Play) -> None:
    scores = dict(zip(SCHEDULES, (0.8, 0.3, 0.8, 0.95), strict=True))
    frames = [
        play("diffusion-unet", score, schedule=name, prediction=prediction)
        for name, score in scores.items()
        for prediction in ("epsilon", "sample")
    ]
    frames = [f.assign(cell=f["cell"] + f["schedule"].iloc[0]) for f in frames]
    assert answers(best_schedule(pd.concat(frames))) == ["holds", "undecided", "does not hold"]


@pytest.mark.parametrize(("share", "words"), [(0.005, {"holds"}), (0.3, {"does not hold"})])
def test_a_policy_is_the_regulator_if_it_is_near_enough(share: float, words: set[str]) -> None:
    rng = np.random.default_rng(0)

    def frame(**columns: Any) -> pd.DataFrame:
        rows = pd.DataFrame({"train_seed": np.repeat([42, 43, 44], 40), "seed": [*range(40)] * 3})
        reference = rng.uniform(0.8, 1.2, 120)
        error = share**2 * reference * rng.uniform(0.9, 1.1, 120)
        rows = rows.assign(reference=reference, error=error, floor=0.0)
        return rows.assign(system="stable", method="diffusion-unet", pred_horizon=1, **columns)

    samplers = pd.concat([frame(sampler=name, inference_steps=100) for name in ("ddim", "ddpm")])
    regulator = rng.uniform(1, 2, 120)
    costs = frame().assign(
        regulator=regulator, cost=(1 + share * rng.uniform(0.4, 0.6, 120)) * regulator
    )
    claims = linear_claims(frame(offset=0), frame(step=3), samplers, costs)
    assert [claim.text.split(": ")[1].split(",")[0] for claim in claims] == [
        "its denoiser is the closed form",
        "sampling by DDIM ends at -K s",
        "sampling by DDPM ends at -K s",
        "it costs what the regulator costs",
    ]
    assert set(answers(claims)) == words

import numpy as np
import pandas as pd
import pytest
from scipy.stats import dunnett

from benchmark.commands.search import Candidate, gains, search
from benchmark.errors import UsageError
from benchmark.plan.candidates import CANDIDATES, SEARCH_SEEDS
from benchmark.plan.presets import PRESETS
from benchmark.plan.request import SweepConfig
from benchmark.plan.seeding import FIRST_SEED
from benchmark.plan.sweep import plan


def candidate(name: str, *scores: float) -> Candidate:
    """One whose trainings had these mean scores, in two episodes each."""
    episodes = pd.DataFrame(
        {
            "train_seed": np.repeat(np.arange(len(scores)), 2),
            "score": np.repeat(scores, 2) + np.tile([-0.01, 0.01], len(scores)),
            "is_success": False,
        }
    )
    return Candidate(name, 1.0, 10, episodes)


def test_gains_are_those_of_dunnetts_test_on_the_means_of_trainings():
    done = [candidate("preset", 0.5, 0.52), candidate("a", 0.9, 0.88), candidate("b", 0.5, 0.55)]
    found = gains(done)
    assert found["gain"].tolist() == pytest.approx([0.38, 0.015])
    by_hand = dunnett([0.9, 0.88], [0.5, 0.55], control=[0.5, 0.52], alternative="greater")
    assert found["p_value"].tolist() == pytest.approx(by_hand.pvalue.tolist(), abs=0.01)
    assert found["gain_low"][0] > 0 > found["gain_low"][1]


def test_one_training_a_candidate_shows_no_gain():
    found = gains([candidate("preset", 0.1), candidate("a", 0.9)])
    assert found["gain"].tolist() == pytest.approx([0.8])
    assert found["gain_low"].isna().all()


def test_chance_takes_another_candidate_as_often_as_is_said():
    draws = np.random.default_rng(0).normal(0.7, 0.05, (100, 8, 2))
    taken = [
        (gains([candidate(str(i), *own) for i, own in enumerate(of_one)])["gain_low"] > 0).any()
        for of_one in draws
    ]
    assert np.mean(taken) <= 0.1  # 0.05, and two standard errors of 100 draws


def test_every_trained_method_has_eight_candidates_whose_settings_exist():
    trained = {name for name, row in PRESETS["quick"].items() if row.train.updates}
    assert set(CANDIDATES) == trained
    for method, candidates in CANDIDATES.items():
        assert len(set(candidates)) == 8
        assert candidates[0] == ""
        ids = {
            cell.id
            for text in candidates
            for cell in plan(
                SweepConfig(
                    methods=(method,),
                    control=("position",),
                    seeds=SEARCH_SEEDS,
                    set=tuple(text.split()),
                )
            )
        }
        assert len(ids) == 16


def test_no_table_trains_with_the_seeds_of_a_search():
    assert FIRST_SEED not in SEARCH_SEEDS


def test_a_search_trains_every_seed_and_marks_what_is_taken(tmp_path):
    config = SweepConfig(
        preset="smoke",
        methods=("bc-mlp",),
        control=("position",),
        seeds=(1, 2),
        set=("train.updates=2",),
    )
    table = search(config, ("", "train.batch_size=8"), 2, tmp_path / "log", tmp_path / "runs")
    assert len(list((tmp_path / "runs").glob("pusht-*"))) == 4
    assert [row[0] for row in table.rows if row[0].endswith("*")] == ["the preset *"]
    kept = pd.read_csv(tmp_path / "log" / "pusht-scripted-bc-mlp-position-smoke.csv")
    assert set(kept["settings"]) == {"the preset", "train.batch_size=8"}
    assert kept["is_taken"].sum() == 1


def test_a_method_without_declared_candidates_needs_some(tmp_path):
    config = SweepConfig(methods=("nearest",), control=("position",))
    with pytest.raises(UsageError, match="no candidates are declared for nearest"):
        search(config, (), 2, tmp_path, tmp_path)

"""What tests share: made-up episodes, and a file of demonstrations."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.evidence.tables import results_table
from envs.demos import npz
from envs.demos.demonstrations import Demonstrations

EpisodesMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def demos_file(cache_of_three: Path, three_demonstrations: Demonstrations) -> Path:
    """Where the cache keeps the three demonstrations: processes of their own read them there."""
    (path,) = cache_of_three.glob("*.npz")
    assert npz.read(path, three_demonstrations.metadata).num_episodes == 3
    return path


@pytest.fixture(scope="session")
def make_episodes() -> EpisodesMaker:
    """A function that makes the episodes of one method; keywords replace whole columns."""

    def make(
        method: str,
        scores: Sequence[Sequence[float]] | np.ndarray,
        train_seeds: Sequence[int] | None = None,
        **columns: Any,
    ) -> pd.DataFrame:
        table = np.asarray(scores, dtype=np.float64)  # (S, E)
        S, E = table.shape
        train_seeds = list(range(42, 42 + S)) if train_seeds is None else list(train_seeds)
        score = table.ravel()
        frame = pd.DataFrame(
            {
                "cell": np.repeat([f"{method}-{seed}" for seed in train_seeds], E),
                "task": "pusht",
                "method": method,
                "control": "position",
                "data": "human",
                "obs_type": "keypoints",
                "preset": "laptop",
                "train_seed": np.repeat(train_seeds, E),
                "updates": 6000,
                "checkpoint": "last",
                "action_horizon": 8,
                "latency": 0,
                "inference_steps": 16,
                "split": "test",
                "seed": np.tile(np.arange(300_000, 300_000 + E), S),
                "is_success": score >= 1.0,
                "score": score,
                "max_coverage": 0.95 * score,
                "final_coverage": 0.9 * score,
                "length": 150,
                "predictions": 19,
                "seconds_per_prediction": 0.0123,
                "jitter": 20.0,
                "reversals": 0.05,
                "stuck": score < 0.5,
                "stuck_score": np.where(score < 0.5, score, np.nan),
            }
        )
        return frame.assign(**columns)

    return make


@pytest.fixture(scope="session")
def pusht_episodes(make_episodes: EpisodesMaker) -> pd.DataFrame:
    """What a whole Push-T benchmark gives: five methods, two control modes, three seeds."""
    rng = np.random.default_rng(7)
    frames = []
    means = {
        "diffusion-unet": 0.96,
        "diffusion-transformer": 0.93,
        "ibc": 0.85,
        "bet": 0.72,
        "lstm-gmm": 0.62,
    }
    difficulty = rng.normal(0, 0.05, 50)  # shared by all: some initial states are hard
    for method, mean in means.items():
        for control, loss in (("position", 0.0), ("velocity", 0.12)):
            raw = mean - loss + difficulty + rng.gumbel(0.08, 0.12, (3, 50)) * -1 + 0.16
            cells = np.repeat([f"{method}-{control}-{seed}" for seed in (42, 43, 44)], 50)
            scores = np.clip(raw, 0, 1)
            frames.append(make_episodes(method, scores, control=control, cell=cells))
    replayed = make_episodes(
        "demonstrations, replayed",
        np.ones((1, 200)),
        train_seeds=[-1],
        seed=np.arange(200),  # demonstrations have initial states of their own
        updates=0,
        inference_steps=0,
    )
    floor = make_episodes(
        "hold-still",
        np.clip(rng.normal(0.1, 0.1, (1, 50)), 0, 1),
        train_seeds=[-1],
        updates=0,
        inference_steps=0,
    )
    return pd.concat([*frames, replayed, floor], ignore_index=True)


@pytest.fixture(scope="session")
def pusht_results(pusht_episodes: pd.DataFrame) -> pd.DataFrame:
    """The results table of `pusht_episodes`."""
    return results_table(pusht_episodes)


@pytest.fixture(scope="session")
def pusht_history(pusht_episodes: pd.DataFrame) -> pd.DataFrame:
    """Training histories of the methods of `pusht_episodes`, a row every 500 updates."""
    rng = np.random.default_rng(8)
    learned = pusht_episodes[pusht_episodes["train_seed"] >= 0]
    runs = learned[["cell", "method", "control", "data", "train_seed"]].drop_duplicates()
    update = np.arange(500, 6001, 500)
    frames = []
    for run in runs.to_dict("records"):
        fall = np.exp(-update / 2000)
        offset = -2.0 if run["method"] == "lstm-gmm" else 0.02  # likelihoods may be negative
        score = np.where(update % 1000 == 0, 0.95 * (1 - fall), np.nan)
        frames.append(
            pd.DataFrame(
                {
                    **run,
                    "update": update,
                    "loss": offset + fall * rng.uniform(0.9, 1.1, len(update)),
                    "action_error": 40 * fall + rng.uniform(2, 4, len(update)),
                    "validation_score": score,
                    "validation_success": score**4,
                    "seconds": 0.16 * update,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)

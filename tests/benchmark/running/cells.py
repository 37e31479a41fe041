"""The small cell of the tests that train one and look at what is done with it."""

from baselines.bc_mlp import BcMlpConfig
from benchmark.plan.config import Cell, TrainConfig


def tiny_cell(
    method: str = "bc-mlp", seed: int = 1, updates: int = 2, validation_episodes: int = 0
) -> Cell:
    """A policy of three episodes of Push-T that is trained in a moment."""
    return Cell(
        task="pusht",
        method=method,
        control="position",
        seed=seed,
        preset="smoke",
        data="scripted",
        data_version="v1",
        num_demonstrations=3,
        obs_type="keypoints",
        agent=BcMlpConfig(width=8, blocks=1),
        train=TrainConfig(
            updates, 8, warmup_updates=0, checkpoints=1, validation_episodes=validation_episodes
        ),
        action_scaling="min-max",
    )

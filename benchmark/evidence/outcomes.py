"""Simulated outcomes like ours, with a known truth, for checking intervals and tests.

A training s succeeds in state e with chance expit(level + seed_spread z_s + state_spread z_e). The
spread is on the logit scale: 1 lets trainings with a mean of 0.8 differ with a standard deviation
of 0.14. Success is that coin; a score is 1 where it succeeds and otherwise low, from Beta(1/2, 2)
with mean 0.2: bimodal, like the scores of Push-T.

Shapes: R repetitions, S training seeds, E episodes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

Array = NDArray[np.float64]

FAILED_SCORE = 0.2  # mean of Beta(1/2, 2)
# How much of the states' spread two policies share, as a variance.
SHARED = 0.7


@dataclass(frozen=True)
class Policy:
    """A simulated policy.

    Attributes:
        success: Chance of success, over trainings and states.
        seed_spread: Standard deviation between trainings, on the logit scale.
        state_spread: The same between initial states.
    """

    success: float
    seed_spread: float
    state_spread: float

    def truth(self, kind: str) -> float:
        """The mean outcome of kind "success" or "score"."""
        if kind == "success":
            return self.success
        return self.success + (1 - self.success) * FAILED_SCORE

    def draw(self, kind: str, seeds: int, states: Array, rng: np.random.Generator) -> Array:
        """Draw tables (R, S, E) in given states (R, 1, E), standard normal, shared by policies."""
        repetitions, _, episodes = states.shape
        own = rng.normal(size=states.shape)
        state = self.state_spread * (np.sqrt(SHARED) * states + np.sqrt(1 - SHARED) * own)
        seed = self.seed_spread * rng.normal(size=(repetitions, seeds, 1))
        level = _level(self.success, float(np.hypot(self.seed_spread, self.state_spread)))
        solved = rng.random((repetitions, seeds, episodes)) < expit(level + seed + state)
        if kind == "success":
            return np.asarray(solved, dtype=np.float64)
        return np.asarray(np.where(solved, 1.0, rng.beta(0.5, 2.0, solved.shape)))


@lru_cache
def _level(success: float, spread: float) -> float:
    """The level at which the mean of expit(level + spread z) is `success`."""
    z = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    return float(brentq(lambda level: float(expit(level + spread * z).mean()) - success, -30, 30))

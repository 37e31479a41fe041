"""Policies, built to win; no simulator in here.

Each method is imported when it is asked for by name: `baselines.agent.agent_class`.
"""

from collections.abc import Mapping

METHODS: Mapping[str, str] = {
    "diffusion-unet": "baselines.diffusion.agent",
    "diffusion-transformer": "baselines.diffusion.agent",
    "ibc": "baselines.ibc",
    "lstm-gmm": "baselines.lstm_gmm",
    "bet": "baselines.bet",
    "bc-mlp": "baselines.bc_mlp",
}
"""The module of every built-in method by its registered name."""

"""Policies, built to win; no simulator in here.

Each method is imported when it is asked for by name: `baselines.agent.agent_class`.
"""

from collections.abc import Mapping

METHODS: Mapping[str, str] = {
    "diffusion-unet": "baselines.diffusion.agent",
    "diffusion-transformer": "baselines.diffusion.agent",
    "ibc": "baselines.ibc",
    "ibc-informed": "baselines.ibc_informed",
    "lstm-gmm": "baselines.lstm_gmm",
    "bet": "baselines.bet",
    "bc-mlp": "baselines.bc_mlp",
    "nearest": "baselines.nearest",
}
"""The module of every built-in method by its registered name."""

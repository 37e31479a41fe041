"""What `search` compares where it is told nothing else: eight candidates a method.

The first is the preset. Every method has as many, declared before any of them was run, and each
trains about as long as the preset `quick` does: what costs more an update gets fewer. `search`
takes one in place of the preset only where validation episodes show that it is better.
"""

from collections.abc import Mapping
from types import MappingProxyType

SEARCH_SEEDS = (1, 2)
"""Training seeds of a search; no table or study trains with them."""
SEARCH_EPISODES = 200
"""Validation episodes of each training."""

_SLOWER, _FASTER = "train.learning_rate=5e-4", "train.learning_rate=2e-3"

CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "diffusion-unet": (
            "",
            _SLOWER,
            _FASTER,
            "agent.prediction=epsilon",
            "train.ema_maximum=0.999",
            "train.batch_size=128 train.updates=4400",
            "train.weight_decay=1e-2",
            "agent.channels=[128,256] train.updates=5000",
        ),
        "diffusion-transformer": (
            "",
            "train.learning_rate=1e-3",
            "train.learning_rate=4e-3",
            "agent.prediction=epsilon",
            "train.ema_maximum=0.999",
            "train.batch_size=128 train.updates=6600",
            "agent.dropout=0.1",
            "agent.width=128 train.updates=7500",
        ),
        "ibc": (
            "",
            _SLOWER,
            _FASTER,
            "agent.negatives=1024 train.updates=2800",
            "train.batch_size=128 train.updates=4800",
            "agent.dropout=0.1",
            "agent.choice=lowest agent.noise=0.33 agent.noise_decay=0.5",
            "agent.width=512 train.updates=3500",
        ),
        "ibc-informed": (
            "",
            _SLOWER,
            _FASTER,
            "agent.near_share=0.25 agent.known_share=0.5",
            "agent.negatives=128 train.updates=5200",
            "agent.dropout=0.1",
            "agent.choice=lowest",
            "agent.width=512 train.updates=3500",
        ),
        "lstm-gmm": (
            "",
            "train.learning_rate=1e-3",
            "train.learning_rate=4e-3",
            "agent.min_std=1e-2",
            "train.ema_maximum=0.999",
            "train.gradient_clip=1.0",
            "agent.modes=10",
            "agent.hidden=400 train.updates=9000",
        ),
        "bet": (
            "",
            _SLOWER,
            _FASTER,
            "agent.bins=24",
            "agent.bins=128",
            "agent.offset_weight=1000",
            "agent.dropout=0.3",
            "agent.width=192 train.updates=3000",
        ),
        "bc-mlp": (
            "",
            _SLOWER,
            _FASTER,
            "train.weight_decay=1e-2",
            "train.ema_maximum=0.999",
            "agent.dropout=0.3",
            "agent.dropout=0.0",
            "agent.width=1024 train.updates=3500",
        ),
    }
)

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

_SLOWER, _FASTER = "train.learning_rate=1e-3", "train.learning_rate=4e-3"
_ADAMW = "train.optimizer=adamw"

CANDIDATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "diffusion-unet": (
            "",
            _SLOWER,
            _FASTER,
            f"{_ADAMW} train.learning_rate=1e-3 train.updates=2000",
            "train.batch_size=128 train.updates=770",
            "agent.prediction=epsilon",
            "agent.channels=[48,96,192] train.updates=1900",
            "train.ema_maximum=0.99",
        ),
        "diffusion-transformer": (
            "",
            _SLOWER,
            _FASTER,
            f"{_ADAMW} train.updates=2300",
            "train.batch_size=128 train.updates=1200",
            "agent.prediction=epsilon",
            "agent.dropout=0.1 train.updates=1700",
            "train.ema_maximum=0.99",
        ),
        "ibc": (
            "",
            "train.learning_rate=5e-4",
            "train.learning_rate=2e-3",
            f"{_ADAMW} train.updates=5300",
            "agent.negatives=256 train.updates=1000",
            "agent.candidates=1024",
            "agent.dropout=0.1",
            "agent.width=512 train.updates=800",
        ),
        "ibc-informed": (
            "",
            "train.learning_rate=5e-4",
            "train.learning_rate=2e-3",
            f"{_ADAMW} train.updates=6000",
            "agent.near_share=0.25 agent.known_share=0.5",
            "agent.dropout=0.1",
            "agent.negatives=128 train.updates=2400",
            "agent.choice=lowest",
        ),
        "lstm-gmm": (
            "",
            _SLOWER,
            "train.learning_rate=2e-3",
            f"{_ADAMW} train.updates=5500",
            "agent.min_std=1e-2",
            "train.gradient_clip=1.0",
            "agent.modes=10",
            "agent.hidden=400 train.updates=1900",
        ),
        "bet": (
            "",
            _SLOWER,
            _FASTER,
            f"{_ADAMW} train.learning_rate=1e-3 train.updates=2000",
            "train.batch_size=128 train.updates=3000",
            "agent.bins=24",
            "agent.offset_weight=1000",
            "agent.dropout=0.3",
        ),
        "bc-mlp": (
            "",
            _SLOWER,
            _FASTER,
            f"{_ADAMW} train.learning_rate=1e-3 train.updates=12000",
            "train.weight_decay=1e-2",
            "agent.dropout=0.3",
            "agent.dropout=0.0",
            "agent.width=512 train.updates=900",
        ),
    }
)

"""The one table that pairs methods with settings, for every preset.

smoke proves the chain in seconds; quick trains a cell for some three minutes of one core with AMX,
beside another (`plan --cells`), and laptop four times as long; paper holds the published settings,
for a GPU (`paper_preset.py`). `image_presets.py` says what becomes of a row where policies see
images.

What quick and laptop change against paper, and why:
    - Smaller networks, fewer updates by Muon in place of AdamW, higher learning rates and fewer
      inference steps: what one core can compute in that time. Eight settings a method were compared
      on validation seeds by `python -m benchmark search` (results/search/equal-tuning).
    - BET and LSTM-GMM predict chunks of actions (published: one), so that a mode or a bin is one
      way to go on; one action was not compared.
    - The average of the weights looks back 200 to 500 updates instead of 10,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from baselines.agent import agent_class
from baselines.bc_mlp import BcMlpConfig
from baselines.bet import BetConfig
from baselines.diffusion.agent import DiffusionTransformerConfig, DiffusionUnetConfig
from baselines.ibc import IbcConfig
from baselines.ibc_informed import IbcInformedConfig
from baselines.lstm_gmm import LstmGmmConfig
from baselines.nearest import NearestConfig
from benchmark.plan.config import HORIZONS, Cell, EvalConfig, TrainConfig
from benchmark.plan.image_presets import from_images
from benchmark.plan.paper_preset import (
    METHODS,
    PUBLISHED_METHODS,
    PUSHT_LENGTHS,
    PaperRow,
    paper_row,
)
from benchmark.plan.settings import WIDE, Settings
from benchmark.plan.tasks import get_task
from envs.control import Control
from envs.demos.demonstrations import DataSet, Demonstrations

Described = Demonstrations | DataSet
"""What a cell's id needs of demonstrations: where they come from and how many they are."""


_SMOKE_TRAIN = TrainConfig(
    updates=300,
    batch_size=64,
    learning_rate=1e-3,
    warmup_updates=30,
    ema_maximum=0.98,
    checkpoints=1,
    validation_episodes=0,
)
_SMOKE = {
    "diffusion-unet": Settings(
        DiffusionUnetConfig(channels=(32, 64), kernel_size=3, step_dim=64), _SMOKE_TRAIN
    ),
    "diffusion-transformer": Settings(DiffusionTransformerConfig(layers=2, width=64), _SMOKE_TRAIN),
    "ibc": Settings(
        IbcConfig(width=64, layers=2, dropout=0.0, negatives=64, candidates=64, iterations=3),
        _SMOKE_TRAIN,
        pred_horizon=5,
        action_horizon=4,
    ),
    "ibc-informed": Settings(
        IbcInformedConfig(
            width=64,
            layers=2,
            dropout=0.0,
            negatives=64,
            near_share=0.5,
            candidates=64,
            iterations=3,
        ),
        _SMOKE_TRAIN,
        pred_horizon=5,
        action_horizon=4,
    ),
    "lstm-gmm": Settings(LstmGmmConfig(hidden=64, layers=1), _SMOKE_TRAIN, 10, 17, 8),
    "bet": Settings(BetConfig(layers=2, width=64), _SMOKE_TRAIN, 3, 10, 8),
    "bc-mlp": Settings(BcMlpConfig(width=128, blocks=2), _SMOKE_TRAIN, 2, 9, 8),
    "nearest": Settings(NearestConfig(), replace(_SMOKE_TRAIN, updates=0), 2, 9, 8),
}
_QUICK_TRAIN = TrainConfig(
    batch_size=64,
    learning_rate=2e-3,
    warmup_updates=100,
    ema_maximum=0.995,
    checkpoints=2,
    optimizer="muon",
)
# One of the candidates: narrower than 64-128-256, and longer. It had 1,900 updates there, which
# took 1.4 times as long as the others; 1,400 take as long. Eight steps at run time score what
# sixteen do (results/search/inference-steps).
_UNET = DiffusionUnetConfig(
    channels=(48, 96, 192),
    kernel_size=3,
    step_dim=64,
    activation="silu",
    prediction="sample",
    num_inference_steps=8,
)
# On validation seeds, six layers of 128: 0.95 in place of 0.76 by the initial weights, which the
# published standard deviation makes so small here that the observations hardly get through; 0.49
# when the noise is predicted. Four layers of 96, for as long, score no less (results/search).
_TRANSFORMER = DiffusionTransformerConfig(
    layers=4, width=96, dropout=0.0, prediction="sample", initial_weights="fan-in"
)
# As published but for its size: uniform negatives, one action, the same search, fewer candidates;
# a quarter of the negatives, for more than twice the updates.
_IBC = IbcConfig(
    width=256,
    layers=3,
    obs_layers=2,
    dropout=0.0,
    negatives=64,
    candidates=256,
    search_precision="auto",
)
_IBC_INFORMED = IbcInformedConfig(
    width=256,
    layers=3,
    obs_layers=2,
    dropout=0.0,
    negatives=64,
    near_share=0.5,
    candidates=256,
    iterations=6,
    noise=0.33,
    noise_decay=0.55,
    search_precision="auto",
)
# An arm's action has seven or ten numbers, and a search that starts anywhere finds nothing there:
# on validation seeds of Lift 0.96 in place of 0.04 under position control, 1.00 in place of 0.00
# under velocity control (results/search).
_WIDE_IBC = replace(_IBC_INFORMED, near_share=0.25, known_share=0.75, noise=0.15, shaken_share=0.3)
_LSTM_GMM = LstmGmmConfig(hidden=256)
# A gripper's command hardly ever changes, so its Gaussians get as narrow as they may, and a change
# that they miss throws the weights about. Wider ones and clipped gradients: 0.88 in place of 0.63
# on validation seeds of Can under velocity control; 0.73 and 0.79 by one of the two
# (results/search).
_WIDE_LSTM_GMM = replace(_LSTM_GMM, min_std=0.01)
_BET = BetConfig(bins=64, width=128, offset_weight=100.0)
_BC_MLP = BcMlpConfig(width=256)  # half as wide costs a fifth an update, of which Muon takes most
_LSTM_GMM_TRAIN = replace(_QUICK_TRAIN, updates=3700, learning_rate=4e-3, betas=(0.9, 0.999))
_WIDE_IBC_ROW = Settings(
    _WIDE_IBC, replace(_QUICK_TRAIN, updates=4000, learning_rate=1e-3), 2, 2, 1
)
# What one update costs differs by method: every method is meant to train about as long.
_QUICK = {
    "diffusion-unet": Settings(_UNET, replace(_QUICK_TRAIN, updates=1400)),
    "diffusion-transformer": Settings(
        _TRANSFORMER,
        replace(_QUICK_TRAIN, updates=2000, betas=(0.9, 0.95), weight_decay=1e-2),
        2,
        10,
        8,
    ),
    "ibc": Settings(_IBC, replace(_QUICK_TRAIN, updates=3500, learning_rate=1e-3), 2, 2, 1),
    "ibc-informed": Settings(
        _IBC_INFORMED,
        replace(_QUICK_TRAIN, updates=4000, learning_rate=1e-3),
        2,
        2,
        1,
        wide=_WIDE_IBC_ROW,
    ),
    "lstm-gmm": Settings(
        _LSTM_GMM,
        _LSTM_GMM_TRAIN,
        10,
        17,
        8,
        wide=Settings(
            _WIDE_LSTM_GMM,
            replace(_LSTM_GMM_TRAIN, learning_rate=2e-3, gradient_clip=1.0),
            10,
            17,
            8,
        ),
    ),
    "bet": Settings(
        _BET,
        replace(
            _QUICK_TRAIN,
            updates=1700,
            batch_size=256,
            betas=(0.9, 0.95),
            weight_decay=0.1,
            gradient_clip=1.0,
        ),
        3,
        10,
        8,
    ),
    "bc-mlp": Settings(_BC_MLP, replace(_QUICK_TRAIN, updates=4500, batch_size=256), 2, 9, 8),
    "nearest": Settings(NearestConfig(), replace(_QUICK_TRAIN, updates=0, checkpoints=1), 2, 9, 8),
}


def _longer(quick: Settings) -> Settings:
    """A row of laptop: that of quick, trained four times as long."""
    train = replace(
        quick.train,
        updates=4 * quick.train.updates,
        warmup_updates=2 * quick.train.warmup_updates,
        ema_maximum=0.998,
        checkpoints=5 if quick.train.updates else 1,
    )
    return replace(quick, train=train, wide=quick.wide and _longer(quick.wide))


# Trained for longer than this, an arm's energy gets worse: on Can 0.20 in place of 0.40 of the
# validation episodes (results/search).
_WIDE_IBC_UPDATES = 9_600
_LAPTOP = {method: _longer(row) for method, row in _QUICK.items()}
_LAPTOP["ibc-informed"] = replace(
    _LAPTOP["ibc-informed"],
    wide=_longer(
        replace(_WIDE_IBC_ROW, train=replace(_WIDE_IBC_ROW.train, updates=_WIDE_IBC_UPDATES // 4))
    ),
)


def _published(row: PaperRow, lengths: Sequence[int]) -> Settings:
    """A row of the paper's, trained on episodes of so many steps."""
    return Settings(
        row.agent,
        row.training(lengths),
        row.obs_horizon,
        row.pred_horizon,
        row.action_horizon,
    )


# What stands in lists of methods; `make_cell` takes the row of its task and its demonstrations.
_PAPER = {
    method: _published(paper_row(method, "pusht", from_images=False), PUSHT_LENGTHS)
    for method in METHODS
}

PRESETS: Mapping[str, Mapping[str, Settings]] = MappingProxyType(
    {
        "smoke": MappingProxyType(_SMOKE),
        "quick": MappingProxyType(_QUICK),
        "laptop": MappingProxyType(_LAPTOP),
        "paper": MappingProxyType(_PAPER),
    }
)
HOME_CONTROL: Mapping[str, Control] = MappingProxyType(
    {
        "diffusion-unet": "position",
        "diffusion-transformer": "position",
        "ibc": "velocity",
        "ibc-informed": "velocity",
        "lstm-gmm": "velocity",
        "bet": "velocity",
        "bc-mlp": "position",
        "nearest": "position",
    }
)
"""The control mode that a study runs a method under, where it compares something else: the
published one (DP Sec. V: baselines under velocity, Diffusion Policy under position control)."""
EPISODES: Mapping[str, int] = MappingProxyType(
    {"smoke": 10, "quick": 100, "laptop": 200, "paper": 200}
)
"""Test episodes of each preset."""
CHOICE_EPISODES: Mapping[str, int] = MappingProxyType(
    {"smoke": 4, "quick": 20, "laptop": 50, "paper": 100}
)
"""Validation episodes by which each preset chooses an action horizon."""
PUBLISHED_EPISODES = 50
"""Episodes of the published protocol."""


def settings(preset: str, method: str) -> Settings:
    """Settings of a method under a preset.

    A method without a row here, such as one of another package, has its own defaults and is trained
    as diffusion-unet is.

    Raises:
        ValueError: If there is no such preset or method; the message lists what there is.
    """
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}; presets: {', '.join(PRESETS)}")
    if method in PRESETS[preset]:
        return PRESETS[preset][method]
    return replace(PRESETS[preset]["diffusion-unet"], agent=agent_class(method).Config())


def make_cell(
    preset: str,
    method: str,
    control: Control,
    seed: int,
    obs_type: str,
    demos: Described,
) -> Cell:
    """The cell of a method under a preset, for given demonstrations."""
    chosen, task = settings(preset, method), get_task(demos.metadata.task)
    sees_images = set(task.obs_shapes(obs_type)) != {"state"}
    if preset == "paper":
        chosen = _published(paper_row(method, task.name, sees_images), demos.lengths.tolist())
    if chosen.wide is not None and task.action_dim[control] >= WIDE:
        chosen = chosen.wide
    if sees_images:
        chosen = from_images(preset, chosen)
    return Cell(
        task=task.name,
        method=method,
        control=control,
        seed=seed,
        preset=preset,
        data=demos.metadata.source,
        data_version=demos.metadata.version,
        num_demonstrations=demos.num_episodes,
        obs_type=obs_type,
        agent=chosen.agent,
        train=chosen.train,
        action_scaling=task.action_scaling[control],
        obs_scaling=task.obs_scaling,
        obs_horizon=chosen.obs_horizon,
        pred_horizon=chosen.pred_horizon,
        action_horizon=chosen.action_horizon,
        encoder=chosen.encoder,
    )


def horizon_trials(cell: Cell) -> list[EvalConfig]:
    """The validation episodes by which a cell's action horizon is chosen, one config a horizon.

    Those of HORIZONS that its prediction is long enough for.
    """
    longest = cell.pred_horizon - cell.obs_horizon + 1
    return [
        EvalConfig(horizon, split="validation", episodes=CHOICE_EPISODES[cell.preset])
        for horizon in HORIZONS
        if horizon <= longest
    ]


def published_horizon(cell: Cell) -> int | None:
    """The action horizon that a cell's method was published with.

    None where the method was not published or its prediction here is too short for it.
    """
    if cell.method not in PUBLISHED_METHODS:
        return None
    sees_images = set(get_task(cell.task).obs_shapes(cell.obs_type)) != {"state"}
    horizon = paper_row(cell.method, cell.task, sees_images).action_horizon
    return horizon if horizon <= cell.pred_horizon - cell.obs_horizon + 1 else None


_CHUNKS = (16, 64)
# What a method needs to predict more actions than its preset has it predict: the search of
# ibc-informed is for two actions, the others lie between them.
_LONGER: Mapping[str, Mapping[str, Any]] = MappingProxyType({"ibc-informed": {"knots": 2}})


def predicting(cell: Cell, actions: int) -> Cell:
    """The cell, trained to predict at least `actions` actions from the current step on.

    Where its own prediction is too short it is made 16 or 64 actions long, so that few cells serve
    many action horizons and latencies, and its windows reach as far past an episode's end.
    """
    first = cell.obs_horizon - 1
    if first + actions <= cell.pred_horizon:
        return cell
    chunk = next((size for size in _CHUNKS if size >= actions), actions)
    return replace(
        cell,
        agent=replace(cell.agent, **_LONGER.get(cell.method, {})),
        pred_horizon=first + chunk,
        action_horizon=chunk,
    )

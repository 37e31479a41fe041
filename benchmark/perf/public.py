"""Diffusion Policy's public code, trained in turns with ours on the same windows.

Its network, loss, optimiser and average are imported from a checkout that the user names; nothing
of it is part of this project. Both sides have the same sizes. It computes in float32 as published,
ours as a training here does (bfloat16 products where the processor has them); what else differs is
what `baselines/diffusion` says of each network, such as SiLU in place of mish.
"""

from __future__ import annotations

import copy
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.diffusion.agent import DiffusionTransformerConfig, DiffusionUnetConfig
from benchmark.errors import UsageError
from benchmark.perf.pusht import OBS_TYPE
from benchmark.perf.timing import Effort, Measurement, repeat, threads, timed
from benchmark.plan.presets import make_cell
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations

PEER = "diffusion_policy"
COMPARED = (("diffusion-unet", 64), ("diffusion-unet", 256), ("diffusion-transformer", 64))
"""Methods, with the sizes of quick, and batches."""
CHANNELS = (64, 128, 256)
"""Of the U-Net of both sides."""
_DIFFUSION_STEPS = 100


def against_public(
    checkout: Path, demos: Demonstrations, device: torch.device, effort: Effort
) -> list[Measurement]:
    """Samples a second of both sides on one thread, and how many times theirs ours are.

    Args:
        checkout: A copy of real-stanford/diffusion_policy.
        demos: What is trained on.
        device: Where.
        effort: How often.

    Raises:
        UsageError: If the checkout is none, or einops, which it needs, is not installed.
    """
    found = []
    with threads(1), _importable(checkout):
        for method, batch in COMPARED:
            cell = make_cell("quick", method, "position", 0, OBS_TYPE, demos)
            if isinstance(cell.agent, DiffusionUnetConfig):
                cell = replace(cell, agent=replace(cell.agent, channels=CHANNELS))
            cell = replace(cell, train=replace(cell.train, batch_size=batch, optimizer="adamw"))
            trainer = Trainer(cell, demos, device)
            updates = {"dpbench": trainer.step, PEER: PublicTraining(trainer).step}
            row = partial(
                Measurement, "training beside the public code", threads=1, device=device.type
            )
            rates: dict[str, list[float]] = {name: [] for name in updates}
            for _ in range(effort.rounds):
                for name, update in updates.items():
                    rates[name].append(batch / _seconds(trainer, update, effort.block_seconds))
            title = f"{method}, batch {batch}"
            found += [
                row(how=f"{title}: {name}", unit="samples/s", values=tuple(rates[name]))
                for name in updates
            ]
            times = np.array(rates["dpbench"]) / np.array(rates[PEER])
            found.append(row(how=f"{title}: dpbench / {PEER}", unit="times", values=tuple(times)))
    return found


class PublicTraining:
    """An update of the public code: noise, network, loss, gradient, AdamW, average."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        torch.manual_seed(0)
        self.network = _network(trainer.cell.agent, trainer).to(trainer.device)
        average = importlib.import_module("diffusion_policy.model.diffusion.ema_model")
        self._average = average.EMAModel(copy.deepcopy(self.network), power=0.75)
        train = trainer.cell.train
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), train.learning_rate, train.betas
        )
        steps = (torch.arange(_DIFFUSION_STEPS + 1) / _DIFFUSION_STEPS + 0.008) / 1.008
        kept = torch.cos(steps * torch.pi / 2) ** 2
        self._kept = (kept[1:] / kept[0]).clamp(min=1e-8).to(trainer.device)

    def step(self) -> None:
        """Update the weights by the windows that our next update has."""
        batch = self._trainer.batch(self._trainer.update)
        spread = self._trainer.data.normalizer
        obs = spread.normalize("state", batch.obs["state"])
        actions = spread.normalize("action", batch.actions)
        noise = torch.randn_like(actions)
        step = torch.randint(0, _DIFFUSION_STEPS, (len(actions),), device=actions.device)
        kept = self._kept[step, None, None]
        noised = kept.sqrt() * actions + (1 - kept).sqrt() * noise
        loss = F.mse_loss(self._denoise(noised, step, obs), noise)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._average.step(self.network)

    def _denoise(self, noised: Tensor, step: Tensor, obs: Tensor) -> Tensor:
        if isinstance(self._trainer.cell.agent, DiffusionUnetConfig):
            found: Tensor = self.network(noised, step, global_cond=obs.flatten(1))
        else:
            found = self.network(noised, step, obs)
        return found


def _network(config: Any, trainer: Trainer) -> Any:
    """The public network of the sizes of one of ours."""
    cell, spec = trainer.cell, trainer.data.spec
    seen = sum(int(np.prod(shape)) for shape in spec.obs_shapes.values())
    if isinstance(config, DiffusionUnetConfig):
        module = importlib.import_module("diffusion_policy.model.diffusion.conditional_unet1d")
        return module.ConditionalUnet1D(
            input_dim=spec.action_dim,
            global_cond_dim=cell.obs_horizon * seen,
            diffusion_step_embed_dim=config.step_dim,
            down_dims=list(config.channels),
            kernel_size=config.kernel_size,
            n_groups=config.groups,
            cond_predict_scale=True,
        )
    assert isinstance(config, DiffusionTransformerConfig)
    module = importlib.import_module("diffusion_policy.model.diffusion.transformer_for_diffusion")
    return module.TransformerForDiffusion(
        input_dim=spec.action_dim,
        output_dim=spec.action_dim,
        horizon=cell.pred_horizon,
        n_obs_steps=cell.obs_horizon,
        cond_dim=seen,
        n_layer=config.layers,
        n_head=config.heads,
        n_emb=config.width,
        p_drop_emb=0.0,
        p_drop_attn=config.dropout,
        causal_attn=True,
        time_as_cond=True,
        obs_as_cond=True,
    )


def _seconds(trainer: Trainer, update: Callable[[], None], block: float) -> float:
    """Seconds an update, over a block of them."""
    return float(np.mean(repeat(timed(trainer.device, update), block)))


@contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Let `diffusion_policy` be imported from the checkout."""
    if not (checkout / PEER / "model" / "diffusion" / "conditional_unet1d.py").is_file():
        raise UsageError(
            f"{checkout} is no checkout of diffusion_policy; get one by "
            "git clone https://github.com/real-stanford/diffusion_policy"
        )
    sys.path.append(str(checkout.resolve()))
    try:
        importlib.import_module("diffusion_policy.model.diffusion.conditional_unet1d")
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{PEER} needs {error.name}, which is not installed; pip install {error.name}"
        ) from error
    finally:
        sys.path.remove(str(checkout.resolve()))
        for name in [each for each in sys.modules if each.split(".")[0] == PEER]:
            del sys.modules[name]

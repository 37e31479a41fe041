"""What policies that see images cost: an update, its memory, the encoder's share of the machine.

An encoder does little else than multiply, so its speed is told as a share of what the machine does
on one large product of matrices. Memory is what a training holds: weights, their average,
gradients and moments, and what the forward pass keeps for the backward one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from baselines.checkpoints import load_agent, save_agent
from baselines.diffusion.schedule import DiffusionConfig
from baselines.nets.image_encoder import ImageEncoder
from benchmark.perf.timing import (
    RATE_SHARE,
    Effort,
    Measurement,
    product_rate,
    products,
    repeat,
    threads,
    timed,
)
from benchmark.plan.config import Cell
from benchmark.plan.presets import PRESETS, make_cell
from benchmark.plan.tasks import get_task
from benchmark.running.rollout import AgentPolicy
from benchmark.running.train import Trainer
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.observations import observe

TASK = "pusht-image"
EPISODES = 5  # of the workload, which are drawn
FAST_STEPS = 10  # of DDIM, as published for a robot


def images(
    preset: str, states: NDArray[np.float64], device: torch.device, effort: Effort
) -> list[Measurement]:
    """Measure a preset's trainings from images, its encoder, and a prediction.

    Args:
        preset: Which.
        states: Before each step of the workload, (T, E, 5), which are drawn.
        device: Where.
        effort: How often.
    """
    demos = demonstrations(states[:, :EPISODES])
    cells = [
        make_cell(preset, method, "position", 0, "pixels", demos) for method in PRESETS[preset]
    ]
    with threads(1):
        rows = []
        for cell in cells:
            if cell.train.updates:
                trainer = Trainer(cell, demos, device)
                rows += training(trainer, effort)
                if isinstance(cell.agent, DiffusionConfig):
                    rows.append(prediction(trainer, demos, effort))
        return rows + encoder(Trainer(cells[0], demos, device), effort)


def demonstrations(states: NDArray[np.float64]) -> Demonstrations:
    """Episodes (T, E, 5) as if they were demonstrations, with their pictures."""
    length, episodes = states.shape[:2]
    flat = states.transpose(1, 0, 2).reshape(-1, 5)
    return Demonstrations(
        states=flat,
        actions=flat[:, :2].copy(),
        episode_ends=length * np.arange(1, episodes + 1),
        observations=observe(flat, "pixels"),
        metadata=Metadata(TASK, "import", "perf", seed=0),
    )


def training(trainer: Trainer, effort: Effort) -> list[Measurement]:
    """Milliseconds an update of a training, and the memory that it takes."""
    cell = trainer.cell
    row = partial(
        Measurement,
        f"training from images, {cell.preset}",
        f"{cell.method}, batch {cell.train.batch_size}",
        threads=torch.get_num_threads(),
        device=trainer.device.type,
    )
    seconds = repeat(timed(trainer.device, trainer.step), effort.seconds)
    return [
        row(unit="ms/update", values=tuple(1e3 * each for each in seconds)),
        row(unit="MB", values=(memory(trainer) / 1e6,)),
    ]


def memory(trainer: Trainer) -> int:
    """Bytes of a training: five numbers a weight, and what an update keeps for its gradients."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = sum(p.numel() * p.element_size() for p in trainer.agent.parameters())
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        trainer.step()
    own = {p.untyped_storage().data_ptr() for p in trainer.agent.parameters()}
    return 5 * weights + sum(size for place, size in kept.items() if place not in own)


def prediction(trainer: Trainer, demos: Demonstrations, effort: Effort) -> Measurement:
    """Milliseconds of one prediction of a diffusion policy in ten steps."""
    with TemporaryDirectory() as folder:  # a finished policy is one that was read back
        save_agent(trainer.agent, Path(folder))
        agent = load_agent(Path(folder)).to(trainer.device)
    agent.set_sampler("ddim")
    agent.set_inference_steps(FAST_STEPS)
    seen = get_task(TASK).obs_shapes("pixels")
    window = {name: demos.observations[name][None, : trainer.cell.obs_horizon] for name in seen}
    act = partial(AgentPolicy(agent, range(1)).predict, window, np.arange(1))
    return Measurement(
        f"prediction from images, {trainer.cell.preset}",
        f"{trainer.cell.method}, batch 1, {FAST_STEPS} DDIM steps",
        "ms",
        tuple(1e3 * each for each in repeat(act, effort.seconds)),
        torch.get_num_threads(),
        trainer.device.type,
    )


def encoder(trainer: Trainer, effort: Effort) -> list[Measurement]:
    """Milliseconds of an encoder's forward and backward pass, and its share of the rate."""
    [network] = [each for each in trainer.agent.modules() if isinstance(each, ImageEncoder)]
    frames = trainer.batch(0).obs["pixels"].flatten(0, 1)
    generator = torch.Generator().manual_seed(0)

    def encode() -> None:
        with trainer.precision():
            features = network(frames, generator)
        features.float().square().sum().backward()

    operations = products(network, encode)
    seconds = repeat(timed(trainer.device, encode), effort.seconds)
    rate = operations / np.array(seconds)
    row = partial(
        Measurement,
        f"encoder, {trainer.cell.preset}",
        f"{_title(trainer.cell)}, {len(frames)} frames",
        threads=torch.get_num_threads(),
        device=trainer.device.type,
    )
    share = 100 * rate / product_rate(trainer.device)
    return [
        row(unit="ms", values=tuple(1e3 * each for each in seconds)),
        row(unit=RATE_SHARE, values=tuple(share.tolist())),
    ]


def _title(cell: Cell) -> str:
    return cell.encoder.title if cell.encoder else cell.obs_type

"""Training: windows in memory, AdamW with warm-up and cosine, averaged weights, exact continuation.

Every random choice of update i is derived from the cell's seed and i. So a training that was
interrupted and continued gives, on a CPU, the same weights to the bit as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from torch import Tensor
from tqdm import tqdm

from baselines.agent import Agent, Batch, Spec, agent_class
from baselines.checkpoints import save_agent
from baselines.ema import EMA
from baselines.nets.image_encoder import with_own_rates
from baselines.nets.pretrained import load_pretrained
from baselines.normalizer import Normalizer
from baselines.optimizer import FlatOptimizer
from baselines.processor import multiplies_bfloat16
from baselines.windows import Windows
from benchmark.plan.config import KEPT, Cell, TrainConfig
from benchmark.plan.network import spec_of
from benchmark.plan.seeding import derive
from benchmark.plan.tasks import get_task
from benchmark.running.contract import contract, loss_of
from benchmark.running.machine import machine
from benchmark.running.origin import origin_of
from benchmark.running.store import Run
from benchmark.sealed import is_whole, read_sealed, set_aside, write_sealed
from envs.demos.demonstrations import Demonstrations
from envs.demos.files import FileError, decoding
from envs.progress import progress_bar

SAVE_SECONDS = 20.0  # a crash costs at most about so much training
LOG_ROWS = 100
ERROR_WINDOWS = 128

Validate = Callable[[Agent], tuple[float, float]]
"""Scores a policy on validation episodes: mean score, success rate."""


@dataclass(frozen=True)
class TrainingData:
    """The windows of a cell's demonstrations on a device, and the normaliser fitted to them."""

    windows: Windows
    normalizer: Normalizer
    spec: Spec

    @classmethod
    def prepare(
        cls,
        cell: Cell,
        demos: Demonstrations,
        device: torch.device,
        normalizer: Normalizer | None = None,
    ) -> TrainingData:
        """Take the actions of the cell's control mode, fit the scaling, cut windows.

        Args:
            cell: What is trained.
            demos: What it is trained on.
            device: Where.
            normalizer: That of other demonstrations; None fits one to these.
        """
        task = get_task(cell.task)
        actions = task.actions_of(demos, cell.control)
        spec = spec_of(cell)
        tensors = {"action": torch.as_tensor(actions, dtype=torch.float32)} | {
            name: torch.as_tensor(array if array.dtype.name == "uint8" else array.astype("float32"))
            for name, array in demos.observations.items()
        }
        if normalizer is None:
            normalizer = Normalizer.fit(
                tensors, {"state": cell.obs_scaling, "action": cell.action_scaling}
            )
        tensors = {name: value.to(device) for name, value in tensors.items()}
        windows = Windows(
            {name: tensors[name] for name in spec.obs_shapes},
            tensors["action"],
            torch.as_tensor(demos.episode_ends),
            spec,
            cell.action_horizon,
            actions_hold=cell.control == "position",
            pads_before=cell.train.pads_before,
        )
        return cls(windows, normalizer.to(device), spec)


def learning_rate(config: TrainConfig, update: int) -> float:
    """Learning rate of an update: linear warm-up, then a cosine to 0 or none of that."""
    if update < config.warmup_updates:
        return config.learning_rate * (update + 1) / config.warmup_updates
    if config.schedule == "constant":
        return config.learning_rate
    rest = max(1, config.updates - config.warmup_updates)
    progress = min(1.0, (update - config.warmup_updates) / rest)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


class Trainer:
    """One training that can be stopped after any update and continued.

    Args:
        cell: What is trained.
        demos: What it is trained on.
        device: Where.
    """

    def __init__(self, cell: Cell, demos: Demonstrations, device: torch.device) -> None:
        self.cell, self.device = cell, device
        shown, held_out = _parted(demos, cell.train.held_out)
        self.data = TrainingData.prepare(cell, shown, device)
        self._judged_on = self.data.windows
        if held_out is not None:
            unseen = TrainingData.prepare(cell, held_out, device, self.data.normalizer)
            self._judged_on = unseen.windows
        torch.manual_seed(derive(cell.seed, "weights"))
        cls = agent_class(cell.method)
        self.agent = cls(cell.agent, self.data.spec, self.data.normalizer).to(device)
        self.agent.fit(
            self.data.windows.actions(), torch.Generator().manual_seed(derive(cell.seed, "fit"))
        )
        self.agent.remember(self.data.windows.all())
        encoder = self.data.spec.encoder
        if encoder.weights:
            load_pretrained(self.agent, Path(encoder.weights))
        groups = self.agent.parameter_groups(cell.train.weight_decay)
        fast = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
        self.optimizer = FlatOptimizer(
            with_own_rates(groups, self.agent, encoder.learning_rate_share),
            cell.train.learning_rate,
            cell.train.betas,
            cell.train.gradient_clip,
            muon=fast if cell.train.optimizer == "muon" else None,
        )
        self.ema = EMA(
            self.agent,
            cell.train.ema_power,
            cell.train.ema_maximum,
            self.optimizer.flat,
            self.optimizer.parameters,
        )
        self.update = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._losses: list[Tensor] = []
        # Noise is drawn on the CPU, where a seed gives the same numbers on every machine.
        self._generator = torch.Generator()
        self._bfloat16 = cell.train.precision == "bfloat16" or (
            cell.train.precision == "auto" and multiplies_bfloat16(device)
        )

    def start_from(self, policy: Agent) -> None:
        """Take over a finished policy of the same settings, with what it was fitted to."""
        for agent in (self.agent, self.ema.module):
            agent.load_state_dict(policy.state_dict())

    def step(self) -> None:
        """One optimiser update."""
        config, seed = self.cell.train, self.cell.seed
        start = time.perf_counter()
        self._generator.manual_seed(derive(seed, "noise", self.update))
        torch.manual_seed(derive(seed, "dropout", self.update))  # dropout takes no generator
        loss = self._loss(self.batch(self.update))
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(learning_rate(config, self.update))
        self.ema.update()
        self._losses.append(loss.detach())
        self.update += 1
        self.seconds += time.perf_counter() - start

    def batch(self, update: int) -> Batch:
        """The windows of an update."""
        order = derive(self.cell.seed, "order")
        chosen = self.data.windows.shuffled(update, self.cell.train.batch_size, order)
        return self.data.windows.batch(chosen.to(self.device), self.agent.obs_steps)

    def precision(self) -> torch.autocast:
        """The context in which losses are computed: with bfloat16 products, or without."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def _loss(self, batch: Batch) -> Tensor:
        with contract(self.agent, "loss"), self.precision():
            loss = self.agent.loss(batch, self._generator)
        return loss_of(self.agent, loss)

    def log(self, at_checkpoint: bool, validate: Validate | None) -> None:
        """Add a row to the history; at a checkpoint it holds action error and validation too."""
        row = {
            "update": float(self.update),
            "loss": float(torch.stack(self._losses).mean()) if self._losses else math.nan,
            "action_error": math.nan,
            "validation_score": math.nan,
            "validation_success": math.nan,
        }
        self._losses.clear()
        agent = self.ema.module.eval()
        if at_checkpoint:
            row["action_error"] = self._action_error(agent)
        if at_checkpoint and validate is not None:
            row["validation_score"], row["validation_success"] = validate(agent)
        self.history.append(row | {"seconds": self.seconds})

    @torch.inference_mode()
    def _action_error(self, agent: Agent) -> float:
        """Root mean squared distance of sampled actions to the demonstrated ones, env units.

        Taken from the current step on; what lies before is past and never executed.
        """
        windows = self._judged_on
        count = min(ERROR_WINDOWS, len(windows))
        spread = torch.linspace(0, len(windows) - 1, count).long().to(self.device)
        batch = windows.batch(spread)
        sampled = agent.act(batch.obs, torch.Generator().manual_seed(0))[:, 0]
        error = agent.current_and_later(sampled - batch.actions)
        return float(error.square().mean().sqrt())

    def save(self, run: Run) -> None:
        """Keep everything that continuing needs, in one file."""
        tensors: dict[str, Tensor] = {f"agent.{k}": v for k, v in self.agent.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        tensors |= {f"optimizer.{k}": v for k, v in self.optimizer.state_dict().items()}
        if self._losses:
            tensors["losses"] = torch.stack(self._losses)
        progress = {"update": self.update, "seconds": self.seconds, "history": self.history}
        contiguous = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        data = safetensors.torch.save(contiguous, {"progress": json.dumps(progress)})
        write_sealed(run.state_path, data)

    def restore(self, run: Run) -> None:
        """Continue from `save`.

        Raises:
            FileError: If what was saved is damaged; nothing can be done with this trainer then.
        """
        with decoding(run.state_path, "training state"):
            data = read_sealed(run.state_path)
            length = int.from_bytes(data[:8], "little")  # of safetensors' header, which is JSON
            progress = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["progress"])
            tensors = safetensors.torch.load(data)

            def part(prefix: str) -> dict[str, Tensor]:
                return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}

            self.agent.load_state_dict(part("agent."))
            self.ema.load_state_dict(part("ema."))
            self.optimizer.load_state_dict(part("optimizer."))
            self._losses = list(tensors["losses"].to(self.device)) if "losses" in tensors else []
            self.update, self.seconds = progress["update"], progress["seconds"]
            self.history = progress["history"]

    def check_finite(self) -> None:
        """Stop a training that has gone astray before anything of it is kept.

        Raises:
            FloatingPointError: If a loss since the last row of the history is not finite, or a
                weight; the message names the update.
        """
        losses = torch.stack(self._losses) if self._losses else torch.zeros(0)
        bad = (~losses.isfinite()).nonzero()
        if not len(bad) and self.optimizer.flat.isfinite().all():
            return
        first = self.update - len(losses) + int(bad[0]) + 1 if len(bad) else self.update
        what = f"the loss is {float(losses[bad[0]])}" if len(bad) else "a weight is not finite"
        raise FloatingPointError(
            f"{self.cell.id}: {what} at update {first} of {self.cell.train.updates}; lower "
            f"train.learning_rate ({self.cell.train.learning_rate:g}) or set train.gradient_clip"
        )


def _parted(demos: Demonstrations, held_out: int) -> tuple[Demonstrations, Demonstrations | None]:
    """What is trained on, and the last `held_out` demonstrations, which are not."""
    if not held_out:
        return demos, None
    count = demos.num_episodes
    if held_out >= count:
        raise ValueError(f"held_out is {held_out}; allowed: fewer than the {count} demonstrations")
    episodes = np.arange(count)
    return demos.subset(episodes[:-held_out]), demos.subset(episodes[-held_out:])


def kept_marks(updates: int) -> dict[int, int]:
    """The updates whose averaged weights are kept on demand, to their number from 1 to KEPT.

    A hundredth of the training apart, as published: every 50 of some 5,000 epochs.
    """
    return {round(updates * (100 - KEPT + k) / 100): k for k in range(1, KEPT + 1)}


def train(
    run: Run,
    demos: Demonstrations,
    device: torch.device,
    validate: Validate | None = None,
    keeps_checkpoints: bool = False,
) -> Agent:
    """Train a cell as `training` does.

    Returns:
        The policy with averaged weights, in evaluation mode.
    """
    trainer = deque(training(run, demos, device, validate, keeps_checkpoints), maxlen=1).pop()
    return trainer.ema.module.eval()


def training(
    run: Run,
    demos: Demonstrations,
    device: torch.device,
    validate: Validate | None = None,
    keeps_checkpoints: bool = False,
) -> Iterator[Trainer]:
    """Train a cell, or continue where an earlier call was interrupted, and keep the result.

    Args:
        run: The folder of the cell.
        demos: What it is trained on.
        device: Where.
        validate: Measures a policy at checkpoints; None leaves that out.
        keeps_checkpoints: Whether the last KEPT averages of the weights are kept too.

    Yields:
        The trainer, before the first update and after each.

    Raises:
        FloatingPointError: If the loss is no longer finite; what was saved before stays.
        ValueError: If a method with weights is given no update.
    """
    trainer = _begun(run, demos, device)
    if not run.cell.train.updates and any(True for _ in trainer.agent.parameters()):
        raise ValueError(f"updates is 0, but {run.cell.method} has weights to learn: give it more")
    run.begin(machine(device))
    config = run.cell.train
    row_every = max(1, config.updates // LOG_ROWS)
    marks = {
        round(config.updates * i / config.checkpoints) for i in range(1, 1 + config.checkpoints)
    }
    kept = kept_marks(config.updates) if keeps_checkpoints else {}
    saved = time.monotonic()
    what = f"{run.cell.method} {run.cell.control}, training"
    yield trainer
    with progress_bar(config.updates, what, "update", trainer.update) as bar:
        while trainer.update < config.updates:
            trainer.step()
            bar.update()
            at_mark = trainer.update in marks
            at_row = at_mark or trainer.update % row_every == 0
            must_save = time.monotonic() - saved > SAVE_SECONDS
            if at_row or must_save or trainer.update in kept:
                trainer.check_finite()
            if at_row:
                trainer.log(at_mark, validate)
                _show(bar, trainer)
            if trainer.update in kept:
                save_agent(trainer.ema.module.eval(), run.checkpoint(kept[trainer.update]))
            if must_save:
                trainer.save(run)
                saved = time.monotonic()
            yield trainer
    if not config.updates:
        trainer.log(True, validate)
    run.finish(trainer.ema.module.eval(), pd.DataFrame(trainer.history))


def _begun(run: Run, demos: Demonstrations, device: torch.device) -> Trainer:
    """A training at its start, or where it was interrupted, unless what was saved is damaged."""
    trainer = Trainer(run.cell, demos, device)
    if is_whole(run.state_path):
        try:
            trainer.restore(run)
            return trainer
        except FileError as error:
            set_aside(run.state_path, error)
            trainer = Trainer(run.cell, demos, device)
    if (origin := origin_of(run.cell, run.folder.parent)) is not None:
        trainer.start_from(origin)
    return trainer


def _show(bar: tqdm[Any], trainer: Trainer) -> None:
    """Put the latest loss and validation score beside the bar."""
    loss = trainer.history[-1]["loss"]
    scores = [row["validation_score"] for row in trainer.history]
    known = [score for score in scores if math.isfinite(score)]
    score = {"validation": f"{known[-1]:.3f}"} if known else {}
    bar.set_postfix({"loss": f"{loss:.4f}"} | score)

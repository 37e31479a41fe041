"""Training: what it is trained on, how fast it learns, and that an interruption changes nothing."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

import baselines.agent
import benchmark.running.train
from baselines.agent import Agent, Batch, Obs, Spec
from baselines.bet import BetConfig
from baselines.diffusion.agent import DiffusionUnetConfig
from baselines.noise import Generators
from baselines.normalizer import Normalizer
from benchmark.plan.config import Cell, TrainConfig
from benchmark.running.store import Run
from benchmark.running.train import Trainer, TrainingData, learning_rate, train
from benchmark.sealed import write_sealed
from envs.demos.demonstrations import Demonstrations

CPU = torch.device("cpu")
UPDATES = 12


@dataclass(frozen=True)
class RegressionConfig:
    """Settings of `Regression`."""

    dropout: float = 0.2


class Regression(Agent):
    """Mean squared error with dropout, which draws from torch's global state."""

    name = "regression"
    Config = RegressionConfig

    def __init__(self, config: RegressionConfig, spec: Spec, normalizer: Normalizer) -> None:
        super().__init__(config, spec, normalizer)
        size = spec.obs_horizon * spec.state_dim
        self.network = nn.Sequential(
            nn.Linear(size, 32),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(32, spec.pred_horizon * spec.action_dim),
        )

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:
        noise = 0.01 * torch.randn(batch.actions.shape, generator=generator)
        target = self.normalizer.normalize("action", batch.actions) + noise
        return (self._predict(batch.obs) - target).square().mean()

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:  # noqa: ARG002
        actions = self.normalizer.denormalize("action", self._predict(obs))
        return actions[:, None].expand(-1, num_samples, -1, -1)

    def _predict(self, obs: Obs) -> Tensor:
        flat = self.normalizer.normalize("state", obs["state"]).flatten(1)
        prediction: Tensor = self.network(flat)
        return prediction.unflatten(1, (self.spec.pred_horizon, self.spec.action_dim))


@pytest.fixture(autouse=True)
def _regression_is_a_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(baselines.agent._AGENTS, "regression", Regression)


AGENTS = {
    "regression": RegressionConfig(),
    "diffusion-unet": DiffusionUnetConfig(
        num_inference_steps=2, channels=(8, 8), kernel_size=3, groups=4, step_dim=8
    ),
    "bet": BetConfig(bins=4, layers=1, heads=2, width=8),  # bins from the data, and dropout
}


def make_cell(method: str = "regression", **changes: Any) -> Cell:
    settings: dict[str, Any] = {
        "task": "pusht",
        "method": method,
        "control": "position",
        "seed": 1,
        "preset": "smoke",
        "data": "scripted",
        "data_version": "v1",
        "num_demonstrations": 3,
        "obs_type": "keypoints",
        "agent": AGENTS[method],
        "train": TrainConfig(
            UPDATES, 16, 1e-3, warmup_updates=4, checkpoints=2, validation_episodes=0
        ),
        "action_scaling": "min-max",
        "pred_horizon": 4,
        "action_horizon": 2,
    }
    return Cell(**settings | changes)


def validate(agent: Agent) -> tuple[float, float]:
    """A score that shows which weights were validated."""
    assert not agent.training
    return float(next(agent.parameters()).detach().double().sum()), 0.25


@pytest.fixture(autouse=True)
def _row_every_four_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark.running.train, "LOG_ROWS", UPDATES // 4)


def train_until(run: Run, demos: Demonstrations, saved: int, died: int) -> None:
    """Train, save the last time after update `saved` and be interrupted after update `died`."""
    step, save = Trainer.step, Trainer.save

    def dying(trainer: Trainer) -> None:
        if trainer.update == died:
            raise KeyboardInterrupt
        step(trainer)

    def saving(trainer: Trainer, run: Run) -> None:
        if trainer.update <= saved:
            save(trainer, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", dying)
        patch.setattr(Trainer, "save", saving)
        patch.setattr(benchmark.running.train, "SAVE_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            train(run, demos, CPU, validate)


@pytest.mark.parametrize("method", AGENTS)
@pytest.mark.parametrize(
    ("saved", "died"),
    [(0, 2), (3, 3), (4, 4), (5, 9), (6, 6), (11, 11)],
    ids=["unsaved", "between-rows", "at-row", "long-after-save", "at-checkpoint", "at-last"],
)
def test_an_interrupted_training_ends_as_an_unbroken_one_to_the_bit(
    method: str, saved: int, died: int, three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    cell = make_cell(method)
    unbroken, broken = Run(cell, tmp_path / "unbroken"), Run(cell, tmp_path / "broken")
    train(unbroken, three_demonstrations, CPU, validate)
    train_until(broken, three_demonstrations, saved, died)
    assert broken.state_path.is_file() == (saved > 0)
    torch.manual_seed(999)  # whatever the new process drew before
    train(broken, three_demonstrations, CPU, validate)

    expected = unbroken.agent().state_dict()
    for name, weights in broken.agent().state_dict().items():
        assert torch.equal(weights, expected[name]), name
    pd.testing.assert_frame_equal(
        broken.history().drop(columns="seconds"),
        unbroken.history().drop(columns="seconds"),
        check_exact=True,
    )
    assert broken.history()["seconds"].is_monotonic_increasing
    assert not broken.state_path.exists()


def test_a_continued_training_does_not_repeat_what_was_saved(
    three_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, step, taken = Run(make_cell(), tmp_path), Trainer.step, []
    train_until(run, three_demonstrations, saved=7, died=9)

    def counted(trainer: Trainer) -> None:
        taken.append(trainer.update)
        step(trainer)

    monkeypatch.setattr(Trainer, "step", counted)
    train(run, three_demonstrations, CPU)
    assert taken == [7, 8, 9, 10, 11]


def test_a_training_is_the_same_whatever_was_drawn_before(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    found = []
    for name, seed in (("first", 1), ("second", 2)):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - the global state is what is tested
        agent = train(Run(make_cell(), tmp_path / name), three_demonstrations, CPU)
        found.append(next(agent.parameters()))
    assert torch.equal(*found)
    other = train(Run(make_cell(seed=2), tmp_path), three_demonstrations, CPU)
    assert not torch.equal(found[0], next(other.parameters()))


def test_the_history_has_a_row_every_few_updates_and_one_at_each_checkpoint(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    run = Run(make_cell(), tmp_path)
    train(run, three_demonstrations, CPU, validate)
    history = run.history()
    assert history["update"].tolist() == [4, 6, 8, 12]
    assert history["loss"].notna().all()
    assert history["action_error"].notna().tolist() == [False, True, False, True]
    assert history["validation_success"].tolist() == pytest.approx(
        [math.nan, 0.25, math.nan, 0.25], nan_ok=True
    )


def test_what_is_validated_and_kept_are_the_averaged_weights(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    trainer = Trainer(make_cell(), three_demonstrations, CPU)
    for _ in range(3):
        trainer.step()
    trainer.log(at_checkpoint=True, validate=validate)
    averaged = next(trainer.ema.module.parameters())
    trained = next(trainer.agent.parameters())
    assert trainer.history[-1]["validation_score"] == float(averaged.detach().double().sum())
    assert not torch.equal(averaged, trained)

    run = Run(make_cell(), tmp_path)
    agent = train(run, three_demonstrations, CPU)
    for name, weights in run.agent().state_dict().items():
        assert torch.equal(weights, agent.state_dict()[name]), name


def test_demonstrations_that_are_held_out_are_not_trained_on_and_judge_the_actions(
    three_demonstrations: Demonstrations,
) -> None:
    cell = make_cell()
    held = replace(cell, train=replace(cell.train, held_out=1))
    two = three_demonstrations.subset([0, 1])
    trainer, plain = Trainer(held, three_demonstrations, CPU), Trainer(cell, two, CPU)
    for each in (trainer, plain):
        each.step()
        each.log(at_checkpoint=True, validate=None)
    # The same training as on the first two, judged by actions of the third.
    for ours, theirs in zip(trainer.agent.parameters(), plain.agent.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    errors = [each.history[0]["action_error"] for each in (trainer, plain)]
    assert errors[0] != errors[1]
    elsewhere = three_demonstrations.actions.copy()
    elsewhere[two.num_steps :] += 100.0
    moved = replace(three_demonstrations, actions=elsewhere)
    judged_elsewhere = Trainer(held, moved, CPU)
    judged_elsewhere.step()
    judged_elsewhere.log(at_checkpoint=True, validate=None)
    assert judged_elsewhere.history[0]["action_error"] > errors[0] + 20


def test_holding_out_all_demonstrations_is_an_error(three_demonstrations: Demonstrations) -> None:
    cell = make_cell()
    with pytest.raises(ValueError, match="fewer than the 3 demonstrations"):
        Trainer(replace(cell, train=replace(cell.train, held_out=3)), three_demonstrations, CPU)


def test_training_learns_what_was_demonstrated(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    settings = TrainConfig(300, 64, 3e-3, 20, checkpoints=2, ema_maximum=0.98)
    run = Run(make_cell(train=settings, agent=RegressionConfig(0.0)), tmp_path)
    train(run, three_demonstrations, CPU)
    history = run.history()
    assert history["loss"].iloc[-1] < 0.2 * history["loss"].iloc[0]
    # The set-point is a function of what is seen, a few steps ahead of the agent (px).
    errors = history["action_error"].dropna()
    assert errors.iloc[-1] < 30 < three_demonstrations.actions.std()


@pytest.mark.parametrize(
    ("update", "expected"),
    [(0, 1e-5), (49, 5e-4), (99, 1e-3), (100, 1e-3), (350, 8.5355e-4), (600, 5e-4), (1100, 0.0)],
)
def test_the_learning_rate_warms_up_and_falls_along_a_cosine(update: int, expected: float) -> None:
    config = TrainConfig(updates=1100, warmup_updates=100, learning_rate=1e-3)
    assert learning_rate(config, update) == pytest.approx(expected, abs=1e-8)


def test_without_warm_up_the_learning_rate_starts_at_its_peak() -> None:
    config = TrainConfig(updates=10, warmup_updates=0, learning_rate=1e-3)
    assert learning_rate(config, 0) == 1e-3


def test_a_constant_learning_rate_stays_at_its_peak_after_the_warm_up() -> None:
    config = TrainConfig(updates=100, learning_rate=1e-3, warmup_updates=10, schedule="constant")
    assert [learning_rate(config, i) for i in (4, 10, 99)] == pytest.approx([5e-4, 1e-3, 1e-3])
    with pytest.raises(ValueError, match="schedule is 'step'; allowed: cosine, constant"):
        TrainConfig(schedule="step")  # type: ignore[arg-type]


def test_every_update_uses_the_learning_rate_of_its_number(
    three_demonstrations: Demonstrations,
) -> None:
    trainer = Trainer(make_cell(), three_demonstrations, CPU)
    used = []
    for _ in range(6):
        trainer.step()
        used.append(trainer.optimizer.learning_rate)
    assert used == [learning_rate(trainer.cell.train, update) for update in range(6)]
    assert used[3] == 1e-3


def test_a_gradient_is_clipped_to_the_norm_that_is_asked_for(
    three_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    step = torch.optim.AdamW.step

    def recorded(optimizer: torch.optim.AdamW) -> None:
        parameters = optimizer.param_groups[0]["params"]
        norms.append(torch.stack([p.grad.norm() for p in parameters]).norm().item())
        step(optimizer)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    for clip in (0.0, 1e-3):
        settings = replace(make_cell().train, gradient_clip=clip)
        Trainer(make_cell(train=settings), three_demonstrations, CPU).step()
    assert norms[0] > 0.01
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("at", [3, 1000, -40])
def test_a_damaged_training_state_is_set_aside_and_the_training_begun_anew(
    three_demonstrations: Demonstrations,
    tmp_path: Path,
    at: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, unbroken = Run(make_cell(), tmp_path / "damaged"), Run(make_cell(), tmp_path / "whole")
    train(unbroken, three_demonstrations, CPU)
    train_until(run, three_demonstrations, saved=7, died=9)
    damaged = bytearray(run.state_path.read_bytes())
    damaged[at] ^= 4
    run.state_path.write_bytes(damaged)
    train(run, three_demonstrations, CPU)
    assert "state.safetensors was damaged or changed" in capsys.readouterr().out
    for name, weights in run.agent().state_dict().items():
        assert torch.equal(weights, unbroken.agent().state_dict()[name]), name


def test_a_training_state_of_another_network_is_set_aside(
    three_demonstrations: Demonstrations, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(make_cell(), tmp_path)
    write_sealed(run.state_path, safetensors.torch.save({"agent.other": torch.zeros(2)}))
    train(run, three_demonstrations, CPU)
    assert "is not a readable training state" in capsys.readouterr().out
    assert run.is_trained


def test_what_was_saved_before_the_loss_was_no_number_stays(
    three_demonstrations: Demonstrations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark.running.train, "SAVE_SECONDS", -1.0)
    run, loss = Run(make_cell(), tmp_path), Trainer._loss

    def broken(trainer: Trainer, batch: Batch) -> Tensor:
        return loss(trainer, batch) * (math.inf if trainer.update == 9 else 1.0)

    monkeypatch.setattr(Trainer, "_loss", broken)
    with pytest.raises(FloatingPointError, match="the loss is inf at update 10 of 12"):
        train(run, three_demonstrations, CPU)
    trainer = Trainer(make_cell(), three_demonstrations, CPU)
    trainer.restore(run)
    assert trainer.update == 9
    trainer.check_finite()


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_cell(
    three_demonstrations: Demonstrations, tmp_path: Path
) -> None:
    settings = replace(make_cell().train, learning_rate=1e30, warmup_updates=0)
    run = Run(make_cell(train=settings), tmp_path)
    with pytest.raises(FloatingPointError, match=r"lower train\.learning_rate") as caught:
        train(run, three_demonstrations, CPU)
    assert run.cell.id in str(caught.value)
    assert not run.is_trained


def all_windows(cell: Cell, demos: Demonstrations) -> Batch:
    data = TrainingData.prepare(cell, demos, CPU)
    return data.windows.batch(torch.arange(len(data.windows)))


def test_under_velocity_control_windows_hold_differences_of_set_points(
    three_demonstrations: Demonstrations,
) -> None:
    demos = three_demonstrations.episode(0)
    position = all_windows(make_cell(), demos).actions
    velocity = all_windows(make_cell(control="velocity", action_scaling="quantile"), demos).actions
    # The first window reaches one step before the episode, so its entry 1 is the first action.
    moved = torch.as_tensor(demos.actions[0] - demos.states[0, :2]).float()
    torch.testing.assert_close(velocity[0, 1], moved)
    torch.testing.assert_close(velocity[0, 0], torch.zeros(2))
    # Within the episode an entry is the set-point less the one before; past its end nothing moves.
    torch.testing.assert_close(velocity[1:, 1:], position[1:].diff(dim=1), rtol=0, atol=1e-3)
    torch.testing.assert_close(velocity[-1, -1], torch.zeros(2))


def test_windows_hold_observations_and_actions_in_environment_units(
    three_demonstrations: Demonstrations,
) -> None:
    batch = all_windows(make_cell(), three_demonstrations)
    steps = three_demonstrations.observations["state"].astype(np.float32)
    assert batch.obs["state"].shape[1:] == (2, 20)
    # Some window sees the last step but three of the first episode now.
    step = int(three_demonstrations.episode_ends[0]) - 4
    now = (batch.obs["state"][:, 1] == torch.as_tensor(steps[step])).all(1)
    assert int(now.sum()) == 1
    expected = torch.as_tensor(three_demonstrations.actions[step - 1 : step + 3]).float()
    torch.testing.assert_close(batch.actions[now][0], expected, rtol=0, atol=0)


def test_the_scaling_of_actions_is_fitted_to_what_the_policy_predicts(
    three_demonstrations: Demonstrations,
) -> None:
    for control, scaling in (("position", "min-max"), ("velocity", "quantile")):
        cell = make_cell(control=control, action_scaling=scaling)
        data = TrainingData.prepare(cell, three_demonstrations, CPU)
        assert data.normalizer.kinds == {"state": "min-max", "action": scaling}
        actions = data.windows.batch(torch.arange(len(data.windows))).actions
        scaled = data.normalizer.normalize("action", actions)
        assert scaled.abs().max().item() == pytest.approx(1, abs=1e-5)


def test_a_method_is_fitted_to_the_actions_of_all_windows_before_its_first_update(
    three_demonstrations: Demonstrations, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []
    monkeypatch.setattr(Regression, "fit", lambda _, *given: fitted.append(given[0]))
    trainer = Trainer(make_cell(), three_demonstrations, CPU)
    (actions,) = fitted
    torch.testing.assert_close(actions, all_windows(make_cell(), three_demonstrations).actions)
    assert trainer.update == 0


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False}, False),
        ({}, False),
    ],
)
def test_auto_precision_takes_bfloat16_where_the_processor_multiplies_it(
    able: dict[str, bool],
    expected: bool,
    three_demonstrations: Demonstrations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    seen = []
    forward = Regression._predict

    def noted(agent: Regression, obs: Obs) -> Tensor:
        prediction = forward(agent, obs)
        seen.append(prediction.dtype)
        return prediction

    monkeypatch.setattr(Regression, "_predict", noted)
    trainer = Trainer(make_cell(), three_demonstrations, CPU)
    trainer.step()
    assert seen == [torch.bfloat16 if expected else torch.float32]
    # Weights and their average stay in float32, whatever they are multiplied in.
    for module in (trainer.agent, trainer.ema.module):
        assert {weights.dtype for weights in module.parameters()} == {torch.float32}

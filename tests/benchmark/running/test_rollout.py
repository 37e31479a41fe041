"""The rollout against a plain loop over one episode, and its records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from baselines.agent import Spec
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.normalizer import Normalizer
from benchmark.plan.config import EvalConfig
from benchmark.running.rollout import AgentPolicy, Frame, HoldStill, rollout
from envs.pusht.vector import PushTVectorEnv

Array = NDArray[np.float64]
TO, TP, DA = 3, 12, 2


def initial(seed: int) -> Array:
    return np.array([seed / 10, 1.0])


def advance(state: Array, action: Array) -> Array:
    return 0.7 * state + 0.3 * action + np.array([0.01, -0.02])


def length_of(seed: int) -> int:
    return 5 + 4 * seed


def predict(window: Array) -> Array:
    """Actions (Tp, Da) that depend on every observation of a window (To, Ds) and on their place."""
    seen = np.array([1.0, -2.0, 4.0]) @ window
    return np.sin(seen + np.arange(TP)[:, None])


@dataclass
class WindowPolicy:
    """`predict` for batches."""

    obs_horizon: int = TO
    pred_horizon: int = TP
    asked: list[list[int]] = field(default_factory=list)

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Array:
        self.asked.append(episodes.tolist())
        return np.stack([predict(each) for each in window["state"]])


class LinearTables(VectorEnv[Any, Any, Any]):
    """Episodes of known dynamics and length; what an ended one reports is nonsense."""

    def __init__(self, num_envs: int, covered: bool = False) -> None:
        self.num_envs = num_envs
        self._covered = covered

    def reset(
        self,
        *,
        seed: Any = None,
        options: Any = None,  # noqa: ARG002
    ) -> tuple[Array, dict[str, Any]]:
        self._lengths = np.array([length_of(each) for each in seed])
        self._states = np.stack([initial(each) for each in seed])
        self._steps = np.zeros(self.num_envs, dtype=int)
        self.executed: list[list[Array]] = [[] for _ in seed]
        return self._states, self._infos()

    def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
        for index in np.flatnonzero(self._steps < self._lengths):
            self.executed[index].append(actions[index].copy())
            self._states[index] = advance(self._states[index], actions[index])
        ended_before = self._steps >= self._lengths
        self._steps += 1
        ended = self._steps >= self._lengths
        rewards = np.where(ended_before, 100.0, np.sin(self._steps * self._lengths))
        infos = self._infos()
        infos["is_success"] = np.where(ended_before, True, ended & (self._lengths % 2 == 1))
        infos = {
            k: np.where(ended_before, 9.0, v) if k == "coverage" else v for k, v in infos.items()
        }
        # The states are one buffer that the next step overwrites, as vector environments may do.
        return self._states, rewards, ended, np.zeros_like(ended), infos

    def _infos(self) -> dict[str, Any]:
        infos: dict[str, Any] = {"is_success": np.zeros(self.num_envs, dtype=bool)}
        if self._covered:
            infos["coverage"] = np.abs(np.cos(self._steps * self._lengths))
        return infos


@dataclass
class Reference:
    """One episode played step by step, as the definition of Ta and latency reads."""

    executed: list[Array]
    predictions: int


def play(seed: int, action_horizon: int, latency: int) -> Reference:
    observed, state = [initial(seed)], initial(seed)
    executed: list[Array] = []
    predictions = 0
    while len(executed) < length_of(seed):
        newest = len(observed) - 1 - latency  # the newest observation is `latency` steps old
        seen = [observed[max(0, newest - back)] for back in reversed(range(TO))]
        predicted = predict(np.stack(seen))
        predictions += 1
        now = predicted[TO - 1 :]  # entry To - 1 is for the step of the newest observation
        for action in now[latency : latency + action_horizon]:
            executed.append(action)
            state = advance(state, action)
            observed.append(state)
            if len(executed) == length_of(seed):
                break
    return Reference(executed, predictions)


@pytest.mark.parametrize("action_horizon", [1, 2, 3, 8])
@pytest.mark.parametrize("latency", [0, 1, 2])
def test_every_episode_is_played_as_by_a_loop_of_its_own(action_horizon: int, latency: int) -> None:
    seeds = [4, 0, 2, 1]
    env = LinearTables(len(seeds))
    config = EvalConfig(action_horizon, latency)
    episodes = rollout(WindowPolicy(), env, seeds, config)
    for index, seed in enumerate(seeds):
        expected = play(seed, action_horizon, latency)
        np.testing.assert_array_equal(env.executed[index], expected.executed)
        assert episodes["predictions"][index] == expected.predictions
    assert episodes["seed"].tolist() == seeds
    assert episodes["length"].tolist() == [length_of(seed) for seed in seeds]
    assert episodes["predictions"].tolist() == [
        math.ceil(length_of(seed) / action_horizon) for seed in seeds
    ]


def test_a_late_policy_executes_what_it_planned_for_that_time() -> None:
    """With nothing but a clock to see, a prediction from L steps ago says what is due now."""

    class Clock(LinearTables):
        def step(self, actions: Any) -> tuple[Array, Array, Array, Array, dict[str, Any]]:
            result = super().step(actions)
            self._states[:] = self._steps[:, None]
            return result

    class Planner(WindowPolicy):
        def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Array:  # noqa: ARG002
            newest = window["state"][:, -1]  # (B, 2), the step of the newest observation
            return newest[:, None] + np.arange(TP)[:, None] - (TO - 1)

    env = Clock(1)
    rollout(Planner(), env, [5], EvalConfig(action_horizon=2, latency=3))
    executed = np.array(env.executed[0])[:, 0]
    # Before the first observation is three steps old the policy cannot know how late it is.
    np.testing.assert_array_equal(executed[4:], np.arange(4, length_of(5)))


def test_only_live_episodes_are_asked_for() -> None:
    policy = WindowPolicy()
    rollout(policy, LinearTables(3), [2, 0, 1], EvalConfig(action_horizon=4))  # 13, 5, 9 steps
    assert policy.asked == [[0, 1, 2], [0, 1, 2], [0, 2], [0]]


def test_the_record_ends_with_the_episode() -> None:
    """What the environment reports of an ended episode (reward 100, success) does not count."""
    seeds = [0, 1, 3]
    episodes = rollout(WindowPolicy(), LinearTables(3), seeds, EvalConfig(4))
    lengths = [length_of(seed) for seed in seeds]
    expected = [max(0, *np.sin(np.arange(1, n + 1) * n)) for n in lengths]
    np.testing.assert_allclose(episodes["score"], expected, rtol=1e-12)
    assert episodes["is_success"].tolist() == [n % 2 == 1 for n in lengths]
    assert episodes["max_coverage"].isna().all()
    assert episodes["final_coverage"].isna().all()
    assert (episodes["seconds_per_prediction"] > 0).all()


def test_coverage_is_recorded_from_the_initial_state_to_the_last() -> None:
    seeds = [0, 1, 3]
    episodes = rollout(WindowPolicy(), LinearTables(3, covered=True), seeds, EvalConfig(4))
    for index, seed in enumerate(seeds):
        n = length_of(seed)
        covered = np.abs(np.cos(np.arange(n + 1) * n))
        assert episodes["max_coverage"][index] == covered.max()
        assert episodes["final_coverage"][index] == covered[-1]


def test_an_episode_ends_at_the_latest_after_the_length_it_is_given() -> None:
    limits = np.array([3, 100, 4])
    seeds = [2, 0, 1]  # 13, 5 and 9 steps of their own
    episodes = rollout(WindowPolicy(), LinearTables(3), seeds, EvalConfig(2), max_lengths=limits)
    assert episodes["length"].tolist() == [3, 5, 4]
    assert episodes["predictions"].tolist() == [2, 3, 2]
    expected = max(0, *np.sin(np.arange(1, 4) * length_of(2)))
    assert episodes["score"][0] == pytest.approx(expected)


def test_progress_is_told_of_every_step() -> None:
    steps: list[int] = []
    rollout(WindowPolicy(), LinearTables(2), [0, 1], EvalConfig(4), steps.append)
    assert steps == [1] * length_of(1)


@pytest.mark.parametrize(("action_horizon", "latency", "needed"), [(11, 0, 13), (8, 3, 13)])
def test_a_prediction_that_is_too_short_is_refused_with_what_is_needed(
    action_horizon: int, latency: int, needed: int
) -> None:
    message = (
        f"action_horizon {action_horizon} with latency {latency} needs a prediction of {needed} "
        "actions; this policy predicts 12"
    )
    with pytest.raises(ValueError, match=message):
        rollout(WindowPolicy(), LinearTables(1), [0], EvalConfig(action_horizon, latency))


def tiny_agent() -> DiffusionUnet:
    """An untrained policy for Push-T keypoints that moves all over the table."""
    normalizer = Normalizer.fit(
        {
            "state": torch.tensor([[0.0] * 20, [512.0] * 20]),
            "action": torch.tensor([[0.0] * 2, [512.0] * 2]),
        },
        {"state": "min-max", "action": "min-max"},
    )
    config = DiffusionUnetConfig(
        num_inference_steps=2, channels=(8,), kernel_size=3, groups=4, step_dim=8, sampler="ddpm"
    )
    torch.manual_seed(0)
    return DiffusionUnet(config, Spec({"state": (20,)}, 2, 2, 4), normalizer).eval()


def evaluate(seeds: Sequence[int]) -> pd.DataFrame:
    env = PushTVectorEnv(len(seeds), max_episode_steps=30)
    episodes = rollout(AgentPolicy(tiny_agent(), seeds), env, seeds, EvalConfig(3))
    return episodes.drop(columns="seconds_per_prediction").set_index("seed")


def test_an_episode_does_not_depend_on_which_others_share_its_batch() -> None:
    seeds = [100_000, 100_001, 100_002, 100_003]
    together = evaluate(seeds)
    assert together["predictions"].tolist() == [10] * 4
    for share in ([100_002], [100_003, 100_001]):
        pd.testing.assert_frame_equal(
            evaluate(share), together.loc[share], check_exact=False, rtol=0, atol=1e-4
        )


def test_each_episode_has_a_noise_stream_of_its_own_that_goes_on() -> None:
    """From one and the same window, so that only noise tells predictions apart."""
    window = {"state": np.full((2, 2, 20), 256.0)}
    policy = AgentPolicy(tiny_agent(), [7, 8])
    first = policy.predict(window, np.array([0, 1]))
    second = policy.predict(window, np.array([0, 1]))
    assert first.shape == (2, 4, 2)
    assert np.abs(first[0] - first[1]).max() > 1
    assert np.abs(first - second).max() > 1
    again = AgentPolicy(tiny_agent(), [8])
    one = {"state": window["state"][:1]}
    np.testing.assert_allclose(again.predict(one, np.array([0])), first[1:], atol=1e-2)
    np.testing.assert_allclose(again.predict(one, np.array([0])), second[1:], atol=1e-2)


def test_holding_still_keeps_the_block_where_it_is() -> None:
    seeds = [100_000, 100_001]
    env = PushTVectorEnv(2, control="velocity")
    start = env.reset(seed=seeds)[1]["block_pose"]
    episodes = rollout(HoldStill(2), env, seeds, EvalConfig(8), max_lengths=np.array([20, 20]))
    assert episodes["length"].tolist() == [20, 20]
    np.testing.assert_array_equal(env.step(np.zeros((2, 2)))[-1]["block_pose"], start)


class AlwaysDrawn(PushTVectorEnv):
    """Draws after every step, whatever is asked for."""

    @property
    def draws(self) -> bool:
        return True

    @draws.setter
    def draws(self, value: bool) -> None:
        self.asked = [*getattr(self, "asked", []), value]


@dataclass
class Onlooker:
    """Keeps the windows that it sees and drives the agent about."""

    obs_horizon: int
    pred_horizon: int = 16
    windows: list[Frame] = field(default_factory=list)

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> Array:
        self.windows.append(window)
        angle = len(self.windows) + np.arange(self.pred_horizon)[:, None] + np.array([0.0, 1.5])
        return np.broadcast_to(256 + 200 * np.sin(angle), (len(episodes), *angle.shape))


@pytest.mark.parametrize(
    ("obs_horizon", "action_horizon", "latency"), [(2, 8, 0), (2, 8, 3), (1, 1, 0), (3, 2, 1)]
)
def test_pictures_that_no_prediction_sees_are_not_drawn(
    obs_horizon: int, action_horizon: int, latency: int
) -> None:
    config = EvalConfig(action_horizon, latency, episodes=2)
    frugal, lavish = (
        tables(2, "pixels", "position", max_episode_steps=20)
        for tables in (PushTVectorEnv, AlwaysDrawn)
    )
    seen, expected = Onlooker(obs_horizon), Onlooker(obs_horizon)
    rollout(seen, frugal, [3, 4], config)
    rollout(expected, lavish, [3, 4], config)
    assert len(seen.windows) == -(-20 // action_horizon)
    for window, drawn in zip(seen.windows, expected.windows, strict=True):
        assert window.keys() == {"pixels", "state"}
        for name, value in drawn.items():
            np.testing.assert_array_equal(window[name], value)
    needed = {
        asked - latency - back
        for asked in range(action_horizon, 20 + 2 * action_horizon, action_horizon)
        for back in range(obs_horizon)
    }
    # The environment itself and the end of the rollout ask for pictures too.
    assert lavish.asked == [True, *(step in needed for step in range(1, 21)), True]
    assert frugal.draws

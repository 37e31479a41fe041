"""Training windows against a step-by-step reference."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from baselines.agent import Spec
from baselines.windows import Windows


@dataclass(frozen=True)
class Case:
    """Episodes whose observation and action of step s are s itself and s + 1000."""

    lengths: tuple[int, ...]
    obs_horizon: int
    pred_horizon: int
    action_horizon: int
    actions_hold: bool

    @property
    def ends(self) -> Tensor:
        return torch.tensor(self.lengths).cumsum(0)

    def windows(self) -> Windows:
        steps = torch.arange(float(sum(self.lengths)))[:, None]
        spec = Spec({"state": (1,)}, 1, self.obs_horizon, self.pred_horizon)
        return Windows(
            {"state": steps}, steps + 1000, self.ends, spec, self.action_horizon, self.actions_hold
        )

    def reference(self) -> list[tuple[list[float], list[float]]]:
        """Observed and predicted values of every window, in order, by plain loops."""
        found, start = [], 0
        for length in self.lengths:
            first = -(self.obs_horizon - 1)
            last = max(first, length - self.pred_horizon + self.action_horizon - 1)
            for offset in range(first, last + 1):
                observed, predicted = [], []
                for step in range(offset, offset + self.pred_horizon):
                    nearest = min(max(step, 0), length - 1)
                    observed.append(float(start + nearest))
                    outside = step != nearest
                    predicted.append(
                        0.0 if outside and not self.actions_hold else start + nearest + 1000.0
                    )
                found.append((observed[: self.obs_horizon], predicted))
            start += length
        return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    obs_horizon = draw(st.integers(1, 4))
    pred_horizon = draw(st.integers(obs_horizon, 10))
    return Case(
        lengths=tuple(draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))),
        obs_horizon=obs_horizon,
        pred_horizon=pred_horizon,
        action_horizon=draw(st.integers(1, pred_horizon - obs_horizon + 1)),
        actions_hold=draw(st.booleans()),
    )


@given(cases())
def test_windows_are_those_of_a_step_by_step_reference(case: Case) -> None:
    windows, reference = case.windows(), case.reference()
    batch = windows.batch(torch.arange(len(windows)))
    assert batch.obs["state"][..., 0].tolist() == [observed for observed, _ in reference]
    assert batch.actions[..., 0].tolist() == [predicted for _, predicted in reference]


@given(cases())
def test_entry_to_minus_1_of_the_actions_is_that_of_the_last_observed_step(case: Case) -> None:
    windows = case.windows()
    batch = windows.batch(torch.arange(len(windows)))
    current = batch.obs["state"][:, -1, 0]
    torch.testing.assert_close(batch.actions[:, case.obs_horizon - 1, 0], current + 1000)
    starts = {0.0, *case.ends[:-1].tolist()}
    assert starts <= set(current.tolist())


def test_under_the_published_horizons_every_action_is_among_the_executed_ones() -> None:
    case = Case((16, 30), obs_horizon=2, pred_horizon=16, action_horizon=8, actions_hold=True)
    windows = case.windows()
    executed = windows.batch(torch.arange(len(windows))).actions[:, 1:9, 0]
    assert set(executed.flatten().tolist()) == {1000.0 + step for step in range(46)}


def test_an_episode_shorter_than_a_window_still_gives_one() -> None:
    case = Case((2,), obs_horizon=2, pred_horizon=8, action_horizon=4, actions_hold=True)
    windows = case.windows()
    assert len(windows) == 1
    batch = windows.batch(torch.tensor([0]))
    assert batch.obs["state"].flatten().tolist() == [0, 0]
    assert batch.actions.flatten().tolist() == [1000, 1000] + [1001] * 6


def test_past_the_end_a_set_point_stays_and_a_difference_is_zero() -> None:
    for holds, expected in ((True, [1002, 1003, 1003]), (False, [1002, 1003, 0])):
        case = Case((4,), obs_horizon=1, pred_horizon=3, action_horizon=2, actions_hold=holds)
        windows = case.windows()
        last = windows.batch(torch.tensor([len(windows) - 1]))
        assert last.actions.flatten().tolist() == expected


def test_before_the_start_a_set_point_stays_and_a_difference_is_zero() -> None:
    for holds, expected in ((True, [1000, 1000, 1001]), (False, [0, 1000, 1001])):
        case = Case((4,), obs_horizon=2, pred_horizon=3, action_horizon=1, actions_hold=holds)
        first = case.windows().batch(torch.tensor([0]))
        assert first.actions.flatten().tolist() == expected


def test_no_window_mixes_two_episodes() -> None:
    case = Case((7, 5), obs_horizon=2, pred_horizon=4, action_horizon=3, actions_hold=True)
    windows = case.windows()
    actions = windows.batch(torch.arange(len(windows))).actions[..., 0] - 1000
    second = actions >= 7
    assert (second.all(1) | ~second.any(1)).all()


def test_every_observation_is_cut_at_the_same_steps() -> None:
    spec = Spec({"state": (1,), "pixels": (2, 2, 3)}, 1, obs_horizon=2, pred_horizon=3)
    steps = torch.arange(6)
    pixels = steps.to(torch.uint8)[:, None, None, None].expand(-1, 2, 2, 3)
    obs = {"state": steps[:, None].float(), "pixels": pixels}
    windows = Windows(obs, torch.zeros(6, 1), torch.tensor([6]), spec, 1, actions_hold=True)
    batch = windows.batch(torch.arange(len(windows)))
    assert batch.obs["pixels"].dtype == torch.uint8
    assert batch.obs["pixels"].shape == (len(windows), 2, 2, 2, 3)
    torch.testing.assert_close(
        batch.obs["pixels"][..., 0, 0, 0].float(), batch.obs["state"][..., 0]
    )


FORTY = Case((40,), obs_horizon=1, pred_horizon=1, action_horizon=1, actions_hold=True)


@pytest.mark.parametrize("batch_size", [1, 8, 40])
def test_every_window_comes_once_an_epoch(batch_size: int) -> None:
    windows = FORTY.windows()
    updates = 40 // batch_size
    epochs = [
        torch.cat([windows.shuffled(epoch * updates + i, batch_size, 3) for i in range(updates)])
        for epoch in range(2)
    ]
    for epoch in epochs:
        assert epoch.sort().values.tolist() == list(range(40))
    assert not torch.equal(epochs[0], epochs[1])


def test_windows_that_fill_no_batch_are_other_ones_every_epoch() -> None:
    windows = FORTY.windows()
    epochs = [
        set(torch.cat([windows.shuffled(2 * epoch + i, 15, 3) for i in range(2)]).tolist())
        for epoch in range(6)
    ]
    assert all(len(epoch) == 30 for epoch in epochs)
    assert set.union(*epochs) == set(range(40))


def test_the_windows_of_an_update_depend_on_the_arguments_alone() -> None:
    windows = FORTY.windows()
    arguments = [(update, 8, seed) for update in (0, 3, 7, 12) for seed in (1, 2)]
    in_order = [windows.shuffled(*each) for each in arguments]
    backwards = [windows.shuffled(*each) for each in reversed(arguments)][::-1]
    fresh = [FORTY.windows().shuffled(*each) for each in arguments]
    for first, second, third in zip(in_order, backwards, fresh, strict=True):
        assert first.tolist() == second.tolist() == third.tolist()
    assert in_order[0].tolist() != in_order[1].tolist()


def test_a_batch_larger_than_the_data_is_all_of_the_data() -> None:
    assert sorted(FORTY.windows().shuffled(5, 256, 0).tolist()) == list(range(40))

"""Scaling to the network's range and back."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from baselines.normalizer import MIN_SPREAD, Normalizer, Scaling

KINDS: tuple[Scaling, ...] = ("min-max", "quantile", "standard")


@st.composite
def data(draw: st.DrawFn) -> Tensor:
    """(N, D) of any place and spread in which environments live, float32."""
    seed, rows, size = draw(st.integers(0, 999)), draw(st.integers(2, 50)), draw(st.integers(1, 4))
    place, spread = draw(st.floats(-500, 500)), 10 ** draw(st.floats(-2, 3))
    noise = torch.randn((rows, size), generator=torch.Generator().manual_seed(seed))
    return place + spread * noise


def fitted(values: Tensor, kind: Scaling) -> Normalizer:
    return Normalizer.fit({"action": values}, {"action": kind})


def resolution(values: Tensor) -> float:
    """What float32 leaves of values that are first shifted by their place, with room to spare."""
    return 1e-5 * float(1 + values.abs().max())


@given(data(), st.sampled_from(["min-max", "standard"]))
def test_values_come_back_from_a_round_trip(values: Tensor, kind: Scaling) -> None:
    normalizer = fitted(values, kind)
    again = normalizer.denormalize("action", normalizer.normalize("action", values))
    torch.testing.assert_close(again, values, rtol=0, atol=resolution(values))


@given(data(), st.sampled_from(KINDS))
def test_the_networks_range_comes_back_from_a_round_trip(values: Tensor, kind: Scaling) -> None:
    normalizer = fitted(values, kind)
    inside = torch.linspace(-1, 1, 9)[:, None].expand(-1, values.shape[-1])
    there = normalizer.denormalize("action", inside)
    spread = float((1 / normalizer.action_scale).min())
    again = normalizer.normalize("action", there)
    torch.testing.assert_close(again, inside, rtol=0, atol=1e-5 + resolution(values) / spread)


@given(data())
def test_min_max_reaches_both_ends_of_the_range_and_not_beyond(values: Tensor) -> None:
    spread = values.amax(0) - values.amin(0)
    # A dimension that hardly varies is only centred, see the test below of such.
    assume(float(spread.min()) > 2.1 * MIN_SPREAD)
    scaled = fitted(values, "min-max").normalize("action", values)
    tolerance = 1e-5 + 4 * resolution(values) / float(spread.min())
    torch.testing.assert_close(scaled.amin(0), -torch.ones_like(spread), rtol=0, atol=tolerance)
    torch.testing.assert_close(scaled.amax(0), torch.ones_like(spread), rtol=0, atol=tolerance)


def test_standard_scaling_gives_mean_0_and_deviation_1() -> None:
    values = torch.randn((500, 3), generator=torch.Generator().manual_seed(0)) * 30 + 100
    scaled = fitted(values, "standard").normalize("action", values)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(scaled.std(0), torch.ones(3), rtol=1e-5, atol=0)


def test_quantile_scaling_clips_half_a_percent_at_each_end_and_keeps_the_rest() -> None:
    values = torch.arange(1001.0)[:, None]
    scaled = fitted(values, "quantile").normalize("action", values)
    assert int((scaled == -1).sum()) == pytest.approx(6, abs=1)  # 0 .. 5
    assert int((scaled == 1).sum()) == pytest.approx(6, abs=1)
    assert scaled.abs().max() == 1
    torch.testing.assert_close(scaled[500], torch.zeros(1), rtol=0, atol=1e-6)
    torch.testing.assert_close(scaled[599], torch.full((1,), 0.2), rtol=0, atol=1e-6)  # 99 / 495


def test_quantile_scaling_does_not_let_one_outlier_squeeze_the_bulk() -> None:
    bulk = torch.randn((2000, 1), generator=torch.Generator().manual_seed(0))
    values = torch.cat([bulk, torch.full((1, 1), 1e4)])
    assert fitted(values, "quantile").normalize("action", bulk).std() > 0.3
    assert fitted(values, "min-max").normalize("action", bulk).std() < 1e-3


@pytest.mark.parametrize(
    "moves", [{300: 60.0}, {3: 60.0, 5: 60.0, 9: -40.0}, {1: 60.0, 2: 60.0, 3: 60.0, 4: 60.0}]
)
@pytest.mark.parametrize("rest", [0.0, 256.0])
def test_quantile_scaling_keeps_the_rare_moves_of_a_number_that_rests(
    moves: dict[int, float], rest: float
) -> None:
    values = torch.full((400, 1), rest)
    for row, move in moves.items():
        values[row] += move
    normalizer = fitted(values, "quantile")
    back = normalizer.denormalize("action", normalizer.normalize("action", values))
    torch.testing.assert_close(back, values, rtol=0, atol=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dimension_that_never_varies_becomes_zero_and_is_not_blown_up(kind: Scaling) -> None:
    values = torch.stack([torch.linspace(0, 10, 20), torch.full((20,), 7.0)], dim=-1)
    normalizer = fitted(values, kind)
    scaled = normalizer.normalize("action", values)
    torch.testing.assert_close(scaled[:, 1], torch.zeros(20), rtol=0, atol=0)
    # A later deviation keeps its own size.
    moved = normalizer.normalize("action", torch.tensor([[5.0, 7.5]]))
    assert moved[0, 1] == pytest.approx(0.5)
    back = normalizer.denormalize("action", torch.zeros(1, 2))
    assert back[0, 1] == pytest.approx(7.0)


def test_each_quantity_has_its_own_scaling_and_windows_keep_their_shape() -> None:
    values = {"state": torch.rand(50, 3) * 512, "action": torch.rand(50, 2) * 10}
    normalizer = Normalizer.fit(values, {"state": "min-max", "action": "standard"})
    windows = values["state"][:40].reshape(5, 8, 3)
    scaled = normalizer.normalize("state", windows)
    torch.testing.assert_close(
        scaled.reshape(40, 3), normalizer.normalize("state", values["state"][:40])
    )
    assert normalizer.normalize("action", values["action"]).std() == pytest.approx(1, abs=0.05)


def test_an_unknown_scaling_is_named_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="'action' is 'log'; allowed: min-max, quantile, standard"):
        Normalizer({"action": "log"}, {"action": 2})  # type: ignore[dict-item]

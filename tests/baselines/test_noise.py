"""Noise from one generator, or from one generator a row."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import baselines.noise
from baselines.noise import choose, rand, randn

CPU = torch.device("cpu")
draws = pytest.mark.parametrize("draw", [randn, rand])


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@draws
def test_a_row_with_its_own_generator_does_not_depend_on_the_other_rows(
    draw: Callable[..., Tensor],
) -> None:
    together = draw((3, 4, 2), [stream(7), stream(8), stream(9)], CPU)
    other_company = draw((2, 4, 2), [stream(1), stream(8)], CPU)
    torch.testing.assert_close(other_company[1], together[1], rtol=0, atol=0)
    assert not torch.equal(together[0], together[1])


@draws
def test_each_stream_goes_on_where_it_was_left(draw: Callable[..., Tensor]) -> None:
    streams = [stream(1), stream(2)]
    first = draw((2, 3), streams, CPU)
    streams.pop(0)
    second = draw((1, 3), streams, CPU)
    other = stream(2)
    expected = draw((1, 3), [other], CPU), draw((1, 3), [other], CPU)
    torch.testing.assert_close(first[1:], expected[0], rtol=0, atol=0)
    torch.testing.assert_close(second, expected[1], rtol=0, atol=0)


def test_one_generator_gives_the_noise_that_torch_gives() -> None:
    expected = torch.randn((3, 4), generator=stream(5))
    torch.testing.assert_close(randn((3, 4), stream(5), CPU), expected, rtol=0, atol=0)


@pytest.mark.parametrize("sources", ["one", "one a row"])
def test_gaussian_noise_is_standard_and_uniform_noise_lies_in_the_unit_interval(
    sources: str,
) -> None:
    shape = (2, 20_000)

    def generators() -> torch.Generator | list[torch.Generator]:
        return stream(0) if sources == "one" else [stream(1), stream(2)]

    normal, uniform = randn(shape, generators(), CPU), rand(shape, generators(), CPU)
    assert normal.mean(1).abs().max() < 0.03
    torch.testing.assert_close(normal.std(1), torch.ones(2), rtol=0, atol=0.03)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    torch.testing.assert_close(uniform.mean(1), torch.full((2,), 0.5), rtol=0, atol=0.01)


@draws
def test_a_wrong_number_of_generators_is_refused(draw: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="2 generators for a batch of 3; give one a row"):
        draw((3, 4), [stream(0), stream(1)], CPU)


# ---- choosing by shares ----


@pytest.mark.parametrize("sources", ["one", "one a row"])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 40.0])
def test_columns_are_chosen_as_often_as_their_shares_say(sources: str, scale: float) -> None:
    shares = torch.tensor([[[0.5, 0.0, 0.2, 0.3]], [[0.0, 0.9, 0.1, 0.0]]])  # (B, 1, M)
    generators = stream(0) if sources == "one" else [stream(1), stream(2)]
    chosen = choose(scale * shares, 20_000, generators)
    assert chosen.shape == (2, 1, 20_000)
    for row, expected in zip(chosen[:, 0], shares[:, 0], strict=True):
        found = row.bincount(minlength=4) / 20_000
        torch.testing.assert_close(found, expected, rtol=0, atol=0.012)
        assert not found[expected == 0].any()


def test_draws_of_one_row_are_independent() -> None:
    chosen = choose(torch.tensor([[0.5, 0.5]]), 20_000, stream(0))[0].float()
    neighbours = torch.corrcoef(torch.stack([chosen[0::2], chosen[1::2]]))[0, 1]
    assert neighbours.abs() < 0.04


def test_a_choice_with_its_own_generator_does_not_depend_on_the_other_rows() -> None:
    shares = torch.rand((3, 2, 50), generator=stream(0))
    together = choose(shares, 30, [stream(7), stream(8), stream(9)])
    other_company = choose(shares[[0, 1]], 30, [stream(1), stream(8)])
    assert torch.equal(other_company[1], together[1])
    assert not torch.equal(other_company[0], together[0])


@pytest.mark.parametrize("total", [1.0, 0.3, 0.7, 1e-30, 7e5])
def test_the_largest_draw_chooses_the_last_column_that_has_a_share(
    monkeypatch: pytest.MonkeyPatch, total: float
) -> None:
    """Behind it lie columns without a share; times the largest draw a sum stays below itself."""
    largest = 1 - 2.0**-24  # in float32

    def drawn(shape: tuple[int, ...], *_: object) -> Tensor:
        return torch.full(shape, largest)

    monkeypatch.setattr(baselines.noise, "rand", drawn)
    shares = total * torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.2, 0.3, 0.0, 0.5]])
    assert choose(shares, 2, stream(0)).tolist() == [[1, 1], [3, 3]]


def test_the_smallest_draw_chooses_the_first_column_that_has_a_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(baselines.noise, "rand", lambda shape, *_: torch.zeros(shape))
    shares = torch.tensor([[0.0, 0.0, 0.4, 0.6], [0.2, 0.3, 0.0, 0.5]])
    assert choose(shares, 1, stream(0)).tolist() == [[2], [0]]

"""Noise from one generator, or from one generator a row."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from baselines.noise import rand, randn

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

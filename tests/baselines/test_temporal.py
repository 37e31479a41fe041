"""Operations of convolutional networks over time: each equals the plain one beside it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.nets import compiled, temporal
from baselines.nets.temporal import (
    TemporalConv,
    conv_block,
    conv_block_plain,
    window_product,
    window_product_plain,
)

FLOAT64 = torch.float64


@pytest.fixture(params=["compiled", "torch"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a test with the C functions and with PyTorch's operations in their place."""
    if request.param == "torch":
        monkeypatch.setattr(temporal, "_functions", lambda _: None)
    elif temporal._functions(FLOAT64) is None:
        pytest.skip("there is no C compiler")


def normal(*shape: int, dtype: torch.dtype = FLOAT64) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def block_inputs(kernel_size: int, dtype: torch.dtype = FLOAT64) -> tuple[list[Tensor], nn.Module]:
    norm = nn.GroupNorm(4, 8).to(dtype)
    norm.weight.data, norm.bias.data = normal(8, dtype=dtype), normal(1, 8, dtype=dtype)[0]
    shapes = (3, 7, 5), (8, kernel_size * 5), (8,), (3, 16), (3, 7, 8)
    return [normal(*shape, dtype=dtype) for shape in shapes], norm


def values_and_gradients(
    act: Callable[..., Tensor], tensors: list[Tensor], *others: Tensor
) -> list[Tensor]:
    out = act(*tensors)
    weights = normal(*out.shape, dtype=out.dtype).detach()
    return [out, *torch.autograd.grad((out * weights).sum(), [*tensors, *others])]


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 1), (2, 0)])
def test_a_product_over_windows_equals_the_plain_one(
    kernel_size: int, before: int, after: int
) -> None:
    tensors = [normal(3, 7, 5), normal(4, kernel_size * 5), normal(4)]
    plain, fast = (
        values_and_gradients(lambda *each, act=act: act(*each, before, after), tensors)
        for act in (window_product_plain, window_product)
    )
    for expected, found in zip(plain, fast, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("activation", ["mish", "silu"])
@pytest.mark.parametrize("film", [True, False])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_a_block_equals_the_plain_one(
    activation: temporal.Activation, film: bool, residual: bool, kernel_size: int
) -> None:
    tensors, norm = block_inputs(kernel_size)
    optional = [each for each, given in zip(tensors[3:], (film, residual), strict=True) if given]

    def run(act: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor, *rest: Tensor):  # type: ignore[no-untyped-def]
        left = list(rest)
        scale = left.pop(0) if film else None
        return act(x, weight, bias, norm, activation, scale, left.pop(0) if residual else None)

    plain, fast = (
        values_and_gradients(
            lambda *each, act=act: run(act, *each), tensors[:3] + optional, *norm.parameters()
        )
        for act in (conv_block_plain, conv_block)
    )
    for expected, found in zip(plain, fast, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("activation", ["mish", "silu"])
def test_gradients_are_those_of_finite_differences(activation: temporal.Activation) -> None:
    tensors, norm = block_inputs(3)

    def block(*each: Tensor) -> Tensor:
        return conv_block(*each[:3], norm, activation, *each[3:])

    assert torch.autograd.gradcheck(block, tensors)
    assert torch.autograd.gradcheck(
        lambda *each: window_product(*each, 1, 1), (normal(2, 4, 3), normal(4, 9), normal(4))
    )


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("bfloat16", [False, True])
def test_float32_and_products_in_bfloat16_stay_within_their_rounding(bfloat16: bool) -> None:
    exact, norm64 = block_inputs(3)
    tensors, norm = block_inputs(3, torch.float32)
    with torch.no_grad():
        for to, of in zip(
            [*tensors, *norm.parameters()], [*exact, *norm64.parameters()], strict=True
        ):
            to.copy_(of)
    expected = values_and_gradients(
        lambda *each: conv_block_plain(*each[:3], norm64, "silu", *each[3:]), exact
    )
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        out = conv_block(*tensors[:3], norm, "silu", *tensors[3:])
    weights = normal(*out.shape).detach().float()
    found = [out, *torch.autograd.grad((out * weights).sum(), tensors)]
    for mine, other in zip(found, expected, strict=True):
        assert mine.dtype == torch.float32
        error = (mine - other).norm() / other.norm()
        assert error < (0.02 if bfloat16 else 1e-6)
    assert (found[0] - expected[0]).abs().max() > (1e-4 if bfloat16 else 0)


@pytest.mark.usefixtures("_both_ways")
def test_slices_of_other_tensors_are_taken_as_they_are() -> None:
    tensors, norm = block_inputs(3)
    x, weight, bias, film, residual = tensors
    wide = torch.cat([film, film], dim=1)
    expected = conv_block_plain(x, weight, bias, norm, "silu", film, residual)
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    found = conv_block(turned, weight, bias, norm, "silu", wide[:, 16:], residual)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_films_and_residuals_of_another_shape_are_refused() -> None:
    (x, weight, bias, film, residual), norm = block_inputs(3)
    with pytest.raises(ValueError, match=r"film is \(3, 8\); it must be \(3, 16\)"):
        conv_block(x, weight, bias, norm, "silu", film[:, :8])
    with pytest.raises(ValueError, match=r"residual is \(3, 6, 8\); it must be \(3, 7, 8\)"):
        conv_block(x, weight, bias, norm, "silu", film, residual[:, :6])


def test_a_large_or_undefined_number_stays_what_it_is() -> None:
    tensors, norm = block_inputs(3, torch.float32)
    tensors[0].data[0, 0, 0] = torch.nan
    tensors[0].data[1] *= 1e4
    with torch.autocast("cpu", torch.bfloat16):
        out = conv_block(*tensors[:3], norm, "silu")
    assert out[0].isnan().any()
    assert out[1:].isfinite().all()


def test_a_stride_gives_every_other_step() -> None:
    conv = TemporalConv(3, 4, 3, stride=2)
    x = normal(2, 8, 3, dtype=torch.float32)
    every = window_product(x, conv.weight, conv.bias, 1, 1)
    torch.testing.assert_close(conv(x), every[:, ::2], rtol=1e-5, atol=1e-6)


def test_without_a_compiler_there_is_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return NUMBER; }")
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "no-such-compiler")
    assert compiled.library(source, "NUMBER=1") is None


def test_what_is_compiled_is_kept_and_what_cannot_be_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if temporal._functions(FLOAT64) is None:
        pytest.skip("there is no C compiler")
    monkeypatch.setenv("DPBENCH_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "one.c"
    source.write_text("int one(void) { return NUMBER; }")
    found = compiled.library(source, "NUMBER=1")
    assert found is not None
    assert found.one() == 1
    assert len(list((tmp_path / "cache" / "compiled").iterdir())) == 1
    assert compiled.library(source, "NUMBER=nonsense") is None

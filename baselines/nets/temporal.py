"""What a convolutional network over time is made of, each as one operation with its own backward.

Sequences are (B, T, C). Beside each operation stands the plain one that it equals: the same values
and gradients, written for reading. The difference is speed alone. Autograd would fill arrays with
zeros, add to them shift by shift and take a dozen small steps where one will do, and on a CPU small
steps, not products, are what a network of this size spends its time on.

Under autocast the products run in its type and all else stays in float32. The steps between them
are C functions (temporal.c) on a CPU with a compiler, and PyTorch's operations elsewhere.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from baselines.nets.compiled import library

Activation = Literal["mish", "silu"]
_SOURCE = Path(__file__).with_suffix(".c")
_REAL = {torch.float32: "float", torch.float64: "double"}


# ---- the plain operations ----


def windows_plain(x: Tensor, kernel_size: int, before: int, after: int) -> Tensor:
    """What each step of a convolution sees, (B, T, C) to (B, T', kernel_size * C).

    Args:
        x: Sequences.
        kernel_size: Steps in a window.
        before: Steps of zeros put before the first.
        after: Steps of zeros put after the last.
    """
    padded = F.pad(x, (0, 0, before, after))
    last = padded.shape[1] - kernel_size + 1
    return torch.cat([padded[:, i : last + i] for i in range(kernel_size)], dim=-1)


def window_product_plain(
    x: Tensor, weight: Tensor, bias: Tensor, before: int, after: int
) -> Tensor:
    """`window_product`, as autograd differentiates it."""
    kernel_size = weight.shape[1] // x.shape[2]
    return F.linear(windows_plain(x, kernel_size, before, after), weight, bias)


def conv_block_plain(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    norm: nn.GroupNorm,
    activation: Activation,
    film: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """`conv_block`, as autograd differentiates it."""
    padding = weight.shape[1] // x.shape[2] // 2
    turned = window_product_plain(x, weight, bias, padding, padding).transpose(1, 2)
    normed = F.group_norm(turned, norm.num_groups, norm.weight, norm.bias, norm.eps)
    out = (F.mish if activation == "mish" else F.silu)(normed.transpose(1, 2))
    if film is not None:
        scale, shift = film[:, None].chunk(2, dim=-1)
        out = scale * out + shift
    return out if residual is None else out + residual


# ---- the same, faster ----


def window_product(x: Tensor, weight: Tensor, bias: Tensor, before: int, after: int) -> Tensor:
    """Convolve along time: every window of steps times a matrix.

    With a handful of time steps and hundreds of channels, one product over windows runs at the
    speed of the machine's matrix multiplication; convolution kernels reached a third of it on a
    CPU.

    Args:
        x: Sequences, (B, T, C).
        weight: (C', kernel_size * C), the channels of a step together.
        bias: (C',).
        before: Steps of zeros put before the first.
        after: Steps of zeros put after the last.

    Returns:
        (B, T + before + after - kernel_size + 1, C').
    """
    given = x, weight, bias, before, after
    if not torch.is_grad_enabled():
        return _WindowProduct.forward(_Forgetful(), *given)
    out: Tensor = _WindowProduct.apply(*given)  # type: ignore[no-untyped-call]
    return out


def conv_block(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    norm: nn.GroupNorm,
    activation: Activation,
    film: Tensor | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """Convolution, group normalisation, activation, FiLM (Perez et al. 2018), residual connection.

    Args:
        x: Sequences, (B, T, C).
        weight: Of the convolution, (C', kernel_size * C), the kernel's size odd.
        bias: Of the convolution, (C',).
        norm: Groups of channels, normalised over time too, with their weights and eps.
        activation: What follows it.
        film: Scale and shift of each channel of the activation, (B, 2 C').
        residual: Added to the result, (B, T, C').

    Returns:
        (B, T, C').

    Raises:
        ValueError: If film or residual has another shape.
    """
    batch, channels = len(x), len(weight)
    if film is not None and film.shape != (batch, 2 * channels):
        raise ValueError(f"film is {tuple(film.shape)}; it must be {(batch, 2 * channels)}")
    if residual is not None and residual.shape != (*x.shape[:2], channels):
        shape = (*x.shape[:2], channels)
        raise ValueError(f"residual is {tuple(residual.shape)}; it must be {shape}")
    given = (
        x, weight, bias, norm.weight, norm.bias, film, residual,
        norm.num_groups, norm.eps, activation == "mish",
    )  # fmt: skip
    if not torch.is_grad_enabled():
        return _ConvBlock.forward(_Forgetful(), *given)
    out: Tensor = _ConvBlock.apply(*given)  # type: ignore[no-untyped-call]
    return out


class _Forgetful:
    """Stands for autograd's context where no gradient is asked for, and spares what it costs."""

    def save_for_backward(self, *_: Any) -> None:
        """Keep nothing."""


class _WindowProduct(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, before: int, after: int
    ) -> Tensor:
        matrix, seen = _operands(ctx, x, weight, before, after)
        ctx.save_for_backward(matrix, seen)
        out = torch.mm(seen, matrix.t()).to(x.dtype).add_(bias)
        return out.view(len(x), -1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad = grad.contiguous()
        matrix, seen = ctx.saved_tensors
        grad_x, grad_weight = _product_gradients(ctx, matrix, seen, grad)
        return grad_x, grad_weight, grad.sum((0, 1)), None, None


class _ConvBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        film: Tensor | None,
        residual: Tensor | None,
        groups: int,
        eps: float,
        mish: bool,
    ) -> Tensor:
        padding = weight.shape[1] // x.shape[2] // 2
        matrix, seen = _operands(ctx, x, weight, padding, padding)
        product = torch.mm(seen, matrix.t()).view(len(x), -1, len(weight))
        affine = bias, norm_weight, norm_bias
        if film is not None:
            film = film.to(x.dtype).contiguous()
        if residual is not None:
            residual = residual.to(x.dtype).contiguous()
        out, mean, rstd = _norm(product, *affine, film, residual, groups, eps, mish)
        ctx.save_for_backward(matrix, seen, product, *affine, film, mean, rstd)
        ctx.mish = mish
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        matrix, seen, *saved = ctx.saved_tensors
        grad = grad.contiguous()
        inner, sums, grad_film = _norm_gradients(ctx.mish, grad, *saved)
        grad_x, grad_weight = _product_gradients(ctx, matrix, seen, inner)
        norm_weight, norm_bias, bias = sums
        grad_residual = grad if ctx.needs_input_grad[6] else None
        return (
            grad_x, grad_weight, bias, norm_weight, norm_bias, grad_film, grad_residual,
            None, None, None,
        )  # fmt: skip


def _operands(
    ctx: Any, x: Tensor, weight: Tensor, before: int, after: int
) -> tuple[Tensor, Tensor]:
    """The matrix (C', kernel * C) and the windows (B * T', kernel * C), as they are multiplied."""
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    kernel_size = weight.shape[1] // x.shape[2]
    ctx.kernel_size, ctx.before, ctx.after = kernel_size, before, after
    ctx.x_dtype, ctx.weight_dtype = x.dtype, weight.dtype
    return weight.to(dtype), _windows(x, kernel_size, before, after, dtype)


def _product_gradients(
    ctx: Any, matrix: Tensor, seen: Tensor, grad: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of the input and the weight from that of the product, (B, T', C').

    The input's is a product over windows of the gradient: there is nothing to add up.
    """
    kernel_size, channels = ctx.kernel_size, grad.shape[2]
    grad_x = grad_weight = None
    flat = grad.to(matrix.dtype)
    if ctx.needs_input_grad[0]:
        # Step t lies in window t + before - i at place i: as windows ascend, places descend.
        before, after = kernel_size - 1 - ctx.before, kernel_size - 1 - ctx.after
        back = _windows(flat, kernel_size, before, after, flat.dtype)
        taps = matrix.view(channels, kernel_size, -1)
        turned = torch.cat([taps[:, i] for i in reversed(range(kernel_size))])
        grad_x = torch.mm(back, turned).view(len(grad), -1, taps.shape[2]).to(ctx.x_dtype)
    if ctx.needs_input_grad[1]:
        grad_weight = torch.mm(flat.view(-1, channels).t(), seen).to(ctx.weight_dtype)
    return grad_x, grad_weight


# ---- the steps between products: in C where that is possible, else in PyTorch ----


_POINTER, _LONG, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_long, ctypes.c_int, ctypes.c_double
_ARGUMENTS: dict[str, list[Any]] = {
    "windows": [_POINTER] * 2 + [_LONG] * 6 + [_INT] * 2,
    "norm_forward": [_POINTER] * 9 + [_LONG] * 4 + [_DOUBLE] + [_INT] * 2,
    "norm_backward": [_POINTER] * 11 + [_LONG] * 4 + [_INT] * 2,
}


@cache
def _functions(dtype: torch.dtype) -> ctypes.CDLL | None:
    """The functions of temporal.c for one type of numbers, if they can be had."""
    found = library(_SOURCE, f"REAL={_REAL[dtype]}")
    if found is not None:
        for name, arguments in _ARGUMENTS.items():
            getattr(found, name).argtypes = arguments
    return found


def _compiled(real: Tensor, product: torch.dtype) -> ctypes.CDLL | None:
    """Those for numbers of a tensor and products of a type, if they can be had."""
    if real.device.type != "cpu" or real.dtype not in _REAL:
        return None
    return _functions(real.dtype) if product in (real.dtype, torch.bfloat16) else None


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _windows(x: Tensor, kernel_size: int, before: int, after: int, dtype: torch.dtype) -> Tensor:
    """`windows_plain` in another type, as the rows of a matrix, (B * T', kernel_size * C)."""
    batch, steps, channels = x.shape
    if kernel_size == 1 and not (before or after):
        return x.to(dtype).reshape(-1, channels)
    count = steps + before + after - kernel_size + 1
    real = x if x.dtype in _REAL else x.new_empty(0, dtype=torch.float32)
    compiled = _compiled(real, dtype)
    if compiled is None:
        padded = F.pad(x.to(dtype), (0, 0, before, after))
        # Windows overlap in memory: a step is read once for each window that it is in.
        shape = (batch, count, kernel_size * channels)
        strides = (padded.shape[1] * channels, channels, 1)
        return padded.as_strided(shape, strides).reshape(-1, shape[2])
    x = x.contiguous()
    out = x.new_empty((batch * count, kernel_size * channels), dtype=dtype)
    compiled.windows(
        _address(x), _address(out), batch, steps, channels, kernel_size, before, after,
        x.dtype == torch.bfloat16, dtype == torch.bfloat16,
    )  # fmt: skip
    return out


def _norm(
    product: Tensor,
    bias: Tensor,
    weight: Tensor,
    shift: Tensor,
    film: Tensor | None,
    residual: Tensor | None,
    groups: int,
    eps: float,
    mish: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """What follows the product (B, T, C) in a block, and mean and deviation^-1 (B, groups)."""
    batch, steps, channels = product.shape
    compiled = _compiled(bias, product.dtype)
    if compiled is None:
        x = product.to(bias.dtype) + bias
        normed, mean, rstd = torch.native_group_norm(
            _image(x), weight, shift, batch, channels, steps, groups, eps
        )
        out = _sequences(F.mish(normed) if mish else F.silu(normed))
        if film is not None:
            scale, offset = film[:, None].chunk(2, dim=-1)
            out = torch.addcmul(offset, scale, out)
        return out if residual is None else out + residual, mean, rstd
    out = torch.empty_like(product, dtype=bias.dtype)
    mean, rstd = bias.new_empty(2, batch, groups)
    given = (product, bias, weight, shift, film, residual, out, mean, rstd)
    compiled.norm_forward(
        *map(_address, given), batch, steps, channels, groups, eps,
        mish, product.dtype == torch.bfloat16,
    )  # fmt: skip
    return out, mean, rstd


def _norm_gradients(
    mish: bool,
    grad: Tensor,
    product: Tensor,
    bias: Tensor,
    weight: Tensor,
    shift: Tensor,
    film: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
) -> tuple[Tensor, Sequence[Tensor], Tensor | None]:
    """Gradients of the product (B, T, C), of weight, shift and bias (C,), and of FiLM (B, 2 C)."""
    batch, steps, channels = grad.shape
    groups = mean.shape[1]
    compiled = _compiled(bias, product.dtype)
    grad_film = None if film is None else torch.empty_like(film)
    if compiled is None:
        x = _image(product.to(bias.dtype) + bias)
        each = channels // groups
        middle, spread = (v.repeat_interleave(each, 1)[:, :, None, None] for v in (mean, rstd))
        normed = torch.addcmul(shift[:, None, None], (x - middle) * spread, weight[:, None, None])
        inner = grad
        if film is not None:
            active = _sequences(F.mish(normed) if mish else F.silu(normed))
            grad_film = torch.cat([(grad * active).sum(1), grad.sum(1)], dim=1)
            inner = grad * film[:, None, :channels]
        slope = torch.ops.aten.mish_backward if mish else torch.ops.aten.silu_backward
        image, of_weight, of_shift = torch.ops.aten.native_group_norm_backward(
            slope(_image(inner), normed), x, mean, rstd, weight,
            batch, channels, steps, groups, [True] * 3,
        )  # fmt: skip
        grad_x = _sequences(image)
        return grad_x, (of_weight, of_shift, grad_x.sum((0, 1))), grad_film
    grad_x, sums = torch.empty_like(product), bias.new_zeros(3, channels)
    given = (grad, product, bias, weight, shift, film, mean, rstd, grad_x, sums, grad_film)
    compiled.norm_backward(
        *map(_address, given), batch, steps, channels, groups,
        mish, product.dtype == torch.bfloat16,
    )  # fmt: skip
    return grad_x, sums.unbind(), grad_film


def _image(x: Tensor) -> Tensor:
    """(B, T, C) as an image of one row, (B, C, 1, T).

    It is PyTorch's channels-last format, for which its group normalisation copies nothing.
    """
    return x.transpose(1, 2).unsqueeze(2)


def _sequences(image: Tensor) -> Tensor:
    """(B, C, 1, T) back to (B, T, C)."""
    return image.squeeze(2).transpose(1, 2)


# ---- layers ----


class TemporalConv(nn.Linear):
    """Convolution along time with zero padding, as one matrix product: (B, T, C) to (B, T', C').

    Weights and their initialisation are those of `nn.Conv1d` in another order.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1):
        super().__init__(kernel_size * in_channels, out_channels)
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C), T a multiple of the stride, to (B, T / stride, C')."""
        padding, stride, channels = self.kernel_size // 2, self.stride, x.shape[2]
        if stride == 1:
            return window_product(x, self.weight, self.bias, padding, padding)
        # `stride` steps are one long step: windows begin and end with whole ones.
        reach = self.kernel_size - 1 - padding  # steps seen after the first of a long step
        before, after = -(-padding // stride), reach // stride
        first, last = before * stride - padding, (after + 1) * stride - 1 - reach
        weight = F.pad(self.weight, (first * channels, last * channels))
        long = x.reshape(len(x), -1, stride * channels)
        return window_product(long, weight, self.bias, before, after)


class TemporalUpsample(nn.Module):
    """Transposed convolution with kernel 4 and stride 2: (B, T, C) to (B, 2 T, C).

    Each output step sees two input steps: an even one the step before and its own, an odd one its
    own and the step after. Initial weights and bias are those of `nn.ConvTranspose1d`: uniform
    within 1 / sqrt(4 C), since it counts all four taps, of which a step sees two.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.even = nn.Linear(2 * channels, channels)
        self.odd = nn.Linear(2 * channels, channels, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.mul_(0.5**0.5)  # a linear layer counts the two: 1 / sqrt(2 C)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, 2 T, C)."""
        batch, _, channels = x.shape
        # One product gives both from windows of three steps; a third of its weights is zero.
        even, odd = F.pad(self.even.weight, (0, channels)), F.pad(self.odd.weight, (channels, 0))
        bias = torch.cat([self.even.bias, self.even.bias])
        both = window_product(x, torch.cat([even, odd]), bias, 1, 1)  # (B, T, 2 C)
        return both.view(batch, -1, channels)

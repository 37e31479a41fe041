"""The U-Net: its blocks equal PyTorch's convolutions, the whole fits any horizon and depth."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.diffusion.agent import DiffusionUnetConfig
from baselines.diffusion.unet import (
    ConditionalUnet1d,
    ConvBlock,
    ResidualBlock,
)
from baselines.nets.temporal import TemporalConv, TemporalUpsample

DA, COND = 2, 6


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def small_unet(channels: tuple[int, ...] = (8, 16), kernel_size: int = 3) -> ConditionalUnet1d:
    torch.manual_seed(0)
    return ConditionalUnet1d(DA, COND, channels, kernel_size, groups=4, step_dim=8)


def test_the_published_network_has_65_8_million_parameters() -> None:
    """Published for Push-T: two observations of 20 numbers, two-dimensional actions."""
    config = DiffusionUnetConfig()
    network = ConditionalUnet1d(
        2, 2 * 20, config.channels, config.kernel_size, config.groups, config.step_dim
    )
    count = sum(parameter.numel() for parameter in network.parameters())
    assert round(count / 1e6, 1) == 65.8


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_temporal_convolution_equals_conv1d_with_reordered_weights(
    kernel_size: int, stride: int
) -> None:
    conv = TemporalConv(3, 4, kernel_size, stride)
    x = normal(2, 8, 3)  # (B, T, C)
    weight = conv.weight.unflatten(1, (kernel_size, 3)).transpose(1, 2)  # (C', C, kernel)
    expected = F.conv1d(x.transpose(1, 2), weight, conv.bias, stride, padding=kernel_size // 2)
    torch.testing.assert_close(conv(x), expected.transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_a_temporal_convolution_is_initialised_as_conv1d() -> None:
    ours, theirs = TemporalConv(64, 96, 5), nn.Conv1d(64, 96, 5)
    for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        largest = mine.detach().abs().max(), other.detach().abs().max()
        assert largest[0].item() == pytest.approx(largest[1].item(), rel=0.05)
    assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.02)


def test_upsampling_equals_a_transposed_convolution_of_kernel_4_and_stride_2() -> None:
    upsample = TemporalUpsample(3)
    x = normal(2, 5, 3)
    # With padding 1 an even output step 2 i sees taps 3 (of step i - 1) and 1 (of step i), an odd
    # one taps 2 (of step i) and 0 (of step i + 1).
    before, own = upsample.even.weight.chunk(2, dim=1)
    own_odd, after = upsample.odd.weight.chunk(2, dim=1)
    weight = torch.stack([after.T, own.T, own_odd.T, before.T], dim=-1)  # (C, C', 4)
    expected = F.conv_transpose1d(x.transpose(1, 2), weight, upsample.even.bias, 2, padding=1)
    found = upsample(x)
    assert found.shape == (2, 10, 3)
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_upsampling_is_initialised_as_a_transposed_convolution() -> None:
    ours, theirs = TemporalUpsample(96), nn.ConvTranspose1d(96, 96, 4, stride=2, padding=1)
    bound = (4 * 96) ** -0.5  # of both weights and bias, uniform
    assert theirs.weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert theirs.bias is not None
    assert theirs.bias.abs().max().item() <= bound
    for weight in (ours.even.weight, ours.odd.weight):
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
        assert weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.02)
    assert 0.9 * bound < ours.even.bias.abs().max().item() <= bound


def test_a_block_normalises_groups_of_channels_over_time() -> None:
    block = ConvBlock(3, 8, 3, groups=4, activation="mish")
    nn.init.normal_(block.norm.weight)
    nn.init.normal_(block.norm.bias)
    x = normal(2, 7, 3)
    channels_first = block.conv(x).transpose(1, 2)  # (B, C, T)
    normed = F.group_norm(channels_first, 4, block.norm.weight, block.norm.bias)
    torch.testing.assert_close(block(x), F.mish(normed).transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_conditioning_scales_and_shifts_each_channel_between_the_convolutions() -> None:
    block = ResidualBlock(3, 8, COND, 3, groups=4, activation="silu")
    x, cond = normal(2, 7, 3), normal(2, COND)
    scale, shift = block.film(cond)[:, :8], block.film(cond)[:, 8:]
    hidden = scale[:, None] * block.first(x) + shift[:, None]
    expected = block.second(hidden) + block.shortcut(x)
    torch.testing.assert_close(block(x, block.film(cond)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", [(8,), (8, 16), (8, 8, 12), (4, 8, 8, 8)])
@pytest.mark.parametrize("horizon", [1, 2, 5, 10, 16, 17])
def test_any_depth_takes_any_horizon(channels: tuple[int, ...], horizon: int) -> None:
    network = small_unet(channels)
    out = network(normal(3, horizon, DA), torch.tensor([0, 5, 99]), normal(3, COND))
    assert out.shape == (3, horizon, DA)
    assert out.isfinite().all()


def test_every_block_is_conditioned_by_its_own_layer() -> None:
    network, obs, step = small_unet((8, 8, 12)), normal(3, COND), torch.tensor([0, 5, 99])
    cond = network.activation(torch.cat([network.step_encoder(step), obs], dim=-1))
    run = [*network.down, network.middle, *network.up]  # in the order of the forward pass
    blocks = [block for level in run for block in (level.first, level.second)]
    films = network._modulation(step, obs).split(network._sizes(), dim=1)
    assert len(films) == len(blocks) == 12
    for film, block in zip(films, blocks, strict=True):
        torch.testing.assert_close(film, block.film(cond), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_steps_that_are_prepared_together_are_denoised_as_one_by_one(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("baselines.diffusion.unet.MODULATED", at_once)
    network, obs, steps = small_unet((8, 16)), normal(3, COND), [99, 50, 7, 6, 0]
    prepared = list(network.modulations(steps, obs))
    assert len(prepared) == len(steps)
    for step, modulation in zip(steps, prepared, strict=True):
        x, k = normal(3, 9, DA), torch.full((3,), step)
        torch.testing.assert_close(
            network(x, k, obs, modulation), network(x, k, obs), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("channels", [(8,), (8, 16), (8, 8, 12)])
def test_every_parameter_receives_a_gradient(channels: tuple[int, ...]) -> None:
    network = small_unet(channels)
    network(normal(3, 9, DA), torch.tensor([0, 5, 99]), normal(3, COND)).square().sum().backward()
    without = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert without == []


@pytest.mark.parametrize("changed", ["actions", "step", "observation"])
def test_the_prediction_depends_on_everything_it_is_given(changed: str) -> None:
    network = small_unet()
    actions, step, obs = normal(1, 8, DA), torch.tensor([5]), normal(1, COND)
    before = network(actions, step, obs)
    after = network(
        actions + 0.1 * (changed == "actions"),
        step + (changed == "step"),
        obs + 0.1 * (changed == "observation"),
    )
    assert not torch.allclose(before, after, atol=1e-4)


def test_a_prediction_does_not_depend_on_what_else_is_in_the_batch() -> None:
    network = small_unet()
    actions, step, obs = normal(5, 8, DA), torch.arange(5), normal(5, COND)
    together = network(actions, step, obs)
    alone = torch.cat(
        [network(actions[i : i + 1], step[i : i + 1], obs[i : i + 1]) for i in range(5)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_the_first_action_sees_the_last_one() -> None:
    """Through its levels the network looks over the whole horizon."""
    network = small_unet((8, 8, 8))
    actions = normal(1, 16, DA).requires_grad_()
    network(actions, torch.tensor([5]), normal(1, COND))[0, 0].sum().backward()
    assert actions.grad is not None
    assert actions.grad[0, -1].abs().max() > 0

"""Weights of torchvision's ResNet-18 from a file, and how fast they are trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.ema import EMA
from baselines.nets.encoder_config import EncoderConfig
from baselines.nets.image_encoder import ImageEncoder, with_own_rates
from baselines.nets.pretrained import load_pretrained
from baselines.optimizer import FlatOptimizer
from tests.baselines.image_agent import SIDE, image_agent, image_batch

BATCH_NORM = EncoderConfig(norm="batch", weights="somewhere")


def torchvision_weights() -> dict[str, Tensor]:
    """A ResNet-18's state dict under torchvision's names, typed here on their own."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}

    def conv(name: str, out: int, low: int, size: int) -> None:
        scale = (2 / (low * size * size)) ** 0.5
        weights[f"{name}.weight"] = scale * torch.randn(out, low, size, size, generator=generator)

    def norm(name: str, size: int) -> None:
        for part, shift in (("weight", 1), ("bias", 0), ("running_mean", 0)):
            weights[f"{name}.{part}"] = shift + 0.1 * torch.randn(size, generator=generator)
        weights[f"{name}.running_var"] = 0.5 + torch.rand(size, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("conv1", 64, 3, 7)
    norm("bn1", 64)
    low = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            conv(f"{name}.conv1", width, low, 3)
            conv(f"{name}.conv2", width, width, 3)
            norm(f"{name}.bn1", width)
            norm(f"{name}.bn2", width)
            if low != width:
                conv(f"{name}.downsample.0", width, low, 1)
                norm(f"{name}.downsample.1", width)
            low = width
    return weights | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def torchvision_features(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """The last feature map of torchvision's network, (n, 512, h, w), of images (n, 3, H, W)."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, var, weight, bias)

    x = norm(F.conv2d(images, weights["conv1.weight"], stride=2, padding=3), "bn1").relu()
    x = F.max_pool2d(x, 3, 2, 1)
    for stage in range(1, 5):
        for block in range(2):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = F.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
            y = F.conv2d(norm(y, f"{name}.bn1").relu(), weights[f"{name}.conv2.weight"], padding=1)
            if f"{name}.downsample.0.weight" in weights:
                short = F.conv2d(x, weights[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(short, f"{name}.downsample.1")
            x = (x + norm(y, f"{name}.bn2")).relu()
    return x


def encoder(of: nn.Module) -> ImageEncoder:
    [found] = [module for module in of.modules() if isinstance(module, ImageEncoder)]
    return found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(torchvision_weights(), path)
    return path


def test_an_encoder_gives_the_features_of_the_network_in_the_file(file: Path) -> None:
    policy = image_agent(BATCH_NORM).eval()
    load_pretrained(policy, file)
    images = image_batch().obs["pixels"].flatten(0, 1)
    seen: list[Tensor] = []
    hook = encoder(policy).trunk.register_forward_hook(lambda *args: seen.append(args[2]))
    with torch.no_grad():
        encoder(policy)(images)
        hook.remove()
        margin = (SIDE - 42) // 2
        cropped = images[:, margin:-margin, margin:-margin].permute(0, 3, 1, 2) / 255
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
        expected = torchvision_features(
            torchvision_weights(), (cropped - mean[:, None, None]) / deviation[:, None, None]
        )
    torch.testing.assert_close(seen[0], expected, rtol=1e-3, atol=1e-3)


def test_group_normalisation_takes_the_convolutions_alone(file: Path, tmp_path: Path) -> None:
    same = tmp_path / "resnet18.safetensors"
    safetensors.torch.save_file(torchvision_weights(), same)
    policy, fresh = (image_agent(EncoderConfig(weights="somewhere")) for _ in range(2))
    load_pretrained(policy, same)
    theirs = torchvision_weights()
    trunk, before = encoder(policy).trunk, encoder(fresh).trunk
    assert torch.equal(trunk.stem[0].weight, theirs["conv1.weight"])
    assert torch.equal(trunk.blocks[7].residual[3].weight, theirs["layer4.1.conv2.weight"])
    assert torch.equal(trunk.blocks[2].shortcut[0].weight, theirs["layer2.0.downsample.0.weight"])
    assert torch.equal(trunk.stem[1].weight, before.stem[1].weight)


@pytest.mark.parametrize(
    ("change", "channels", "message"),
    [
        ({"conv1.weight": None}, 64, "has no 'conv1.weight'; give torchvision's ResNet-18"),
        ({"layer1.2.conv1.weight": torch.zeros(1)}, 64, "has 'layer1.2.conv1.weight', which a"),
        ({}, 32, "weights of torchvision need encoder.channels=64"),
    ],
)
def test_weights_of_another_network_are_refused(
    change: dict[str, Tensor | None], channels: int, message: str, tmp_path: Path
) -> None:
    weights = {k: v for k, v in (torchvision_weights() | change).items() if v is not None}
    path = tmp_path / "other.pth"
    torch.save(weights, path)
    with pytest.raises(ValueError, match=message):
        load_pretrained(image_agent(EncoderConfig(channels, weights="somewhere")), path)


def test_a_file_that_is_not_there_or_no_weights_is_named(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    with pytest.raises(FileNotFoundError, match=r"encoder\.weights is .*resnet18"):
        load_pretrained(image_agent(BATCH_NORM), path)
    path.write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"resnet18.pth is no file of weights"):
        load_pretrained(image_agent(BATCH_NORM), path)


def trained(config: EncoderConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The trunk's parameters before and after one update at a learning rate of 0.01."""
    policy = image_agent(config)
    groups = with_own_rates(policy.parameter_groups(0.0), policy, config.learning_rate_share)
    optimizer = FlatOptimizer(groups, 0.01, (0.9, 0.999))
    average = EMA(policy, flat=optimizer.flat, parameters=optimizer.parameters)
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    policy.loss(image_batch(), torch.Generator().manual_seed(2)).backward()
    optimizer.step(0.01)
    average.update()
    after = dict(average.module.named_parameters())
    return before, {name: after[name].detach() for name in before}


def test_a_residual_network_is_trained_at_its_share_of_the_learning_rate() -> None:
    before, after = trained(EncoderConfig(16, learning_rate_share=0.1))
    stem, head = (f"encoder.images.pixels.{name}" for name in ("trunk.stem.0.weight", "head.bias"))
    # The first update of Adam moves every weight by the learning rate.
    assert (after[stem] - before[stem]).abs().max() == pytest.approx(0.001, rel=1e-2)
    assert (after[head] - before[head]).abs().max() == pytest.approx(0.01, rel=1e-2)


def test_a_frozen_network_keeps_weights_and_statistics(file: Path) -> None:
    before, after = trained(EncoderConfig(16, learning_rate_share=0.0))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(".trunk." in name for name in changed)
    assert any(".head." in name for name in changed)
    policy = image_agent(replace(BATCH_NORM, learning_rate_share=0.0)).train()
    load_pretrained(policy, file)
    statistics = encoder(policy).trunk.state_dict()
    kept = {name: value.clone() for name, value in statistics.items()}
    policy.loss(image_batch(), torch.Generator().manual_seed(2)).backward()
    assert all(torch.equal(kept[name], value) for name, value in statistics.items())
    assert encoder(policy).head.weight.grad is not None

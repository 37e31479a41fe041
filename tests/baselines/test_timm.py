"""A network of timm as an image encoder: without the package, and with it where it is installed."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.checkpoints import load_agent, save_agent
from baselines.diffusion.agent import DiffusionUnet
from baselines.nets.encoder_config import EncoderConfig
from baselines.nets.image_encoder import ImageEncoder, with_own_rates
from baselines.nets.pretrained import load_pretrained
from baselines.nets.timm_trunk import TimmTrunk, timm_here
from tests.baselines.image_agent import SIDE, image_agent, image_batch

VIT = EncoderConfig(model="timm:test_vit")  # of 0.3 million parameters, made for 160 px


@pytest.fixture(scope="module")
def timm() -> Any:
    """The package, which is no part of the tools of the tests."""
    try:
        return timm_here("timm:test_vit")
    except ValueError as error:
        pytest.skip(str(error))


def small_agent(encoder: EncoderConfig) -> DiffusionUnet:
    return image_agent(encoder, num_inference_steps=3).eval()


def trunk_of(policy: DiffusionUnet) -> TimmTrunk:
    (encoder,) = (each for each in policy.modules() if isinstance(each, ImageEncoder))
    assert isinstance(encoder.trunk, TimmTrunk)
    return encoder.trunk


def act(policy: DiffusionUnet) -> Tensor:
    with torch.no_grad():
        return policy.act(image_batch().obs, torch.Generator().manual_seed(2))


# ---- without timm ----


@pytest.mark.parametrize("missing", ["timm", "torchvision"])
def test_without_the_package_the_error_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing != "timm":
        pytest.importorskip("timm", exc_type=Exception)
    for name in [each for each in sys.modules if each.split(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=rf"needs {missing}.*not installed.*'dpbench\[timm\]'"):
        small_agent(VIT)


def test_a_torchvision_of_another_build_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms is not')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"operator torchvision::nms is not.* another build"):
        small_agent(VIT)
    assert "timm" not in sys.modules


@pytest.mark.parametrize("model", ["vit_tiny_patch16_224", "timm:", "resnet-18"])
def test_a_model_of_no_known_kind_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="allowed: resnet18, and timm:NAME"):
        EncoderConfig(model=model)


def test_the_title_names_the_model_and_no_setting_that_is_not_of_it() -> None:
    config = EncoderConfig(16, "batch", "average", model="timm:vit_tiny_patch16_224")
    assert config.title == "vit_tiny_patch16_224, average pooling"
    assert replace(config, learning_rate_share=0.0).title.endswith("average pooling, frozen")


# ---- with it ----


@pytest.mark.usefixtures("timm")
def test_a_model_that_timm_does_not_have_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"has no such model; did you mean 'vit_tiny_patch16_224'"):
        small_agent(EncoderConfig(model="timm:vit_tiny_patch16_22"))


@pytest.mark.parametrize("pooling", ["spatial-softmax", "average"])
def test_an_encoder_pools_the_patches_of_the_vit_that_timm_gives(timm: Any, pooling: Any) -> None:
    policy = small_agent(replace(VIT, pooling=pooling))
    (encoder,) = (each for each in policy.modules() if isinstance(each, ImageEncoder))
    crop = SIDE * 7 // 8
    margin = (SIDE - crop) // 2
    pixels = image_batch().obs["pixels"].flatten(0, 1)
    middle = pixels[:, margin : margin + crop, margin : margin + crop].permute(0, 3, 1, 2)
    scaled = torch.nn.functional.interpolate(
        middle / 127.5 - 1, (160, 160), mode="bilinear", antialias=False
    )
    whole = timm.create_model("test_vit", pretrained=False, num_classes=0)
    whole.load_state_dict(trunk_of(policy).model.state_dict())
    with torch.no_grad():
        patches = whole.eval().forward_features(scaled)[:, 1:]  # after the class token
        maps = patches.transpose(1, 2).reshape(4, 64, 10, 10)
        expected = encoder.head(encoder.pooling(maps).flatten(1))
        torch.testing.assert_close(encoder(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet", "test_convnext"])
def test_every_weight_of_a_network_takes_part(name: str) -> None:
    policy = small_agent(EncoderConfig(model=f"timm:{name}", pooling="average")).train()
    policy.loss(image_batch(), torch.Generator().manual_seed(0)).backward()
    trunk = trunk_of(policy)
    assert [n for n, p in trunk.named_parameters() if p.grad is None] == []
    assert sum(p.numel() for p in trunk.parameters()) > 5e4


@pytest.mark.usefixtures("timm")
def test_keypoints_of_a_vit_lie_in_the_middle_of_its_patches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (encoder,) = (each for each in small_agent(VIT).modules() if isinstance(each, ImageEncoder))
    corner = torch.zeros(1, 64, 10, 10)
    corner[:, :, 0, 9] = 1e4  # the first row, the last column
    monkeypatch.setattr(encoder.trunk, "forward", lambda _: corner)
    with torch.no_grad():
        encoder.pooling.conv.weight.fill_(1.0)
        places = encoder.keypoints(image_batch().obs["pixels"][0, :1])
    patch, margin = 42 / 10, 3
    assert places[0, 0].tolist() == pytest.approx([margin + 42 - patch / 2, margin + patch / 2])


@pytest.mark.usefixtures("timm")
def test_a_checkpoint_is_read_without_a_network_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(VIT, weights=str(tmp_path / "gone.safetensors"))
    policy = small_agent(config)
    save_agent(policy, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was to be downloaded")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    again = load_agent(tmp_path)
    assert again.spec.encoder == config
    assert isinstance(again, DiffusionUnet)
    assert torch.equal(act(again), act(policy))


def test_a_checkpoint_whose_package_is_missing_says_what_to_install(
    timm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_agent(small_agent(VIT), tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"agent\.json: .*'dpbench\[timm\]'"):
        load_agent(tmp_path)


def test_training_starts_from_the_weights_in_a_local_file(timm: Any, tmp_path: Path) -> None:
    torch.manual_seed(5)
    theirs = timm.create_model("test_vit", pretrained=False)  # with its classifier
    path = tmp_path / "model.pth"
    torch.save(theirs.state_dict(), path)
    policy = small_agent(replace(VIT, weights=str(path)))
    before = trunk_of(policy).model.state_dict()["blocks.0.attn.qkv.weight"].clone()
    load_pretrained(policy, path)
    after = trunk_of(policy).model.state_dict()
    assert not torch.equal(after["blocks.0.attn.qkv.weight"], before)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in after.items())
    (encoder,) = (each for each in policy.modules() if isinstance(each, ImageEncoder))
    # It then sees colours as timm's weights were trained: mean and deviation 0.5.
    assert encoder._middle.flatten().tolist() == encoder._spread.flatten().tolist() == [127.5] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls_token": None}, "has no 'cls_token'; give timm's state dict of test_vit"),
        ({"extra.weight": torch.zeros(1)}, "has 'extra.weight', which test_vit does not have"),
        ({"pos_embed": torch.zeros(1, 5, 64)}, r"'pos_embed' .* is \(1, 5, 64\); test_vit has"),
    ],
)
def test_weights_of_another_model_are_refused(
    timm: Any, change: dict[str, Tensor | None], message: str, tmp_path: Path
) -> None:
    weights = timm.create_model("test_vit", pretrained=False).state_dict() | change
    path = tmp_path / "model.pth"
    torch.save({name: value for name, value in weights.items() if value is not None}, path)
    with pytest.raises(ValueError, match=message):
        load_pretrained(small_agent(VIT), path)


@pytest.mark.usefixtures("timm")
def test_a_frozen_network_is_left_out_of_the_update() -> None:
    policy = small_agent(replace(VIT, learning_rate_share=0.0))
    groups = with_own_rates(policy.parameter_groups(0.0), policy, 0.0)
    trained = {id(each) for group in groups for each in group["params"]}
    assert not trained & {id(each) for each in trunk_of(policy).parameters()}
    assert not any(each.requires_grad for each in trunk_of(policy).parameters())

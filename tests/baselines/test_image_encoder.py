"""The image encoder, and the observation encoder around it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.agent import Batch, Spec
from baselines.checkpoints import load_agent, save_agent
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig
from baselines.nets.encoder_config import EncoderConfig
from baselines.nets.image_encoder import (
    ImageEncoder,
    ResNet18,
    SpatialSoftmax,
    central_crop,
    crop_side,
    expected_place,
    random_crop,
)
from baselines.nets.obs_encoder import ObsEncoder
from baselines.normalizer import Normalizer

SIDE = 48  # px, half of what Push-T gives: a quarter of the time
PIXELS = Spec({"pixels": (SIDE, SIDE, 3), "state": (2,)}, action_dim=2, pred_horizon=4)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, side: int = SIDE) -> Tensor:
    return torch.randint(256, (count, side, side, 3), generator=generator(), dtype=torch.uint8)


def windows(batch: int) -> dict[str, Tensor]:
    state = 512 * torch.rand(batch, 2, 2, generator=generator())
    return {"pixels": images(2 * batch).unflatten(0, (batch, 2)), "state": state}


def normalizer() -> Normalizer:
    corners = torch.tensor([[0.0, 0.0], [512.0, 512.0]])
    return Normalizer.fit(
        {"state": corners, "action": corners}, {"state": "min-max", "action": "min-max"}
    )


@pytest.fixture(scope="module")
def agent() -> DiffusionUnet:
    torch.manual_seed(0)
    config = DiffusionUnetConfig(
        channels=(16, 32), kernel_size=3, step_dim=16, num_inference_steps=3
    )
    return DiffusionUnet(config, PIXELS, normalizer()).eval()


# ---- trunk ----


def test_trunk_has_the_parameters_of_resnet18_without_its_classifier() -> None:
    # 11,689,512 of the published ResNet-18 less 512 * 1000 + 1000 of its classifier.
    assert sum(p.numel() for p in ResNet18().parameters()) == 11_689_512 - 513_000
    # 20 convolutions: stem, 8 blocks of 2, 3 shortcuts; each with a group normalisation.
    kinds = [type(module) for module in ResNet18().modules()]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.GroupNorm)) == (20, 20)


def test_trunk_normalises_groups_of_16_channels() -> None:
    norms = [module for module in ResNet18().modules() if isinstance(module, nn.GroupNorm)]
    assert {norm.num_channels // norm.num_groups for norm in norms} == {16}


@pytest.mark.parametrize("channels", [16, 32])
def test_a_narrower_trunk_has_the_same_layers_and_groups(channels: int) -> None:
    narrow, full = (list(ResNet18(width).modules()) for width in (channels, 64))
    assert [type(module) for module in narrow] == [type(module) for module in full]
    norms = [module for module in narrow if isinstance(module, nn.GroupNorm)]
    assert {norm.num_channels // norm.num_groups for norm in norms} == {16}
    assert norms[0].num_channels == channels


def test_batch_normalisation_takes_the_place_of_every_group_normalisation() -> None:
    kinds = [type(module) for module in ResNet18(16, "batch").modules()]
    assert (kinds.count(nn.BatchNorm2d), kinds.count(nn.GroupNorm)) == (20, 0)


def test_average_pooling_forgets_where_a_feature_is() -> None:
    torch.manual_seed(0)
    encoders = [
        ImageEncoder((SIDE, SIDE, 3), EncoderConfig(16, pooling=pooling)).eval()
        for pooling in ("average", "spatial-softmax")
    ]
    change = []
    for encoder in encoders:
        features = torch.randn(1, 128, 4, 4, generator=generator())
        with torch.no_grad():
            moved = encoder.pooling(features.flip(2)).flatten(1)
            change.append(float((moved - encoder.pooling(features).flatten(1)).abs().max()))
    assert change[0] < 1e-6 < 0.01 < change[1]


def test_trunk_moves_its_features_with_the_image() -> None:
    torch.manual_seed(0)
    trunk = ResNet18()
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):  # without this the image's border gives its place away
            module.padding_mode = "circular"
    image = torch.zeros(1, 3, 96, 96)
    image[:, :, 12:32, 46:66] = torch.randn(3, 20, 20, generator=generator())
    with torch.no_grad():
        features = trunk(image)
        moved = trunk(image.roll((32, -32), (2, 3)))
    assert (moved - features).abs().max() > 0.1
    torch.testing.assert_close(moved, features.roll((1, -1), (2, 3)), atol=1e-3, rtol=0)


def test_an_image_does_not_depend_on_the_others_in_its_batch() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder((SIDE, SIDE, 3))
    batch = images(3)
    with torch.no_grad():
        torch.testing.assert_close(encoder(batch)[1:2], encoder(batch[1:2]), atol=1e-5, rtol=0)


# ---- spatial softmax ----


def test_spatial_softmax_of_a_peak_gives_its_place() -> None:
    scores = torch.full((1, 3, 5, 9), -1e4)
    for keypoint, (row, column) in enumerate([(0, 0), (4, 8), (1, 6)]):
        scores[0, keypoint, row, column] = 0
    # x from -1 in column 0 to 1 in column 8, y from -1 in row 0 to 1 in row 4.
    assert expected_place(scores)[0].tolist() == [[-1, -1], [1, 1], [0.5, -0.5]]


def test_spatial_softmax_of_a_flat_map_gives_the_centre() -> None:
    torch.testing.assert_close(expected_place(torch.ones(2, 4, 3, 3)), torch.zeros(2, 4, 2))


def test_spatial_softmax_moves_its_keypoints_with_the_map() -> None:
    torch.manual_seed(0)
    layer = SpatialSoftmax(in_channels=6, keypoints=4)
    scale = 40.0  # so that the border, which does not move, has no weight
    maps = torch.zeros(1, 6, 9, 9)
    maps[:, :, 3:5, 3:5] = scale * torch.rand(1, 6, 2, 2, generator=generator())
    layer.conv.weight.data.abs_()
    places, moved = layer(maps), layer(maps.roll((2, 1), (2, 3)))
    step = 2 / 8  # places run from -1 to 1 over 9 cells
    torch.testing.assert_close(
        moved - places, torch.tensor([1 * step, 2 * step]).expand(1, 4, 2), atol=1e-4, rtol=0
    )


# ---- crop ----


@pytest.mark.parametrize(("side", "crop"), [(96, 84), (84, 76), (64, 56)])
def test_crop_is_the_published_one_and_seven_eighths_elsewhere(side: int, crop: int) -> None:
    assert crop_side(side) == crop


def test_central_crop_leaves_equal_margins() -> None:
    image = images(1, side=96)
    assert torch.equal(central_crop(image, (84, 84)), image[:, 6:90, 6:90])


def test_random_crops_are_parts_of_their_images_and_reach_both_borders() -> None:
    row, column = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    number = torch.arange(400)[:, None, None].expand(400, 12, 12)
    places = torch.stack([number, row.expand_as(number), column.expand_as(number)], dim=-1)
    crops = random_crop(places, (9, 10), generator())
    assert crops.shape == (400, 9, 10, 3)
    assert torch.equal(crops[:, 0, 0, 0], torch.arange(400))
    starts = crops[:, :1, :1]
    inside = torch.stack(torch.meshgrid(torch.arange(9), torch.arange(10), indexing="ij"), dim=-1)
    assert torch.equal(crops[..., 1:] - starts[..., 1:], inside.expand(400, 9, 10, 2))
    assert sorted(set(crops[:, 0, 0, 1].tolist())) == [0, 1, 2, 3]
    assert sorted(set(crops[:, 0, 0, 2].tolist())) == [0, 1, 2]


def test_random_crops_of_images_that_lie_apart_in_memory_are_the_same() -> None:
    every_other = images(6, side=12)[::2]
    crops = random_crop(every_other, (9, 10), generator())
    assert torch.equal(crops, random_crop(every_other.clone(), (9, 10), generator()))


def test_images_of_one_window_are_cropped_apart() -> None:
    image = images(1, side=96).expand(20, 96, 96, 3)
    crops = random_crop(image, (84, 84), generator())
    assert len({tuple(crop[0, 0].tolist()) for crop in crops}) > 10


# ---- what does not fit ----


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 24}, "channels is 24; allowed: multiples of a group = 16"),
        ({"norm": "layer"}, "norm is 'layer'; allowed: group, batch"),
        ({"pooling": "max"}, "pooling is 'max'; allowed: spatial-softmax, average"),
    ],
)
def test_an_encoder_that_there_is_none_of_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EncoderConfig(**settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_pixels_that_are_not_uint8_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="give uint8, 0 to 255"):
        ImageEncoder((SIDE, SIDE, 3))(torch.zeros(1, SIDE, SIDE, 3, dtype=dtype))


@pytest.mark.parametrize(("shape", "message"), [((3, 96, 96), "height"), ((36, 36, 3), "exceed")])
def test_images_that_have_no_place_for_keypoints_are_refused(
    shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ImageEncoder(shape)


# ---- observations ----


def test_state_windows_are_normalised_and_flattened_without_parameters() -> None:
    spec = Spec({"state": (2,)}, action_dim=2)
    encoder = ObsEncoder(spec)
    assert (encoder.size, list(encoder.parameters())) == (4, [])
    window = torch.tensor([[[0.0, 512.0], [256.0, 128.0]]])
    assert encoder({"state": window}, normalizer()).tolist() == [[-1, 1, 0, -0.5]]


def test_pixel_windows_hold_state_and_features_of_each_step() -> None:
    torch.manual_seed(0)
    encoder = ObsEncoder(PIXELS)
    obs = windows(batch=2)
    with torch.no_grad():
        encoded = encoder(obs, normalizer())
        second_step = encoder.images["pixels"](obs["pixels"][:, 1])
    assert encoded.shape == (2, encoder.size) == (2, 2 * (2 + 64))
    steps = encoded.unflatten(1, (2, 66))
    torch.testing.assert_close(steps[..., :2], obs["state"] / 256 - 1)
    torch.testing.assert_close(steps[:, 1, 2:], second_step, atol=1e-5, rtol=0)


def test_every_camera_has_an_encoder_of_its_own() -> None:
    spec = Spec({"agentview": (SIDE, SIDE, 3), "wrist": (SIDE, SIDE, 3)}, action_dim=2)
    torch.manual_seed(0)
    encoder = ObsEncoder(spec)
    front, back = (images(2).unflatten(0, (1, 2)) // d for d in (1, 2))
    with torch.no_grad():
        both = encoder.steps({"agentview": front, "wrist": back}, normalizer())
        same = encoder.steps({"agentview": front, "wrist": front}, normalizer())
    assert both.shape == (1, 2, 128)
    torch.testing.assert_close(both[..., :64], same[..., :64])
    assert not torch.allclose(both[..., 64:], same[..., 64:])
    assert not torch.allclose(same[..., :64], same[..., 64:])


# ---- the agent that uses them ----


def test_every_parameter_of_a_pixel_agent_receives_gradient(agent: DiffusionUnet) -> None:
    agent.loss(Batch(windows(2), 512 * torch.rand(2, 4, 2)), generator()).backward()
    without = [n for n, p in agent.named_parameters() if p.grad is None or not p.grad.any()]
    agent.zero_grad()
    assert without == []


def test_loss_draws_its_crops_from_the_generator(agent: DiffusionUnet) -> None:
    batch = Batch(windows(2), torch.zeros(2, 4, 2))
    with torch.no_grad():
        first, again, other = (agent.loss(batch, generator(seed)) for seed in (1, 1, 2))
        encoded = [agent.encoder(batch.obs, agent.normalizer, generator(s)) for s in (1, 1, 2)]
    assert first == again != other
    assert torch.equal(encoded[0], encoded[1])
    assert not torch.allclose(encoded[0], encoded[2])


def test_act_depends_on_generator_and_image_alone(agent: DiffusionUnet) -> None:
    obs = windows(1)
    with torch.inference_mode():
        actions = agent.act(obs, generator(3))
        assert actions.shape == (1, 1, 4, 2)
        assert torch.equal(agent.act(obs, generator(3)), actions)
        darker = agent.act(obs | {"pixels": obs["pixels"] // 4}, generator(3))
    assert not torch.allclose(darker, actions)


def test_act_encodes_the_images_once_a_prediction(agent: DiffusionUnet) -> None:
    calls: list[int] = []
    hook = agent.encoder.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        agent.act(windows(1), generator(), num_samples=2)
    hook.remove()
    assert len(calls) == 1


def test_a_trained_step_lowers_the_loss_and_survives_a_checkpoint(
    agent: DiffusionUnet, tmp_path: Path
) -> None:
    batch = Batch(windows(4), 512 * torch.rand(4, 4, 2, generator=generator()))
    optimizer = torch.optim.AdamW(agent.parameters(), lr=1e-3)
    before = agent.loss(batch, generator(5))
    before.backward()
    optimizer.step()
    with torch.inference_mode():
        assert agent.loss(batch, generator(5)) < 0.95 * before
        save_agent(agent, tmp_path)
        expected = agent.act(batch.obs, generator(1))
        actual = load_agent(tmp_path).act(batch.obs, generator(1))
    torch.testing.assert_close(actual, expected, atol=1e-3, rtol=0)  # px


def test_a_checkpoint_remembers_how_images_are_encoded(tmp_path: Path) -> None:
    narrow = EncoderConfig(16, "batch", "average")
    spec = replace(PIXELS, encoder=narrow)
    config = DiffusionUnetConfig(channels=(16,), step_dim=16, num_inference_steps=3)
    agent = DiffusionUnet(config, spec, normalizer()).eval()
    save_agent(agent, tmp_path)
    loaded = load_agent(tmp_path)
    assert loaded.spec == spec
    obs = windows(1)
    with torch.inference_mode():
        assert torch.equal(loaded.act(obs, generator(1)), agent.act(obs, generator(1)))


def test_a_policy_that_is_read_back_has_its_convolutions_in_the_order_of_images(
    agent: DiffusionUnet, tmp_path: Path
) -> None:
    """Else every prediction turns all weights round; what it predicts is the same."""
    save_agent(agent, tmp_path)
    again = load_agent(tmp_path)
    convolutions = [module for module in again.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 21
    assert all(
        each.weight.is_contiguous(memory_format=torch.channels_last) for each in convolutions
    )
    with torch.no_grad():
        drawn = [each.act(windows(2), generator(3)) for each in (agent, again)]
    torch.testing.assert_close(drawn[1], drawn[0], rtol=1e-5, atol=1e-3)  # px
    save_agent(again, tmp_path / "twice")
    for name in ("model.safetensors", "agent.json"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / name).read_bytes()

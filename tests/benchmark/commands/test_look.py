"""What a policy of images looks at: keypoints in px, hidden patches, the files of the command."""

from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from baselines.agent import Spec, agent_class
from baselines.bc_mlp import BcMlpConfig
from baselines.checkpoints import save_agent
from baselines.nets.encoder_config import EncoderConfig
from baselines.nets.image_encoder import ImageEncoder
from baselines.normalizer import Normalizer
from benchmark.commands import look
from benchmark.errors import UsageError
from benchmark.plan.tasks import get_task
from benchmark.report.look import Look, keypoint_video, look_figure

SPEC = Spec(get_task("pusht-image").obs_shapes("pixels"), 2, 2, 9, EncoderConfig(16))


class Peaks(nn.Module):
    """A last feature map whose channel k has its peak in the cell that it was given."""

    def __init__(self, cells: list[tuple[int, int]]) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.full((len(images), 128, 3, 3), -1e4)
        for channel, (row, column) in enumerate(self.cells):
            maps[:, channel, row, column] = 0
        return maps


def test_keypoints_are_places_in_the_image_that_was_cropped() -> None:
    encoder = ImageEncoder((96, 96, 3), EncoderConfig(16))
    encoder.trunk = Peaks([(0, 0), (2, 1), (1, 2)])  # type: ignore[assignment]
    nn.init.zeros_(encoder.pooling.conv.bias)  # type: ignore[union-attr,arg-type]
    weight: Any = encoder.pooling.conv.weight  # type: ignore[union-attr]
    with torch.no_grad():
        weight.zero_()
        weight[:3, :3, 0, 0] = torch.eye(3)
        places = encoder.keypoints(torch.zeros(1, 96, 96, 3, dtype=torch.uint8))
    # The crop begins 6 px in; cells of the last feature map are 32 px apart, columns come first.
    assert places[0, :3].tolist() == [[6, 6], [38, 70], [70, 38]]


def test_an_encoder_that_averages_has_no_keypoints() -> None:
    encoder = ImageEncoder((96, 96, 3), EncoderConfig(16, pooling="average"))
    with pytest.raises(ValueError, match="they have no places"):
        encoder.keypoints(torch.zeros(1, 96, 96, 3, dtype=torch.uint8))


def test_actions_move_when_what_they_depend_on_is_hidden() -> None:
    def act(obs: dict[str, Tensor], generators: list[torch.Generator], count: int) -> Tensor:
        noise = torch.stack([torch.rand(count, 9, 2, generator=each) for each in generators])
        seen = obs["pixels"][:, -1, 40:48, 56:64].float().mean((1, 2, 3))
        return seen[:, None, None, None] + noise

    images = np.zeros((1, 96, 96, 3), dtype=np.uint8)
    images[:, 40:48, 56:64] = 255
    frame = {"pixels": images, "state": np.zeros((1, 2))}
    agent: Any = SimpleNamespace(act=act, spec=SPEC)
    found = look.occlusion(agent, [frame], 0, "pixels")
    assert found.shape == (11, 11)
    # Patches of 16 px, 8 apart, that hide all of rows 40 to 48 and columns 56 to 64.
    expected = np.zeros((11, 11))
    expected[4:6, 6:8] = (255 - 2) * 2**0.5  # 2 is the mean colour of the image
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_video_shows_a_dot_where_a_keypoint_is() -> None:
    images = np.full((3, 20, 30, 3), 255, dtype=np.uint8)
    places = np.array([[[5.0, 5.0]], [[15.0, 5.0]], [[25.0, 15.0]]])
    video = Image.open(BytesIO(keypoint_video(images, places, hz=10)))
    assert (video.size, video.n_frames) == ((120, 80), 3)  # type: ignore[attr-defined]
    for index, (x, y) in enumerate(places[:, 0].astype(int).tolist()):
        video.seek(index)
        frame = np.asarray(video.convert("RGB"))
        assert frame[4 * y + 2, 4 * x + 2].tolist() == [255, 0, 0]
        assert video.info["duration"] == 100


def test_a_figure_has_two_rows_a_camera_and_a_column_a_step() -> None:
    steps = np.array([0, 40, 80])
    images = np.zeros((3, 24, 24, 3), dtype=np.uint8)
    one = Look("front", steps, images, np.full((3, 32, 2), 4.0), np.ones((3, 2, 2)))
    other = Look("wrist", steps, images, None, np.zeros((3, 2, 2)))
    figure = look_figure([one, other], "px")
    panels = [axes for axes in figure.axes if axes.images and axes.get_label() != "<colorbar>"]
    assert len(panels) == 12
    assert [axes.get_title() for axes in panels[:3]] == ["step 0", "step 40", "step 80"]
    assert [len(axes.collections) for axes in panels] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of an untrained policy of images."""
    torch.manual_seed(0)
    low_and_high = torch.tensor([[0.0, 0.0], [512.0, 512.0]])
    normalizer = Normalizer.fit(
        {"state": low_and_high, "action": low_and_high},
        {"state": "min-max", "action": "min-max"},
    )
    agent = agent_class("bc-mlp")(BcMlpConfig(width=32, blocks=1), SPEC, normalizer)
    save_agent(agent, tmp_path / "run" / "checkpoint")
    (tmp_path / "run" / "config.json").write_text(
        '{"task": "pusht-image", "obs_type": "pixels", "control": "position", "action_horizon": 8}'
    )
    return tmp_path / "run"


def test_the_command_draws_a_figure_and_a_video_of_an_episode(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(look, "COLUMNS", 2)
    monkeypatch.setattr(look, "STRIDE", 40)
    assert look.look_command(str(run), tmp_path / "out", None) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "out" / name) for name in ("look.png", "pixels.gif")
    ]
    with Image.open(tmp_path / "out" / "pixels.gif") as video:
        frames = video.n_frames  # type: ignore[attr-defined]
    assert frames == get_task("pusht-image").max_steps + 1


def test_a_policy_that_sees_no_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sees keypoints and no images; give a policy of images"):
        look.look_command("shipped", tmp_path, None)

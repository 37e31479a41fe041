"""What Push-T looks like: compared with pictures of gym-pusht, and by its colours."""

import math
from pathlib import Path

import numpy as np
import pytest

from envs.pusht.env import PushTEnv
from envs.pusht.geometry import GOAL_POSE
from envs.pusht.render import frame, observation_images

GOLDEN = Path(__file__).parents[1] / "golden" / "pusht_images.npz"

WHITE, RED = (255, 255, 255), (255, 0, 0)
LIGHT_GREEN, LIGHT_SLATE_GRAY = (144, 238, 144), (119, 136, 153)
ROYAL_BLUE, LIGHT_GRAY = (65, 105, 225), (211, 211, 211)
STATE = [100.0, 120.0, 380.0, 300.0, 0.0]


def test_frames_and_observations_equal_those_of_gym_pusht_to_the_pixel():
    with np.load(GOLDEN) as golden:
        np.testing.assert_array_equal(frame(golden["states"][0]), golden["frames"][0])
        images = observation_images(golden["states"])
        assert len(images) == 8
        np.testing.assert_array_equal(images, golden["images"])


def test_colours_are_where_things_are():
    image = frame(STATE)

    def colour(x: float, y: float) -> tuple[int, ...]:
        return tuple(image[round(y), round(x)].tolist())

    assert image.shape == (512, 512, 3)
    assert colour(50, 450) == WHITE
    assert colour(5, 250) == colour(250, 506) == LIGHT_GRAY
    middle_of_bar = 15.0 / math.sqrt(2)
    assert colour(GOAL_POSE[0] - middle_of_bar, GOAL_POSE[1] + middle_of_bar) == LIGHT_GREEN
    assert colour(100 - 13, 120) == ROYAL_BLUE  # the rim
    assert colour(100, 120) == (78, 126, 255)  # 1.2 times as bright inside
    assert colour(380, 300) == LIGHT_SLATE_GRAY  # the edge
    assert colour(380, 315) == (143, 163, 184)


def test_the_set_point_is_marked_for_people_and_not_for_policies():
    env = PushTEnv("pixels", render_mode="rgb_array")
    env.reset(options={"state": STATE})
    assert not (env.render() == RED).all(axis=-1).any()
    observation, *_ = env.step([200.0, 400.0])
    picture = env.render()
    assert tuple(picture[400, 200]) == tuple(picture[400, 215]) == RED
    image = observation["pixels"].astype(int)
    assert not ((image[..., 0] > 200) & (image[..., 1] < 100)).any()


def test_velocity_control_marks_the_set_point_too():
    env = PushTEnv("state", "velocity", render_mode="rgb_array")
    env.reset(options={"state": STATE})
    env.step([100.0, 30.0])
    assert tuple(env.render()[150, 200]) == RED


def test_frames_need_no_screen(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    env = PushTEnv("state", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (512, 512, 3)


def test_a_window_opens_on_the_first_frame_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    pygame.display.quit()  # an earlier test's
    env = PushTEnv("state", render_mode="human")
    assert not pygame.display.get_init()
    env.reset(options={"state": STATE})
    env.step([200.0, 400.0])
    expected = frame(env.unwrapped._physics.state, (200.0, 400.0))
    np.testing.assert_array_equal(env._window.shown(), expected)
    env.close()
    assert not pygame.display.get_init()
    env.close()


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_windows_stand_side_by_side_and_close_in_any_order(monkeypatch, order):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import pygame

    tables = [PushTEnv("state", render_mode="human") for _ in range(3)]
    for seed, table in enumerate(tables):
        table.reset(seed=seed)
    while order:
        tables[order.pop(0)].close()
        for index in order:
            tables[index].step([200.0, 400.0])
            expected = frame(tables[index]._physics.state, (200.0, 400.0))
            np.testing.assert_array_equal(tables[index]._window.shown(), expected)
    assert not pygame.display.get_init()


def test_a_missing_screen_is_explained(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "no-such-driver")
    env = PushTEnv("state", render_mode="human")
    with pytest.raises(RuntimeError, match=r"found no screen .*SDL_VIDEODRIVER=dummy"):
        env.reset(seed=0)

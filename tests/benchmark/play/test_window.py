"""Playing by mouse and key: the window without a screen, and what becomes of a session."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from baselines.agent import Agent
from benchmark import cli
from benchmark.play.policies import load_policy
from benchmark.play.recorder import Recorder
from benchmark.play.session import Session
from benchmark.play.window import TABLE, Window
from envs.demos import pusht_human
from envs.pusht.geometry import GOAL_POSE, WORLD_SIZE
from envs.pusht.render import pygame

Point = tuple[float, float]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Session], Window]:
    """A window on no screen, for a session."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    return Window


def press(window: Window, key: int) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    window.handle_events()


def mouse(window: Window, kind: int, at: Point, button: int = 1) -> None:
    pixel = tuple(round(coordinate * TABLE / WORLD_SIZE) for coordinate in at)
    pygame.event.post(pygame.event.Event(kind, pos=pixel, button=button))
    window.handle_events()


def watched(others: int = 11) -> Session:
    policy = load_policy("shipped")
    policy.agent.set_inference_steps(1)
    return Session([policy], others=others)


def test_the_mouse_pushes_the_block_while_time_and_coverage_run(
    opened: Callable[[Session], Window],
) -> None:
    session = Session()
    window = opened(session)
    session.tick()
    assert session.seconds == 0  # nothing runs until the agent is taken
    block = session.state[2:4]
    mouse(window, pygame.MOUSEBUTTONDOWN, session.state[:2])
    mouse(window, pygame.MOUSEMOTION, block)
    for _ in range(30):
        session.tick()
    window.show(0.0)
    assert np.hypot(*np.subtract(session.state[2:4], block)) > 5  # px
    assert session.seconds == pytest.approx(3.0)
    first = pygame.surfarray.array3d(window.picture())
    mouse(window, pygame.MOUSEMOTION, (block[0], WORLD_SIZE / 2))
    session.tick()
    window.show(0.0)
    assert (pygame.surfarray.array3d(window.picture())[:, TABLE:] != first[:, TABLE:]).any()


def test_keys_pause_step_and_switch_the_driver(opened: Callable[[Session], Window]) -> None:
    session = watched()
    window = opened(session)
    press(window, pygame.K_SPACE)
    session.tick()
    assert (session.is_paused, session.steps) == (True, 0)
    press(window, pygame.K_RIGHT)
    assert session.steps == 1
    press(window, pygame.K_TAB)
    assert session.is_by_hand
    press(window, pygame.K_TAB)
    assert not session.is_by_hand
    press(window, pygame.K_ESCAPE)
    assert not window.is_open


def test_a_policy_plans_anew_from_where_the_block_was_dragged(
    opened: Callable[[Session], Window],
) -> None:
    session = watched()
    window = opened(session)
    session.tick()
    assert session.planner is not None
    planned, before = session.planner.paths.copy(), session.planner.predictions
    block = session.state[2:4]
    mouse(window, pygame.MOUSEBUTTONDOWN, block, button=3)
    assert session.is_holding
    mouse(window, pygame.MOUSEMOTION, (WORLD_SIZE - block[0], WORLD_SIZE - block[1]))
    mouse(window, pygame.MOUSEBUTTONUP, (0, 0), button=3)
    moved = session.state[2:4]
    assert np.hypot(*np.subtract(moved, block)) > 20
    steps = session.steps
    session.tick()
    assert session.steps == steps + 1
    assert session.planner.predictions == before + 1  # although its plan was not at its end
    assert session.planner.age == 1
    assert np.abs(session.planner.paths[0] - planned[0]).max() > 5


def test_sequences_are_drawn_as_paths_that_fade(opened: Callable[[Session], Window]) -> None:
    pictures = {}
    for others in (0, 11):
        session = watched(others)
        window = opened(session)
        session.tick()
        window.show(0.0)
        pictures[others] = pygame.surfarray.array3d(window.picture())[:TABLE, :TABLE].astype(int)
        assert session.planner is not None
        assert len(session.planner.paths) == 1 + others
    assert (pictures[0] != pictures[11]).any(axis=-1).sum() > 50


def test_three_recorded_episodes_are_trained_on(
    opened: Callable[[Session], Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.npz"
    session = Session(recorder=Recorder(path))
    window = opened(session)
    for _ in range(3):
        session.take(*session.state[:2])
        for target in ((60.0, 60.0), (80.0, 60.0)):
            mouse(window, pygame.MOUSEMOTION, target)
            session.tick()
        session._physics.reset_to((*session.state[:2], *GOAL_POSE))
        session.tick()
        assert session.is_success
        session.next()
    demos = pusht_human.read(path)
    assert demos.lengths.tolist() == [3, 3, 3]
    assert demos.actions[0].tolist() == [60.0, 60.0]
    monkeypatch.setenv("DPBENCH_RUNS", str(tmp_path / "runs"))
    command = ["run", "pusht", "bc-mlp", "--preset", "smoke", "--data", "human", "--data-path"]
    small = ["--set", "train.updates=2", "train.batch_size=4", "agent.width=8"]
    assert cli.main([*command, str(path), *small]) == 0
    (checkpoint,) = (tmp_path / "runs").glob("*/checkpoint")
    assert isinstance(load_policy(str(checkpoint)).agent, Agent)


def test_without_a_screen_no_window_is_left_open_that_nobody_sees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr(pygame.display, "init", lambda: None)
    monkeypatch.setattr(pygame.display, "get_driver", lambda: "offscreen")
    monkeypatch.setattr(Window, "run", lambda _: pytest.fail("a window is open"))
    assert cli.main(["play"]) == 2
    assert "no screen to open a window on" in capsys.readouterr().err

"""What happens in mid-episode, to whom, and what counts from then on."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmark.plan.config import EvalConfig
from benchmark.plan.tasks import LINEAR_SYSTEMS, PUSHT
from benchmark.running.disturbance import AT, HELD, SHIFT, TURN, displaced
from benchmark.running.rollout import Frame, HoldStill, Trace, rollout
from envs.pusht.geometry import CENTER_OF_GRAVITY, GOAL_POSE, place

SEEDS = [300_000, 300_001, 300_002]
STATES = np.array([[100.0, 100.0, 250.0, 250.0, 0.3], [400.0, 90.0, 300.0, 200.0, 2.0]])


def centre(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = place([CENTER_OF_GRAVITY], pose)[0]
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("state", STATES)
def test_a_moved_block_keeps_its_angle_and_gets_no_nearer_to_the_agent(
    state: NDArray[np.float64], seed: int
) -> None:
    pose = displaced("moved", state, seed)
    assert pose[2] == state[4]
    assert np.hypot(*(pose[:2] - state[2:4])) == pytest.approx(SHIFT)
    before, after = (np.hypot(*(centre(p) - state[:2])) for p in (state[2:], pose))
    assert after >= before
    assert ((centre(pose) > 0) & (centre(pose) < 512)).all()


def test_a_turned_block_turns_about_its_centre_either_way() -> None:
    turns = []
    for seed in range(20):
        pose = displaced("turned", STATES[0], seed)
        np.testing.assert_allclose(centre(pose), centre(STATES[0, 2:]))
        turns.append(pose[2] - STATES[0, 4])
    assert sorted({round(turn, 9) for turn in turns}) == [round(-TURN, 9), round(TURN, 9)]
    assert pytest.approx(math.pi / 3) == TURN


class AlongTheEdge:
    """Drives the agent to and fro along the edge of the table, a step of 40 px each time."""

    obs_horizon, pred_horizon = 1, 1

    def __init__(self) -> None:
        self.step = 0

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Set-points, (B, 1, 2)."""
        self.step += 1
        x = 60.0 + 10.0 * (self.step % 30)
        return np.tile([x, 30.0], (len(episodes), 1, 1))


class Pusher:
    """Pushes the block off its goal, along the diagonal."""

    obs_horizon, pred_horizon = 1, 1

    def predict(self, window: Frame, episodes: NDArray[np.int64]) -> NDArray[np.float64]:  # noqa: ARG002
        """Set-points, (B, 1, 2)."""
        return np.full((len(episodes), 1, 2), 400.0)


def played(disturbance: Any, states: Any = None, policy: Any = None) -> tuple[Any, Trace]:
    trace = Trace()
    env = PUSHT.make_vec(len(SEEDS), "state", "position")
    options = None if states is None else {"state": states}
    config = EvalConfig(1, disturbance=disturbance)
    policy = policy or AlongTheEdge()
    return rollout(policy, env, SEEDS, config, options=options, trace=trace), trace


@pytest.mark.parametrize("kind", ["moved", "turned"])
def test_a_block_is_put_elsewhere_once_and_only_then(kind: Any) -> None:
    free = np.tile([60.0, 30.0, 256.0, 300.0, 0.0], (3, 1))
    _, plain = played("none", free)
    _, trace = played(kind, free)
    frames, before = (np.stack([f["state"] for f in t.frames]) for t in (trace, plain))
    np.testing.assert_array_equal(frames[: AT + 1], before[: AT + 1])
    changed = np.flatnonzero(np.abs(np.diff(frames[:, :, 2:], axis=0)).max(axis=(1, 2)) > 1e-9)
    assert changed.tolist() == [AT]
    # Agents go on as they were.
    np.testing.assert_allclose(frames[..., :2], before[..., :2])
    assert len({tuple(pose) for pose in frames[AT + 1, :, 2:].round(6).tolist()}) > 1


def test_a_held_agent_stays_where_it_is_and_goes_on_to_its_set_point_after() -> None:
    free = np.tile([60.0, 30.0, 256.0, 300.0, 0.0], (3, 1))
    _, trace = played("held", free)
    agent = np.stack([f["state"][:, :2] for f in trace.frames])
    moves = np.abs(np.diff(agent, axis=0)).max(axis=(1, 2))
    assert np.flatnonzero(moves == 0).tolist() == list(range(AT, AT + HELD))


def test_what_an_episode_reached_before_does_not_count_and_how_it_ended_does() -> None:
    near = np.array([60.0, 30.0, 270.0, 270.0, math.pi / 4])  # covers most of the goal
    solved = np.array([60.0, 30.0, *GOAL_POSE])
    states = np.stack([near, near, solved])
    calm, _ = played("calm", states)
    hit, _ = played("moved", states)
    assert (calm["score"][:2] > 0.6).all()
    assert (hit["score"][:2] < calm["score"][:2] - 0.2).all()
    assert hit["length"].tolist() == calm["length"].tolist() == [300, 300, 1]
    assert hit["is_success"].tolist() == [False, False, True]
    assert (hit["max_coverage"][:2] < calm["max_coverage"][:2]).all()


def test_where_nothing_happens_only_what_comes_after_counts() -> None:
    near = np.array([140.0, 140.0, 270.0, 270.0, math.pi / 4])
    pushed = np.stack([near] * 3)
    plain, whole = played("none", pushed, Pusher())
    calm, trace = played("calm", pushed, Pusher())
    for ours, theirs in zip(trace.frames, whole.frames, strict=True):
        np.testing.assert_array_equal(ours["state"], theirs["state"])
    later = np.stack(whole.rewards)[AT:].max(axis=0)
    np.testing.assert_array_equal(calm["score"], later)
    assert (calm["score"] < plain["score"] - 0.2).all()


def test_a_task_that_cannot_be_disturbed_says_so() -> None:
    env = LINEAR_SYSTEMS[0].make_vec(2, "state", "position")
    policy = HoldStill(1)
    with pytest.raises(ValueError, match="only Push-T can be disturbed"):
        rollout(policy, env, SEEDS[:2], EvalConfig(1, disturbance="held"))


def test_undisturbed_evaluations_keep_the_id_they_had() -> None:
    assert EvalConfig(8, episodes=100).id == EvalConfig(8, episodes=100, disturbance="none").id
    kinds = {EvalConfig(8, episodes=100, disturbance=k).id for k in ("calm", "moved", "held")}
    assert len(kinds) == 3
    assert EvalConfig(8, episodes=100).id not in kinds

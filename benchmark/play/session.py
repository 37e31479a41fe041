"""A session at one Push-T table: who drives, the clock, the hand that moves the block.

There is no window in here: `window.py` turns mouse and keys into these calls, and draws what it
finds. A tick is a control step of 0.1 s.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.play.planner import Planner
from benchmark.play.policies import Trained
from benchmark.play.recorder import Recorder
from envs.pusht.env import CONTROL_HZ, MAX_EPISODE_STEPS
from envs.pusht.geometry import BAR, STEM, SUCCESS_COVERAGE, WORLD_SIZE, coverage
from envs.pusht.physics import PushTPhysics, initial_state

FIRST_SEED = 400_000
"""Of the initial states that are played; no demonstration, validation or test starts there."""
PAUSE_AT_END = CONTROL_HZ  # ticks between the end of an episode and the next
YOU = "you"
Point = tuple[float, float]
State = tuple[float, float, float, float, float]


class Session:
    """Episodes played by hand or by policies, one after another.

    Args:
        policies: Who can drive beside the user; the first one begins.
        recorder: Keeps the user's successful episodes; None keeps none.
        seed: Initial state of the first episode; None takes one that was not recorded yet.
        others: Sequences that a policy draws beside the one it follows.
    """

    def __init__(
        self,
        policies: Sequence[Trained] = (),
        recorder: Recorder | None = None,
        seed: int | None = None,
        others: int = 11,
    ) -> None:
        self.policies, self.recorder, self.others = tuple(policies), recorder, others
        self.driver = 0
        """Index of who drives among `drivers`."""
        self.planner: Planner | None = None
        """Of the policy that drives; None where the user does."""
        self.is_paused = False
        self.is_waiting = False
        """Whether the agent waits to be taken in hand."""
        self.set_point: Point | None = None
        """Where the agent was sent by the last step."""
        self._physics = PushTPhysics()
        self._grip: Point | None = None  # from the hand to the block, while it is held
        self._since_touched = self._ended_for = self._contacts = 0
        recorded = recorder.count if recorder else 0
        self.start(FIRST_SEED + recorded if seed is None else seed)

    # ---- what can be seen ----

    @property
    def drivers(self) -> tuple[str, ...]:
        """Who can drive, by name."""
        return (*(policy.name for policy in self.policies), YOU)

    @property
    def is_by_hand(self) -> bool:
        """Whether the user drives."""
        return self.driver == len(self.policies)

    @property
    def state(self) -> State:
        """Agent x, y, block x, y (px) and angle (rad)."""
        return self._physics.coordinates

    @property
    def coverage(self) -> float:
        """Share of the goal that the block covers, 0 to 1."""
        return coverage(self.state)

    @property
    def is_success(self) -> bool:
        """Whether the block is on its goal."""
        return self.coverage > SUCCESS_COVERAGE

    @property
    def is_over(self) -> bool:
        """Whether the episode has ended; a user has all the time they want."""
        return self._ended_for > 0

    @property
    def seconds(self) -> float:
        """Time since the episode began, s."""
        return self.steps / CONTROL_HZ

    @property
    def is_holding(self) -> bool:
        """Whether the block is held by hand."""
        return self._grip is not None

    # ---- the clock ----

    def start(self, seed: int) -> None:
        """Begin an episode from the initial state of a seed; what is not kept is forgotten."""
        self.seed, self.steps, self.max_coverage = seed, 0, 0.0
        self._physics.reset_to(initial_state(seed))
        self._grip = None
        self._begin()
        self.take_over(self.driver)

    def next(self) -> None:
        """Begin the next episode."""
        self.start(self.seed + 1)

    def tick(self) -> None:
        """Let 0.1 s pass: a step, unless the clock stands."""
        if self.is_holding and self.planner is not None:
            self.planner.forget()
            self.planner.think(self.state)  # what it would do if the block were left there
        self.before = self.state
        if self.is_paused or self.is_holding or self.is_waiting:
            return
        if not self.is_over:
            self.step()
        elif self._ended_for < PAUSE_AT_END:
            self._ended_for += 1
        else:
            self.next()

    def step(self) -> None:
        """Take one control step, also while the clock stands."""
        if self.is_over or self.is_holding:
            return
        state = self.before = self.state
        target = self.planner.next_set_point(state) if self.planner else self.aim
        if self.recorder is not None and self.is_by_hand:
            self.recorder.add(state, target, self._contacts)
        self._contacts = self._physics.step(target)
        self.set_point = target
        self.steps += 1
        self._since_touched += 1
        self.max_coverage = max(self.max_coverage, self.coverage)
        out_of_time = not self.is_by_hand and self._since_touched >= MAX_EPISODE_STEPS
        if self.is_success or out_of_time:
            self._ended_for = 1
            if self.recorder is not None and self.is_by_hand:
                self.recorder.keep()

    def toggle_pause(self) -> None:
        """Stop the clock, or let it go on."""
        self.is_paused = not self.is_paused

    # ---- who drives ----

    def take_over(self, driver: int) -> None:
        """Give the agent to a driver, by index; the block stays where it is."""
        self.driver = driver
        self.planner = None
        if not self.is_by_hand:
            self.planner = Planner(self.policies[driver], self.seed, self.others)
        self.is_waiting = self.is_by_hand  # until the agent is taken
        self.aim = self._hand = self.state[:2]
        self.set_point = None
        self._drop()

    def next_driver(self) -> None:
        """Give the agent to the next driver."""
        self.take_over((self.driver + 1) % len(self.drivers))

    def draw_others(self, others: int) -> None:
        """Have policies draw so many sequences beside the one they follow."""
        self.others = others
        if self.planner is not None:
            self.planner.draw_others(others)

    def point(self, x: float, y: float) -> None:
        """Move the hand: it aims at a place, px, and moves the block if it holds it."""
        if self._grip is not None:
            (dx, dy), angle = self._grip, self.state[4]
            self._put(x + dx, y + dy, angle)
        self._hand = x, y
        if self.is_by_hand and not self.is_waiting:
            self.aim = _on_table(x), _on_table(y)

    def take(self, x: float, y: float) -> None:
        """Take the agent in hand: from now on it follows, and the clock runs."""
        if self.is_by_hand:
            self.is_waiting = False
            self.point(x, y)

    # ---- the hand that moves the block ----

    def grab(self, x: float, y: float) -> bool:
        """Take hold of the block at a place, px; False where it is not."""
        if not _is_in_block((x, y), self.state):
            return False
        self._hand, self._grip = (x, y), (self.state[2] - x, self.state[3] - y)
        return True

    def turn(self, angle: float) -> None:
        """Turn the block that is held about the hand, rad."""
        if self._grip is None:
            return
        (dx, dy), cos, sin = self._grip, math.cos(angle), math.sin(angle)
        self._grip = cos * dx - sin * dy, sin * dx + cos * dy
        x, y = self._hand
        self._put(x + self._grip[0], y + self._grip[1], self.state[4] + angle)

    def release(self) -> None:
        """Let go of the block; a policy plans anew from what it sees then."""
        self._grip = None

    def _put(self, x: float, y: float, angle: float) -> None:
        """Put the block somewhere; the agent goes on as it was."""
        placed = (*self.state[:2], _on_table(x), _on_table(y), angle)
        self._physics.reset_to(placed, agent_velocity=self._physics.velocity)
        if self.planner is not None:
            self.planner.forget()
        self._begin()

    def _begin(self) -> None:
        """Begin from where things are now."""
        self.before = self.state
        self._since_touched = self._ended_for = self._contacts = 0
        self._drop()

    def _drop(self) -> None:
        if self.recorder is not None:
            self.recorder.drop()


def _is_in_block(point: Point, state: State) -> bool:
    """Whether a place is in the block."""
    dx, dy, angle = point[0] - state[2], point[1] - state[3], state[4]
    cos, sin = math.cos(angle), math.sin(angle)
    u, v = cos * dx + sin * dy, cos * dy - sin * dx
    return any(
        min(corner[0] for corner in part) <= u <= max(corner[0] for corner in part)
        and min(corner[1] for corner in part) <= v <= max(corner[1] for corner in part)
        for part in (BAR, STEM)
    )


def _on_table(coordinate: float) -> float:
    return min(max(coordinate, 0.0), WORLD_SIZE)

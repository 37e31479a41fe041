"""The mechanics of Push-T: a kinematic disc pushes a T-shaped block in a pymunk space.

The numbers are those of the original environment (Chi et al. 2023), its quirks included, because
published results and recorded demonstrations depend on them: trajectories are equal to the bit.

What is faster here than in the original, and why it stays equal:

1. The disc is kinematic: nothing in the space acts on it, so the velocities of the ten physics
   steps of a control step follow from its position, its velocity and the set-point. They are
   computed beforehand, in the original's order of operations, and nothing is read from the engine
   between the steps.
2. The engine is driven through pymunk's C binding (pymunk._chipmunk_cffi). A step through pymunk's
   classes costs more in Python than in the engine. The binding is private, so the golden files of
   the tests watch it.
3. Contacts are collected by the C function behind pymunk.batch.get_space_arbiters and summed once
   a control step. The original counts them in a callback into Python, at several times the cost of
   the physics.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pymunk
from numpy.typing import NDArray
from pymunk._chipmunk_cffi import ffi, lib

from envs.pusht.geometry import AGENT_RADIUS, BAR, CENTER_OF_GRAVITY, STEM

Order = Literal["angle-first", "position-first"]
ORDERS: tuple[Order, ...] = get_args(Order)
Vector = Sequence[float] | NDArray[np.float64]

PHYSICS_STEPS = 10  # a control step: 100 Hz physics, 10 Hz control
TIME_STEP = 0.01  # s
STIFFNESS, DAMPING = 100.0, 20.0  # of the controller that drives the agent, 1/s² and 1/s

BLOCK_MASS = 1.0
# Twice that of the bar: the original computes the stem's from the bar's corners too.
BLOCK_INERTIA = 2.0 * pymunk.moment_for_poly(BLOCK_MASS, BAR)
WALL_LOW, WALL_HIGH, WALL_RADIUS = 5.0, 506.0, 2.0  # px

_COLLECT_CONTACTS = ffi.addressof(lib, "pmSpaceArbiterIteratorFuncBatched")

Coordinate = TypeVar("Coordinate", float, NDArray[np.float64])


def agent_velocities(
    position: Coordinate, velocity: Coordinate, target: Coordinate
) -> list[Coordinate]:
    """Velocities of the agent in the physics steps of one control step, along one axis.

    Args:
        position: Where the agent is, px; a number, or an array (N,) for N agents.
        velocity: Its velocity, px/s.
        target: The set-point, px.

    Returns:
        PHYSICS_STEPS velocities, px/s; the last is the agent's velocity afterwards.
    """
    velocities = []
    for _ in range(PHYSICS_STEPS):
        acceleration = STIFFNESS * (target - position) - DAMPING * velocity
        velocity = velocity + acceleration * TIME_STEP
        position = position + velocity * TIME_STEP
        velocities.append(velocity)
    return velocities


def draw_state(seed: int) -> tuple[float, float, float, float, float]:
    """The five numbers that the protocol draws for a seed, to be set "position-first".

    Raises:
        ValueError: If the protocol's RandomState does not take the seed.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed {seed} is out of range; give one from 0 to 2**32 - 1")
    draw = np.random.RandomState(seed)
    agent_x, agent_y = draw.randint(50, 450), draw.randint(50, 450)
    block_x, block_y = draw.randint(100, 400), draw.randint(100, 400)
    angle = draw.randn() * 2.0 * math.pi - math.pi
    return float(agent_x), float(agent_y), float(block_x), float(block_y), float(angle)


def initial_state(seed: int) -> NDArray[np.float64]:
    """The state in which the protocol's episode of this seed starts, (5,)."""
    physics = PushTPhysics()
    physics.reset_to(draw_state(seed), "position-first")
    return physics.state


class PushTPhysics:
    """One pymunk space with the agent, the block and the walls.

    The engine's contact cache can neither be read nor set, so a copy or a pickle holds the start
    and the set-points of the episode so far and plays them again: it continues to the bit.
    """

    def __init__(self) -> None:
        self.reset_to((256.0, 400.0, 256.0, 300.0, 0.0))

    def reset_to(
        self, state: Vector, order: Order = "angle-first", agent_velocity: Vector = (0.0, 0.0)
    ) -> None:
        """Start anew from a state, the block at rest.

        Args:
            state: Agent x, y, block x, y (px) and angle (rad), (5,).
            order: Which of the block's numbers is set first. "angle-first": the state is what you
                get. "position-first": as the protocol's reset does, which then turns the block
                about its centre of gravity, so that its position moves.
            agent_velocity: Velocity of the agent, (2,), px/s.

        Raises:
            ValueError: If the state is not five finite numbers or the order is not known.
        """
        numbers = np.asarray(state, dtype=np.float64)
        if numbers.shape != (5,) or not np.isfinite(numbers).all():
            raise ValueError(
                f"state {numbers.tolist()} is not five finite numbers; "
                "give agent x, agent y, block x, block y, block angle"
            )
        if order not in ORDERS:
            raise ValueError(f"unknown order {order!r}; choose one of {', '.join(ORDERS)}")
        x, y, block_x, block_y, angle = numbers.tolist()
        velocity = float(agent_velocity[0]), float(agent_velocity[1])
        # A new space each time: the engine's search tree and contact cache depend on the past.
        self._build()
        self._agent.position = x, y
        if order == "angle-first":
            self._block.angle = angle
            self._block.position = block_x, block_y
        else:
            self._block.position = block_x, block_y
            self._block.angle = angle
        # As in the original. Nothing moves yet, but where agent and block overlap the engine takes
        # note of the contact, and pushes them apart from the next physics step on.
        self._space.step(TIME_STEP)
        self._agent.velocity = velocity
        self._start = ((x, y, block_x, block_y, angle), order, velocity)
        self._targets: list[Sequence[float]] = []

    def _build(self) -> None:
        """Fill a new space.

        In which order bodies come in, and where they are then, shapes the engine's search tree and
        so the order in which contacts are solved; both are the original's.
        """
        space = pymunk.Space()
        space.damping = 0.0  # the block stops whenever it is not pushed
        low, high = WALL_LOW, WALL_HIGH
        walls = [
            ((low, high), (low, low)),
            ((low, low), (high, low)),
            ((high, low), (high, high)),
            ((low, high), (high, high)),
        ]
        space.add(*(pymunk.Segment(space.static_body, a, b, WALL_RADIUS) for a, b in walls))
        agent = pymunk.Body(body_type=pymunk.Body.KINEMATIC)
        agent.position = 256.0, 400.0
        space.add(agent, pymunk.Circle(agent, AGENT_RADIUS))
        block = pymunk.Body(BLOCK_MASS, BLOCK_INERTIA)
        bar, stem = pymunk.Poly(block, BAR), pymunk.Poly(block, STEM)
        block.center_of_gravity = CENTER_OF_GRAVITY
        block.position = 256.0, 300.0
        space.add(block, bar, stem)
        self._space, self._agent, self._block = space, agent, block
        # What the C function is told: append the count of each contact to `_counts`.
        self._counts = ffi.gc(lib.pmIntArrayNew(0), lib.pmIntArrayFree)
        self._no_floats = ffi.gc(lib.pmFloatArrayNew(0), lib.pmFloatArrayFree)
        self._collected = ffi.new("pmBatchedData *")
        self._collected.fields = lib.CONTACT_COUNT
        self._collected.intArray, self._collected.floatArray = self._counts, self._no_floats

    def step(self, target: Vector) -> int:
        """Drive the agent towards a set-point for one control step of 0.1 s.

        Args:
            target: The set-point of the agent, (2,), px.

        Returns:
            Contact points over the physics steps divided by their number, rounded up.

        Raises:
            ValueError: If the set-point is not finite.
        """
        x, y = float(target[0]), float(target[1])
        agent = lib.cpBodyGetPosition(self._agent._body)
        velocity_x, velocity_y = self.velocity
        return self.follow(
            (x, y),
            agent_velocities(agent.x, velocity_x, x),
            agent_velocities(agent.y, velocity_y, y),
        )

    def follow(
        self, target: tuple[float, float], velocities_x: list[float], velocities_y: list[float]
    ) -> int:
        """Do what `step` does, with the agent's velocities computed by the caller.

        Args:
            target: The set-point that the velocities lead to, px.
            velocities_x: `agent_velocities` along x, px/s.
            velocities_y: `agent_velocities` along y, px/s.

        Returns:
            Contact points over the physics steps divided by their number, rounded up.

        Raises:
            ValueError: If the set-point is not finite.
        """
        if not math.isfinite(target[0] + target[1]):
            raise ValueError(f"set-point {target} is not finite; give two finite numbers in px")
        self.remember(target)
        space, agent, collected = self._space._space, self._agent._body, self._collected
        set_velocity, step = lib.cpBodySetVelocity, lib.cpSpaceStep
        collect = lib.cpSpaceEachCachedArbiter
        self._counts.num = 0
        for velocity in zip(velocities_x, velocities_y, strict=True):
            set_velocity(agent, velocity)
            step(space, TIME_STEP)
            collect(space, _COLLECT_CONTACTS, collected)
        count = self._counts.num
        points: int = sum(ffi.unpack(self._counts.arr, count)) if count else 0
        return -(-points // PHYSICS_STEPS)

    def remember(self, target: Sequence[float]) -> None:
        """Take note of a set-point, of a control step in the engine that others may have taken."""
        self._targets.append(target)

    @property
    def addresses(self) -> tuple[Any, Any, Any]:
        """The engine's space, agent and block, until the next reset."""
        return self._space._space, self._agent._body, self._block._body

    @property
    def coordinates(self) -> tuple[float, float, float, float, float]:
        """`state` as a tuple of floats, which costs less to read."""
        agent = lib.cpBodyGetPosition(self._agent._body)
        block = lib.cpBodyGetPosition(self._block._body)
        return agent.x, agent.y, block.x, block.y, lib.cpBodyGetAngle(self._block._body)

    @property
    def velocity(self) -> tuple[float, float]:
        """`agent_velocity` as a tuple of floats."""
        velocity = lib.cpBodyGetVelocity(self._agent._body)
        return velocity.x, velocity.y

    @property
    def state(self) -> NDArray[np.float64]:
        """Agent x, y, block x, y (px) and angle (rad, not wrapped), (5,)."""
        return np.array(self.coordinates)

    @property
    def agent_velocity(self) -> NDArray[np.float64]:
        """Velocity of the agent, (2,), px/s."""
        return np.array(self.velocity)

    def __getstate__(self) -> dict[str, Any]:
        return {"start": self._start, "targets": self._targets}

    def __setstate__(self, past: dict[str, Any]) -> None:
        self.reset_to(*past["start"])
        for target in past["targets"]:
            self.step(target)

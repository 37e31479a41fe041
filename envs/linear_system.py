"""Linear systems s' = A s + B a + w with the linear-quadratic regulator that is optimal for them.

Here everything about imitation is known in closed form: the expert is a = -K s, what it does later
is Gaussian given s, and so is the optimal denoiser (`benchmark.studies.control_theory.study`).

    stable      a mass on a spring with a damper; it comes to rest by itself
    unstable    a pole balanced on a cart, linearised about upright; it falls by itself

Both are discretised exactly for an action that is held for a step. The cost is weighed by Bryson's
rule (Bryson and Ho, *Applied Optimal Control*, 1975): every state and the action count 1 at the
largest deviation that is acceptable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm, solve_discrete_are

from envs.control import CONTROLS, Control
from envs.episodes import integer

Floats = NDArray[np.float64]
SystemName = Literal["stable", "unstable"]

CONTROL_HZ = 20
MAX_EPISODE_STEPS = 100
CLOSE = 0.1
"""State cost s'Q s below which the state counts as brought to the origin."""
# Nothing holds the state. A falling pole under the largest actions reaches 2e13 in an episode.
_STATE_BOUND = 1e15


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """s' = A s + B a + w with w ~ N(0, diag(noise^2)), and the cost s'Q s + a'R a of each step."""

    A: Floats
    """(Ds, Ds)."""
    B: Floats
    """(Ds, Da)."""
    Q: Floats
    """(Ds, Ds)."""
    R: Floats
    """(Da, Da)."""
    noise: Floats
    """Standard deviation of w, (Ds,)."""
    start: Floats
    """Episodes start uniformly within plus and minus this, (Ds,)."""
    action_bound: float
    """Of the action space, on both sides."""

    @cached_property
    def K(self) -> Floats:  # noqa: N802 - its name in control theory
        """The optimal gain: a = -K s, (Da, Ds)."""
        return lqr_gain(self.A, self.B, self.Q, self.R)

    @property
    def closed_loop(self) -> Floats:
        """A - B K, (Ds, Ds)."""
        return self.A - self.B @ self.K

    def next_states(self, states: Floats, actions: Floats) -> Floats:
        """States (..., Ds) after actions (..., Da), without noise."""
        after: Floats = states @ self.A.T + actions @ self.B.T
        return after

    def state_cost(self, states: Floats) -> Floats:
        """Of states (..., Ds): s'Q s, (...,)."""
        return _quadratic(states, self.Q)

    def cost(self, states: Floats, actions: Floats) -> Floats:
        """Of states (..., Ds) and the actions there (..., Da): s'Q s + a'R a, (...,)."""
        return self.state_cost(states) + _quadratic(actions, self.R)


def _quadratic(vectors: Floats, weight: Floats) -> Floats:
    value: Floats = np.einsum("...i,ij,...j->...", vectors, weight, vectors)
    return value


def lqr_gain(A: ArrayLike, B: ArrayLike, Q: ArrayLike, R: ArrayLike) -> Floats:
    """The gain of the discrete linear-quadratic regulator, infinite horizon.

    K = (R + B'P B)^-1 B'P A, where P solves the discrete algebraic Riccati equation. Additive noise
    changes the cost and not the gain (certainty equivalence).

    Args:
        A: (Ds, Ds).
        B: (Ds, Da).
        Q: Weight of the state, (Ds, Ds), symmetric, positive semi-definite.
        R: Weight of the action, (Da, Da), symmetric, positive definite.

    Returns:
        K with a = -K s, (Da, Ds).

    Raises:
        numpy.linalg.LinAlgError: If no gain stabilises the system.
    """
    A, B, Q, R = (np.asarray(matrix, dtype=np.float64) for matrix in (A, B, Q, R))
    P = np.asarray(solve_discrete_are(A, B, Q, R), dtype=np.float64)
    gain = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)
    return np.asarray(gain, dtype=np.float64)


def held(F: ArrayLike, G: ArrayLike, seconds: float) -> tuple[Floats, Floats]:
    """Discretise ds/dt = F s + G a for an action that is held for `seconds` (zero-order hold).

    Returns:
        A (Ds, Ds) and B (Ds, Da).
    """
    F, G = np.asarray(F, dtype=np.float64), np.asarray(G, dtype=np.float64)
    Ds, Da = G.shape
    generator = np.zeros((Ds + Da, Ds + Da))
    generator[:Ds] = np.concatenate([F, G], axis=1)
    both = expm(seconds * generator)
    return both[:Ds, :Ds], both[:Ds, Ds:]


def _bryson(largest: ArrayLike) -> Floats:
    return np.diag(np.asarray(largest, dtype=np.float64) ** -2)


def _oscillator() -> LinearSystem:
    """State: position (m), velocity (m/s); action: force (N)."""
    mass, spring, damper = 1.0, 4.0, 0.4  # kg, N/m, N s/m
    A, B = held(
        [[0.0, 1.0], [-spring / mass, -damper / mass]], [[0.0], [1.0 / mass]], 1.0 / CONTROL_HZ
    )
    return LinearSystem(
        A,
        B,
        Q=_bryson([0.5, 1.0]),
        R=_bryson([2.0]),
        noise=np.array([0.0, 0.15]),
        start=np.array([0.3, 0.6]),
        action_bound=20.0,
    )


def _cart_pole() -> LinearSystem:
    """State: cart (m), its velocity (m/s), angle (rad), its rate (rad/s); action: force (N).

    The pole is a point mass on a massless rod; the angle is 0 when it stands upright.
    """
    cart, pole, length, gravity = 1.0, 0.1, 0.5, 9.81  # kg, kg, m, m/s^2
    F = np.zeros((4, 4))
    F[0, 1] = F[2, 3] = 1.0
    F[1, 2] = -pole * gravity / cart
    F[3, 2] = (cart + pole) * gravity / (cart * length)
    G = np.array([[0.0], [1.0 / cart], [0.0], [-1.0 / (cart * length)]])
    A, B = held(F, G, 1.0 / CONTROL_HZ)
    return LinearSystem(
        A,
        B,
        Q=_bryson([0.5, 1.0, 0.2, 1.0]),
        R=_bryson([5.0]),
        noise=np.array([0.0, 0.02, 0.0, 0.05]),
        start=np.array([0.2, 0.2, 0.03, 0.1]),
        action_bound=50.0,
    )


SYSTEMS: Mapping[SystemName, LinearSystem] = MappingProxyType(
    {"stable": _oscillator(), "unstable": _cart_pole()}
)


class LinearSystemEnv(gymnasium.Env[Floats, NDArray[np.float64]]):
    """Bring a linear system to the origin and hold it there against noise.

    ## Description

    s' = A s + B a + w, 20 steps a second, with w ~ N(0, W). `system="unstable"` (default) is a pole
    of 0.5 m with a mass of 0.1 kg balanced on a cart of 1 kg, linearised about upright;
    `system="stable"` is 1 kg on a spring (4 N/m) with a damper (0.4 N s/m).

    ## Observation space

    `obs_type="state"`, float64: cart (m), its velocity (m/s), angle (rad), its rate (rad/s), or
    position (m) and velocity (m/s). Nothing holds the state; the bounds are out of reach.

    ## Action space

    | `control` | action |
    |---|---|
    | `"position"` (default) | a itself, the force, N |
    | `"velocity"` | this a less the last; the first is relative to 0 |

    `Box` (1,) within 50 N (unstable) or 20 N (stable), twice that under velocity control. Actions
    are not clipped, so that the regulator is optimal everywhere.

    ## Rewards

    `1 / (1 + c)` with the cost c = s'Q s + a'R a of the step, so that the best is 1 and an
    episode's score, its largest reward, means something. The cost itself is in `info`.

    ## Starting state

    Uniform in a box around the origin. `reset(seed=...)` alone determines the episode, its noise
    included. `reset(options={"state": ...})` starts from that state; the noise of a seed stays the
    same.

    ## Episode end

    Never by itself. `gymnasium.make` truncates it after 100 steps.

    ## Arguments

    ```python
    gymnasium.register_envs(envs)
    env = gymnasium.make(
        "dpbench/LinearSystem-v1",
        system="unstable",
        obs_type="state",
        control="position",
        noise=1.0,
    )
    ```

    `noise` multiplies the standard deviation of w; 0 switches it off. There is nothing to render.

    ## Info

    On reset and step: `is_success` (bool, s'Q s < 0.1). On step: `cost`, of the state before it and
    of its action.
    """

    metadata = {"render_modes": [], "render_fps": CONTROL_HZ}  # noqa: RUF012 - for instances

    def __init__(
        self,
        system: SystemName = "unstable",
        obs_type: Literal["state"] = "state",
        control: Control = "position",
        noise: float = 1.0,
        render_mode: None = None,
    ) -> None:
        for name, value, known in (
            ("system", system, get_args(SystemName)),
            ("obs_type", obs_type, ("state",)),
            ("control", control, CONTROLS),
            ("render_mode", render_mode, (None,)),
        ):
            if value not in known:
                allowed = ", ".join(map(str, known))
                raise ValueError(f"unknown {name} {value!r}; choose one of {allowed}")
        if not 0.0 <= noise < np.inf:
            raise ValueError(f"noise is {noise}; give a factor of 0 or more")
        self.system, self.obs_type, self.control = SYSTEMS[system], obs_type, control
        self.noise, self.render_mode = noise, render_mode
        Ds, Da = self.system.B.shape
        bound = self.system.action_bound * (1.0 if control == "position" else 2.0)
        self.observation_space = spaces.Box(-_STATE_BOUND, _STATE_BOUND, (Ds,), dtype=np.float64)
        self.action_space = spaces.Box(-bound, bound, (Da,), dtype=np.float64)
        self._state, self._last_action = np.zeros(Ds), np.zeros(Da)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start an episode; see Starting state.

        Args:
            seed: Determines the episode; None continues with the environment's own generator.
            options: None, or `state` (Ds,).

        Returns:
            The first observation and its info.

        Raises:
            ValueError: If an option is not known or not valid.
        """
        super().reset(seed=integer(seed))
        options = dict(options or {})
        drawn = self.np_random.uniform(-1.0, 1.0, self._state.shape) * self.system.start
        # Drawn even if it is not needed: then the noise does not depend on where it starts.
        state = np.array(options.pop("state", drawn), dtype=np.float64)
        if options:
            raise ValueError(f"unknown reset options {sorted(options)}; choose from state")
        if state.shape != drawn.shape or not np.isfinite(state).all():
            raise ValueError(f"state is {state}; give {len(drawn)} finite numbers")
        self._state, self._last_action = state, np.zeros_like(self._last_action)
        return self._state.copy(), {"is_success": self._is_close()}

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Take one step of 0.05 s; see Action space.

        Args:
            action: The force or, under velocity control, its change, (Da,), N.

        Returns:
            Observation, reward, terminated and truncated (always False) and info.

        Raises:
            ValueError: If the action has another shape or is not finite.
        """
        given = np.asarray(action, dtype=np.float64)
        if given.shape != self._last_action.shape or not np.isfinite(given).all():
            raise ValueError(f"action is {action}; give {len(self._last_action)} finite numbers")
        force = given if self.control == "position" else self._last_action + given
        cost = float(self.system.cost(self._state, force))
        w = self.noise * self.system.noise * self.np_random.standard_normal(self._state.shape)
        self._state = self.system.next_states(self._state, force) + w
        self._last_action = force
        info = {"is_success": self._is_close(), "cost": cost}
        return self._state.copy(), 1.0 / (1.0 + cost), False, False, info

    def _is_close(self) -> bool:
        return bool(self.system.state_cost(self._state) < CLOSE)

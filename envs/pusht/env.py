"""Push-T as a Gymnasium environment."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.control import CONTROLS, Control
from envs.episodes import integer
from envs.pusht.geometry import IMAGE_SIZE, SUCCESS_COVERAGE, WORLD_SIZE, coverage
from envs.pusht.observations import OBS_TYPES, ObsType, observe_one
from envs.pusht.physics import Order, PushTPhysics, Vector, draw_state

if TYPE_CHECKING:
    from envs.pusht.render import Window

RENDER_MODES = ("human", "rgb_array")
CONTROL_HZ = 10
MAX_EPISODE_STEPS = 300  # the protocol's

# Nothing holds agent and block inside the world (see Observation space below), so the observation
# space leaves a world's width around it.
_LOWEST, _HIGHEST = -WORLD_SIZE, 2.0 * WORLD_SIZE


def observation_space(obs_type: ObsType) -> spaces.Space[Any]:
    """The space of one observation."""
    if obs_type == "state":
        high = np.array([_HIGHEST] * 4 + [2.0 * math.pi])
        return spaces.Box(np.array([_LOWEST] * 4 + [0.0]), high, dtype=np.float64)
    if obs_type == "keypoints":
        return spaces.Box(_LOWEST, _HIGHEST, (20,), dtype=np.float64)
    return spaces.Dict(
        {
            "pixels": spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8),
            "agent_pos": spaces.Box(_LOWEST, _HIGHEST, (2,), dtype=np.float64),
        }
    )


def action_space(control: Control) -> spaces.Space[NDArray[np.float64]]:
    """The space of one action: a set-point, or the difference of two set-points."""
    lowest = 0.0 if control == "position" else -WORLD_SIZE
    return spaces.Box(lowest, WORLD_SIZE, (2,), dtype=np.float64)


def check_arguments(obs_type: str, control: str, render_mode: str | None) -> None:
    """Refuse arguments that no Push-T environment knows.

    Raises:
        ValueError: If one is not known.
    """
    for name, value, known in (
        ("obs_type", obs_type, OBS_TYPES),
        ("control", control, CONTROLS),
        ("render_mode", render_mode, (None, *RENDER_MODES)),
    ):
        if value not in known:
            raise ValueError(
                f"unknown {name} {value!r}; choose one of {', '.join(map(str, known))}"
            )


def start_of(options: Mapping[str, Any], seed: Callable[[], int]) -> tuple[Vector, Order]:
    """What a reset starts from: the numbers, and which of them is set first.

    Args:
        options: Of the reset.
        seed: Gives the seed, if there is no state among the options.

    Raises:
        ValueError: If an option is not known.
    """
    unknown = options.keys() - {"state", "order"}
    if unknown:
        raise ValueError(f"unknown reset options {sorted(unknown)}; choose from state, order")
    if "state" in options:
        return options["state"], options.get("order", "angle-first")
    if options:
        raise ValueError("reset option order needs the option state")
    return draw_state(seed()), "position-first"


class PushTEnv(gymnasium.Env[Any, NDArray[np.float64]]):
    """Push a T-shaped block onto a goal of the same shape.

    ## Description

    A disc, the agent, pushes a block in the shape of a T across a table of 512 x 512 px until it
    covers a goal that is drawn on the table. The agent follows its set-point; the block stops
    whenever it is not pushed. One step is 0.1 s. x points to the right and y down.

    ## Observation space

    | `obs_type` | observation |
    |---|---|
    | `"keypoints"` (default) | `Box` (20,): x, y of nine points of the block, then the agent, px |
    | `"state"` | `Box` (5,): agent x, y, block x, y (px), block angle (rad, 0 to 2 pi) |
    | `"pixels"` | `Dict`: `pixels` (96, 96, 3) uint8 RGB; `agent_pos` (2,), px |

    Numbers are float64. The walls do not stop the agent, and a block that is squeezed against a
    wall can be pushed through it, so the bounds are one table's width wider than the table.

    ## Action space

    | `control` | action |
    |---|---|
    | `"position"` (default) | `Box(0, 512, (2,))`: the set-point, px. Not clipped. |
    | `"velocity"` | `Box(-512, 512, (2,))`: this set-point less the last, px. |

    Under velocity control the first set-point of an episode is relative to the agent. The
    environment keeps the set-point and holds it inside position control's action space, so that
    both modes command the same set-points and a policy that drifts does not lose the agent. The
    bounds are the largest difference of two such set-points. `envs.control` converts recorded
    actions.

    ## Rewards

    `min(coverage / 0.95, 1)`, where coverage is the share of the goal's area that the block covers.

    ## Starting state

    `reset(seed=...)` alone determines the episode: numpy's `RandomState(seed)` draws agent x and y
    from 50 to 449, block x and y from 100 to 399 and the angle from a normal distribution, and the
    block's position is set before its angle, which moves it (see `order` below).
    `reset()` without a seed draws a seed from the environment's own generator.
    `reset(options={"state": ..., "order": ...})` starts from five numbers in the order of the
    `"state"` observation. With `"order"` `"angle-first"` (default) the state is what you get; with
    `"position-first"` the block is turned about its centre of gravity after it has been placed, as
    in the reset by seed. The block may start inside the agent, which then pushes it out.

    ## Episode end

    The episode terminates when coverage exceeds 0.95. `gymnasium.make` truncates it after 300
    steps.

    ## Arguments

    ```python
    gymnasium.register_envs(envs)
    env = gymnasium.make(
        "dpbench/PushT-v1", obs_type="keypoints", control="position", render_mode=None
    )
    ```

    ## Info

    On reset and step: `is_success` (bool, coverage exceeds 0.95), `coverage` (0 to 1),
    `max_coverage` (the highest that a step of this episode has reached, 0 on reset), `block_pose`
    (3,) (x, y in px, angle in rad, not wrapped) and `n_contacts` (contact points in the last step,
    the mean over its ten physics steps, rounded up).

    ## References

    Chi et al., Diffusion Policy: Visuomotor Policy Learning via Action Diffusion, RSS 2023
    (arXiv 2303.04137); Florence et al., Implicit Behavioral Cloning, CoRL 2021 (arXiv 2109.00137).
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it for instances
        "render_modes": list(RENDER_MODES),
        "render_fps": CONTROL_HZ,
    }

    def __init__(
        self,
        obs_type: ObsType = "keypoints",
        control: Control = "position",
        render_mode: str | None = None,
    ) -> None:
        check_arguments(obs_type, control, render_mode)
        self.obs_type, self.control, self.render_mode = obs_type, control, render_mode
        self.observation_space = observation_space(obs_type)
        self.action_space = action_space(control)
        self._physics = PushTPhysics()
        self._set_point: tuple[float, float] | None = None  # None before the first step
        self._max_coverage = 0.0
        self._window: Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see Starting state.

        Args:
            seed: Determines the episode, 0 to 2**32 - 1; None draws one.
            options: None, or `state` (five numbers) and, if wanted, `order`.

        Returns:
            The first observation and its info.

        Raises:
            ValueError: If the seed is out of range, or an option is not known or not valid.
        """
        seed = integer(seed)
        super().reset(seed=seed)
        self._physics.reset_to(*start_of(options or {}, lambda: self._seed_of(seed)))
        self._set_point, self._max_coverage = None, 0.0
        if self.render_mode == "human":
            self.render()
        coordinates = self._physics.coordinates
        info = self._info(coordinates, coverage(coordinates), n_contacts=0)
        return self._observe(coordinates), info

    def _seed_of(self, given: int | None) -> int:
        return int(self.np_random.integers(2**32)) if given is None else given

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one control step of 0.1 s; see Action space.

        Args:
            action: The set-point or, under velocity control, its change, (2,), px.

        Returns:
            Observation, reward, terminated, truncated (always False) and info.

        Raises:
            ValueError: If the action is not two finite numbers.
        """
        if np.shape(action) != (2,):
            raise ValueError(f"action has shape {np.shape(action)}; give (2,)")
        x, y = float(action[0]), float(action[1])
        if self.control == "velocity":
            last_x, last_y = self._set_point or self._physics.coordinates[:2]
            x = min(max(last_x + x, 0.0), WORLD_SIZE)
            y = min(max(last_y + y, 0.0), WORLD_SIZE)
        n_contacts = self._physics.step((x, y))
        self._set_point = x, y
        coordinates = self._physics.coordinates
        covered = coverage(coordinates)
        self._max_coverage = max(self._max_coverage, covered)
        info = self._info(coordinates, covered, n_contacts)
        if self.render_mode == "human":
            self.render()
        reward = min(covered / SUCCESS_COVERAGE, 1.0)
        return self._observe(coordinates), reward, info["is_success"], False, info

    def _observe(self, coordinates: Sequence[float]) -> Any:
        observation = observe_one(coordinates, self.obs_type)
        if self.obs_type == "pixels":
            return {"pixels": observation["pixels"], "agent_pos": observation["state"]}
        return observation["state"]

    def _info(
        self, coordinates: Sequence[float], covered: float, n_contacts: int
    ) -> dict[str, Any]:
        return {
            "is_success": covered > SUCCESS_COVERAGE,
            "coverage": covered,
            "max_coverage": self._max_coverage,
            "block_pose": np.array(coordinates[2:]),
            "n_contacts": n_contacts,
        }

    def render(self) -> NDArray[np.uint8] | None:
        """The table with a mark at the last set-point.

        Returns:
            (512, 512, 3) RGB under render_mode "rgb_array"; None under "human", which shows it in
            a window at the speed of the control, and under None.
        """
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() was called without a render_mode; make the environment with "
                'render_mode="rgb_array" or "human"'
            )
            return None
        from envs.pusht import render  # pygame is only needed by those who look

        if self.render_mode == "rgb_array":
            return render.frame(self._physics.coordinates, self._set_point)
        if self._window is None:
            self._window = render.Window("Push-T", CONTROL_HZ)
        self._window.show(render.draw(self._physics.coordinates, self._set_point))
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_window": None}  # a copy opens its own

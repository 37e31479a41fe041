"""Lift, Can and Square as Gymnasium environments."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.control import CONTROLS, Control
from envs.episodes import integer
from envs.robosuite.actions import action_space, command
from envs.robosuite.cameras import CAMERAS, FRAME_CAMERA, FRAME_SIZE, IMAGE_SIZE, Cameras
from envs.robosuite.observations import OBS_TYPES, ObsType, observe, robot_part
from envs.robosuite.scenes import CONTROL_HZ, ROBOT_DIM, SCENES, TASK_NAMES, TaskName
from envs.robosuite.simulation import Simulation, Snapshot

RENDER_MODES = ("rgb_array", "human")

# Nothing keeps an object that was thrown on the table; within an episode it stays so near.
_FARTHEST = 100.0  # m


def observation_space(task: TaskName, obs_type: ObsType) -> spaces.Space[Any]:
    """The space of one observation."""
    if obs_type == "state":
        return spaces.Box(-_FARTHEST, _FARTHEST, (SCENES[task].state_dim,), dtype=np.float64)
    picture = spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    robot = spaces.Box(-_FARTHEST, _FARTHEST, (ROBOT_DIM,), dtype=np.float64)
    return spaces.Dict(dict.fromkeys(CAMERAS, picture) | {"state": robot})


def check_arguments(task: str, obs_type: str, control: str, render_mode: str | None) -> None:
    """Refuse arguments that no robosuite environment knows.

    Raises:
        ValueError: If one is not known.
    """
    for name, value, known in (
        ("task", task, TASK_NAMES),
        ("obs_type", obs_type, OBS_TYPES),
        ("control", control, CONTROLS),
        ("render_mode", render_mode, (None, *RENDER_MODES)),
    ):
        if value not in known:
            raise ValueError(
                f"unknown {name} {value!r}; choose one of {', '.join(map(str, known))}"
            )


def check_options(options: dict[str, Any]) -> None:
    """Refuse reset options that are not known.

    Raises:
        ValueError: If one is not known.
    """
    unknown = options.keys() - {"state"}
    if unknown:
        raise ValueError(f"unknown reset options {sorted(unknown)}; there is only state")


class RobosuiteEnv(gymnasium.Env[Any, NDArray[np.float64]]):
    """A Panda arm lifts a cube, puts a can into a bin, or a square nut onto a peg.

    ## Description

    robosuite's Lift, PickPlaceCan and NutAssemblySquare with a Panda and robosuite's OSC_POSE
    controller. One step is 0.05 s, 25 steps of physics. x points away from the robot's base and z
    up; everything is in the world's frame, m and rad.

    ## Observation space

    | `obs_type` | observation |
    |---|---|
    | `"state"` (default) | `Box` (19,) for Lift, (23,) for Can and Square, float64 |
    | `"pixels"` | `Dict`: `agentview`, `wrist` (84, 84, 3) uint8 RGB; `state` (9,), the robot |

    `state` is robomimic's low-dimensional observation: the object (its position and quaternion,
    and where it is relative to the gripper), then `robot0_eef_pos` (3), `robot0_eef_quat` (4; x,
    y, z, w) and `robot0_gripper_qpos` (2, m). `SCENES[task].slices` names the parts. Pictures are
    drawn only under `"pixels"`.

    ## Action space

    | `control` | action |
    |---|---|
    | `"position"` (default) | `Box` (10,): pose of the gripper (position, 6-D rotation), gripper |
    | `"velocity"` | `Box(-1, 1, (7,))`: change of pose, in 0.05 m and 0.5 rad; gripper |

    A gripper number below 0 opens, above 0 closes, and 0 leaves it as it is. Under position control
    nothing is clipped. Under velocity control an action is relative to where the gripper is, not to
    the last set-point.

    ## Rewards

    1 when robosuite's own check says success, otherwise 0.

    ## Starting state

    `reset(seed=...)` alone determines the episode: object and arm are placed by robosuite, whose
    randomness is confined to that. `reset()` draws a seed from the environment's own generator.
    `reset(options={"state": ...})` starts from time, positions and velocities of MuJoCo as
    robomimic's files hold them, the gripper half open as ever: the first state of an episode gives
    the episode. The cube, which robosuite makes anew with each model, always has the same size.

    ## Episode end

    The episode terminates with success. `gymnasium.make` truncates it after 400 steps.

    ## Info

    On reset and step: `is_success` (bool).

    ## References

    Zhu et al., robosuite, arXiv 2009.12293; Mandlekar et al., What Matters in Learning from Offline
    Human Demonstrations for Robot Manipulation (robomimic), CoRL 2021, arXiv 2108.03298.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it for instances
        "render_modes": list(RENDER_MODES),
        "render_fps": CONTROL_HZ,
    }

    def __init__(
        self,
        task: TaskName,
        obs_type: ObsType = "state",
        control: Control = "position",
        render_mode: str | None = None,
    ) -> None:
        check_arguments(task, obs_type, control, render_mode)
        self.task, self.obs_type, self.control = task, obs_type, control
        self.render_mode = render_mode
        self.observation_space = observation_space(task, obs_type)
        self.action_space = action_space(control)
        self._simulation = Simulation(task, control)
        self._graphics: dict[str, Any] = {}  # made when first needed

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see Starting state.

        Args:
            seed: Determines the episode, 0 to 2**32 - 1; None draws one.
            options: None, or `state` (time, positions and velocities of MuJoCo).

        Returns:
            The first observation and its info.

        Raises:
            ValueError: If the seed is out of range, or an option is not known or not valid.
        """
        seed = integer(seed)
        super().reset(seed=seed)
        check_options(options or {})
        if options and "state" in options:
            state = options["state"]
        else:
            seed = int(self.np_random.integers(2**32)) if seed is None else seed
            state = self._simulation.initial_state(seed)
        self._simulation.start(state)
        if self.render_mode == "human":
            self.render()
        return self._observe(), {"is_success": self._simulation.is_success}

    def step(
        self, action: NDArray[np.floating[Any]]
    ) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one control step of 0.05 s; see Action space.

        Args:
            action: (10,) or, under velocity control, (7,).

        Returns:
            Observation, reward, terminated, truncated (always False) and info.

        Raises:
            ValueError: If the action has a wrong shape, is not finite, or holds no rotation.
        """
        self._simulation.step(command(action, self.control))
        success = self._simulation.is_success
        if self.render_mode == "human":
            self.render()
        return self._observe(), float(success), success, False, {"is_success": success}

    @property
    def state(self) -> NDArray[np.float64]:
        """Time (s), positions and velocities of MuJoCo, which `reset` takes as an option."""
        return self._simulation.state

    def _observe(self) -> Any:
        seen = observe(self._simulation)
        if self.obs_type == "state":
            return seen
        cameras = self._cameras(IMAGE_SIZE)
        pictures = {name: cameras.picture(camera) for name, camera in CAMERAS.items()}
        return {**pictures, "state": robot_part(seen)}

    def _cameras(self, size: int) -> Cameras:
        name = f"cameras {size}"
        if name not in self._graphics:
            self._graphics[name] = Cameras(self._simulation, size)
        cameras: Cameras = self._graphics[name]
        return cameras

    def render(self) -> NDArray[np.uint8] | None:
        """What stands before the robot.

        Returns:
            (480, 480, 3) RGB under render_mode "rgb_array"; None under "human", which shows it in
            a window at the speed of the control or slower, and under None.
        """
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render() was called without a render_mode; make the environment with "
                'render_mode="rgb_array" or "human"'
            )
            return None
        if self.render_mode == "rgb_array":
            return self._cameras(FRAME_SIZE).picture(FRAME_CAMERA)
        from envs.pusht.render import Window  # pygame is only needed by those who look

        if "window" not in self._graphics:
            self._graphics["window"] = Window(self.task.capitalize(), CONTROL_HZ, FRAME_SIZE)
        self._graphics["window"].show_frame(self._cameras(FRAME_SIZE).picture(FRAME_CAMERA))
        return None

    def close(self) -> None:
        """Close windows and give graphics back."""
        for graphics in self._graphics.values():
            graphics.close()
        self._graphics = {}

    def __getstate__(self) -> dict[str, Any]:
        # A copy makes a simulation and graphics of its own and goes on from here.
        return self.__dict__ | {"_simulation": self._simulation.snapshot(), "_graphics": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        snapshot: Snapshot = state["_simulation"]
        self.__dict__.update(state)
        self._simulation = Simulation(self.task, self.control)
        self._simulation.restore(snapshot)

"""A robosuite task without Gymnasium and without pictures, and everything that robosuite needs.

What an episode is at a step is a `Snapshot`: MuJoCo's integration state and the little that
robosuite's controllers remember. From a snapshot and an action the next one follows, to the bit. So
one simulation can play many episodes in turns, in any process, and a pickle can continue one.

Importing this module imports no robosuite; making a `Simulation` does.
"""

import ctypes.util
import importlib
import inspect
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from envs.control import Control
from envs.robosuite.scenes import CONTROL_HZ, SCENES, TaskName

Floats = NDArray[np.float64]

MAX_DELTA = np.array([0.05] * 3 + [0.5] * 3)
"""What an action of 1 under velocity control asks for: m and rad, robosuite's defaults."""
JOINT_MARGIN = 0.5
"""How far a joint may be beyond its soft limit in a recording, rad."""
MODEL_SEED = 0  # robosuite draws the cube's size when it builds the model; here it is always this

missing_graphics = ""
"""Why mujoco was imported without its graphics; empty if it was not."""


class Snapshot(NamedTuple):
    """All that the rest of an episode depends on.

    Attributes:
        physics: MuJoCo's integration state.
        gripper: What the gripper is commanded to, which robosuite moves by 0.2 a step, (2,).
        posture: Joint angles that the arm's free direction is drawn to, (7,), rad.
    """

    physics: Floats
    gripper: Floats
    posture: Floats


class Simulation:
    """A Panda with robosuite's OSC_POSE controller at 20 Hz.

    Args:
        task: Which of the three.
        control: What `step` takes: absolute poses or their changes.

    Raises:
        ImportError: If robosuite is not installed.
    """

    def __init__(self, task: TaskName, control: Control) -> None:
        robosuite, self._mujoco = _import()
        self.scene = SCENES[task]
        with _global_generator(MODEL_SEED):
            self._env = robosuite.make(
                self.scene.robosuite_name,
                robots="Panda",
                controller_configs=controller(control),
                has_renderer=False,
                has_offscreen_renderer=False,
                use_camera_obs=False,
                use_object_obs=False,  # observations.py takes what is read from the simulation
                control_freq=CONTROL_HZ,
                ignore_done=True,
                hard_reset=False,  # the model stays; only what moves is reset
                **_own_seed(robosuite, self.scene.robosuite_name),
            )
            self._env.reset()
        self._env._observables.clear()
        self.model: Any = self._env.sim.model._model
        self.data: Any = self._env.sim.data._data
        robot = self._env.robots[0]
        self._gripper = robot.gripper["right"]
        self.eef_site: int = robot.eef_site_id["right"]
        self.eef_body: int = self.model.body(robot.robot_model.eef_name["right"]).id
        self.object_body: int = self.model.body(self.scene.body).id
        self.gripper_qpos: list[int] = robot._ref_gripper_joint_pos_indexes["right"]
        self._spec = self._mujoco.mjtState.mjSTATE_INTEGRATION

    @property
    def state(self) -> Floats:
        """Time (s), positions and velocities, (1 + nq + nv,): robomimic's `states`."""
        return np.concatenate([[self.data.time], self.data.qpos, self.data.qvel])

    @property
    def state_dim(self) -> int:
        """Length of `state`."""
        return int(1 + self.model.nq + self.model.nv)

    @property
    def quaternions(self) -> list[slice]:
        """Where in `state` the quaternions of free bodies stand."""
        free = self._mujoco.mjtJoint.mjJNT_FREE
        starts = [1 + int(a) + 3 for a in self.model.jnt_qposadr[self.model.jnt_type == free]]
        return [slice(start, start + 4) for start in starts]

    @property
    def joint_ranges(self) -> list[tuple[int, float, float]]:
        """Of each limited hinge: where in `state` its angle stands, and its limits widened, rad."""
        hinge = self._mujoco.mjtJoint.mjJNT_HINGE
        chosen = (self.model.jnt_type == hinge) & (self.model.jnt_limited == 1)
        return [
            (1 + int(at), float(low) - JOINT_MARGIN, float(high) + JOINT_MARGIN)
            for at, (low, high) in zip(
                self.model.jnt_qposadr[chosen], self.model.jnt_range[chosen], strict=True
            )
        ]

    def initial_state(self, seed: int) -> Floats:
        """The state in which robosuite starts the episode of a seed."""
        if hasattr(self._env, "rng"):  # what places objects holds the same generator
            self._env.rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        with _global_generator(seed):
            self._env.reset()
        return self.state

    @property
    def _arm(self) -> Any:
        """The arm's controller, of which robosuite makes another at every reset."""
        return self._env.robots[0].part_controllers["right"]

    def start(self, state: ArrayLike) -> None:
        """Start an episode from a state; the arm keeps to the posture that it has there.

        Raises:
            ValueError: If the state is of another length or not finite.
        """
        state = np.asarray(state, dtype=np.float64)
        if state.shape != (self.state_dim,) or not np.isfinite(state).all():
            raise ValueError(
                f"state of shape {state.shape} is not {self.state_dim} finite numbers: time, "
                f"{self.model.nq} positions and {self.model.nv} velocities"
            )
        self._mujoco.mj_resetData(self.model, self.data)
        self._set(state)
        self._mujoco.mj_forward(self.model, self.data)
        self._gripper.current_action = np.zeros(2)
        self._arm.update_initial_joints(self.data.qpos[self._arm.qpos_index])
        self._arm.new_update = True

    def _set(self, state: Floats) -> None:
        nq = self.model.nq
        self.data.time, self.data.qpos[:] = state[0], state[1 : 1 + nq]
        self.data.qvel[:] = state[1 + nq :]

    def show(self, state: ArrayLike) -> None:
        """Put everything where a state says, to be looked at and not to be played on."""
        self._set(np.asarray(state, dtype=np.float64))
        self._mujoco.mj_kinematics(self.model, self.data)

    def step(self, command: ArrayLike) -> None:
        """Take a control step of 0.05 s, 25 steps of physics.

        Args:
            command: What robosuite takes, (7,): position and axis-angle of the gripper in the
                world (m, rad) or, under velocity control, their changes in units of `MAX_DELTA`;
                then the gripper, below 0 to open and above to close.
        """
        self._env.step(np.asarray(command, dtype=np.float64))
        # MuJoCo leaves poses a step of physics behind positions; here all is of one time.
        self._mujoco.mj_kinematics(self.model, self.data)

    @property
    def goal(self) -> tuple[Floats, Floats]:
        """Position (3,) and rotation matrix (3, 3) that the last command meant, in the world."""
        return np.array(self._arm.goal_pos), np.array(self._arm.goal_ori)

    @property
    def eef_pose(self) -> tuple[Floats, Floats]:
        """Position (3,), m, and rotation matrix (3, 3) of the point between the fingers."""
        rotation = self.data.site_xmat[self.eef_site].reshape(3, 3)
        return np.array(self.data.site_xpos[self.eef_site]), np.array(rotation)

    @property
    def object_pose(self) -> tuple[Floats, Floats]:
        """Position (3,), m, and rotation matrix (3, 3) of the object that is handled."""
        rotation = self.data.xmat[self.object_body].reshape(3, 3)
        return np.array(self.data.xpos[self.object_body]), np.array(rotation)

    @property
    def is_success(self) -> bool:
        """Robosuite's own check."""
        return bool(self._env._check_success())

    def snapshot(self) -> Snapshot:
        """Everything that `restore` needs."""
        physics = np.empty(self._mujoco.mj_stateSize(self.model, self._spec))
        self._mujoco.mj_getState(self.model, self.data, physics, self._spec)
        gripper = np.array(np.broadcast_to(self._gripper.current_action, 2), dtype=np.float64)
        return Snapshot(physics, gripper, np.array(self._arm.initial_joint, dtype=np.float64))

    def restore(self, snapshot: Snapshot) -> None:
        """Go on with the episode of a snapshot."""
        self._mujoco.mj_setState(self.model, self.data, snapshot.physics, self._spec)
        self._gripper.current_action = snapshot.gripper.copy()
        self._arm.initial_joint = snapshot.posture.copy()
        self._arm.new_update = True  # what the controller has seen was another episode
        self._mujoco.mj_kinematics(self.model, self.data)


def _import() -> tuple[Any, Any]:
    """Robosuite and mujoco, with robosuite's logger turned down to errors.

    robosuite greets every process with warnings about a file of macros that nobody needs. Its
    logger is quietened before it is imported, since it sets its level itself. It also insists on
    EGL, without which it cannot be imported at all unless MUJOCO_GL names something else.
    """
    if sys.platform == "linux" and "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = "egl" if ctypes.util.find_library("EGL") else "glx"
    logger = logging.getLogger("robosuite_logs")
    if _is_error not in logger.filters:
        logger.addFilter(_is_error)
    wanted = os.environ.get("MUJOCO_GL")
    try:
        _import_mujoco()
        import mujoco
        import robosuite
    except ImportError as error:
        raise ImportError(
            f"Lift, Can and Square need robosuite ({error}); install it by "
            "pip install -c constraints.txt 'dpbench[robosuite]'"
        ) from error
    finally:
        if wanted is not None:
            os.environ["MUJOCO_GL"] = wanted  # for processes that this one starts
    return robosuite, mujoco


def _import_mujoco() -> None:
    """Import mujoco, without its graphics where those that MUJOCO_GL names cannot be loaded.

    States need no graphics; who asks for a picture is then told what is missing (`cameras.py`).
    """
    global missing_graphics
    try:
        mujoco = importlib.import_module("mujoco")
        if not hasattr(mujoco, "Renderer"):
            # It left its graphics out without a word, as where PYOPENGL_PLATFORM names another.
            try:
                importlib.import_module("mujoco.rendering.classic.gl_context")
            except ImportError as error:
                missing_graphics = f"MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {error}"
    except ModuleNotFoundError as error:
        if error.name == "mujoco":
            raise
        _import_without_graphics(error)
    except Exception as error:  # PyOpenGL throws an AttributeError at a library that is missing
        _import_without_graphics(error)


def _import_without_graphics(error: Exception) -> None:
    global missing_graphics
    missing_graphics = f"MUJOCO_GL={os.environ.get('MUJOCO_GL')}: {error}"
    os.environ["MUJOCO_GL"] = "disable"
    # Half imported: its Python files are imported again, its compiled ones stay.
    for name in list(sys.modules):
        if name == "mujoco" or name.startswith(("mujoco.rendering", "mujoco.renderer", "OpenGL")):
            del sys.modules[name]
    importlib.import_module("mujoco")


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _own_seed(robosuite: Any, name: str) -> dict[str, int]:
    """The seed of the generator that an environment of robosuite 1.5.2 has of its own."""
    made = robosuite.environments.base.REGISTERED_ENVS[name]
    return {"seed": MODEL_SEED} if "seed" in inspect.signature(made).parameters else {}


@contextmanager
def _global_generator(seed: int) -> Iterator[None]:
    """Within it numpy's global generator, robosuite 1.5.1's only one, has a seed of its own."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def controller(control: Control) -> dict[str, Any]:
    """Robosuite's OSC_POSE with its default gains, for the one arm of a Panda, in the world."""
    arm = {
        "type": "OSC_POSE",
        "input_max": 1,
        "input_min": -1,
        "output_max": MAX_DELTA.tolist(),
        "output_min": (-MAX_DELTA).tolist(),
        "kp": 150,
        "damping_ratio": 1,
        "impedance_mode": "fixed",
        "kp_limits": [0, 300],
        "damping_ratio_limits": [0, 10],
        "position_limits": None,
        "orientation_limits": None,
        "uncouple_pos_ori": True,
        "input_type": "absolute" if control == "position" else "delta",
        "input_ref_frame": "world",
        "interpolation": None,
        "ramp_ratio": 0.2,
        "gripper": {"type": "GRIP"},
    }
    return {"type": "BASIC", "body_parts": {"right": arm}}

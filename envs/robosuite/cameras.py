"""Pictures of a simulation, drawn by MuJoCo off screen.

Graphics are set up when the first picture is asked for. On Linux MuJoCo draws through EGL where
there is one, unless the environment variable MUJOCO_GL says otherwise; on a CPU a picture takes
about 0.1 s.
"""

import atexit
import os
import sys
import weakref
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.control import Control
from envs.forks import refuse_forked
from envs.robosuite import simulation as simulation_module
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import TaskName
from envs.robosuite.simulation import Simulation

IMAGE_SIZE = 84  # px, robomimic's
CAMERAS = {"agentview": "agentview", "wrist": "robot0_eye_in_hand"}
"""Pictures of an observation and the names of their cameras."""
FRAME_SIZE, FRAME_CAMERA = 480, "agentview"  # of rgb_array; robosuite's buffer has 480 rows

_drawing_process: int | None = None  # the one that has drawn
_open: "weakref.WeakSet[Cameras]" = weakref.WeakSet()


def _close_all() -> None:
    """Give all graphics back while MuJoCo is still there to do it."""
    for cameras in list(_open):
        cameras.close()


def _leave_to_parent() -> None:
    """In a forked process: what MuJoCo does at its end would wait for ever."""
    if (egl := sys.modules.get("mujoco.egl")) is not None:
        atexit.unregister(egl.EGL.eglTerminate)


class Cameras:
    """Draws what the cameras of a simulation see.

    Args:
        simulation: Whose.
        size: Height and width of a picture, px.

    Raises:
        RuntimeError: If there is nothing to draw with, or in a process that was forked from one
            that has drawn.
    """

    def __init__(self, simulation: Simulation, size: int) -> None:
        import mujoco  # installed, since there is a simulation

        global _drawing_process
        refuse_forked(_drawing_process or os.getpid(), "drawn pictures")
        self._model, self._data, self._mujoco = simulation.model, simulation.data, mujoco
        try:
            self._renderer: Any = mujoco.Renderer(self._model, size, size)
        except Exception as error:  # each of MuJoCo's ways of drawing has errors of its own
            said = simulation_module.missing_graphics or error
            raise RuntimeError(
                f"MuJoCo cannot draw here ({said}); install EGL or OSMesa and set MUJOCO_GL=egl "
                "or MUJOCO_GL=osmesa"
            ) from error
        if _drawing_process is None:
            _drawing_process = os.getpid()
            atexit.register(_close_all)  # after MuJoCo's own, so that it runs before it
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_leave_to_parent)
        _open.add(self)
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0  # collision shapes

    def picture(self, camera: str) -> NDArray[np.uint8]:
        """What a camera sees, (size, size, 3) RGB, the top row first."""
        refuse_forked(_drawing_process or os.getpid(), "drawn pictures")
        # The simulation brings bodies up to date, not the cameras that are fixed to them.
        self._mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera, self._options)
        picture: NDArray[np.uint8] = self._renderer.render()
        return picture.copy()

    def close(self) -> None:
        """Give the graphics back; in a forked process they are another's."""
        if _drawing_process == os.getpid():
            self._renderer.close()


@cache
def shared_cameras(task: TaskName, control: Control, size: int = IMAGE_SIZE) -> Cameras:
    """The cameras of `shared_simulation`."""
    return Cameras(shared_simulation(task, control), size)

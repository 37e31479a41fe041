"""The three tasks of robosuite that are played, and what a policy sees of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

TaskName = Literal["lift", "can", "square"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)

MAX_EPISODE_STEPS = 400  # robomimic's
CONTROL_HZ = 20


@dataclass(frozen=True)
class Scene:
    """One task as robosuite knows it."""

    robosuite_name: str
    """Of the environment in robosuite's registry."""
    body: str
    """Of the object that is handled."""
    object_parts: Mapping[str, int]
    """Names and lengths of what robomimic calls `object`, in the order of its public data."""

    @property
    def slices(self) -> dict[str, slice]:
        """Where each quantity stands in a flat observation, by robosuite's names."""
        found, start = {}, 0
        for name, length in {**self.object_parts, **ROBOT_PARTS}.items():
            found[name] = slice(start, start + length)
            start += length
        return found

    @property
    def state_dim(self) -> int:
        """Length of a flat observation."""
        return sum(self.object_parts.values()) + sum(ROBOT_PARTS.values())


ROBOT_PARTS: Mapping[str, int] = MappingProxyType(
    {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2}
)
ROBOT_DIM = sum(ROBOT_PARTS.values())


def _posed(name: str) -> Mapping[str, int]:
    eef = f"{name}_to_robot0_eef"
    return MappingProxyType(
        {f"{name}_pos": 3, f"{name}_quat": 4, f"{eef}_pos": 3, f"{eef}_quat": 4}
    )


SCENES: Mapping[TaskName, Scene] = MappingProxyType(
    {
        "lift": Scene(
            "Lift",
            "cube_main",
            MappingProxyType({"cube_pos": 3, "cube_quat": 4, "gripper_to_cube_pos": 3}),
        ),
        "can": Scene("PickPlaceCan", "Can_main", _posed("Can")),
        "square": Scene("NutAssemblySquare", "SquareNut_main", _posed("SquareNut")),
    }
)

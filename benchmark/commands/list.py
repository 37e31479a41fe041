"""`python -m benchmark list`: the names that can be asked for."""

from __future__ import annotations

from baselines import METHODS
from baselines.plugins import AGENTS, broken_plugins, plugin_names
from benchmark.plan.request import PRESET_NAMES
from benchmark.plan.tasks import tasks


def list_command() -> None:
    """Print tasks, methods and presets, and the plug-ins that cannot be imported."""
    print("tasks (TASK=)")
    for task in tasks().values():
        observations = ", ".join(task.obs_types)
        print(f"  {task.name:26} {task.env_id}; observations: {observations}")
    print(f"presets (PRESET=)\n  {', '.join(PRESET_NAMES)}")
    print(f"methods (METHODS=)\n  {', '.join(METHODS)}")
    if others := plugin_names(AGENTS):
        print(f"  of other packages: {', '.join(others)}")
    for broken in broken_plugins():
        print(f"broken: {broken}")

"""Methods and tasks of other packages, found by their entry points.

Each is imported when it is named or listed, so one that cannot be imported stops nothing else.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

AGENTS, TASKS = "dpbench.agents", "dpbench.tasks"
"""The groups of entry points."""


def plugin_names(group: str) -> list[str]:
    """Names under which packages bring something to a group, sorted."""
    return sorted({entry.name for entry in importlib.metadata.entry_points(group=group)})


def load_plugin(group: str, name: str) -> Any:
    """What a package brings under a name; None where none does.

    Raises:
        ValueError: If it cannot be imported; the message names the package and the cause.
    """
    for entry in importlib.metadata.entry_points(group=group, name=name):
        try:
            return entry.load()
        except Exception as error:  # whatever the code of another package does
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
            raise ValueError(
                f"{name!r} of {package} ({entry.value}) cannot be imported: "
                f"{type(error).__name__}: {error}; mend or uninstall that package"
            ) from error
    return None


def broken_plugins() -> list[str]:
    """What cannot be imported, a sentence each."""
    broken = []
    for group in (AGENTS, TASKS):
        for name in plugin_names(group):
            try:
                load_plugin(group, name)
            except ValueError as error:
                broken.append(str(error))
    return broken

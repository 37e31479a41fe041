"""Demonstrations: the container, file formats, a scripted demonstrator a task, the sources."""

from envs.demos.demonstrations import Demonstrations, Metadata
from envs.demos.sources import load_pusht

__all__ = ["Demonstrations", "Metadata", "load_pusht"]

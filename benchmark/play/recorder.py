"""Demonstrations given by hand, kept in a file that policies are trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.errors import UsageError, usage_errors
from envs.demos import npz, pusht_human
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.pusht.geometry import keypoints

Step = tuple[tuple[float, ...], tuple[float, float], int]
"""State before an action (5 numbers), the action (a set-point, px), contacts that led there."""


class Recorder:
    """Episodes of Push-T in an NPZ file, which is whole after each of them.

    Args:
        path: The file; episodes that are in it stay there.

    Raises:
        UsageError: If the file is none that episodes can be added to.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix != ".npz":
            raise UsageError(f"demonstrations are recorded to a file .npz, not to {path}")
        self.path = path
        self.steps: list[Step] = []
        """Of the episode that is being recorded."""
        self._episodes: list[list[Step]] = []
        if path.exists():
            with usage_errors():
                self._episodes = _episodes_of(pusht_human.read(path), path)

    @property
    def count(self) -> int:
        """Episodes in the file."""
        return len(self._episodes)

    def add(self, state: tuple[float, ...], action: tuple[float, float], contacts: int) -> None:
        """Add a step to the episode."""
        self.steps.append((state, action, contacts))

    def drop(self) -> None:
        """Forget the episode that is being recorded."""
        self.steps = []

    def keep(self) -> None:
        """Write the episode to the file; one without a step is none."""
        if self.steps:
            self._episodes.append(self.steps)
            self.steps = []
            self._write()

    def undo(self) -> None:
        """Take the latest episode out of the file again."""
        if self._episodes:
            self._episodes.pop()
            self._write()

    def _write(self) -> None:
        if not self._episodes:
            self.path.unlink()
            return
        steps = [step for episode in self._episodes for step in episode]
        states = np.array([state for state, _, _ in steps], dtype=np.float64)
        npz.write(
            Demonstrations(
                states=states,
                actions=np.array([action for _, action, _ in steps], dtype=np.float64),
                episode_ends=np.cumsum([len(episode) for episode in self._episodes]),
                observations={
                    "keypoint": keypoints(states),
                    "n_contacts": np.array([[contacts] for _, _, contacts in steps]),
                },
                metadata=Metadata("pusht", "import", self.path.name, None),
            ),
            self.path,
        )


def _episodes_of(demos: Demonstrations, path: Path) -> list[list[Step]]:
    if demos.metadata.source != "import":
        raise UsageError(f"{path} holds the {demos.metadata.source} demonstrations: name another")
    contacts = demos.observations.get("n_contacts", np.zeros((demos.num_steps, 1)))
    return [
        [
            (tuple(demos.states[row].tolist()), tuple(demos.actions[row]), int(contacts[row, 0]))
            for row in range(start, end)
        ]
        for start, end in zip(demos.starts.tolist(), demos.episode_ends.tolist(), strict=True)
    ]

"""What a policy sees of recorded Push-T states: drawn once, kept, and mapped into memory.

A picture of every step of 200 demonstrations takes 0.7 GB. Mapped from a file they are read when a
batch asks for them, and trainings that run side by side share one copy.
"""

import tempfile
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from envs.cache import cache_dir
from envs.demos.demonstrations import Demonstrations
from envs.progress import progress_bar
from envs.pusht.geometry import IMAGE_SIZE

VERSION = 1  # raised when a picture of a state changes
CHUNK = 256  # states drawn between two moves of the progress bar


def pictures(demonstrations: Demonstrations) -> NDArray[np.uint8]:
    """A picture of every state, (N, 96, 96, 3) RGB, mapped from the user's cache folder.

    What is written to the array stays in memory: the file does not change. One that is damaged is
    drawn again.
    """
    name = f"pusht-pictures-v{VERSION}-{demonstrations.digest()[:12]}.npy"
    path = cache_dir() / name
    shape = (demonstrations.num_steps, IMAGE_SIZE, IMAGE_SIZE, 3)
    if not _holds(path, shape):
        _draw(demonstrations.states, path, shape)
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="c")
    return mapped


def _holds(path: Path, shape: tuple[int, ...]) -> bool:
    if not path.is_file():
        return False
    try:
        found = np.load(path, mmap_mode="r")
    except ValueError:  # cut off, or no such file at all
        return False
    return bool(found.shape == shape and found.dtype == np.uint8)


def _draw(states: NDArray[np.float64], path: Path, shape: tuple[int, ...]) -> None:
    """Draw states (N, 5) into a file that takes its name when it is whole."""
    from envs.pusht.render import observation_images  # pygame is only needed for pictures

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
        part = Path(folder) / path.name
        array = open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
        with progress_bar(len(states), "pictures", "step") as bar:
            for first in range(0, len(states), CHUNK):
                drawn = observation_images(states[first : first + CHUNK])
                array[first : first + CHUNK] = drawn
                bar.update(len(drawn))
        array.flush()
        part.replace(path)

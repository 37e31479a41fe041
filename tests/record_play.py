"""Records docs/assets/play.gif: a policy drives, a hand drags the block away, it plans anew.

python tests/record_play.py docs/assets/play.gif
"""

import os
import sys
from pathlib import Path

os.environ["SDL_VIDEODRIVER"] = "dummy"

import numpy as np
from PIL import Image

from benchmark.play.film import write_film
from benchmark.play.policies import load_policy
from benchmark.play.session import Session
from benchmark.play.window import Window
from envs.pusht.env import CONTROL_HZ
from envs.pusht.render import pygame

SCALE = 0.6
BEFORE, DRAGGING, AFTER = 25, 12, 90  # control steps
AWAY = (1.0, 15.0)  # px of the table that the hand moves in a step


def main(path: Path) -> None:
    """Play, and write the film."""
    session = Session([load_policy("shipped")])
    window = Window(session)
    frames = []

    def tick() -> None:
        session.tick()
        window.show(1.0)
        picture = pygame.surfarray.array3d(window.picture()).swapaxes(0, 1)
        size = round(picture.shape[1] * SCALE), round(picture.shape[0] * SCALE)
        frames.append(np.asarray(Image.fromarray(picture).resize(size)))

    for _ in range(BEFORE):
        tick()
    x, y = session.state[2:4]
    session.grab(x, y)
    for step in range(1, DRAGGING + 1):
        session.point(x + AWAY[0] * step, y + AWAY[1] * step)
        tick()
    session.release()
    for _ in range(AFTER):
        tick()
    write_film(np.stack(frames), path, CONTROL_HZ)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

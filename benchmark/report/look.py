"""What a policy looks at: keypoints over frames, and what of an image its actions depend on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SCALE = 4
"""Pixels of a video a pixel of an image."""
DOT = 4.0
"""Radius of a keypoint in a video, px."""


@dataclass(frozen=True)
class Look:
    """What a policy saw of one camera at some steps of an episode, and looked at."""

    camera: str
    steps: NDArray[np.int64]
    """Environment steps, (T,)."""
    images: NDArray[np.uint8]
    """What was seen, (T, H, W, 3)."""
    keypoints: NDArray[np.float64] | None
    """Columns and rows of the K features, px, (T, K, 2); None of an encoder without places."""
    occlusion: NDArray[np.float64]
    """How far the next actions move when a patch is hidden, in their unit, (T, rows, columns)."""
    border: float = 0.0
    """From the edge of an image to that of the map of patches, px."""


def look_figure(looks: Sequence[Look], unit: str) -> Figure:
    """Keypoints above, occlusion below, a pair of rows a camera and a column a step.

    Args:
        looks: A camera each, of the same steps.
        unit: Of an action.
    """
    columns = len(looks[0].steps)
    rows = 2 * len(looks)
    figure = Figure(figsize=(2.3 * columns + 0.9, 2.3 * rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    for index, look in enumerate(looks):
        above, below = grid[2 * index], grid[2 * index + 1]
        side = look.images.shape[2], look.images.shape[1]
        most, low = float(look.occlusion.max()), look.border - 0.5
        for column, step in enumerate(look.steps):
            above[column].imshow(look.images[column])
            above[column].set_title(f"step {step}", fontsize=9)
            if look.keypoints is not None:
                x, y = look.keypoints[column].T
                colors = _colors(len(x)) / 255
                above[column].scatter(x, y, c=colors, s=22, edgecolors="black", linewidths=0.5)
            below[column].imshow(look.images[column])
            shown = below[column].imshow(
                look.occlusion[column],
                extent=(low, side[0] - 1 - low, side[1] - 1 - low, low),
                cmap="inferno",
                alpha=0.6,
                vmin=0.0,
                vmax=most or 1.0,
                interpolation="bilinear",
            )
            below[column].set(xlim=above[column].get_xlim(), ylim=above[column].get_ylim())
        bar = figure.colorbar(shown, ax=list(below), shrink=0.9)
        bar.set_label(f"actions move by, {unit}", fontsize=8)
        above[0].set_ylabel(f"{look.camera}: keypoints", fontsize=9)
        below[0].set_ylabel(f"{look.camera}: hidden patch", fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure


def keypoint_video(images: NDArray[np.uint8], keypoints: NDArray[np.float64], hz: float) -> bytes:
    """An animated GIF of what was seen, with a dot a keypoint.

    Args:
        images: (T, H, W, 3).
        keypoints: Columns and rows, px, (T, K, 2).
        hz: Images a second.
    """
    colors = [tuple(color) for color in _colors(keypoints.shape[1]).astype(int).tolist()]
    frames = []
    for image, places in zip(images, keypoints, strict=True):
        size = (SCALE * image.shape[1], SCALE * image.shape[0])
        frame = Image.fromarray(image).resize(size, Image.Resampling.NEAREST)
        pen = ImageDraw.Draw(frame)
        for (x, y), color in zip((SCALE * (places + 0.5)).tolist(), colors, strict=True):
            box = (x - DOT, y - DOT, x + DOT, y + DOT)
            pen.ellipse(box, fill=color, outline=(0, 0, 0))
        frames.append(frame)
    file = BytesIO()
    frames[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / hz),
        loop=0,
    )
    return file.getvalue()


def _colors(count: int) -> NDArray[np.float64]:
    """A colour a keypoint, (K, 3), 0 to 255."""
    palette: Any = matplotlib.colormaps["hsv"]
    colors: NDArray[np.float64] = 255 * palette(np.arange(count) / count)[:, :3]
    return colors

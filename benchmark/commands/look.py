"""`python -m benchmark look RUN`: plays an episode and draws what a policy of images looks at."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from baselines.agent import Agent
from baselines.nets.image_encoder import ImageEncoder
from benchmark.errors import UsageError
from benchmark.files import write_whole
from benchmark.plan.config import EvalConfig
from benchmark.plan.seeding import FIRST_SEED
from benchmark.plan.tasks import get_task
from benchmark.play.policies import Trained, load_policy
from benchmark.report.look import Look, keypoint_video, look_figure
from benchmark.running.rollout import AgentPolicy, Frame, as_tensors, observed, rollout

COLUMNS = 4
"""Steps in the figure."""
PATCH, STRIDE = 16, 8
"""Side of a hidden patch, and how far apart patches are, px."""
SAMPLES = 4
"""Action sequences that a patch is judged by."""


def look_command(where: str, to: Path, seed: int | None) -> int:
    """Write the figure and a video a camera; the exit code."""
    trained = load_policy(where)
    cameras = encoders(trained.agent)
    if not cameras:
        raise UsageError(
            f"{trained.folder} sees {trained.obs_type} and no images; give a policy of images"
        )
    task = get_task(trained.task)
    frames = film(trained, FIRST_SEED["validation"] if seed is None else seed)
    steps = np.linspace(0, len(frames) - 1, COLUMNS).astype(int)
    looks = [look(trained, frames, camera, steps) for camera in cameras]
    motion = task.motion
    unit = motion.unit if motion else "the actions' unit"
    drawn = io.BytesIO()
    look_figure(looks, unit).savefig(drawn, format="png", bbox_inches="tight")
    print(write_whole(to / "look.png", drawn.getvalue()))
    for each in looks:
        if each.keypoints is None:
            continue
        images = np.concatenate([frame[each.camera] for frame in frames])
        places = keypoints(cameras[each.camera], images)
        video = keypoint_video(images, places, motion.hz if motion else 10)
        print(write_whole(to / f"{each.camera}.gif", video))
    return 0


def encoders(agent: Agent) -> dict[str, ImageEncoder]:
    """The image encoder of every camera that an agent has one for."""
    found = (module for module in agent.modules() if isinstance(module, torch.nn.ModuleDict))
    return {
        camera: encoder
        for modules in found
        for camera, encoder in modules.items()
        if isinstance(encoder, ImageEncoder)
    }


class Filmed(gymnasium.vector.VectorWrapper):
    """Keeps what was observed at every step, all of which are drawn."""

    def __init__(self, env: gymnasium.vector.VectorEnv) -> None:
        super().__init__(env)
        self.frames: list[Frame] = []

    @property
    def unwrapped(self) -> Self:
        """Itself: a rollout may not tell it what to draw."""
        return self

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """See `VectorEnv.reset`."""
        obs, info = self.env.reset(**options)
        self.frames = [observed(obs)]
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """See `VectorEnv.step`."""
        obs, *rest = self.env.step(actions)
        self.frames.append(observed(obs))
        return (obs, *rest)


def film(trained: Trained, seed: int) -> list[Frame]:
    """What is observed at every step of an episode, each (1, ...)."""
    env = get_task(trained.task).make_vec(1, trained.obs_type, trained.control)
    config = EvalConfig(trained.action_horizon, episodes=1)
    with closing(Filmed(env)) as filmed:
        rollout(AgentPolicy(trained.agent, [seed]), filmed, [seed], config)
        return filmed.frames


def look(trained: Trained, frames: list[Frame], camera: str, steps: NDArray[Any]) -> Look:
    """What a policy looks at in the images of one camera, at some steps of an episode."""
    encoder = encoders(trained.agent)[camera]
    images = np.concatenate([frames[step][camera] for step in steps])
    spatial = trained.agent.spec.encoder.pooling == "spatial-softmax"
    return Look(
        camera,
        steps,
        images,
        keypoints(encoder, images) if spatial else None,
        np.stack([occlusion(trained.agent, frames, step, camera) for step in steps.tolist()]),
        (PATCH - STRIDE) / 2,
    )


@torch.inference_mode()
def keypoints(encoder: ImageEncoder, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Columns and rows of the keypoints in images (T, H, W, 3), px, (T, K, 2)."""
    return encoder.keypoints(torch.as_tensor(images)).double().numpy()


@torch.inference_mode()
def occlusion(agent: Agent, frames: list[Frame], step: int, camera: str) -> NDArray[np.float64]:
    """How far the next actions move when a patch of one camera's images is hidden, (rows, columns).

    A patch takes the mean colour of the images: on an even ground it hides what is there and shows
    nothing new. Root mean square over the actions from the current step on, with the same noise.
    """
    first = step - agent.spec.obs_horizon + 1
    seen = [frames[max(0, each)] for each in range(first, step + 1)]
    window = {name: np.stack([frame[name] for frame in seen], axis=1) for name in seen[0]}
    height, width = window[camera].shape[2:4]
    places = [
        (row, column)
        for row in range(0, height - PATCH + 1, STRIDE)
        for column in range(0, width - PATCH + 1, STRIDE)
    ]
    batch = {name: np.repeat(value, len(places) + 1, axis=0) for name, value in window.items()}
    plain = window[camera].mean((0, 1, 2, 3)).round().astype(np.uint8)  # (3,)
    for index, (row, column) in enumerate(places, start=1):
        batch[camera][index, :, row : row + PATCH, column : column + PATCH] = plain
    noise = [torch.Generator().manual_seed(0) for _ in range(len(places) + 1)]
    drawn = agent.act(as_tensors(batch), noise, SAMPLES)  # (1 + places, N, Tp, Da)
    next_ones = drawn[:, :, agent.spec.obs_horizon - 1 :].double()
    moved = (next_ones[1:] - next_ones[:1]).square().sum(-1).mean((1, 2)).sqrt()
    columns = len(range(0, width - PATCH + 1, STRIDE))
    return moved.reshape(-1, columns).numpy()

"""The interface of agents, and the registry through which they are found."""

import importlib.metadata
from typing import Any

import pytest
import torch
from torch import Tensor

import baselines.agent
from baselines.agent import Agent, Batch, Obs, Spec, agent_class, register
from baselines.diffusion.agent import DiffusionUnet
from baselines.noise import Generators
from baselines.normalizer import Normalizer


class Idle(Agent):
    """An agent of another package."""

    def loss(self, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        return torch.zeros(())

    def act(self, obs: Obs, generator: Generators, num_samples: int = 1) -> Tensor:  # noqa: ARG002
        count = self.check_window(obs)
        return torch.zeros(count, num_samples, self.spec.pred_horizon, self.spec.action_dim)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines.agent, "_AGENTS", dict(baselines.agent._AGENTS))


def test_built_in_agents_are_known_by_name() -> None:
    assert agent_class("diffusion-unet") is DiffusionUnet
    assert DiffusionUnet.name == "diffusion-unet"


def test_an_unknown_method_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=r"no method 'difusion'; methods: .*diffusion-unet"):
        agent_class("difusion")


def test_an_agent_of_another_package_comes_in_through_its_entry_point(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Entry:
        name = "idle"

        def load(self) -> type[Agent]:
            return Idle

    def entry_points(group: str, name: str) -> list[Any]:
        return [Entry()] if (group, name) == ("dpbench.agents", "idle") else []

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    assert agent_class("idle") is Idle
    assert Idle.name == "idle"


def test_two_agents_cannot_have_one_name() -> None:
    agent_class("diffusion-unet")
    with pytest.raises(ValueError, match="'diffusion-unet' is registered already"):
        register("diffusion-unet")(Idle)


def test_an_agent_without_denoising_steps_refuses_to_set_them() -> None:
    register("idle")(Idle)
    spec = Spec({"state": (2,)}, action_dim=1)
    agent = Idle(None, spec, Normalizer({}, {}))
    assert agent.inference_steps == 0
    with pytest.raises(ValueError, match="idle has no inference steps to set to 4"):
        agent.set_inference_steps(4)


@pytest.mark.parametrize(
    ("obs", "message"),
    [
        (
            {"state": torch.zeros(5, 3, 3)},
            r"window 'state' is \(B, 3, 3\); this agent needs \(B, 2, 3\)",
        ),
        ({"state": torch.zeros(5, 2, 4)}, r"window 'state' is \(B, 2, 4\)"),
        ({"state": torch.zeros(5, 3)}, r"window 'state' is \(B, 3\)"),
        (
            {"pixels": torch.zeros(5, 2, 8, 8, 3)},
            r"observations have \['pixels'\]; diffusion-unet was made for \['state'\]",
        ),
        ({}, r"observations have \[\]"),
    ],
)
def test_a_window_that_does_not_fit_is_refused_before_anything_is_computed(
    tiny_agent: DiffusionUnet, obs: Obs, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_agent.act(obs, torch.Generator())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"action_dim": 0}, "action_dim must be at least 1, not 0"),
        ({"obs_horizon": 0}, "obs_horizon must be at least 1, not 0"),
        ({"pred_horizon": 0}, "pred_horizon must be at least 1, not 0"),
        ({"obs_horizon": 5, "pred_horizon": 4}, "pred_horizon 4 is shorter than obs_horizon 5"),
        ({"obs_shapes": {}}, r"obs_shapes is {}; allowed: state, and images"),
        ({"obs_shapes": {"depth": (4, 4)}}, r"obs_shapes is {'depth': \(4, 4\)}"),
    ],
)
def test_a_wrong_shape_or_horizon_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spec(**{"obs_shapes": {"state": (3,)}, "action_dim": 2} | settings)


def test_the_length_of_a_state_is_that_of_one_observation() -> None:
    assert Spec({"state": (20,)}, 2).state_dim == 20
    assert Spec({"pixels": (96, 96, 3)}, 2).state_dim == 0


def test_all_but_the_state_are_images_by_camera() -> None:
    shapes = {"state": (9,), "agentview": (84, 84, 3), "wrist": (84, 84, 3)}
    assert list(Spec(shapes, 2).images) == ["agentview", "wrist"]
    assert Spec({"state": (9,)}, 2).images == {}

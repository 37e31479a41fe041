"""Checkpoints: what was saved comes back, whole, and without running code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.agent import Agent, config_from_json, load_agent, save_agent
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig

MakeTiny = Callable[..., Agent]


def actions_of(agent: torch.nn.Module) -> torch.Tensor:
    obs = {"state": torch.linspace(90, 160, 12).reshape(2, 2, 3)}
    with torch.no_grad():
        actions: torch.Tensor = agent.act(obs, torch.Generator().manual_seed(0), 3)  # type: ignore
    return actions


def edit(folder: Path, **changes: object) -> None:
    path = folder / "agent.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_loaded_agent_acts_as_the_saved_one(
    method: str, make_tiny: MakeTiny, tmp_path: Path
) -> None:
    agent = make_tiny(method)
    save_agent(agent, tmp_path / "policy")
    torch.manual_seed(7)  # what it is built with before its weights are read is another
    loaded = load_agent(tmp_path / "policy")
    assert type(loaded) is type(agent)
    assert loaded.config == agent.config
    assert loaded.spec == agent.spec
    assert loaded.normalizer.kinds == agent.normalizer.kinds
    assert not loaded.training
    torch.testing.assert_close(actions_of(loaded), actions_of(agent), rtol=0, atol=0)


def test_a_checkpoint_is_two_files_of_tensors_and_json(
    tiny_agent: DiffusionUnet, tmp_path: Path
) -> None:
    save_agent(tiny_agent, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.json", "model.safetensors"]
    description = json.loads((tmp_path / "agent.json").read_text())
    assert description["name"] == "diffusion-unet"
    assert description["spec"]["pred_horizon"] == 4
    assert description["normalizer"] == {"state": "min-max", "action": "quantile"}


WITHOUT_PICKLE = """
import json, pickle, sys
from pathlib import Path
import torch
from baselines.agent import load_agent

def refused(*arguments, **options):
    raise AssertionError("a checkpoint was unpickled")

torch.load = pickle.load = pickle.loads = pickle.Unpickler = pickle._Unpickler = refused
obs = {"state": torch.linspace(90, 160, 12).reshape(2, 2, 3)}
sums = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    agent = load_agent(folder)
    with torch.no_grad():
        actions = agent.act(obs, torch.Generator().manual_seed(0), 3)
    sums[folder.name] = actions.double().sum().item()
print(json.dumps(sums))
"""


def test_loading_in_another_process_unpickles_nothing_whatever_the_method(
    toys: dict[str, Any], make_tiny: MakeTiny, tmp_path: Path
) -> None:
    agents = {method: make_tiny(method) for method in toys}
    for method, agent in agents.items():
        save_agent(agent, tmp_path / method)
    printed = subprocess.run(
        [sys.executable, "-c", WITHOUT_PICKLE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert printed.returncode == 0, printed.stderr
    expected = {name: actions_of(agent).double().sum().item() for name, agent in agents.items()}
    assert json.loads(printed.stdout) == pytest.approx(expected)


@pytest.mark.parametrize("missing", ["agent.json", "model.safetensors"])
def test_an_incomplete_checkpoint_is_refused_with_what_is_missing(
    tiny_agent: DiffusionUnet, tmp_path: Path, missing: str
) -> None:
    save_agent(tiny_agent, tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"no checkpoint in .*: {missing} is missing"):
        load_agent(tmp_path)


def test_an_interrupted_save_leaves_no_checkpoint(
    tiny_agent: DiffusionUnet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_agent(tiny_agent, tmp_path)
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load_agent(tmp_path)


def test_a_checkpoint_of_an_unknown_method_names_the_known_ones(
    tiny_agent: DiffusionUnet, tmp_path: Path
) -> None:
    save_agent(tiny_agent, tmp_path)
    edit(tmp_path, name="dreamer")
    with pytest.raises(ValueError, match=r"no method 'dreamer'; methods: .*diffusion-unet"):
        load_agent(tmp_path)


def test_a_setting_that_the_method_does_not_have_is_named(
    tiny_agent: DiffusionUnet, tmp_path: Path
) -> None:
    save_agent(tiny_agent, tmp_path)
    config = json.loads((tmp_path / "agent.json").read_text())["config"]
    edit(tmp_path, config=config | {"dropout": 0.1})
    with pytest.raises(ValueError, match=r"DiffusionUnetConfig has no field \['dropout'\]; fields"):
        load_agent(tmp_path)


def test_a_config_comes_back_from_json_with_tuples_in_place_of_lists() -> None:
    config = DiffusionUnetConfig(channels=(8, 16), sampler="ddpm")
    values = json.loads(json.dumps(config.__dict__))
    assert config_from_json(DiffusionUnetConfig, values) == config

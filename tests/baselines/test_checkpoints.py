"""Checkpoints: what was saved comes back, whole, and without running code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.agent import Agent, config_from_json
from baselines.checkpoints import checksum, load_agent, save_agent
from baselines.diffusion.agent import DiffusionUnet, DiffusionUnetConfig

MakeTiny = Callable[..., Agent]


def actions_of(agent: torch.nn.Module) -> torch.Tensor:
    obs = {"state": torch.linspace(90, 160, 12).reshape(2, 2, 3)}
    with torch.no_grad():
        actions: torch.Tensor = agent.act(obs, torch.Generator().manual_seed(0), 3)  # type: ignore
    return actions


def edit(folder: Path, **changes: object) -> None:
    """Change what agent.json says, and its checksum with it."""
    path = folder / "agent.json"
    changed = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(changed | {"sha256": checksum(changed)}))


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
from baselines.checkpoints import load_agent

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
    with pytest.raises(ValueError, match=r"agent\.json: no method 'dreamer'; methods: .*bc-mlp"):
        load_agent(tmp_path)


@pytest.mark.parametrize("forged", [3.5, None, {}])
def test_a_checksum_that_is_no_text_is_refused_by_the_name_of_its_file(
    tiny_agent: DiffusionUnet, tmp_path: Path, forged: object
) -> None:
    save_agent(tiny_agent, tmp_path)
    edit(tmp_path, weights_sha256=forged)
    with pytest.raises(ValueError, match=r"agent\.json: its checksums are no texts"):
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


@pytest.mark.parametrize("name", ["agent.json", "model.safetensors"])
def test_one_flipped_bit_anywhere_in_a_checkpoint_is_refused_by_name(
    tiny_agent: DiffusionUnet, tmp_path: Path, name: str
) -> None:
    save_agent(tiny_agent, tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        path.write_bytes(damaged)
        if name == "agent.json" and json_equal(whole, bytes(damaged)):
            continue
        with pytest.raises(ValueError, match=f"^\\S*{name}"):
            load_agent(tmp_path)


def json_equal(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize(
    "changes",
    [{"channels": [1000000, 1000000]}, {"channels": [16] * 100000}, {"channels": [10**12]}],
)
def test_settings_of_a_gigantic_network_are_refused_before_it_is_built(
    tiny_agent: DiffusionUnet, tmp_path: Path, changes: dict[str, object]
) -> None:
    save_agent(tiny_agent, tmp_path)
    config = json.loads((tmp_path / "agent.json").read_text())["config"]
    edit(tmp_path, config=config | changes)
    with pytest.raises(ValueError, match=r"agent\.json: "):
        load_agent(tmp_path)


def test_settings_of_another_network_are_refused_by_tensor_and_shape(
    tiny_agent: DiffusionUnet, tmp_path: Path
) -> None:
    save_agent(tiny_agent, tmp_path)
    spec = json.loads((tmp_path / "agent.json").read_text())["spec"]
    edit(tmp_path, spec=spec | {"action_dim": 1})
    with pytest.raises(ValueError, match=r"tensor '.*' is .* in model\.safetensors; the settings"):
        load_agent(tmp_path)


def test_a_checkpoint_of_before_checksums_is_read_with_a_warning(
    tiny_agent: DiffusionUnet, tmp_path: Path
) -> None:
    save_agent(tiny_agent, tmp_path)
    path = tmp_path / "agent.json"
    described = json.loads(path.read_text())
    del described["sha256"], described["weights_sha256"]
    path.write_text(json.dumps(described))
    with pytest.warns(UserWarning, match="before checkpoints had checksums"):
        loaded = load_agent(tmp_path)
    torch.testing.assert_close(actions_of(loaded), actions_of(tiny_agent), rtol=0, atol=0)

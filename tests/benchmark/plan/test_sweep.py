"""Which cells a command means."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import UsageError
from benchmark.plan.request import SweepConfig
from benchmark.plan.sweep import load_demonstrations, plan
from envs.demos import npz, robomimic
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.robosuite.processes import shared_simulation


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A robomimic file of Lift with two demonstrations, the second under the key `train`."""
    h5py = pytest.importorskip("h5py")
    if find_spec("robosuite") is None:
        pytest.skip("needs robosuite")
    simulation = shared_simulation("lift", "velocity")
    rng = np.random.default_rng(0)
    states, deltas = [], rng.uniform(-1.0, 1.0, (20, 7))
    for index, delta in enumerate(deltas):
        if index % 10 == 0:
            simulation.start(simulation.initial_state(index))
        states.append(simulation.state)
        simulation.step(delta)
    low_dim, actions = robomimic.convert(simulation, np.array(states), deltas)
    path = tmp_path_factory.mktemp("robomimic") / "low_dim.hdf5"
    demonstrations = Demonstrations(
        np.array(states),
        actions,
        np.array([10, 20]),
        {"low_dim": low_dim, "delta": deltas},
        Metadata("lift", "human", "made up", None),
    )
    robomimic.write(demonstrations, "lift", path)
    with h5py.File(path, "a") as file:
        file["mask/train"] = np.array([b"demo_1"])
    return path


def sweep(path: Path, filter_key: str | None = None) -> SweepConfig:
    return SweepConfig(
        task="lift",
        preset="smoke",
        methods=("bc-mlp",),
        control=("velocity",),
        data="human",
        data_path=path,
        filter_key=filter_key,
    )


@pytest.mark.filterwarnings("ignore:.*filter keys")
def test_a_filter_key_is_part_of_what_data_a_cell_is_trained_on(masked, tmp_path):
    (part,) = plan(sweep(masked, "train"))
    (whole,) = plan(sweep(masked))
    assert (part.num_demonstrations, whole.num_demonstrations) == (1, 2)
    assert part.id != whole.id
    assert load_demonstrations(sweep(masked, "train")).lengths.tolist() == [10]
    npz.write(robomimic.read(masked, "lift", "train"), tmp_path / "train.npz")
    (imported,) = plan(sweep(tmp_path / "train.npz"))
    assert imported.id == part.id  # the same demonstrations, however they were come by


def test_a_filter_key_that_nothing_has_is_wrong_usage(masked):
    with pytest.raises(UsageError, match="no filter key 'valid'; its keys: train"):
        plan(sweep(masked, "valid"))
    with pytest.raises(UsageError, match="name one with --data-path"):
        SweepConfig(task="lift", filter_key="train")
    with pytest.raises(UsageError, match="files of pusht have no filter keys"):
        plan(SweepConfig(data="human", data_path=masked, filter_key="train"))


def test_a_table_says_what_was_changed_in_the_preset_and_where_training_began() -> None:
    config = SweepConfig(preset="smoke", set=("train.updates=9",), origin="runs/first")
    assert config.label == "smoke with train.updates=9, trained further from first"
    assert SweepConfig(preset="smoke").label == "smoke"

"""Robomimic files: what we write has their layout; what fits neither task nor robot is refused."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from envs.demos import npz, robomimic, robosuite_sources
from envs.demos.demonstrations import Demonstrations, Metadata
from envs.robosuite.observations import observe
from envs.robosuite.processes import shared_simulation
from envs.robosuite.scenes import SCENES

pytestmark = pytest.mark.skipif(find_spec("robosuite") is None, reason="needs robosuite")
LENGTHS = (4, 3)


@pytest.fixture(scope="module")
def recorded() -> Demonstrations:
    """Two short episodes of Lift, recorded with what the controller says each action meant."""
    from envs.robosuite.actions import pose_action

    simulation = shared_simulation("lift", "velocity")
    rng = np.random.default_rng(0)
    states, actions, seen, deltas = [], [], [], []
    for seed, length in enumerate(LENGTHS):
        simulation.start(simulation.initial_state(seed))
        for _ in range(length):
            delta = rng.uniform(-1.0, 1.0, 7)
            states.append(simulation.state)
            seen.append(observe(simulation))
            simulation.step(delta)
            deltas.append(delta)
            actions.append(pose_action(*simulation.goal, delta[6]))
    return Demonstrations(
        np.array(states),
        np.array(actions),
        np.cumsum(LENGTHS),
        {"low_dim": np.array(seen), "delta": np.array(deltas)},
        Metadata("lift", "scripted", "made up", 0),
    )


@pytest.fixture
def file(recorded, tmp_path):
    path = tmp_path / "low_dim.hdf5"
    robomimic.write(recorded, "lift", path)
    return path


def test_what_is_written_has_robomimics_layout(recorded, file):
    import h5py

    with h5py.File(file) as opened:
        data = opened["data"]
        assert sorted(data) == ["demo_0", "demo_1"]
        assert data.attrs["total"] == sum(LENGTHS)
        args = json.loads(data.attrs["env_args"])
        assert (args["env_name"], args["type"]) == ("Lift", 1)
        assert args["env_kwargs"]["controller_configs"]["body_parts"]["right"]["type"] == "OSC_POSE"
        demo = data["demo_1"]
        assert demo.attrs["num_samples"] == 3
        assert demo["actions"].shape == (3, 7)
        assert demo["states"].shape == (3, 32)
        assert demo["rewards"][:].tolist() == [0.0, 0.0, 1.0]
        assert demo["dones"][:].tolist() == [0, 0, 1]
        shapes = {name: array.shape for name, array in demo["obs"].items()}
        assert shapes == {
            "object": (3, 10),
            "robot0_eef_pos": (3, 3),
            "robot0_eef_quat": (3, 4),
            "robot0_gripper_qpos": (3, 2),
        }
        eef = SCENES["lift"].slices["robot0_eef_pos"]
        expected = recorded.observations["low_dim"][4:, eef]
        np.testing.assert_array_equal(demo["obs/robot0_eef_pos"][:], expected)
        np.testing.assert_array_equal(demo["next_obs/robot0_eef_pos"][:-1], expected[1:])


def test_robomimics_own_loader_reads_what_is_written(recorded, file):
    pytest.importorskip("robomimic", reason="needs pip install --no-deps robomimic==0.3.0")
    from robomimic.utils import obs_utils
    from robomimic.utils.dataset import SequenceDataset

    slices = SCENES["lift"].slices
    keys = ["object", *(name for name in slices if name.startswith("robot0"))]
    obs_utils.initialize_obs_utils_with_obs_specs({"obs": {"low_dim": keys}})
    dataset = SequenceDataset(
        str(file), keys, ["actions", "rewards", "dones"], frame_stack=2, seq_length=3
    )
    assert len(dataset) == sum(LENGTHS)
    window = dataset[LENGTHS[0] + 1]  # the second step of the second episode and one before it
    seen, deltas = (recorded.observations[name][LENGTHS[0] :] for name in ("low_dim", "delta"))
    steps = [0, 1, 2, 2]  # its last step is repeated
    np.testing.assert_array_equal(window["actions"], deltas[steps])
    for name in keys[1:]:
        np.testing.assert_array_equal(window["obs"][name], seen[steps][:, slices[name]])


def test_changes_of_pose_become_the_poses_that_the_controller_went_for(recorded, file):
    found = robomimic.read(file, "lift")
    np.testing.assert_array_equal(found.observations["delta"], recorded.observations["delta"])
    np.testing.assert_allclose(found.actions, recorded.actions, atol=2e-7)
    np.testing.assert_allclose(
        found.observations["low_dim"], recorded.observations["low_dim"], atol=1e-12
    )
    np.testing.assert_array_equal(found.episode_ends, [4, 7])
    assert found.metadata == Metadata("lift", "human", "low_dim", None)


def test_a_policy_is_shown_human_demonstrations_as_scripted_ones(recorded, file, tmp_path):
    loaded = robosuite_sources.load_robosuite("lift", "human", path=file)
    assert set(loaded.observations) == {"state", "delta"}
    assert loaded.observations["state"].shape == (7, 19)
    kept = tmp_path / "kept.npz"
    npz.write(robomimic.read(file, "lift"), kept)
    again = robosuite_sources.load_robosuite("lift", "human", path=kept, num_episodes=1)
    assert again.metadata == loaded.metadata  # one fingerprint: their policies are the same runs
    assert again.metadata.version.startswith("sha256-")
    assert again.metadata.source == "human"


def test_more_than_ten_episodes_stay_in_order(recorded, tmp_path):
    many = recorded.subset([0, 1] * 6)
    robomimic.write(many, "lift", tmp_path / "many.hdf5")
    np.testing.assert_array_equal(
        robomimic.read(tmp_path / "many.hdf5", "lift").lengths, LENGTHS * 6
    )


def old_args(**changes) -> dict:
    """What a public file (robosuite 1.4) says, with changes to its controller or arguments."""
    controller = {
        "type": "OSC_POSE",
        "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5],
        "output_min": [-0.05, -0.05, -0.05, -0.5, -0.5, -0.5],
        "control_delta": True,
    }
    controller |= {name: changes.pop(name) for name in list(changes) if name in controller}
    kwargs = {"robots": ["Panda"], "control_freq": 20, "controller_configs": controller}
    name = changes.pop("env_name", "Lift")
    return {"env_name": name, "type": 1, "env_kwargs": kwargs | changes}


def test_the_arguments_of_the_public_files_and_our_own_fit():
    assert robomimic.mismatch(old_args(), SCENES["lift"]) == ""
    assert robomimic.mismatch(robomimic.env_args(SCENES["can"]), SCENES["can"]) == ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"env_name": "PickPlaceCan"}, "it is of 'PickPlaceCan', not of 'Lift'"),
        ({"robots": ["Sawyer"]}, "its robot is ['Sawyer'], not a Panda"),
        ({"control_freq": 10}, "it was recorded at 10 Hz, not 20"),
        ({"type": "JOINT_VELOCITY"}, "its controller is 'JOINT_VELOCITY', not 'OSC_POSE'"),
        ({"control_delta": False}, "its actions are absolute poses; take the file whose"),
        ({"output_max": [0.1] * 6}, "its controller has output_max [0.1, 0.1"),
    ],
)
def test_recordings_of_something_else_are_refused(changes, problem):
    assert robomimic.mismatch(old_args(**changes), SCENES["lift"]).startswith(problem)


def test_files_that_are_no_recordings_are_refused(file, tmp_path):
    import h5py

    with pytest.raises(ValueError, match="does not fit can: it is of 'Lift'"):
        robomimic.read(file, "can")
    with pytest.raises(FileNotFoundError, match="give the path of a robomimic file"):
        robomimic.read(tmp_path / "nowhere.hdf5", "lift")
    broken = tmp_path / "broken.hdf5"
    broken.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a readable HDF5 file"):
        robomimic.read(broken, "lift")
    with h5py.File(file, "a") as opened:
        del opened["data/demo_1/states"]
    with pytest.raises(ValueError, match="lacks data/demo_1/states"):
        robomimic.read(file, "lift")
    with h5py.File(file, "a") as opened:
        del opened["data/demo_1"]
        del opened["data/demo_0/states"]
        opened["data/demo_0/states"] = np.zeros((4, 45))
    with pytest.raises(ValueError, match=r"states have shape \(4, 45\); lift has \(N, 32\)"):
        robomimic.read(file, "lift")
    with h5py.File(tmp_path / "empty.hdf5", "w"):
        pass
    with pytest.raises(ValueError, match="it lacks data with env_args"):
        robomimic.read(tmp_path / "empty.hdf5", "lift")

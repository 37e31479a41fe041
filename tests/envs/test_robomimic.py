"""Robomimic files: what we write has their layout; what fits neither task nor robot is refused."""

import json
from importlib.util import find_spec

import numpy as np
import pytest

from envs.demos import npz, robomimic, robomimic_file, robosuite_sources
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
    assert robomimic_file.mismatch(old_args(), SCENES["lift"]) == ""
    assert robomimic_file.mismatch(robomimic.env_args(SCENES["can"]), SCENES["can"]) == ""


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
    assert robomimic_file.mismatch(old_args(**changes), SCENES["lift"]).startswith(problem)


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
        del opened["data/demo_0"].attrs["sha256"]
    with pytest.raises(ValueError, match=r"demo_0/states have shape \(4, 45\); lift has \(T, 32\)"):
        robomimic.read(file, "lift")
    with h5py.File(tmp_path / "empty.hdf5", "w"):
        pass
    with pytest.raises(ValueError, match="it lacks data"):
        robomimic.read(tmp_path / "empty.hdf5", "lift")


def test_a_demonstration_with_more_states_than_actions_is_refused_with_both_numbers(
    recorded, tmp_path
):
    import h5py

    path = tmp_path / "lift.hdf5"
    robomimic.write(recorded, "lift", path)
    with h5py.File(path, "a") as opened:
        group = opened["data/demo_1"]
        states = group["states"][:]
        del group["states"], group.attrs["sha256"]
        group["states"] = np.concatenate([states, states[-1:]])
    with pytest.raises(ValueError, match=r"lift\.hdf5: demo_1 has 4 states and 3 actions"):
        robomimic.read(path, "lift")


@pytest.mark.parametrize(
    ("column", "factor", "message"),
    [
        (slice(10, 17), 0.5, "length of the numbers .* goes from 0.5"),
        (slice(1, 8), 180 / np.pi, "demo_1/states, joint angle .* rad"),
        (slice(1, 2), np.nan, "demo_1/states has a value in row 0 that is not finite"),
    ],
)
def test_states_in_other_units_are_refused_by_demonstration_and_array(
    recorded, tmp_path, column, factor, message
):
    import h5py

    path = tmp_path / "lift.hdf5"
    robomimic.write(recorded, "lift", path)
    with h5py.File(path, "a") as opened:
        group = opened["data/demo_1"]
        states = group["states"][:]
        states[:, column] *= factor
        group["states"][:] = states
        del group.attrs["sha256"]
    with pytest.raises(ValueError, match=message):
        robomimic.read(path, "lift")


def test_a_changed_number_in_a_file_of_ours_is_noticed(file):
    import h5py

    with h5py.File(file, "a") as opened:
        opened["data/demo_0/actions"][2, 1] += 1e-12
    with pytest.raises(ValueError, match="demo_0 was changed: its checksum is"):
        robomimic.read(file, "lift")


def test_a_missing_chunk_is_refused_and_not_read_as_zeros(file):
    import h5py

    with h5py.File(file, "a") as opened:
        group = opened["data/demo_0"]
        del group["actions"], group.attrs["sha256"]
        array = group.create_dataset("actions", (4, 7), "f8", chunks=(2, 7))
        array[:2] = 0.5
    with pytest.raises(ValueError, match="demo_0/actions has 1 of 2 chunks; HDF5 would read zeros"):
        robomimic.read(file, "lift")


def test_an_array_that_claims_more_than_its_file_can_hold_is_refused_unread(file):
    import h5py

    with h5py.File(file, "a") as opened:
        group = opened["data/demo_0"]
        del group["actions"]
        group.create_dataset("actions", (10**12, 7), "f8", chunks=(1, 7))
    with pytest.raises(ValueError, match="demo_0/actions claims 56,000,000,000,000 bytes"):
        robomimic.read(file, "lift")


@pytest.fixture
def masked(file):
    import h5py

    with h5py.File(file, "a") as opened:
        opened["mask/train"], opened["mask/valid"] = np.array([b"demo_1"]), np.array([b"demo_0"])
        opened["mask/stale"], opened["mask/none"] = np.array([b"demo_7"]), np.array([], "S1")
    return file


def test_a_filter_key_chooses_its_demonstrations(recorded, masked):
    found = robomimic.read(masked, "lift", "train")
    np.testing.assert_array_equal(found.states, recorded.states[4:])
    loaded = robosuite_sources.load_robosuite("lift", "human", path=masked, filter_key="valid")
    assert loaded.lengths.tolist() == [4]


def test_filter_keys_are_said_to_be_there_when_none_is_asked_for(masked):
    with pytest.warns(UserWarning, match=r"keys \(none, stale, train, valid\); all 2 demonstr"):
        assert robomimic.read(masked, "lift").num_episodes == 2


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("test", "no filter key 'test'; its keys: none, stale, train, valid$"),
        ("trian", r"no filter key 'trian'; its keys: .*; did you mean 'train'\?"),
        ("stale", "mask/stale lists 'demo_7'; which is not in data"),
        ("none", "mask/none is empty"),
    ],
)
def test_a_filter_key_that_leads_nowhere_is_refused(masked, key, message):
    with pytest.raises(ValueError, match=message):
        robomimic.read(masked, "lift", key)


def test_a_filter_key_of_what_has_none_is_refused(tmp_path):
    for source, path in (("scripted", None), ("human", tmp_path / "kept.npz")):
        with pytest.raises(ValueError, match="only robomimic's HDF5 files have such"):
            robosuite_sources.load_robosuite("lift", source, path=path, filter_key="train")


@pytest.mark.parametrize("kind", ["raw", "list", "null"])
def test_what_robosuites_collector_writes_is_read_whatever_form_its_controller_has(
    recorded, file, kind
):
    import h5py

    with h5py.File(file, "a") as opened:
        data = opened["data"]
        args = json.loads(data.attrs["env_args"])["env_kwargs"]
        arm = args["controller_configs"]
        info = {"env_name": "Lift", "robots": ["Panda"]}
        if kind != "raw":
            info["controller_configs"] = [arm] if kind == "list" else None
        del data.attrs["env_args"]
        data.attrs["env"], data.attrs["env_info"] = "Lift", json.dumps(info)
        for demo in data.values():
            for name in ("obs", "next_obs", "rewards", "dones"):
                del demo[name]
    found = robomimic.read(file, "lift")
    np.testing.assert_allclose(found.actions, recorded.actions, atol=2e-7)


@pytest.mark.parametrize("configs", [[{"type": "OSC_POSE"}] * 2, "OSC_POSE", 3, {"body_parts": {}}])
def test_a_controller_of_another_form_is_refused_in_words(configs):
    assert "controller" in robomimic_file.mismatch(
        old_args() | {"env_kwargs": {"robots": "Panda", "controller_configs": configs}},
        SCENES["lift"],
    )

"""NPZ and zarr files of demonstrations: what goes in comes out, and damage is named."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from envs.demos import npz
from envs.demos import zarr as zarr_file
from envs.demos.demonstrations import Demonstrations, Metadata

METADATA = Metadata("pusht", "import", "made up", 3)
OTHER = Metadata("pusht", "human", "default", None)


@pytest.fixture
def recorded() -> Demonstrations:
    draw = np.random.default_rng(0)
    return Demonstrations(
        states=draw.uniform(0, 512, (7, 5)),
        actions=draw.uniform(0, 512, (7, 2)),
        episode_ends=np.array([3, 7]),
        observations={
            "keypoint": draw.uniform(0, 512, (7, 9, 2)).astype(np.float32),
            "n_contacts": draw.integers(0, 3, (7, 1)),
        },
        metadata=METADATA,
    )


def assert_same(read: Demonstrations, written: Demonstrations) -> None:
    np.testing.assert_array_equal(read.states, written.states)
    np.testing.assert_array_equal(read.actions, written.actions)
    np.testing.assert_array_equal(read.episode_ends, written.episode_ends)
    assert read.observations.keys() == written.observations.keys()
    for name, array in written.observations.items():
        np.testing.assert_array_equal(read.observations[name], array)
        assert read.observations[name].dtype == array.dtype


def write_store(demonstrations: Demonstrations, folder: Path, zarr_format: int) -> Path:
    """The public layout, with the images that the reader leaves alone."""
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder), mode="w", zarr_format=zarr_format)
    arrays = {
        "data/action": demonstrations.actions,
        "data/state": demonstrations.states,
        "data/img": np.zeros((len(demonstrations.actions), 4, 4, 3), np.float32),
        "meta/episode_ends": demonstrations.episode_ends,
    }
    arrays |= {f"data/{name}": array for name, array in demonstrations.observations.items()}
    for name, array in arrays.items():
        group.create_array(name, data=array)
    return folder


def test_an_npz_file_gives_back_every_array_to_the_bit_and_the_metadata(tmp_path, recorded):
    npz.write(recorded, tmp_path / "new folder" / "demos.npz")
    read = npz.read(tmp_path / "new folder" / "demos.npz", OTHER)
    assert_same(read, recorded)
    assert read.metadata == METADATA


def test_an_npz_file_without_metadata_gets_the_default(tmp_path, recorded):
    path = tmp_path / "public.npz"
    np.savez(path, action=recorded.actions, state=recorded.states, episode_ends=[3, 7])
    assert npz.read(path, OTHER).metadata == OTHER


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, recorded, monkeypatch):
    path = tmp_path / "demos.npz"
    npz.write(recorded, path)
    before = path.read_bytes()

    def interrupted(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        npz.write(recorded, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_npz_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no demonstrations at .*nowhere\.npz"):
        npz.read(tmp_path / "nowhere.npz", OTHER)


@pytest.mark.parametrize("content", [b"", b"no zip file", b"PK\x03\x04 half a zip file"])
def test_a_file_that_is_no_npz_is_named(tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.npz is not a readable NPZ file"):
        npz.read(path, OTHER)


def test_a_damaged_npz_file_is_named(tmp_path, recorded):
    path = tmp_path / "damaged.npz"
    npz.write(recorded, path)
    content = bytearray(path.read_bytes())
    content[100:160] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.npz: array .* is not a readable NPZ file"):
        npz.read(path, OTHER)


def test_an_npz_file_is_never_unpickled(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, action=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="array 'action' is of type object; it has"):
        npz.read(path, OTHER)


def test_an_npz_file_that_lacks_an_array_names_it_and_what_it_has(tmp_path):
    path = tmp_path / "poor.npz"
    np.savez(path, action=np.zeros((3, 2)), episode_ends=[3])
    with pytest.raises(ValueError, match=r"lacks the array 'state'; it holds action, episode_ends"):
        npz.read(path, OTHER)


def test_arrays_of_a_file_that_do_not_fit_are_named_with_the_file(tmp_path, recorded):
    path = tmp_path / "unfit.npz"
    np.savez(path, action=recorded.actions, state=recorded.states, episode_ends=[3, 8])
    with pytest.raises(ValueError, match=r"unfit\.npz: .*last of episode_ends is 8"):
        npz.read(path, OTHER)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_store_gives_back_every_array(tmp_path, recorded, zarr_format):
    folder = write_store(recorded, tmp_path / "replay.zarr", zarr_format)
    read = zarr_file.read(folder, OTHER)
    assert_same(read, recorded)
    assert read.metadata == OTHER


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_store_is_found_inside_a_folder_and_inside_a_zip_file(
    tmp_path, recorded, zarr_format
):
    folder = tmp_path / "pusht"
    write_store(recorded, folder / "pusht_cchi_v7_replay.zarr", zarr_format)
    archive = tmp_path / "pusht.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.rglob("*"):
            packed.write(file, file.relative_to(tmp_path))
    assert_same(zarr_file.read(folder, OTHER), recorded)
    assert_same(zarr_file.read(archive, OTHER), recorded)


def test_a_zarr_store_that_lacks_an_array_names_it(tmp_path):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "poor.zarr"), mode="w").create_array(
        "data/action", data=np.zeros((3, 2))
    )
    with pytest.raises(ValueError, match=r"poor\.zarr lacks the array 'data/state'"):
        zarr_file.read(tmp_path / "poor.zarr", OTHER)


def test_what_holds_no_zarr_store_is_named(tmp_path):
    pytest.importorskip("zarr")
    (tmp_path / "notes.txt").write_text("no store")
    with pytest.raises(ValueError, match="holds no replay buffer"):
        zarr_file.read(tmp_path, OTHER)
    with pytest.raises(ValueError, match="neither a folder nor a ZIP file"):
        zarr_file.read(tmp_path / "notes.txt", OTHER)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        zarr_file.read(tmp_path / "nowhere", OTHER)


def test_without_the_zarr_package_the_error_names_the_extra(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "action"
    folder.mkdir(parents=True)
    (folder / ".zarray").write_text("{}")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r"pip install 'dpbench\[human\]'"):
        zarr_file.read(tmp_path, OTHER)


@pytest.mark.parametrize("extra", [np.array("hello"), np.array(3.0), np.array([None, {}])])
def test_what_is_no_table_of_numbers_is_left_alone_where_nothing_needs_it(
    tmp_path, recorded, extra
):
    path = tmp_path / "extra.npz"
    np.savez(path, action=recorded.actions, state=recorded.states, episode_ends=[3, 7], note=extra)
    assert npz.read(path, OTHER).observations == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array(1.0), "array 'state' is a single number; it needs a row a step"),
        (np.array(["a"] * 7), "array 'state' is of type <U1; it has to hold numbers"),
    ],
)
def test_a_needed_array_that_is_no_table_of_numbers_is_refused_by_name(
    tmp_path, recorded, wrong, message
):
    path = tmp_path / "wrong.npz"
    np.savez(path, action=recorded.actions, state=wrong, episode_ends=[3, 7])
    with pytest.raises(ValueError, match=message):
        npz.read(path, OTHER)


def test_a_header_that_claims_a_trillion_numbers_is_refused_before_they_are_allocated(
    tmp_path, recorded
):
    path = tmp_path / "huge.npz"
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 2)}
    with zipfile.ZipFile(path, "w") as archive, archive.open("action.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match=r"array 'action' claims 16,000,000,000,000 bytes; a file"):
        npz.read(path, OTHER)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in range(5):
            archive.writestr(f"{name}.npy", bytes(2**26))
    with pytest.raises(ValueError, match=r"bomb\.npz: its members claims 335,544,320 bytes"):
        npz.read(path, OTHER)


@pytest.mark.parametrize("name", ["../action.npy", "/action.npy"])
def test_a_member_with_a_path_out_of_the_archive_is_refused(tmp_path, name):
    path = tmp_path / "escape.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(ValueError, match="leads out of the archive"):
        npz.read(path, OTHER)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_with_a_missing_chunk_is_refused_by_array_and_number(
    tmp_path, recorded, zarr_format
):
    zarr = pytest.importorskip("zarr")
    folder = write_store(recorded, tmp_path / "half.zarr", zarr_format)
    group = zarr.open_group(str(folder), mode="a")
    del group["data/action"]
    group.create_array("data/action", data=recorded.actions, chunks=(2, 2))
    (folder / ("data/action/1.0" if zarr_format == 2 else "data/action/c/1/0")).unlink()
    with pytest.raises(ValueError, match=r"array 'data/action' has 3 of 4 chunks; .* zeros"):
        zarr_file.read(folder, OTHER)


def test_a_damaged_member_of_a_zipped_store_is_one_line_with_the_file(tmp_path, recorded):
    folder = write_store(recorded, tmp_path / "replay.zarr", 2)
    archive = tmp_path / "replay.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.rglob("*"):
            packed.write(file, file.relative_to(tmp_path))
        at = packed.getinfo("replay.zarr/data/state/0.0").header_offset + 80
    content = bytearray(archive.read_bytes())
    content[at] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=r"^\S*replay\.zip is not a readable ZIP .*Bad CRC-32"):
        zarr_file.read(archive, OTHER)

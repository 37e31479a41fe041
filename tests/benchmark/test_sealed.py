"""Files with a checksum: what is damaged is refused or set aside, never believed."""

import subprocess
from pathlib import Path

import pytest

from benchmark.sealed import is_whole, read_sealed, seal_of, set_aside, write_sealed


def test_a_file_gives_back_what_was_written_and_its_seal_is_of_sha256sum(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "a" / "numbers.json", "[1, 2]\n")
    assert read_sealed(path) == b"[1, 2]\n"
    checked = subprocess.run(
        ["sha256sum", "--check", seal_of(path).name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "numbers.json: OK\n"


@pytest.mark.parametrize("damage", [b"[1, 3]\n", b"", b"[1, 2]\n\0"])
def test_a_changed_file_is_refused_with_both_checksums(tmp_path: Path, damage: bytes) -> None:
    path = write_sealed(tmp_path / "numbers.json", "[1, 2]\n")
    path.write_bytes(damage)
    with pytest.raises(ValueError, match=r"numbers\.json was damaged or changed: .*; .* expects"):
        read_sealed(path)


def test_an_unreadable_seal_is_damage_too(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "numbers.json", "[1, 2]\n")
    seal_of(path).write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.numbers\.json\.sha256 is not a readable checksum"):
        read_sealed(path)


def test_a_damaged_working_file_is_said_set_aside_and_counts_as_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sealed(tmp_path / "numbers.json", "[1, 2]\n")
    assert is_whole(path)
    path.write_bytes(b"[1, 3]\n")
    assert not is_whole(path)
    assert not path.exists()
    assert (tmp_path / ".numbers.json.damaged").read_bytes() == b"[1, 3]\n"
    said = capsys.readouterr().out
    assert said.startswith(f"warning: {path} was damaged")
    assert said.count("\n") == 1
    write_sealed(path, "[1, 2]\n")
    assert is_whole(path)


def test_a_file_of_before_there_were_seals_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    path.write_bytes(b"[1, 2]\n")
    assert is_whole(path)
    assert read_sealed(path) == b"[1, 2]\n"


def test_the_next_damaged_folder_takes_the_place_of_the_last(tmp_path: Path) -> None:
    for content in ("first", "second"):
        (tmp_path / "checkpoint").mkdir()
        (tmp_path / "checkpoint" / "weights").write_text(content)
        set_aside(tmp_path / "checkpoint", ValueError("damaged"))
    assert (tmp_path / ".checkpoint.damaged" / "weights").read_text() == "second"

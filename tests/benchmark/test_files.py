"""Files appear whole or not at all."""

from pathlib import Path

import pytest

from benchmark.files import write_whole


def test_text_and_bytes_are_written_into_folders_that_do_not_exist_yet(tmp_path: Path) -> None:
    text = write_whole(tmp_path / "a" / "b.txt", "50 µs")
    data = write_whole(tmp_path / "a" / "c.bin", b"\x00\xff")
    assert text.read_bytes() == "50 µs".encode()
    assert data.read_bytes() == b"\x00\xff"


def test_a_failed_write_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_whole(tmp_path / "table.csv", "old")

    def broken(self: Path, target: Path) -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(OSError, match="disk gone"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]

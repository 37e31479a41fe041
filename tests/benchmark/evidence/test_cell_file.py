"""The evidence of a cell, and what damage to its file does."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmark.evidence import cell_file
from benchmark.evidence.cell_file import CellEvidence, read_cell, write_cell

EVIDENCE = CellEvidence(
    config=json.dumps({"method": "bet", "betas": [0.9, 0.95]}, indent=2),
    episodes=pd.DataFrame({"seed": [1, 2], "score": [0.1, 1.0], "evaluation": ["a", "b"]}),
    history=pd.DataFrame({"update": [1, 2], "loss": [0.5, float("nan")]}),
    machine={"processor": "x86_64, avx2"},
    measured={"paths.npz": bytes(range(256))},
)


def test_evidence_comes_back_as_it_was(tmp_path: Path) -> None:
    again = read_cell(write_cell(EVIDENCE, tmp_path / "cell.parquet"))
    assert again.config == EVIDENCE.config
    assert again.machine == EVIDENCE.machine
    assert again.measured == EVIDENCE.measured
    pd.testing.assert_frame_equal(again.episodes, EVIDENCE.episodes)
    pd.testing.assert_frame_equal(again.history, EVIDENCE.history)


def test_equal_evidence_gives_equal_bytes(tmp_path: Path) -> None:
    first, second = (write_cell(EVIDENCE, tmp_path / name) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def test_a_flipped_bit_is_never_read_as_other_data(tmp_path: Path) -> None:
    path = write_cell(EVIDENCE, tmp_path / "cell.parquet")
    content = path.read_bytes()
    refused = []
    for position in range(0, len(content), 7):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :]
        )
        try:
            again = read_cell(path)
        except ValueError as error:
            refused.append(str(error))
            continue
        pd.testing.assert_frame_equal(again.episodes, EVIDENCE.episodes)
        assert again.measured == EVIDENCE.measured
    assert all(str(path) in error for error in refused)
    assert len(refused) > 0.5 * len(range(0, len(content), 7))


def test_the_checksum_is_the_same_by_pandas_before_3_which_calls_text_object() -> None:
    text = pd.DataFrame({"method": pd.Series(["bet", "ibc"], dtype="str"), "score": [0.5, 1.0]})
    older = text.astype({"method": "object"})
    assert cell_file._digest(b"", older) == cell_file._digest(b"", text.astype({"method": "str"}))
    changed = older.assign(method=["bet", "bet"])
    assert cell_file._digest(b"", changed) != cell_file._digest(b"", older)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"{}"])
def test_a_file_that_is_no_evidence_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cell.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cell\.parquet"):
        read_cell(path)


def test_a_table_without_a_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cell.parquet"
    EVIDENCE.episodes.to_parquet(path)
    with pytest.raises(ValueError, match="was damaged or changed"):
        read_cell(path)

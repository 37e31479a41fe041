"""Parquet files that claim more than they can hold are refused before they are decoded."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.parquet import read_parquet
from envs.demos.files import FileError

PATH = Path("runs/history.parquet")
ROWS = 4321


def content(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", store_schema=False)
    return buffer.getvalue()


def varint(number: int) -> bytes:
    """As the footer of a Parquet file writes it."""
    left, out = 2 * number, b""
    while left >= 128:
        left, out = left >> 7, out + bytes([left & 127 | 128])
    return out + bytes([left])


@pytest.fixture
def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it began to decode")

    monkeypatch.setattr(pq.ParquetFile, "read", refuse)


def test_what_was_written_is_read() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), ["bet", "ibc"])
    table = pa.table({"score": [0.1, 0.2, None], "method": texts})
    found = read_parquet(PATH, content(table)).to_pydict()
    assert found == {"score": [0.1, 0.2, None], "method": ["bet", "ibc", None]}


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_footer_that_claims_a_million_million_rows_is_refused() -> None:
    whole = content(pa.table({"score": np.arange(ROWS) / ROWS}))
    data = whole.replace(b"\x16" + varint(ROWS), b"\x16" + varint(10**12))
    longer = len(data) - len(whole)
    assert longer > 0
    size = int.from_bytes(whole[-8:-4], "little") + longer
    data = data[:-8] + size.to_bytes(4, "little") + data[-4:]
    with pytest.raises(FileError, match=r"history\.parquet: its columns claims .* may unpack to"):
        read_parquet(PATH, data)


@pytest.mark.usefixtures("nothing_is_decoded")
def test_a_small_file_of_a_gigantic_column_is_refused() -> None:
    data = content(pa.table({"score": np.zeros(40_000_000, np.int8)}))
    assert len(data) < 200_000
    with pytest.raises(FileError, match="its columns claims"):
        read_parquet(PATH, data)


def test_one_long_text_in_every_row_is_refused_before_it_is_unpacked() -> None:
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), ["x" * 10**6])
    data = content(pa.table({"method": same}))
    assert len(data) < 200_000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(FileError, match="its texts claims 100,000,000,000 bytes"):
        read_parquet(PATH, data)
    assert pa.default_memory_pool().max_memory() < before + 2**27

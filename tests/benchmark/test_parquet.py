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


def padded(number: int, length: int) -> bytes:
    """The same number in so many bytes."""
    short = varint(number)
    more = length - len(short)
    return short[:-1] + bytes([short[-1] | 128]) + b"\x80" * (more - 1) + b"\0" if more else short


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


@pytest.mark.usefixtures("nothing_is_decoded")
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_gigantic_page_is_refused_whatever_the_footer_says(version: str) -> None:
    rows = 40_000_000
    buffer, table = io.BytesIO(), pa.table({"score": np.zeros(rows)})
    one_page = {"use_dictionary": False, "data_page_size": 2**30, "write_batch_size": rows}
    pq.write_table(table, buffer, rows, data_page_version=version, compression="zstd", **one_page)
    data = buffer.getvalue()
    column = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    pages, footer = data[: column.total_compressed_size], data[column.total_compressed_size :]
    for number in (rows, column.total_uncompressed_size):
        honest = varint(number)
        assert honest in footer
        footer = footer.replace(honest, padded(1000, len(honest)))
    with pytest.raises(FileError, match=r"its pages claims 320,\d{3},\d{3} bytes"):
        read_parquet(PATH, pages + footer)


KINDS = pa.table(
    {
        "number": np.random.default_rng(0).normal(size=ROWS),
        "text": [None if i % 7 == 0 else f"of {i % 30}" for i in range(ROWS)],
        "list": [[i] * (i % 3) for i in range(ROWS)],
        "flag": [i % 5 < 2 for i in range(ROWS)],
        "missing": pa.nulls(ROWS, pa.float64()),
    }
)


@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("rows", [0, 1, ROWS])
def test_pages_of_every_kind_are_walked(rows: int, version: str, dictionary: bool) -> None:
    table, buffer = KINDS.slice(0, rows), io.BytesIO()
    small = {"data_page_size": 1000, "row_group_size": 2000, "write_batch_size": 100}
    pq.write_table(
        table,
        buffer,
        data_page_version=version,
        compression="zstd",
        use_dictionary=dictionary,
        **small,
    )
    assert read_parquet(PATH, buffer.getvalue()).equals(table)


def refusal(data: bytes) -> str:
    try:
        read_parquet(PATH, data)
    except FileError as error:
        return str(error)
    return ""


def test_damaged_headers_of_pages_are_said_and_never_hang() -> None:
    data = content(pa.table({"score": np.arange(ROWS) / ROWS}))
    said = {
        refusal(data[:at] + bytes([value]) + data[at + 1 :])
        for at in range(4, 60)
        for value in range(0, 256, 5)
    } - {""}
    assert said
    assert all(each.startswith("runs/history.parquet") for each in said)


def test_one_long_text_in_every_row_is_refused_before_it_is_unpacked() -> None:
    same = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), ["x" * 10**6])
    data = content(pa.table({"method": same}))
    assert len(data) < 200_000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(FileError, match="its texts claims 100,000,000,000 bytes"):
        read_parquet(PATH, data)
    assert pa.default_memory_pool().max_memory() < before + 2**27

"""Parquet files, whose sizes are looked at before anything in them is decoded.

A footer of some bytes can claim any number of rows, the header of a page any size, and a dictionary
can stand for one long text in each row: a decoder allocates what it is told.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from envs.demos.files import SMALL, check_size, decoding

_NUMBER = 8
"""Bytes of a value, or more: numbers and indices of a dictionary have no more."""
# Types of Thrift's compact protocol, and fields of PageHeader (parquet.thrift of parquet-format).
_WIDTHS = {1: 1, 2: 1, 3: 1, 7: 8}
_INTEGERS, _BINARY, _LISTS, _STRUCT = (4, 5, 6), 8, (9, 10), 12
_UNPACKED, _PACKED = 2, 3


def read_parquet(path: Path, data: bytes) -> Any:
    """The table in the content of a Parquet file.

    Args:
        path: The file, for the error.
        data: Its content.

    Raises:
        FileError: If it is damaged, or claims more than a file of its size can hold.
    """
    with decoding(path, "Parquet file"):
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        footer, stored = file.metadata, len(data)
        groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
        columns = [group.column(i) for group in groups for i in range(group.num_columns)]
        values = [footer.num_rows, *(column.num_values for column in columns)]
        sizes = [column.total_uncompressed_size for column in columns]
        claimed = min(0, *values, *sizes) or sum(sizes) + _NUMBER * sum(values)
        check_size(path, "its columns", claimed, stored)
        pages = [size for column in columns for size in _page_sizes(data, column)]
        check_size(path, "its pages", min(0, 0, *pages) or sum(pages), stored)
        texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
        # A text is no longer than its column: mostly that says enough.
        longest = sum(column.num_values * column.total_uncompressed_size for column in texts)
        if longest > SMALL:
            names = sorted({column.path_in_schema for column in texts})
            check_size(path, "its texts", _characters(data, names), stored)
        return file.read()


def _page_sizes(data: bytes, column: Any) -> Iterator[int]:
    """Bytes that each page of a column unpacks to, as its own header says."""
    # Of a column without values a writer leaves 0, where the file has its mark and no page.
    offsets = (column.dictionary_page_offset, column.data_page_offset)
    at = min((offset for offset in offsets if offset), default=0)
    end = at + column.total_compressed_size
    while at < end:
        header, at = _integers(data, at)
        if header.get(_PACKED, -1) < 0 or _UNPACKED not in header:
            raise ValueError("the header of a page without its size")
        yield header[_UNPACKED]
        at += header[_PACKED]


def _integers(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """Integers of a struct in Thrift's compact protocol by their field, and where it ends."""
    found, field = {}, 0
    while kind := data[at] & 15:
        step, at = data[at] >> 4, at + 1
        if step:
            field += step
        else:
            field, at = _signed(data, at)
        if kind in _INTEGERS:
            found[field], at = _signed(data, at)
        elif kind not in (1, 2):  # a field that is true or false has no value of its own
            at = _end(data, at, kind)
    return found, at + 1


def _end(data: bytes, at: int, kind: int) -> int:
    """Where a value ends."""
    if kind in _WIDTHS:
        return at + _WIDTHS[kind]
    if kind in _INTEGERS:
        return _varint(data, at)[1]
    if kind == _BINARY:
        length, at = _varint(data, at)
        return at + length
    if kind == _STRUCT:
        return _integers(data, at)[1]
    if kind not in _LISTS:
        raise ValueError(f"a field of type {kind} in the header of a page")
    count, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if count == 15:
        count, at = _varint(data, at)
    if kind in _WIDTHS:
        return at + count * _WIDTHS[kind]
    for _ in range(count):
        at = _end(data, at, kind)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number of seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        number |= (data[at + shift // 7] & 127) << shift
        if data[at + shift // 7] < 128:
            return number, at + shift // 7 + 1
    raise ValueError("a number of more than 64 bits in the header of a page")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    """A signed number, its sign in the last bit, and where it ends."""
    number, at = _varint(data, at)
    return number >> 1 ^ -(number & 1), at


def _characters(data: bytes, names: list[str]) -> int:
    """Bytes of all texts of some columns, which stay packed meanwhile."""
    packed = pq.ParquetFile(pa.BufferReader(data), read_dictionary=names).read(columns=names)
    return sum(
        pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0
        for column in packed.columns
        for chunk in column.chunks
    )

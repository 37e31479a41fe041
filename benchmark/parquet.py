"""Parquet files, whose sizes are looked at before anything in them is decoded.

A footer of some bytes can claim any number of rows, and a dictionary can stand for one long text in
each of them: a decoder allocates what it is told.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from envs.demos.files import SMALL, check_size, decoding

_NUMBER = 8
"""Bytes of a value, or more: numbers and indices of a dictionary have no more."""


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
        texts = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
        # A text is no longer than its column: mostly that says enough.
        longest = sum(column.num_values * column.total_uncompressed_size for column in texts)
        if longest > SMALL:
            names = sorted({column.path_in_schema for column in texts})
            check_size(path, "its texts", _characters(data, names), stored)
        return file.read()


def _characters(data: bytes, names: list[str]) -> int:
    """Bytes of all texts of some columns, which stay packed meanwhile."""
    packed = pq.ParquetFile(pa.BufferReader(data), read_dictionary=names).read(columns=names)
    return sum(
        pc.sum(pc.take(pc.binary_length(chunk.dictionary), chunk.indices)).as_py() or 0
        for column in packed.columns
        for chunk in column.chunks
    )

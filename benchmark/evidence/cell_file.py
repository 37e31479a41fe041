"""The evidence of a cell: one Parquet file that says all there is to say of one trained policy.

A row is an episode, with every column of its evaluation; `evaluation` is the evaluation's id. The
file's metadata hold the cell's config, its training history, what studies measured of it, and the
machine, versions and date. A checksum covers all of it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.files import write_whole
from benchmark.parquet import read_parquet
from envs.demos.files import decoding, refuse

FORMAT = 1
_KEY, _DIGEST = b"dpbench", b"dpbench-blake2b"


@dataclass(frozen=True)
class CellEvidence:
    """What is kept of a cell."""

    config: str
    """The cell as JSON."""
    episodes: pd.DataFrame
    """A row an episode of every evaluation, named in the column `evaluation`."""
    history: pd.DataFrame
    """Training history, a row a checkpoint."""
    machine: Mapping[str, str] = field(default_factory=dict)
    """What it was trained on: processor, versions, date."""
    measured: Mapping[str, bytes] = field(default_factory=dict)
    """What studies measured of it, by the file's name in the cell's folder."""


def write_cell(evidence: CellEvidence, path: Path) -> Path:
    """Write the file of a cell, whole or not at all; equal evidence gives equal bytes."""
    told = {
        "format": FORMAT,
        "cell": json.loads(evidence.config),
        "history": evidence.history.to_dict("list"),
        "machine": dict(evidence.machine),
        "measured": {
            name: base64.b64encode(content).decode()
            for name, content in sorted(evidence.measured.items())
        },
    }
    text = json.dumps(told).encode()
    table = pa.Table.from_pandas(evidence.episodes, preserve_index=False)
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer, table.schema, compression="zstd", write_page_checksum=True
    ) as writer:
        writer.write_table(table)
        # Of the file alone: metadata of the schema would be written twice.
        writer.add_key_value_metadata({_KEY: text, _DIGEST: _digest(text, table.to_pandas())})
    return write_whole(path, buffer.getvalue())


def read_cell(path: Path) -> CellEvidence:
    """Read the file of a cell.

    Raises:
        ValueError: If the file is damaged, or no evidence of a cell.
    """
    table = read_parquet(path, path.read_bytes())
    with decoding(path, "Parquet file"):
        episodes = table.to_pandas()
    metadata = table.schema.metadata or {}
    text = metadata.get(_KEY, b"")
    if _digest(text, episodes).encode() != metadata.get(_DIGEST):
        raise refuse(
            path, "", "was damaged or changed: its checksum is another", "take it from git again"
        )
    told: dict[str, Any] = json.loads(text)
    if told["format"] != FORMAT:
        raise refuse(path, "", f"is of format {told['format']}", f"this version reads {FORMAT}")
    return CellEvidence(
        json.dumps(told["cell"], indent=2),
        episodes,
        pd.DataFrame(told["history"]),
        told["machine"],
        {name: base64.b64decode(content) for name, content in told["measured"].items()},
    )


def _digest(text: bytes, episodes: pd.DataFrame) -> str:
    """Of the metadata, and of the names, kinds and values of all columns."""
    # pandas before 3 calls a column of text "object".
    named = {str(name): str(kind) for name, kind in episodes.dtypes.items()}
    kinds = json.dumps({name: kind.replace("object", "str") for name, kind in named.items()})
    values = pd.util.hash_pandas_object(episodes, index=False).to_numpy().tobytes()
    return hashlib.blake2b(text + kinds.encode() + values, digest_size=16).hexdigest()

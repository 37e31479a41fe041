"""Thousands of damaged files: each is refused in one line with its name, made again, or harmless.

Every reader is given mutated files, in a process of its own whose peak is watched, by fixed seeds.
DPBENCH_BAD_FILES is how many a kind of file gets.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.bad_files import bomb, main
from tests.torture.file_kinds import KINDS
from tests.torture.forks import forked
from tests.torture.table import WRONG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(36000)]
COUNT = int(os.environ.get("DPBENCH_BAD_FILES", "300"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_bad_file_ends_in_a_traceback_a_hang_or_other_data(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for suffix in ("", ".npz", ".zip"):
        bomb(suffix)  # made here, it is in every copy of this process

    def run() -> int:
        os.environ["DPBENCH_CACHE"] = str(tmp_path / "cache")
        main(kind, COUNT, tmp_path)
        return 0

    code, said = forked(run, tmp_path / "said.txt").end(36000)
    assert code == 0, said[-3000:]
    counts = json.loads(said.splitlines()[-1])
    record_property("torture", (f"bad files: {kind}", counts))
    assert not set(WRONG) & set(counts), said[-3000:]
    assert sum(counts.values()) == COUNT

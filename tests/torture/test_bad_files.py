"""Thousands of damaged files: each is refused in one line with its name, made again, or harmless.

Every reader of demonstrations and of checkpoints is given mutated files, in a process of its own
whose peak is watched, by fixed seeds. DPBENCH_BAD_FILES is how many a format gets; run with -s, the
counts are printed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture.file_kinds import KINDS
from tests.torture.table import WRONG

pytestmark = [pytest.mark.slow, pytest.mark.timeout(36000)]
COUNT = int(os.environ.get("DPBENCH_BAD_FILES", "300"))


@pytest.mark.parametrize("kind", KINDS)
def test_no_bad_file_ends_in_a_traceback_a_hang_or_other_data(
    kind: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.bad_files", kind, str(COUNT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DPBENCH_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    record_property("torture", (f"bad files: {kind}", counts))
    assert not set(WRONG) & set(counts), done.stderr[-3000:]
    assert sum(counts.values()) == COUNT

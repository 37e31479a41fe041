"""Freed memory stays with the process, so that no page of it is fetched twice."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
PAGE_FAULTS = """
import resource, sys
import numpy as np
from benchmark.running.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(50_000_000, dtype=np.uint8)  # freed at once
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


def faults_of_the_last_of_equal_blocks(mode: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PAGE_FAULTS, mode], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_a_block_that_was_freed_is_given_out_again_without_a_page_fault() -> None:
    assert faults_of_the_last_of_equal_blocks("keep") < 10
    assert faults_of_the_last_of_equal_blocks("default") >= 10  # or there is nothing to keep

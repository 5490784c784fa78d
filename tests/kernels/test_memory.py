"""What is asked of the allocators of C and of NumPy."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

TELL = """
from numpy._core import multiarray
print(multiarray._get_madvise_hugepage(), end=" ")
import minigrad
print(multiarray._get_madvise_hugepage())
"""
FAULTS = """
import resource
import minigrad
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(4_000_000).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults(), faults())
"""


def said_by(program: str, **environment: str) -> list[str]:
    kept = {name: value for name, value in os.environ.items() if name != "NUMPY_MADVISE_HUGEPAGE"}
    run = subprocess.run([sys.executable, "-c", program], env=kept | environment, capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="NumPy asks only Linux for huge pages")
@pytest.mark.parametrize(
    ("wanted", "expected"), [({}, "False"), ({"NUMPY_MADVISE_HUGEPAGE": "1"}, "True"), ({"NUMPY_MADVISE_HUGEPAGE": "0"}, "False")]
)
def test_numpy_asks_for_huge_pages_only_where_the_user_says_so(wanted: dict[str, str], expected: str):
    before, after = said_by(TELL, **wanted)
    assert after == expected
    assert wanted or before == "True", "NumPy does not ask anyway: then small_pages() can go"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told to keep memory")
def test_memory_that_was_freed_has_its_pages_still():
    first, second = map(int, said_by(FAULTS))
    assert first > 1000, "32 MB are 7,813 pages of 4 KB"
    assert second < 100

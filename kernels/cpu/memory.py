"""Memory that is freed stays with the process, and is made of small pages.

Every operation makes an array of a few megabytes and frees it soon after. By default glibc gives such memory back to the
system each time, and the system hands out new pages one by one, each filled with zeros: a third of the time of a training
step. Three settings of malloc keep it instead. Other systems' allocators do this by themselves or cannot be told.

NumPy asks Linux for huge pages, of 2 MB, for every large array. In these, addresses count in memory as they do in the program,
and a loop that writes a few bytes beyond a multiple of 1 MB behind what it reads takes up to six times as long, on the Xeon of
our tables: `python benchmarks/pages.py`. That is where the result of an operation usually lies, since shapes are round numbers
and malloc puts 16 bytes between two arrays. In pages of 4 KB the same loop does not mind.
"""

from __future__ import annotations

import ctypes
import os
import sys

from numpy._core import multiarray

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # from malloc.h


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep what is freed; returns whether it listened."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    large = mallopt(M_MMAP_THRESHOLD, 1 << 30) or mallopt(M_MMAP_THRESHOLD, 1 << 25)  # older ones take 32 MB at most
    return bool(large and mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1) and mallopt(M_TOP_PAD, 64 << 20))


def small_pages() -> bool:
    """Tell NumPy not to ask for huge pages, unless NUMPY_MADVISE_HUGEPAGE is set; returns whether it listened."""
    tell = getattr(multiarray, "_set_madvise_hugepage", None)
    if tell is None or "NUMPY_MADVISE_HUGEPAGE" in os.environ:
        return False
    tell(False)
    return True

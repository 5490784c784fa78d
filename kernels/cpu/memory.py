"""Memory that is freed stays with the process.

Every operation makes an array of a few megabytes and frees it soon after. By default glibc gives such memory back to the
system each time, and the system hands out new pages one by one, each filled with zeros: a third of the time of a training
step. Three settings of malloc keep it instead. Other systems' allocators do this by themselves or cannot be told.
"""

from __future__ import annotations

import ctypes
import sys

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

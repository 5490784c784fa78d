"""Sums over rows: the gradient of whatever was added to each of them, a bias above all."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .jit import available, dense, get_num_threads, jit, prange
from .layout import folded, wide

SMALL = 30_000  # numbers
TINY = 512  # below, a product takes half as long as NumPy's sum, which has more to find out

_ones = cache(np.ones)


@jit("F[:,::1], F[:,::1]")
def _sum_rows(x, partial):
    """Each thread adds up some of the rows, in an order that does not depend on timing."""
    parts, rows = len(partial), len(x)
    for p in prange(parts):
        total = partial[p]
        total[:] = 0
        for i in range(p * rows // parts, (p + 1) * rows // parts):
            for j in range(x.shape[1]):
                total[j] += x[i, j]


def sum_rows(x: np.ndarray) -> Any:
    """Sum over all dimensions but the last; NotImplemented where NumPy is as good."""
    if x.ndim == 2 and x.size < SMALL:
        return _ones(len(x), x.dtype).dot(x) if x.size < TINY and x.dtype.char in "fd" else np.add.reduce(x, 0)
    if x.size < SMALL or x.dtype.kind != "f" or x.dtype.itemsize not in (4, 8) or x.ndim < 2:
        return NotImplemented
    if not available():  # a product takes half as long as NumPy's sum
        return np.ones(x.size // x.shape[-1], x.dtype) @ x.reshape(-1, x.shape[-1]) if x.flags.carray else NotImplemented
    rows = wide(dense(x).reshape(-1, x.shape[-1]))
    partial = np.empty((get_num_threads(), rows.shape[1]), x.dtype)
    _sum_rows(rows, partial)
    return folded(partial, x.shape[-1])

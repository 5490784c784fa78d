"""Sums, over everything or over some dimensions; over rows they are the gradient of whatever was added to each, as a bias is.

NumPy adds up with one thread. Here all do, and float32 is as exact: the sums of short pieces are added as float64.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from .jit import available, dense, get_num_threads, jit, prange
from .layout import FLOATS, flat, folded, wide

SMALL = 30_000  # numbers
LARGE = 50_000  # numbers, from which on NumPy's sums over whole arrays are slower
PIECE = 4096  # numbers
TINY = 512  # below, a product takes half as long as NumPy's sum, which has more to find out

ones = cache(np.ones)  # asked by characters, since a dtype takes long to hash


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
        char = x.dtype.char
        return ones(len(x), char).dot(x) if x.size < TINY and char in "fd" else np.add.reduce(x, 0)
    if x.size < SMALL or x.dtype.kind != "f" or x.dtype.itemsize not in (4, 8) or x.ndim < 2:
        return NotImplemented
    if not available():  # a product takes half as long as NumPy's sum
        return np.ones(x.size // x.shape[-1], x.dtype) @ x.reshape(-1, x.shape[-1]) if x.flags.carray else NotImplemented
    rows = wide(dense(x).reshape(-1, x.shape[-1]))
    partial = np.empty((get_num_threads(), rows.shape[1]), x.dtype)
    _sum_rows(rows, partial)
    return folded(partial, x.shape[-1])


@jit("F[:,::1], F[::1]")
def _sums(x, out):
    """The sum of each row."""
    for i in prange(len(x)):
        total = 0.0
        for first in range(0, x.shape[1], PIECE):
            piece, part = x[i, first : first + PIECE], x.dtype.type(0)
            for j in range(piece.size):
                part += piece[j]
            total += part
        out[i] = total


def _sum_of_rows(rows: np.ndarray) -> np.ndarray:
    out = np.empty(len(rows), rows.dtype)
    _sums(rows, out)
    return out


def sum(x: np.ndarray, *, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Over everything, the last dimensions or the first ones; NotImplemented for others, and where NumPy is as good.

    >>> sum(np.ones((300, 200)), dim=1).shape, sum(np.ones((300, 200)), dim=(0, 1))
    ((300,), array(60000.))
    """
    if x.size < LARGE or x.dtype not in FLOATS or dtype is not None or not available():
        return NotImplemented
    dims = range(x.ndim) if dim is None else dim if isinstance(dim, (tuple, list)) else (dim,)
    over = {d + x.ndim if d < 0 else d for d in dims}
    rest = x.ndim - len(over)
    if not over or len(over) < len(dims):
        return NotImplemented
    if over == set(range(x.ndim)) and (numbers := flat(x)) is not None:
        whole = len(numbers) // PIECE * PIECE
        parts = _sum_of_rows(numbers[:whole].reshape(-1, PIECE))
        out = np.array(parts.sum(dtype=np.float64) + numbers[whole:].sum(dtype=np.float64), x.dtype)
    elif over == set(range(rest, x.ndim)) and x.flags.carray:
        out = _sum_of_rows(x.reshape(-1, math.prod(x.shape[rest:])))
    elif over == set(range(len(over))) and x.flags.carray:
        out = sum_rows(x.reshape(math.prod(x.shape[: len(over)]), -1))
    else:
        return NotImplemented
    return out.reshape([1 if d in over else n for d, n in enumerate(x.shape) if keepdim or d not in over])


def mean(x: np.ndarray, *, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """As `sum`, divided by how many there are."""
    total = sum(x, dim=dim, keepdim=keepdim, dtype=dtype)
    return total if total is NotImplemented else np.asarray(total / x.dtype.type(x.size // total.size))

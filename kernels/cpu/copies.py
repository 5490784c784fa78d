"""Copies in another order: what `x.T.contiguous()` makes, or channels first of channels last.

1. NumPy reads a column after the other. Where rows are a power of two apart, their beginnings compete for the same few places
   in the cache, and every number brings 64 bytes from memory of which it uses 4.
2. Compiled, by blocks of 16 x 16: all of each line of the cache is used while it is there. By all threads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .jit import available, jit, prange
from .layout import FLOATS

SMALL = 50_000  # numbers
SIDE = 16  # numbers of a block: of float32, a line of the cache


@jit("F[:,:,::1], F[:,:,::1]")
def _transpose(x, out):
    """Swap rows and columns of each matrix."""
    matrices, rows, columns = x.shape
    bands = (rows + SIDE - 1) // SIDE
    for part in prange(matrices * bands):
        matrix, top = part // bands, part % bands * SIDE
        for left in range(0, columns, SIDE):
            block = x[matrix, top : top + SIDE, left : left + SIDE]
            into = out[matrix, left : left + SIDE, top : top + SIDE]
            for j in range(block.shape[1]):
                for i in range(block.shape[0]):
                    into[j, i] = block[i, j]


def in_order(x: np.ndarray) -> Any:
    """A copy with its elements in row-major order, where x is such an array with two groups of dimensions swapped.

    >>> x = np.zeros((8, 200, 100), np.float32)
    >>> in_order(x.transpose(0, 2, 1)).flags.c_contiguous, in_order(x)
    (True, NotImplemented)
    """
    if x.size < SMALL or x.dtype not in FLOATS:
        return NotImplemented
    order = sorted(range(x.ndim), key=lambda dim: -x.strides[dim])  # as the dimensions lie in memory
    first = next((dim for dim in range(x.ndim) if order[dim] != dim), x.ndim)
    split = order[first] if first < x.ndim else first
    swapped = [*range(first), *range(split, x.ndim), *range(first, split)]
    if first == x.ndim or order != swapped or not (there := x.transpose(order)).flags.carray or not available():
        return NotImplemented
    rows, columns = math.prod(x.shape[split:]), math.prod(x.shape[first:split])
    out = np.empty(x.shape, x.dtype)
    _transpose(there.reshape(-1, rows, columns), out.reshape(-1, columns, rows))
    return out

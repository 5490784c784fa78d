"""All gradients of a linear layer at once: one call, and one loop over the threads, in place of three.

With Y = X Wᵀ + b and G, the gradient of Y:  dX = G W,  dW = Gᵀ X,  db = the sum of G's rows. None waits for another, so
a thread goes on from its part of the first to its part of the second, and G is in the cache then.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from .blas import PLAIN, TRANSPOSED, blas, restored, running, sequential
from .jit import available, dense, get_num_threads, jit, prange
from .matmul import SHARED, SMALL, TINY, multiply, part, region
from .sums import ones

_none = cache(np.empty)


@jit("i8, i8, i8, i8[::1], i8, F[:,::1], F[:,::1], F[:,::1], F[:,::1], F[:,::1], F[::1]")
def _slopes(address, get_threads, set_threads, running, parts, g, x, weight, gx, gweight, gbias):
    """What has no elements is not wanted."""
    sequential(get_threads, set_threads, running)
    if parts == 1:
        _part_of_slopes(0, 1, address, g, x, weight, gx, gweight, gbias)
    else:
        for p in prange(parts):
            _part_of_slopes(p, parts, address, g, x, weight, gx, gweight, gbias)
    restored(set_threads, running)


@jit(parallel=False)
def _part_of_slopes(p, parts, address, g, x, weight, gx, gweight, gbias):
    if gx.size:
        multiply(address, PLAIN, PLAIN, g, weight, gx, *region(p, parts, *gx.shape))
    if gweight.size:
        multiply(address, TRANSPOSED, PLAIN, g, x, gweight, *region(p, parts, *gweight.shape))
    if gbias.size:
        first, last = part(p, parts, len(gbias), 16)
        total = gbias[first:last]
        total[:] = 0
        for i in range(len(g)):
            row = g[i, first:last]
            for j in range(total.size):
                total[j] += row[j]


def linear_slopes(g: np.ndarray, needs: list[bool], *kept: np.ndarray) -> Any:
    """The gradients of input, weight and bias, None for what is not needed; NotImplemented where no kernel applies.

    Args:
        g: gradient of the result, (..., features out).
        needs: which of the three are needed.
        kept: the input if the weight's gradient is needed, the weight if the input's is.

    >>> linear_slopes(np.ones((2, 1)), [False, True, True], np.array([[1.0, 2.0], [3.0, 4.0]]))
    [None, array([[4., 6.]]), array([2.])]
    """
    if not kept:
        return NotImplemented
    for_input, for_weight, for_bias = needs
    x, weight = kept[0], kept[-1]  # one and the same, where the other is not needed
    flat = g.ndim == 2
    if flat and g.size + x.size + weight.size < TINY:
        return [
            g.dot(weight) if for_input else None,
            g.T.dot(x) if for_weight else None,
            ones(len(g), g.dtype.char).dot(g) if for_bias else None,
        ]
    dtype, features = g.dtype, weight.shape[-1]
    if g.ndim < 2 or dtype.char not in "fd" or dtype is not x.dtype or dtype is not weight.dtype:
        return NotImplemented
    work = g.size * features * (for_input + for_weight)
    if work < SMALL or not available() or (library := blas()) is None:
        return NotImplemented
    rows = dense(g).reshape(-1, g.shape[-1])
    empty = _none((0, features), dtype)
    gx = np.empty((len(rows), features), dtype) if for_input else empty
    gweight = np.empty((rows.shape[1], features), dtype) if for_weight else empty
    gbias = np.empty(rows.shape[1] if for_bias else 0, dtype)
    x = dense(x).reshape(-1, features) if for_weight else empty
    weight = dense(weight) if for_input else empty
    parts = get_num_threads() if work >= SHARED else 1
    _slopes(
        library.gemm(dtype), library.get_threads, library.set_threads, running, parts, rows, x, weight, gx, gweight, gbias
    )
    return [
        gx.reshape((*g.shape[:-1], features)) if for_input else None,
        gweight if for_weight else None,
        gbias if for_bias else None,
    ]

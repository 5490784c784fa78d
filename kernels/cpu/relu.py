"""ReLU and its slope by all threads: nothing to compute, only memory to read and write."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import available, jit, prange
from .layout import FLOATS, flat, flat_like

SMALL = 50_000  # numbers


@jit("F[::1], F[::1]")
def _relu(x, out):
    zero = x.dtype.type(0)
    for i in prange(len(x)):
        out[i] = zero if x[i] <= zero else x[i]  # NaN stays


@jit("F[::1], F[::1], F[::1]")
def _relu_slope(g, y, out):
    zero = g.dtype.type(0)
    for i in prange(len(g)):
        out[i] = g[i] if y[i] > zero else zero


def relu(x: np.ndarray) -> Any:
    """max(x, 0); NotImplemented where NumPy is as good."""
    if x.size < SMALL or x.dtype not in FLOATS or (numbers := flat(x)) is None or not available():
        return NotImplemented
    out = np.empty_like(x)
    _relu(numbers, out.ravel("K"))
    return out


def relu_slope(g: np.ndarray, y: np.ndarray) -> Any:
    """g where the result y is above 0; NotImplemented where NumPy is as good."""
    if g.size < SMALL or g.dtype not in FLOATS or g.dtype != y.dtype or g.shape != y.shape:
        return NotImplemented
    if (numbers := flat(y)) is None or not available():
        return NotImplemented
    out = np.empty_like(y)
    _relu_slope(flat_like(g, y), numbers, out.ravel("K"))
    return out

"""Softmax and log-softmax of rows, a row at a time while it is in the cache.

NumPy makes five passes over memory (largest, difference, exp, sum, quotient); here a row is read once and written once.
A row of nothing but -inf is NaN, except for the safe softmax of attention, which gives zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementary import exp, maximum
from .jit import jit, prange
from .rows import as_rows, pays


@jit("F[::1]", parallel=False)
def largest(row):
    peak = row[0]
    for i in range(row.size):
        peak = maximum(peak, row[i])
    return peak


@jit("F[:,::1], F[:,::1], int64")
def _softmax(x, out, safe):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for r in prange(x.shape[0]):
        peak = largest(x[r])
        if safe and not np.isfinite(peak):
            peak = zero
        total = zero
        for i in range(x.shape[1]):
            e = out[r, i] = exp(x[r, i] - peak)
            total += e
        scale = one / total if total != zero else zero  # 0 only in the safe case
        for i in range(x.shape[1]):
            out[r, i] *= scale


@jit("F[:,::1], F[:,::1], F[:,::1]")
def _softmax_slope(g, out, gx):
    for r in prange(out.shape[0]):
        total = out.dtype.type(0)
        for i in range(out.shape[1]):
            total += g[r, i] * out[r, i]
        for i in range(out.shape[1]):
            gx[r, i] = out[r, i] * (g[r, i] - total)


@jit("F[:,::1], F[:,::1]")
def _log_softmax(x, out):
    for r in prange(x.shape[0]):
        peak, total = largest(x[r]), x.dtype.type(0)
        for i in range(x.shape[1]):
            total += exp(x[r, i] - peak)
        shift = np.log(total)
        for i in range(x.shape[1]):
            out[r, i] = (x[r, i] - peak) - shift


@jit("F[:,::1], F[:,::1], F[:,::1]")
def _log_softmax_slope(g, out, gx):
    for r in prange(out.shape[0]):
        total = out.dtype.type(0)
        for i in range(out.shape[1]):
            total += g[r, i]
        for i in range(out.shape[1]):
            gx[r, i] = g[r, i] - exp(out[r, i]) * total


def _along_rows(x: np.ndarray, dim: int, *others: np.ndarray) -> bool:
    return x.ndim > 0 and dim in (-1, x.ndim - 1) and pays(x, *others)


def softmax(x: np.ndarray, *, dim: int, dtype: Any = None) -> Any:
    return NotImplemented if dtype is not None or not _along_rows(x, dim) else _each_row(_softmax, x, 0)


def safe_softmax(x: np.ndarray, *, dim: int) -> Any:
    return _each_row(_softmax, x, 1) if _along_rows(x, dim) else NotImplemented


def log_softmax(x: np.ndarray, *, dim: int, dtype: Any = None) -> Any:
    return NotImplemented if dtype is not None or not _along_rows(x, dim) else _each_row(_log_softmax, x)


def softmax_slope(g: np.ndarray, out: np.ndarray, dim: int) -> Any:
    return _each_row_slope(_softmax_slope, g, out) if _along_rows(out, dim, g) else NotImplemented


def log_softmax_slope(g: np.ndarray, out: np.ndarray, dim: int) -> Any:
    return _each_row_slope(_log_softmax_slope, g, out) if _along_rows(out, dim, g) else NotImplemented


def _each_row(kernel: Any, x: np.ndarray, *more: Any) -> np.ndarray:
    out = np.empty(x.shape, x.dtype)
    kernel(as_rows(x, x.shape[-1]), out.reshape(-1, x.shape[-1]), *more)
    return out


def _each_row_slope(kernel: Any, g: np.ndarray, out: np.ndarray) -> np.ndarray:
    gx, size = np.empty(out.shape, out.dtype), out.shape[-1]
    kernel(as_rows(g, size), as_rows(out, size), gx.reshape(-1, size))
    return gx

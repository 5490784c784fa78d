"""Layer norm and RMS norm.

1. The formula makes an array for each of its steps: nine forward, and each is written to memory and read again.
2. NumPy alone: the same with fewer arrays; the normalised rows and 1 / standard deviation are kept for the backward pass.
3. Compiled: a row stays in the cache while all is done to it, so that memory is read once and written once. Only mean and
   1 / standard deviation are kept, two numbers for each row: to normalise again is cheaper than to read what was kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .jit import get_num_threads, jit, prange
from .rows import as_rows, given_or, pays, per_thread


@jit("F", parallel=False)
def rsqrt(x):
    """1 / sqrt(x), in float64: for float32 the compiler would take an estimate that makes NaN of infinity."""
    return type(x)(1 / np.sqrt(np.float64(x)))


@jit("F[:,::1], F[::1], F[::1], F, F[:,::1], F[::1], F[::1]")
def _forward(x, weight, bias, eps, out, means, rstds):
    n = x.dtype.type(x.shape[1])
    for r in prange(x.shape[0]):
        total = x.dtype.type(0)
        for i in range(x.shape[1]):
            total += x[r, i]
        mean = total / n
        squares = x.dtype.type(0)
        for i in range(x.shape[1]):
            squares += (x[r, i] - mean) * (x[r, i] - mean)
        rstd = rsqrt(squares / n + eps)
        means[r], rstds[r] = mean, rstd
        for i in range(x.shape[1]):
            out[r, i] = (x[r, i] - mean) * rstd * weight[i] + bias[i]


@jit("F[:,::1], F[:,::1], F[::1], F[::1], F[::1], F[:,::1], F[:,::1], F[:,::1]")
def _backward(g, x, weight, means, rstds, gx, gweight, gbias):
    rows, n, threads = x.shape[0], x.dtype.type(x.shape[1]), gweight.shape[0]
    for part in prange(threads):
        for i in range(x.shape[1]):
            gweight[part, i] = 0
            gbias[part, i] = 0
        for r in range(part * rows // threads, (part + 1) * rows // threads):
            mean, rstd = means[r], rstds[r]
            total = along = x.dtype.type(0)
            for i in range(x.shape[1]):
                y = (x[r, i] - mean) * rstd
                h = g[r, i] * weight[i]
                total += h
                along += h * y
                gweight[part, i] += g[r, i] * y
                gbias[part, i] += g[r, i]
            total /= n
            along /= n
            for i in range(x.shape[1]):
                y = (x[r, i] - mean) * rstd
                gx[r, i] = rstd * (g[r, i] * weight[i] - total - y * along)


def layer_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, *, dims: tuple[int, ...], eps: float
) -> Any:
    mixed = any(a is not None and a.dtype != x.dtype for a in (weight, bias))
    if x.dtype.kind != "f" or x.dtype.itemsize < 4 or not x.size or mixed:
        return NotImplemented
    rows = as_rows(x, math.prod(x.shape[x.ndim - len(dims) :]))
    if pays(x):
        out, means, rstds = np.empty_like(rows), np.empty(len(rows), x.dtype), np.empty(len(rows), x.dtype)
        _forward(rows, given_or(weight, 1, rows), given_or(bias, 0, rows), x.dtype.type(eps), out, means, rstds)
        return out.reshape(x.shape), (None, means, rstds)
    n = x.dtype.type(rows.shape[1])
    normal = rows - (np.einsum("ij->i", rows) / n)[:, None]  # NumPy's `mean` of short rows takes three times as long
    variance = np.einsum("ij,ij->i", normal, normal) / n
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))[:, None]
    normal *= rstd
    out = normal * weight.reshape(-1) if weight is not None else normal.copy()
    if bias is not None:
        out += bias.reshape(-1)
    return out.reshape(x.shape), (normal, None, rstd)


def layer_norm_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, weight: Any, bias: Any, *, dims: Any, eps: float
) -> list:
    """With y = normalised x and h = g * weight:  dx = (h - mean(h) - y * mean(h * y)) / std."""
    normal, means, rstd = kept
    rows = as_rows(g, math.prod(x.shape[x.ndim - len(dims) :]))
    gx = gweight = gbias = None
    if normal is None:
        gx, gweight, gbias = _compiled_backward(rows, as_rows(x, rows.shape[1]), weight, means, rstd)
        shapes = [a if a is None else a.shape for a in (x, weight, bias)]
        return [a.reshape(s) if need else None for a, need, s in zip((gx, gweight, gbias), needs, shapes)]
    if needs[0]:
        h = rows * weight.reshape(-1) if weight is not None else rows.copy()
        n = x.dtype.type(rows.shape[1])
        along = np.einsum("ij,ij->i", h, normal)[:, None] / n
        h -= (np.einsum("ij->i", h) / n)[:, None]
        h -= normal * along
        h *= rstd
        gx = h.reshape(x.shape)
    if needs[1]:
        gweight = np.einsum("ij,ij->j", rows, normal).reshape(weight.shape)
    if needs[2]:
        gbias = rows.sum(axis=0).reshape(bias.shape)
    return [gx, gweight, gbias]


def _compiled_backward(g: np.ndarray, x: np.ndarray, weight: Any, means: np.ndarray, rstds: np.ndarray) -> Any:
    threads, gx = get_num_threads(), np.empty_like(x)
    gweight, gbias = per_thread(x, threads), per_thread(x, threads)
    _backward(g, x, given_or(weight, 1, x), means, rstds, gx, gweight, gbias)
    return gx, gweight.sum(0), gbias.sum(0)


# ---------------------------------------------------------------------------------------------------------- RMS norm


@jit("F[:,::1], F[::1], F, F[:,::1], F[::1]")
def _rms_forward(x, weight, eps, out, rstds):
    n = x.dtype.type(x.shape[1])
    for r in prange(x.shape[0]):
        squares = x.dtype.type(0)
        for i in range(x.shape[1]):
            squares += x[r, i] * x[r, i]
        rstd = rstds[r] = rsqrt(squares / n + eps)
        for i in range(x.shape[1]):
            out[r, i] = x[r, i] * rstd * weight[i]


@jit("F[:,::1], F[:,::1], F[::1], F[::1], F[:,::1], F[:,::1]")
def _rms_backward(g, x, weight, rstds, gx, gweight):
    rows, n, threads = x.shape[0], x.dtype.type(x.shape[1]), gweight.shape[0]
    for part in prange(threads):
        for i in range(x.shape[1]):
            gweight[part, i] = 0
        for r in range(part * rows // threads, (part + 1) * rows // threads):
            rstd, along = rstds[r], x.dtype.type(0)
            for i in range(x.shape[1]):
                y = x[r, i] * rstd
                along += g[r, i] * weight[i] * y
                gweight[part, i] += g[r, i] * y
            along /= n
            for i in range(x.shape[1]):
                gx[r, i] = rstd * (g[r, i] * weight[i] - x[r, i] * rstd * along)


def rms_norm(x: np.ndarray, weight: np.ndarray | None, *, dims: tuple[int, ...], eps: float) -> Any:
    if not pays(x, weight):
        return NotImplemented
    rows = as_rows(x, math.prod(x.shape[x.ndim - len(dims) :]))
    out, rstds = np.empty_like(rows), np.empty(len(rows), x.dtype)
    _rms_forward(rows, given_or(weight, 1, rows), x.dtype.type(eps), out, rstds)
    return out.reshape(x.shape), rstds


def rms_norm_backward(
    g: np.ndarray, needs: list[bool], rstds: np.ndarray, x: np.ndarray, weight: Any, *, dims: Any, eps: float
) -> list:
    """As for layer norm, without the mean."""
    rows = as_rows(x, math.prod(x.shape[x.ndim - len(dims) :]))
    gx, gweight = np.empty_like(rows), per_thread(rows, get_num_threads())
    _rms_backward(as_rows(g, rows.shape[1]), rows, given_or(weight, 1, rows), rstds, gx, gweight)
    return [gx.reshape(x.shape), gweight.sum(0).reshape(weight.shape) if needs[1] else None]

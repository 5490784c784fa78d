"""Batch norm in two passes forward and two backward, over rows of channels.

1. The formula makes an array for each of its steps, and twice as many backward.
2. NumPy alone: one array forward and one backward, each worked on in place.
3. Compiled, where the channels of a pixel lie side by side:

Mean and variance are found by blocks of rows that stay in the cache, each around its own mean, and joined by the formula
of Chan, Golub and LeVeque (1979): as exact as two passes over everything, for the price of one.

Where a pixel has few channels, several are taken as one row (`wide`): loops over 16 numbers are done before they are
fast. What belongs to a channel is then repeated, and sums are folded in the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import available, get_num_threads, jit, prange
from .layout import FLOATS, count, folded, from_rows, is_channels_last, repeated, rows, wide

SMALL = 20_000  # numbers
BLOCK = 16_384  # numbers


@jit("F[:,::1], F[:,::1], F[:,::1]")
def _moments(x, means, squares):
    """Mean of each block of rows, and the sum of squares around it."""
    blocks, n = len(means), len(x)
    for p in prange(blocks):
        first, last = p * n // blocks, (p + 1) * n // blocks
        mean, square = means[p], squares[p]
        mean[:] = 0
        square[:] = 0
        for i in range(first, last):
            for c in range(x.shape[1]):
                mean[c] += x[i, c]
        for c in range(x.shape[1]):
            mean[c] /= x.dtype.type(last - first)
        for i in range(first, last):
            for c in range(x.shape[1]):
                square[c] += (x[i, c] - mean[c]) * (x[i, c] - mean[c])


@jit("F[:,::1], F[::1], F[::1], F[::1], F[:,::1]")
def _normalize(x, mean, scale, shift, out):
    for i in prange(len(x)):
        for c in range(x.shape[1]):
            out[i, c] = (x[i, c] - mean[c]) * scale[c] + shift[c]


@jit("F[:,::1], F[:,::1], F[::1], F[:,::1], F[:,::1]")
def _slopes(g, x, mean, sums, products):
    """Of each part of the rows the sum of g, and of g times the centred x."""
    parts, n = len(sums), len(x)
    for p in prange(parts):
        total, product = sums[p], products[p]
        total[:] = 0
        product[:] = 0
        for i in range(p * n // parts, (p + 1) * n // parts):
            for c in range(x.shape[1]):
                total[c] += g[i, c]
                product[c] += g[i, c] * (x[i, c] - mean[c])


@jit("F[:,::1], F[:,::1], F[::1], F[::1], F[::1], F[::1], F[:,::1]")
def _input_slope(g, x, mean, scale, constant, linear, out):
    for i in prange(len(x)):
        for c in range(x.shape[1]):
            out[i, c] = scale[c] * (g[i, c] - constant[c] - (x[i, c] - mean[c]) * linear[c])


def batch_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, *, over: tuple[int, ...], eps: float, found: list
) -> Any:
    """Forward pass of the composition `standardize` where it is over all dimensions but the channels."""
    mixed = any(a is not None and a.dtype != x.dtype for a in (weight, bias))
    if x.size < SMALL or over != (0, *range(2, x.ndim)) or x.dtype not in FLOATS or mixed:
        return NotImplemented
    if not is_channels_last(x) or not available():
        return _numpy_batch_norm(x, weight, bias, eps, found)
    table, n, channels = wide(rows(x)), count(x.shape), x.shape[1]
    pixels = table.shape[1] // channels
    blocks = max(1, min(len(table), x.size // BLOCK))
    means, squares = (np.empty((blocks, table.shape[1]), x.dtype) for _ in range(2))
    _moments(table, means, squares)
    sizes = np.diff(np.arange(blocks + 1) * len(table) // blocks).astype(x.dtype)[:, None]
    mean = folded(sizes * means, channels) / x.dtype.type(n)
    variance = folded(squares + sizes * np.square(means - repeated(mean, pixels)), channels) / x.dtype.type(n)
    found.append((mean, variance))
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
    scale, shift = rstd if weight is None else rstd * weight, np.zeros_like(mean) if bias is None else bias
    out = np.empty_like(table)
    _normalize(table, *(repeated(a, pixels) for a in (mean, scale, shift)), out)
    return from_rows(out.reshape(-1, channels), x.shape), (mean, rstd, True)


def batch_norm_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, weight: Any, bias: Any, *, over: Any, eps: float, found: list
) -> list:
    """With y = normalised x and h = g * weight:  dx = (h - mean(h) - y * mean(h * y)) / std."""
    mean, rstd, compiled = kept
    if not compiled:
        return _numpy_slopes(g, needs, mean, rstd, x, weight)
    table, channels = wide(rows(x)), x.shape[1]
    pixels = table.shape[1] // channels
    slopes, centre = rows(g).reshape(table.shape), repeated(mean, pixels)
    sums, products = (np.empty((get_num_threads(), table.shape[1]), x.dtype) for _ in range(2))
    _slopes(slopes, table, centre, sums, products)
    total, product, n, gx = folded(sums, channels), folded(products, channels), x.dtype.type(count(x.shape)), None
    if needs[0]:
        gx = np.empty_like(table)
        scale = rstd if weight is None else rstd * weight
        numbers = [repeated(a, pixels) for a in (scale, total / n, product * rstd * rstd / n)]
        _input_slope(slopes, table, centre, *numbers, gx)
        gx = from_rows(gx.reshape(-1, channels), x.shape)
    return [gx, product * rstd if needs[1] else None, total if needs[2] else None]


# ------------------------------------------------------------------------------------------------------- NumPy alone


def _numpy_batch_norm(x: np.ndarray, weight: Any, bias: Any, eps: float, found: list) -> Any:
    images, n = _images(x), x.dtype.type(count(x.shape))
    mean = images.mean((0, 2))
    out = images - mean[:, None]
    variance = np.einsum("ncl,ncl->c", out, out) / n
    found.append((mean, variance))
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
    out *= (rstd if weight is None else rstd * weight)[:, None]
    if bias is not None:
        out += bias[:, None]
    return out.reshape(x.shape), (mean, rstd, False)


def _numpy_slopes(g: np.ndarray, needs: list[bool], mean: np.ndarray, rstd: np.ndarray, x: np.ndarray, weight: Any) -> list:
    g, images, n = _images(g), _images(x), x.dtype.type(count(x.shape))
    gx = images - mean[:, None]
    total, product = g.sum((0, 2)), np.einsum("ncl,ncl->c", g, gx)
    if needs[0]:
        gx *= (product * rstd * rstd / -n)[:, None]
        gx += g
        gx -= (total / n)[:, None]
        gx *= (rstd if weight is None else rstd * weight)[:, None]
    return [gx.reshape(x.shape), product * rstd if needs[1] else None, total if needs[2] else None]


def _images(x: np.ndarray) -> np.ndarray:
    """(n, channels, *sizes) as (n, channels, pixels), the pixels of a channel side by side: so NumPy's sums are exact."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], -1)

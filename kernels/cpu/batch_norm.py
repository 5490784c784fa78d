"""Batch norm in two passes forward and two backward, over rows of channels.

1. The formula makes an array for each of its steps, and twice as many backward.
2. NumPy alone: one array forward and one backward, each worked on in place.
3. Compiled. Where the pixels of a channel lie side by side, a thread takes a channel of all images, and has it in the cache
   from the first pass to the last. Where the channels of a pixel do:

Mean and variance are found by blocks of rows that stay in the cache, each around its own mean, and joined by the formula
of Chan, Golub and LeVeque (1979): as exact as two passes over everything, for the price of one.

Where a pixel has few channels, several are taken as one row (`wide`): loops over 16 numbers are done before they are
fast. What belongs to a channel is then repeated, and sums are folded in the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import available, get_num_threads, jit, prange
from .layout import FLOATS, count, from_rows, is_channels_last, rows, wide
from .rows import given_or

SMALL = 20_000  # numbers
BLOCK = 16_384  # numbers


@jit(parallel=False)
def _join(means, squares, rows, eps, found):
    """Mean, variance and 1 / standard deviation of each channel from what was found in blocks."""
    (blocks, wide), channels = means.shape, found.shape[1]
    total, around = np.zeros(channels), np.zeros(channels)
    for p in range(blocks):
        size = (p + 1) * rows // blocks - p * rows // blocks
        for mean in means[p].reshape(-1, channels):
            for c in range(channels):
                total[c] += size * mean[c]
    total /= rows * wide // channels
    for p in range(blocks):
        size = (p + 1) * rows // blocks - p * rows // blocks
        for mean, square in zip(means[p].reshape(-1, channels), squares[p].reshape(-1, channels)):
            for c in range(channels):
                around[c] += square[c] + size * (mean[c] - total[c]) ** 2
    around /= rows * wide // channels
    for c in range(channels):
        found[0, c], found[1, c], found[2, c] = total[c], around[c], 1 / np.sqrt(around[c] + eps)


@jit(parallel=False)
def _fold(products, sums, rstd, slopes):
    """The slopes from the sums of each part of the rows, see `_backward`."""
    channels = len(rstd)
    slopes[:] = 0
    for p in range(len(sums)):
        for product, total in zip(products[p].reshape(-1, channels), sums[p].reshape(-1, channels)):
            for c in range(channels):
                slopes[0, c] += product[c]
                slopes[1, c] += total[c]
    slopes[0] *= rstd
    slopes[2] = slopes[0] * rstd


@jit(parallel=False)
def _repeated(numbers, factors, size):
    """Products that belong to the channels, once for each pixel that stands in a row."""
    out = np.empty(size, numbers.dtype)
    for first in range(0, size, len(numbers)):
        out[first : first + len(numbers)] = numbers * factors
    return out


@jit("F[:,::1], F[::1], F[::1], F, F[:,::1], F[:,::1], F[:,::1], F[:,::1]")
def _forward(x, weight, bias, eps, means, squares, found, out):
    """found: mean, variance and 1 / standard deviation of each channel. means, squares: room for those of each block."""
    blocks, n, wide = len(means), len(x), x.shape[1]
    for p in prange(blocks):
        first, last = p * n // blocks, (p + 1) * n // blocks
        mean, square = means[p], squares[p]
        mean[:] = 0
        square[:] = 0
        for i in range(first, last):
            for c in range(wide):
                mean[c] += x[i, c]
        for c in range(wide):
            mean[c] /= x.dtype.type(last - first)
        for i in range(first, last):
            for c in range(wide):
                square[c] += (x[i, c] - mean[c]) * (x[i, c] - mean[c])
    _join(means, squares, n, eps, found)
    one = x.dtype.type(1)
    centre, scale, shift = _repeated(found[0], one, wide), _repeated(found[2], weight, wide), _repeated(bias, one, wide)
    for i in prange(n):
        for c in range(wide):
            out[i, c] = (x[i, c] - centre[c]) * scale[c] + shift[c]


@jit("F[:,::1], F[:,::1], F[::1], F[:,::1], F[:,::1], F[:,::1], F[:,::1], F[:,::1]")
def _backward(g, x, weight, found, sums, products, slopes, gx):
    """slopes: the gradients of weight and bias, and the former / standard deviation. sums, products: room for each part."""
    parts, n, wide, one = len(sums), len(x), x.shape[1], x.dtype.type(1)
    centre = _repeated(found[0], one, wide)
    for p in prange(parts):
        total, product = sums[p], products[p]
        total[:] = 0
        product[:] = 0
        for i in range(p * n // parts, (p + 1) * n // parts):
            for c in range(wide):
                total[c] += g[i, c]
                product[c] += g[i, c] * (x[i, c] - centre[c])
    _fold(products, sums, found[2], slopes)
    share = one / x.dtype.type(n * wide // len(weight))
    scale, constant, linear = (
        _repeated(found[2], weight, wide), _repeated(slopes[1], share, wide), _repeated(slopes[2], share, wide)
    )  # fmt: skip
    for i in prange(len(gx)):
        for c in range(wide):
            gx[i, c] = scale[c] * (g[i, c] - constant[c] - (x[i, c] - centre[c]) * linear[c])


@jit("F[:,:,::1], F[::1], F[::1], F, F[:,::1], F[:,:,::1]")
def _forward_planes(x, weight, bias, eps, found, out):
    """As `_forward` for (n, channels, pixels): a channel of all images after the other, which stays in the cache."""
    n = len(x) * x.shape[2]
    for c in prange(x.shape[1]):
        total = around = 0.0
        for i in range(len(x)):
            plane, part = x[i, c], x.dtype.type(0)
            for j in range(plane.size):
                part += plane[j]
            total += part
        mean = x.dtype.type(total / n)
        for i in range(len(x)):
            plane, part = x[i, c], x.dtype.type(0)
            for j in range(plane.size):
                part += (plane[j] - mean) * (plane[j] - mean)
            around += part
        found[0, c], found[1, c], found[2, c] = mean, around / n, 1 / np.sqrt(around / n + eps)
        scale, shift = found[2, c] * weight[c], bias[c]
        for i in range(len(x)):
            plane, result = x[i, c], out[i, c]
            for j in range(plane.size):
                result[j] = (plane[j] - mean) * scale + shift


@jit("F[:,:,::1], F[:,:,::1], F[::1], F[:,::1], F[:,::1], F[:,:,::1]")
def _backward_planes(g, x, weight, found, slopes, gx):
    """As `_backward` for (n, channels, pixels)."""
    n = len(x) * x.shape[2]
    for c in prange(x.shape[1]):
        mean, rstd = found[0, c], found[2, c]
        total = along = 0.0
        for i in range(len(x)):
            plane, grad, part, product = x[i, c], g[i, c], x.dtype.type(0), x.dtype.type(0)
            for j in range(plane.size):
                part += grad[j]
                product += grad[j] * (plane[j] - mean)
            total += part
            along += product
        slopes[0, c], slopes[1, c] = along * rstd, total
        scale, constant, linear = rstd * weight[c], x.dtype.type(total / n), x.dtype.type(along * rstd * rstd / n)
        for i in range(len(gx)):
            plane, grad, result = x[i, c], g[i, c], gx[i, c]
            for j in range(plane.size):
                result[j] = scale * (grad[j] - constant - (plane[j] - mean) * linear)


def batch_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, *, over: tuple[int, ...], eps: float, found: list
) -> Any:
    """Forward pass of the composition `standardize` where it is over all dimensions but the channels."""
    mixed = any(a is not None and a.dtype != x.dtype for a in (weight, bias))
    if x.size < SMALL or over != (0, *range(2, x.ndim)) or x.dtype not in FLOATS or mixed:
        return NotImplemented
    if not available():
        return _numpy_batch_norm(x, weight, bias, eps, found)
    channels, eps = x.shape[1], x.dtype.type(eps)
    moments = np.empty((3, channels), x.dtype)
    weight, bias = given_or(weight, 1, moments), given_or(bias, 0, moments)
    found.append((moments[0], moments[1]))
    if not is_channels_last(x):
        planes = _planes(x)
        out = np.empty_like(planes)
        _forward_planes(planes, weight, bias, eps, moments, out)
        return out.reshape(x.shape), (moments, None, None)
    table = wide(rows(x))
    blocks = max(1, min(len(table), x.size // BLOCK))
    means, squares = (np.empty((blocks, table.shape[1]), x.dtype) for _ in range(2))
    out = np.empty_like(table)
    _forward(table, weight, bias, eps, means, squares, moments, out)
    return from_rows(out.reshape(-1, channels), x.shape), (moments, None, None)


def batch_norm_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, weight: Any, bias: Any, *, over: Any, eps: float, found: list
) -> list:
    """With y = normalised x and h = g * weight:  dx = (h - mean(h) - y * mean(h * y)) / std."""
    moments, mean, rstd = kept
    if moments is None:
        return _numpy_slopes(g, needs, mean, rstd, x, weight)
    slopes = np.empty((3, x.shape[1]), x.dtype)
    if not is_channels_last(x):
        planes = _planes(x)
        gx = np.empty_like(planes if needs[0] else planes[:0])
        _backward_planes(_planes(g), planes, given_or(weight, 1, moments), moments, slopes, gx)
        return [gx.reshape(x.shape) if needs[0] else None, *(s if need else None for s, need in zip(slopes, needs[1:]))]
    table = wide(rows(x))
    sums, products = (np.empty((get_num_threads(), table.shape[1]), x.dtype) for _ in range(2))
    gx = np.empty_like(table if needs[0] else table[:0])
    _backward(rows(g).reshape(table.shape), table, given_or(weight, 1, moments), moments, sums, products, slopes, gx)
    images = from_rows(gx.reshape(-1, x.shape[1]), x.shape) if needs[0] else None
    return [images, *(slope if need else None for slope, need in zip(slopes, needs[1:]))]


# ------------------------------------------------------------------------------------------------------- NumPy alone


def _numpy_batch_norm(x: np.ndarray, weight: Any, bias: Any, eps: float, found: list) -> Any:
    images, n = _planes(x), x.dtype.type(count(x.shape))
    mean = images.mean((0, 2))
    out = images - mean[:, None]
    variance = np.einsum("ncl,ncl->c", out, out) / n
    found.append((mean, variance))
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))
    out *= (rstd if weight is None else rstd * weight)[:, None]
    if bias is not None:
        out += bias[:, None]
    return out.reshape(x.shape), (None, mean, rstd)


def _numpy_slopes(g: np.ndarray, needs: list[bool], mean: np.ndarray, rstd: np.ndarray, x: np.ndarray, weight: Any) -> list:
    g, images, n = _planes(g), _planes(x), x.dtype.type(count(x.shape))
    gx = images - mean[:, None]
    total, product = g.sum((0, 2)), np.einsum("ncl,ncl->c", g, gx)
    if needs[0]:
        gx *= (product * rstd * rstd / -n)[:, None]
        gx += g
        gx -= (total / n)[:, None]
        gx *= (rstd if weight is None else rstd * weight)[:, None]
    return [gx.reshape(x.shape), product * rstd if needs[1] else None, total if needs[2] else None]


def _planes(x: np.ndarray) -> np.ndarray:
    """(n, channels, *sizes) as (n, channels, pixels), the pixels of a channel side by side: so NumPy's sums are exact."""
    return np.ascontiguousarray(x).reshape(*x.shape[:2], -1)

"""Pools over windows of pixels, all channels of a pixel at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import available, jit, prange
from .layout import FLOATS, image, pixels, pixels_like

SMALL = 10_000  # numbers

_FOUR = "UniTuple(i8, 2), UniTuple(i8, 2), UniTuple(i8, 2), UniTuple(i8, 2)"


@jit(f"F[:,:,:,::1], F[:,:,:,::1], u1[:,:,:,::1], {_FOUR}")
def _max_pool(x, out, where, kernel, stride, padding, dilation):
    """The largest of each window, and which of its elements that was: the first of several, NaN before all others."""
    _, height, width, channels = x.shape
    for n in prange(len(x)):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                best, place, empty = out[n, i, j], where[n, i, j], True
                for k in range(kernel[0] * kernel[1]):
                    y = i * stride[0] - padding[0] + k // kernel[1] * dilation[0]
                    z = j * stride[1] - padding[1] + k % kernel[1] * dilation[1]
                    if y < 0 or y >= height or z < 0 or z >= width:
                        continue
                    if empty:
                        empty = False
                        for c in range(channels):
                            best[c] = x[n, y, z, c]
                            place[c] = k
                    else:
                        for c in range(channels):
                            v = x[n, y, z, c]
                            better = v > best[c] or v != v
                            best[c] = v if better else best[c]
                            place[c] = k if better else place[c]


@jit(f"F[:,:,:,::1], u1[:,:,:,::1], F[:,:,:,::1], {_FOUR}")
def _max_pool_slope(g, where, out, kernel, stride, padding, dilation):
    _, height, width, channels = out.shape
    zero = g.dtype.type(0)
    for n in prange(len(g)):
        out[n] = zero
        for i in range(g.shape[1]):
            for j in range(g.shape[2]):
                for k in range(kernel[0] * kernel[1]):
                    y = i * stride[0] - padding[0] + k // kernel[1] * dilation[0]
                    z = j * stride[1] - padding[1] + k % kernel[1] * dilation[1]
                    if y < 0 or y >= height or z < 0 or z >= width:
                        continue
                    for c in range(channels):
                        out[n, y, z, c] += g[n, i, j, c] if where[n, i, j, c] == k else zero


def _pairs(geometry: tuple) -> list[tuple[int, int]]:
    """Kernel, stride, padding and dilation, for one dimension as for two of which the first has size 1."""
    return [(missing, *v) if len(v) == 1 else tuple(v) for v, missing in zip(geometry, (1, 1, 0, 1))]


def max_pool(x: np.ndarray, *, tables: Any, geometry: tuple) -> Any:
    """Forward pass of the composition `max_windows`."""
    kernel = geometry[0]
    if x.size < SMALL or x.dtype not in FLOATS or np.prod(kernel) > 255 or x.ndim != len(kernel) + 2 or not available():
        return NotImplemented
    counts = [len(table) for table in tables]
    source = pixels(x[:, :, None] if len(kernel) == 1 else x)
    out = np.empty((len(source), *([1, *counts] if len(kernel) == 1 else counts), source.shape[3]), x.dtype)
    where = np.empty(out.shape, np.uint8)
    _max_pool(source, out, where, *_pairs(geometry))
    result = image(out, x.shape[1])
    return result[:, :, 0] if len(kernel) == 1 else result, (where, source.shape)


def max_pool_backward(g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, *, tables: Any, geometry: tuple) -> list:
    """Each gradient to the element that was the largest."""
    where, shape = kept
    gx = np.empty(shape, g.dtype)
    slopes = pixels_like(g[:, :, None] if len(geometry[0]) == 1 else g, where)
    _max_pool_slope(slopes, where, gx, *_pairs(geometry))
    result = image(gx, x.shape[1])
    return [result[:, :, 0] if len(geometry[0]) == 1 else result]

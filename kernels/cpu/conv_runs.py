"""Convolutions by NumPy alone, as products of windows that were copied in long runs.

The formula copies windows a row of pixels at a time, which is slow for small images, and all of them, which is many times
the input. Three things make NumPy faster:

    runs      An image with its padding, taken row after row, is one long row of pixels, and if the stride is 1, what an
              element of the kernel sees of it is the same row, from its own place on. So a matrix of windows is a few long
              copies. Where a row of pixels ends, windows reach into the next one: they are computed too, and left out.
    rows      A kernel of three rows is three of one row each, whose results are added, moved against each other by a row
              of pixels: their windows have a third of the numbers. This pays unless the images have few channels.
    blocks    Only as many images at a time as have their windows in the cache.

The gradient of the input is a convolution as well, of the gradient with the kernel turned around: NumPy adds slower than
it copies. With a stride s, the pixels whose positions differ modulo s have been seen by different elements of the kernel:
each of the s * s groups of pixels is a convolution of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

ROOM = 1 << 19  # numbers in the windows of a block: 2 MB

Widths = Sequence[tuple[int, int]]


class _Windows:
    """The windows of images (n, channels, *size), as a column each, some images at a time.

    The zeros after a row of pixels are those before the next one, and so are those between images.

    Args:
        x: the images.
        kernel, geometry, padding: as for `conv`.
        outer: how many channels come out, if it may pay to take the rows of the kernel apart.
        runs: whether to make use of runs where the stride is 1.

    Attributes:
        counts: how many windows there are, for each dimension.
        rows: how many rows of the kernel are taken apart, 1 if they are not.
    """

    def __init__(
        self, x: np.ndarray, kernel: Sequence[int], geometry: Any, padding: Widths, outer: int = 0, runs: bool = True
    ) -> None:
        stride, dilation, self.groups = geometry
        reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
        whole = [n + before + after for n, (before, after) in zip(x.shape[2:], padding)]
        self.counts = [(n - r - 1) // s + 1 for n, r, s in zip(whole, reach, stride)]
        cut = [slice(max(0, -before), n - max(0, -after)) for n, (before, after) in zip(x.shape[2:], padding)]
        self.x = x[_last(cut)]  # where padding is negative
        before, after = ([max(0, pair[i]) for pair in padding] for i in (0, 1))
        self.inside = [slice(b, b + n) for b, n in zip(before, self.x.shape[2:])]
        self.size = [max(i.stop, i.stop - b + a, n - r) for i, b, a, n, r in zip(self.inside, before, after, whole, reach)]
        self.steps = _steps(self.size)
        self.over = sum(r * step for r, step in zip(reach, self.steps))  # how far the last window reaches over the end
        self.stride = None if runs and max(stride) == 1 else stride
        apart = self.stride is None and 0 < outer <= x.shape[1] * math.prod(kernel[1:])
        self.rows, self.kernel = (kernel[0], (1, *kernel[1:])) if apart else (1, tuple(kernel))
        self.row = dilation[0] * self.steps[0]
        self.within = [d * step for d, step in zip(dilation, self.steps)]
        self.height = x.shape[1] * math.prod(self.kernel)
        self.pixels = math.prod(self.size if self.stride is None else self.counts)
        self.block = min(len(x), max(1, ROOM // (max(self.height, self.rows * outer) * self.pixels)))

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Which images, and their windows (groups, numbers, windows), good until the next ones are asked for."""
        x, pixels, channels = self.x, math.prod(self.size), self.x.shape[1]
        room = np.zeros((channels, self.block * pixels + self.over), x.dtype)
        copies = np.empty(self.height * (self.block * self.pixels + (self.rows - 1) * self.row), x.dtype)
        for first in range(0, len(x), self.block):
            part = x[first : first + self.block]
            images = room[:, : len(part) * pixels].reshape(channels, len(part), *self.size)
            images[_last(self.inside)] = part.swapaxes(0, 1)
            if self.stride is None:
                shape, between = [len(part) * pixels + (self.rows - 1) * self.row], [1]
            else:
                shape, between = [len(part), *self.counts], [pixels, *(s * step for s, step in zip(self.stride, self.steps))]
            strides = [room.strides[0], *(x.itemsize * step for step in (*self.within, *between))]
            found = as_strided(room, (channels, *self.kernel, *shape), strides)
            copy = copies[: found.size].reshape(found.shape)
            copy[...] = found
            yield slice(first, first + len(part)), copy.reshape(self.groups, self.height // self.groups, -1)

    def results(self, numbers: np.ndarray, row: int = 0) -> np.ndarray:
        """Of numbers (groups, channels, windows) those that count, (images, groups, channels, *counts)."""
        images = (numbers.shape[2] - (self.rows - 1) * self.row) // self.pixels
        steps = [self.pixels, *(self.steps if self.stride is None else _steps(self.counts))]
        image, *rest = (numbers.itemsize * step for step in steps)
        shape = images, *numbers.shape[:2], *self.counts
        return as_strided(numbers[..., row * self.row :], shape, (image, *numbers.strides[:2], *rest))


def _steps(size: Sequence[int]) -> list[int]:
    """For each dimension how far apart neighbours are, if numbers of this size lie row after row."""
    return [math.prod(size[i + 1 :]) for i in range(len(size))]


def _last(slices: Iterable[slice]) -> Any:
    """An index of the last dimensions."""
    return (..., *slices)


def conv(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, geometry: Any, padding: Widths) -> np.ndarray:
    """Y = W X; see minigrad/ops/conv.py for shapes, `padding` is (before, after) for each dimension."""
    (outer, inner, *kernel), groups = weight.shape, geometry[2]
    windows = _Windows(x, kernel, geometry, padding, outer)
    matrix = weight.reshape(groups, outer // groups, inner, windows.rows, -1).transpose(0, 3, 1, 2, 4)
    matrix = matrix.reshape(groups, windows.rows * outer // groups, -1)
    out = np.empty((len(x), groups, outer // groups, *windows.counts), x.dtype)
    shift = 0 if bias is None else bias.reshape(groups, -1, *[1] * len(kernel))
    for images, columns in windows:
        made = (matrix @ columns).reshape(groups, windows.rows, outer // groups, -1)
        part = np.add(windows.results(made[:, 0]), shift, out=out[images])
        for row in range(1, windows.rows):
            part += windows.results(made[:, row], row)
    return out.reshape(len(x), outer, *windows.counts)


def correlate(
    x: np.ndarray, y: np.ndarray, kernel: Sequence[int], geometry: Any, padding: Widths, runs: bool = True
) -> np.ndarray:
    """W = Y Xᵀ, the gradient of a weight."""
    windows, groups = _Windows(x, kernel, geometry, padding, runs=runs), geometry[2]
    total: Any = 0
    for images, columns in windows:
        slopes = np.zeros((groups, y.shape[1] // groups, columns.shape[2]), x.dtype)
        target = windows.results(slopes)
        target[...] = y[images].reshape(target.shape)
        total = total + columns @ slopes.swapaxes(1, 2)  # twice as fast as its transpose
    if runs and not np.isfinite(total).all():  # what is infinite may have met zeros that stand for windows left out
        return correlate(x, y, kernel, geometry, padding, runs=False)
    return total.swapaxes(1, 2).reshape(y.shape[1], x.shape[1] // groups, *kernel)


def can_turn_around(weight: np.ndarray, geometry: Any) -> bool:
    """Whether `conv_transpose` applies. Where there is padding, an infinite weight would meet zeros that do not exist."""
    return (max(geometry[0]) == 1 or max(geometry[1]) == 1) and bool(np.isfinite(weight).all())


def conv_transpose(y: np.ndarray, weight: np.ndarray, size: Sequence[int], geometry: Any, padding: Widths) -> np.ndarray:
    """X = Wᵀ Y, the gradient of the input of a given size, if `can_turn_around`."""
    stride, dilation, groups = geometry
    if max(stride) == 1:
        return _turned_around(y, weight, size, dilation, groups, [before for before, _ in padding])
    out = np.zeros((len(y), weight.shape[1] * groups, *size), y.dtype)
    for phase in itertools.product(*map(range, stride)):  # input i met output o at element k if i + before = o * s + k
        first = [(a + before) % s for a, s, (before, _) in zip(phase, stride, padding)]
        pixels = out[_last(slice(a, None, s) for a, s in zip(phase, stride))]
        taps = weight[_last(slice(k, None, s) for k, s in zip(first, stride))]
        if pixels.size and taps.size:
            before = [(a + before) // s for a, s, (before, _) in zip(phase, stride, padding)]
            pixels[...] = _turned_around(y, taps, pixels.shape[2:], dilation, groups, before)
    return out


def _turned_around(
    y: np.ndarray, weight: np.ndarray, size: Sequence[int], dilation: Sequence[int], groups: int, before: Sequence[int]
) -> np.ndarray:
    """`conv_transpose` with stride 1, by `conv`."""
    kernel = weight.shape[2:]
    kernels = np.flip(weight, tuple(range(2, weight.ndim))).reshape(groups, -1, weight.shape[1], *kernel).swapaxes(1, 2)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel)]
    widths = [(r - b, n + b - count) for r, b, n, count in zip(reach, before, size, y.shape[2:])]
    geometry = (1,) * len(kernel), dilation, groups
    return conv(y, kernels.reshape(-1, kernels.shape[2], *kernel), None, geometry, widths)

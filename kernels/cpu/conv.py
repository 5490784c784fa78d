"""Convolutions as matrix products of windows that are never copied out: forward, and both gradients.

Images are stored with the channels of a pixel side by side, behind the shape (n, channels, height, width) that everybody
sees; NumPy's functions keep that order, so from the first convolution on all images have it. Then the kernel's window at a
pixel is a few rows of numbers that lie in memory as they are, and the windows of one row of pixels are a matrix whose rows
overlap. BLAS refuses such matrices; the micro-kernel of tile.py does not ask.

Each thread takes an image, copies it into a room of its own with the padding around it, small enough to stay in the cache,
and does a list of products on it:

    forward                   pixels x (window)  times  (window) x channels out
    gradient of the input     the same, with the kernel turned around; with a stride s there are s * s such products, since
                              pixels whose positions differ modulo s were seen by different elements of the kernel
    gradient of the weight    (window) x pixels  times  pixels x channels out, added up over the images

The lists are made once for each combination of shapes. The kernels below see addresses and distances in bytes only, so
that one compilation serves float32 and float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .bytes import clear, copy, copy_image
from .jit import available, get_num_threads, jit, prange
from .sums import sum_rows
from .tile import TILE, multiply, tile

SMALL = 100_000  # products of numbers
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Phase(NamedTuple):
    """Of one dimension: the outputs that see the input through the same elements of the kernel.

    Attributes:
        first, step, outputs: these outputs: first, first + step, ...
        start, stride: where in the input the window of the first begins, and how far apart windows are.
        taps: the elements of the kernel, in the order in which they meet the input.
        reach: how far apart in the input neighbouring taps are.
    """

    first: int
    step: int
    outputs: int
    start: int
    stride: int
    taps: tuple[int, ...]
    reach: int


def _forward_phases(size: int, kernel: int, stride: int, dilation: int, pad: tuple[int, int]) -> list[Phase]:
    count = (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1
    return [Phase(0, 1, count, -pad[0], stride, tuple(range(kernel)), dilation)]


def _backward_phases(size: int, kernel: int, stride: int, dilation: int, pad: tuple[int, int]) -> list[Phase]:
    """Input i met output o at tap k if i + pad = o * stride + k * dilation: for each i modulo stride, which o and k?"""
    phases, shared = [], math.gcd(stride, dilation)
    for first in range(min(stride, size)):
        taps = [k for k in range(kernel) if (first + pad[0] - k * dilation) % stride == 0][::-1]
        start = (first + pad[0] - taps[0] * dilation) // stride if taps else 0
        count = -(-(size - first) // stride)
        phases.append(Phase(first, stride, count, start, 1, tuple(taps), dilation // shared))
    return phases


class Plan(NamedTuple):
    """What to do with each image.

    Attributes:
        room: height and width of the image with its padding.
        corner: (top, left) of the image in there.
        jobs: (1, jobs, numbers): the arguments of the products, see `_windows`.
        taps: for each job the elements of the kernel, by row and column.
    """

    room: tuple[int, int]
    corner: tuple[int, int]
    jobs: np.ndarray
    taps: list[tuple[tuple[int, ...], tuple[int, ...]]]


def _runs(phase: Phase) -> list[tuple[int, tuple[int, ...]]]:
    """Taps whose pixels are neighbours, as one run: (position of the first, taps)."""
    if phase.reach == 1 or len(phase.taps) <= 1:
        return [(0, phase.taps)]
    return [(i * phase.reach, (k,)) for i, k in enumerate(phase.taps)]


@lru_cache(512)
def _plan(
    phases: tuple[tuple[Phase, ...], ...],
    size: tuple[int, int],
    inner: int,
    columns: int,
    target: tuple[int, int],
    chunks: int,
    item: int,
) -> Plan:
    """The products that make the outputs of all phases.

    Args:
        phases: of both dimensions.
        size: of the image.
        inner, columns: channels of a pixel of the image, and of the result.
        target: distances in bytes of the rows and pixels of the result.
        chunks: into how many parts the rows of the result are divided, for threads that share an image.
        item: bytes of a number.
    """
    low = [max(0, -min((p.start for p in dim if p.taps), default=0)) for dim in phases]
    ends = [[p.start + (p.outputs - 1) * p.stride + (len(p.taps) - 1) * p.reach + 1 for p in dim if p.taps] for dim in phases]
    room = [max([l + n, *(l + end for end in dim)]) for l, n, dim in zip(low, size, ends)]
    pixel = inner * item
    row = room[1] * pixel
    jobs: list[list[list[int]]] = [[] for _ in range(chunks)]
    taps, b = [], 0
    for y, x in itertools.product(*phases):
        for run, (offset, columns_of_kernel) in enumerate(_runs(x)):
            k1, k2 = len(y.taps), len(columns_of_kernel) * inner
            taps.append((y.taps, columns_of_kernel))
            for chunk in range(chunks):
                top, bottom = (y.outputs * i // chunks for i in (chunk, chunk + 1))
                a = (low[0] + y.start + top * y.stride) * row + (low[1] + x.start + offset) * pixel
                c = (y.first + top * y.step) * target[0] + x.first * target[1]
                jobs[chunk].append([
                    bottom - top, x.outputs, a, y.stride * row, x.stride * pixel, y.reach * row,
                    b, k2 * columns * item, c, y.step * target[0], x.step * target[1], k1, k2 if k1 else 0, int(run > 0),
                ])  # fmt: skip
            b += k1 * k2 * columns * item
    return Plan((room[0], room[1]), (low[0], low[1]), np.array(jobs, np.int64), taps)


_N = "UniTuple(i8, {})".format  # so many numbers


@jit(f"{TILE}, i8, i8, i8, {_N(6)}, {_N(3)}, {_N(4)}, i8[:,:,::1], {_N(3)}, {_N(3)}, i8")
def _windows(tile, parts, images, groups, source, size, room, jobs, kernel, target, bias):
    """All products on all images; the images are parted among the threads, each with a room of its own.

    source: address, distances of images, rows, pixels, channels, groups. size: height, width, channels of a group.
    room: address or 0 to take the images where they are, bytes for each thread and for a row, where the image begins.
    kernel: address, distance of groups, columns. target: address, distances of images and groups. bias: address of a
    whole row of pixels that hold it, or 0.
    """
    chunks = len(jobs)
    for p in prange(parts):
        place = room[0] + p * room[1]
        if room[0] != 0:
            clear(place, room[1])
        for task in range(p * images * chunks // parts, (p + 1) * images * chunks // parts):
            image, chunk = task // chunks, task % chunks
            for g in range(groups):
                x = source[0] + image * source[1] + g * source[5]
                if room[0] != 0:
                    copy_image(tile[1], x, source[2], source[3], source[4], size, place + room[3], room[2])
                    x = place
                for j in range(jobs.shape[1]):
                    blocks, rows, a, a_block, a_row, a1, b, b1, c, c_block, c_row, k1, k2, more = jobs[chunk, j]
                    b2, c = kernel[2] * tile[1], target[0] + image * target[1] + g * target[2] + c
                    if bias != 0 and g == 0 and more == 0:
                        for i in range(blocks):
                            copy(c + i * c_block, bias, rows * c_row)
                    multiply(
                        tile, blocks, rows, kernel[2], x + a, a_block, a_row, a1, tile[1], kernel[0] + g * kernel[1] + b,
                        b1, b2, c, c_block, c_row, k1, k2, more if bias == 0 else 1,
                    )  # fmt: skip


@jit(f"{TILE}, i8, i8, i8, {_N(6)}, {_N(3)}, {_N(4)}, {_N(6)}, {_N(5)}, i8[:,::1], {_N(3)}")
def _correlate(tile, parts, images, groups, source, size, room, other, pixels, jobs, target):
    """The gradient of the weight, a partial sum for each thread.

    other: the gradient of the output, like source. pixels: its height, width, channels of a group; address and bytes for
    each thread of a room for it. target: address, distances of threads and groups.
    """
    for p in prange(parts):
        place, there, first = room[0] + p * room[1], pixels[3] + p * pixels[4], p * images // parts
        if room[0] != 0:
            clear(place, room[1])
        for image in range(first, (p + 1) * images // parts):
            for g in range(groups):
                x, y = source[0] + image * source[1] + g * source[5], other[0] + image * other[1] + g * other[5]
                if room[0] != 0:
                    copy_image(tile[1], x, source[2], source[3], source[4], size, place + room[3], room[2])
                    x = place
                pixel = pixels[2] * tile[1]
                if pixels[3] != 0:
                    copy_image(tile[1], y, other[2], other[3], other[4], pixels[:3], there, pixels[1] * pixel)
                    y = there
                for j in range(len(jobs)):
                    blocks, rows, a, a_block, a1, a2, c, c_block = jobs[j]
                    multiply(
                        tile, blocks, rows, pixels[2], x + a, a_block, tile[1], a1, a2, y, pixels[1] * pixel, pixel,
                        target[0] + p * target[1] + g * target[2] + c, c_block, pixel, pixels[0], pixels[1],
                        int(image > first),
                    )  # fmt: skip


def _address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def _source(x: np.ndarray, groups: int) -> tuple[int, int, int, int, int, int]:
    image, channel, row, pixel = x.strides
    return _address(x), image, row, pixel, channel, x.shape[1] // groups * channel


def _is_dense(x: np.ndarray) -> bool:
    """Whether the pixels of an image lie in memory one after the other, the channels of each side by side."""
    _, channels, _, width = x.shape
    return x.strides[1:] == (x.itemsize, width * channels * x.itemsize, channels * x.itemsize)


def _room(
    x: np.ndarray, groups: int, size: tuple[int, int], corner: tuple[int, int], parts: int
) -> tuple[Any, tuple[int, int, int, int]]:
    """Memory for an image with its padding for each thread, and how the kernels see it."""
    pixel = x.shape[1] // groups * x.itemsize
    row = size[1] * pixel
    if groups == 1 and size == x.shape[2:] and _is_dense(x):
        return None, (0, 0, row, 0)
    step = -(-size[0] * row // 128) * 128 + 128
    room = np.empty(parts * step, np.uint8)
    return room, (_address(room), step, row, corner[0] * row + corner[1] * pixel)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: Any, phases: Any, counts: Sequence[int], groups: int) -> np.ndarray:
    """x (n, groups * inner, h, w) and weight (groups, rows, columns, inner, outer) to (n, groups * outer, *counts)."""
    n, inner, outer, item = x.shape[0], weight.shape[3], weight.shape[4], x.itemsize
    out = np.empty((n, *counts, groups * outer), x.dtype)
    image, row, pixel = out.strides[:3]
    threads = get_num_threads()
    chunks = 1 if n >= threads else min(-(-threads // n), counts[0])
    plan = _plan(phases, (x.shape[2], x.shape[3]), inner, outer, (row, pixel), chunks, item)
    kernels = [np.ascontiguousarray(_in_order(weight, *taps)).reshape(groups, -1) for taps in plan.taps]
    kernel = np.ascontiguousarray(np.concatenate(kernels, 1)) if len(kernels) > 1 else kernels[0]
    parts = min(threads, n * chunks)
    _memory, place = _room(x, groups, plan.room, plan.corner, parts)  # the name keeps it alive
    biases = None if bias is None else np.tile(bias, counts[1])
    _windows(
        tile(item), parts, n, groups, _source(x, groups), (x.shape[2], x.shape[3], inner), place, plan.jobs,
        (_address(kernel), kernel.strides[0], outer), (_address(out), image, outer * item),
        0 if biases is None else _address(biases),
    )  # fmt: skip
    return out.transpose(0, 3, 1, 2)


def _in_order(weight: np.ndarray, rows: tuple[int, ...], columns: tuple[int, ...]) -> np.ndarray:
    """Some rows and columns of kernels; slices where they count up or down, which make no copy."""
    for axis, taps in ((1, rows), (2, columns)):
        if taps == tuple(range(len(taps)))[::-1] and len(taps) == weight.shape[axis]:
            weight = np.flip(weight, axis)
        elif taps != tuple(range(weight.shape[axis])):
            weight = weight.take(taps, axis)
    return weight


def _as_2d(*arrays: np.ndarray) -> list[np.ndarray]:
    """Sequences as images of one row."""
    return [x[:, :, None] if x.ndim == 3 else x for x in arrays]


def _fits(arrays: Sequence[np.ndarray], work: int) -> bool:
    """Whether kernels apply: all arrays of one dtype, one or two dimensions of pixels, enough to do."""
    dtype = arrays[0].dtype
    return (
        work >= SMALL
        and dtype in _FLOATS
        and arrays[0].ndim in (3, 4)
        and all(x.dtype == dtype and x.size and x.flags.aligned for x in arrays)
        and available()
    )


def _pairs(values: Any, missing: Any) -> tuple:
    """One value for each of two dimensions, also where there is one only."""
    return (missing, *values) if len(values) == 1 else tuple(values)


def conv(x: np.ndarray, weight: np.ndarray, bias: Any = None, *, geometry: Any, padding: Any = None) -> Any:
    """Y = W X; see minigrad/ops/conv.py for shapes, `padding` is (before, after) for each dimension."""
    padding = padding or ((0, 0),) * (x.ndim - 2)
    stride, dilation, groups = geometry
    counts = [
        (n + sum(p) - d * (k - 1) - 1) // s + 1
        for n, k, s, d, p in zip(x.shape[2:], weight.shape[2:], stride, dilation, padding)
    ]
    arrays = [x, weight] if bias is None else [x, weight, bias]
    if not _fits(arrays, x.shape[0] * weight.size * math.prod(counts)):
        return NotImplemented
    one_dimension, (x, weight) = x.ndim == 3, _as_2d(x, weight)
    stride, dilation, padding = _pairs(stride, 1), _pairs(dilation, 1), _pairs(padding, (0, 0))
    phases = tuple(
        tuple(_forward_phases(*numbers)) for numbers in zip(x.shape[2:], weight.shape[2:], stride, dilation, padding)
    )
    outer, inner = weight.shape[0] // groups, weight.shape[1]
    kernels = weight.reshape(groups, outer, inner, *weight.shape[2:]).transpose(0, 3, 4, 2, 1)
    out = _convolve(x, kernels, bias, phases, [p[0].outputs for p in phases], groups)
    return out[:, :, 0] if one_dimension else out


def conv_transpose(y: np.ndarray, weight: np.ndarray, *, size: Any, geometry: Any, padding: Any = None) -> Any:
    """X = Wᵀ Y, the gradient of the input of a given size."""
    padding = padding or ((0, 0),) * (y.ndim - 2)
    stride, dilation, groups = geometry
    if not _fits([y, weight], y.shape[0] * weight.size * math.prod(y.shape[2:])) or 0 in size:
        return NotImplemented
    one_dimension, (y, weight) = y.ndim == 3, _as_2d(y, weight)
    stride, dilation, padding, size = (
        _pairs(values, missing) for values, missing in ((stride, 1), (dilation, 1), (padding, (0, 0)), (size, 1))
    )
    phases = tuple(
        tuple(_backward_phases(*numbers)) for numbers in zip(size, weight.shape[2:], stride, dilation, padding)
    )
    inner, outer = weight.shape[0] // groups, weight.shape[1]
    kernels = weight.reshape(groups, inner, outer, *weight.shape[2:]).transpose(0, 3, 4, 1, 2)
    out = _convolve(y, kernels, None, phases, size, groups)
    return out[:, :, 0] if one_dimension else out


def correlate(x: np.ndarray, y: np.ndarray, *, kernel: Any, geometry: Any, padding: Any = None) -> Any:
    """W = Y Xᵀ, the gradient of a weight with kernels of a given size."""
    padding = padding or ((0, 0),) * (x.ndim - 2)
    stride, dilation, groups = geometry
    work = x.shape[1] * y.shape[1] // groups * math.prod(kernel) * y.shape[0] * math.prod(y.shape[2:])
    if not _fits([x, y], work) or 0 in kernel:
        return NotImplemented
    one_dimension, (x, y) = x.ndim == 3, _as_2d(x, y)
    stride, dilation, padding, (rows, columns) = (
        _pairs(values, missing) for values, missing in ((stride, 1), (dilation, 1), (padding, (0, 0)), (kernel, 1))
    )
    inner, outer, item = x.shape[1] // groups, y.shape[1] // groups, x.itemsize
    reach = [(n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(y.shape[2:], (rows, columns), stride, dilation)]
    size = tuple(max(r, n + low) for r, n, (low, _) in zip(reach, x.shape[2:], padding))
    parts = min(get_num_threads(), len(x))
    _memory, place = _room(x, groups, (size[0], size[1]), (padding[0][0], padding[1][0]), parts)
    pixel, row, line = inner * item, place[2], inner * outer * item
    runs = [(0, columns)] if dilation[1] == 1 else [(k, 1) for k in range(columns)]
    down, along = stride[0] * row, stride[1] * pixel
    jobs = np.array([
        [rows, n * inner, k * dilation[1] * pixel, dilation[0] * row, down, along, k * line, columns * line] for k, n in runs
    ], np.int64)  # fmt: skip
    partial = np.empty((parts, groups, rows, columns, inner, outer), x.dtype)
    pixels, _more = _pixels(y, groups, parts)
    _correlate(
        tile(item), parts, len(x), groups, _source(x, groups), (x.shape[2], x.shape[3], inner), place, _source(y, groups),
        pixels, jobs, (_address(partial), *partial.strides[:2]),
    )  # fmt: skip
    total = partial[0] if parts == 1 else np.add(partial[0], partial[1]) if parts == 2 else partial.sum(0)
    out = total.transpose(0, 4, 3, 1, 2).reshape(groups * outer, inner, rows, columns)
    return out[:, :, 0] if one_dimension else out


def _pixels(y: np.ndarray, groups: int, parts: int) -> tuple[tuple[int, int, int, int, int], Any]:
    """How `_correlate` sees the gradient of the output: where it is, or copied into a room for each thread."""
    _, channels, height, width = y.shape
    if groups == 1 and _is_dense(y):
        return (height, width, channels, 0, 0), None
    step = height * width * channels // groups * y.itemsize + 128
    room = np.empty(parts * step, np.uint8)
    return (height, width, channels // groups, _address(room), step), room


def convolution(x: np.ndarray, weight: np.ndarray, bias: Any = None, *, padding: Any, geometry: Any) -> Any:
    """Forward pass of the composition `convolution`: pads, convolves and adds the bias in one go."""
    out = conv(x, weight, bias, geometry=geometry, padding=padding)
    return out if out is NotImplemented else (out, None)


def convolution_backward(
    g: np.ndarray, needs: list[bool], kept: None, x: np.ndarray, weight: np.ndarray, bias: Any = None,
    *, padding: Any, geometry: Any,
) -> list:
    """The gradients that are needed; where no kernel is for them, the forward pass was left to the formula already."""
    gx = conv_transpose(g, weight, size=x.shape[2:], geometry=geometry, padding=padding) if needs[0] else None
    gw = correlate(x, g, kernel=weight.shape[2:], geometry=geometry, padding=padding) if needs[1] else None
    gb = None
    if len(needs) > 2 and needs[2]:
        channels_last = np.moveaxis(g, 1, -1)
        gb = sum_rows(channels_last)
        gb = channels_last.sum(tuple(range(g.ndim - 1))) if gb is NotImplemented else gb
    return [gx, gw, gb][: len(needs)]

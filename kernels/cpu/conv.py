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

A vector holds 16 channels of float32. Where fewer come out, several pixels side by side are taken for one with as many
times the channels (`side`): its window is a little wider, and kernels that stand in it at different places do the rest.

The lists are made once for each combination of shapes, in conv_plan.py. The kernels below see addresses and distances in
bytes only, so that one compilation serves float32 and float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import conv_runs
from .bytes import clear, copy, copy_image
from .conv_plan import Plan, backward_plan, correlation, forward_plan
from .jit import available, get_num_threads, jit, prange
from .layout import repeated
from .pointers import data_of
from .sums import sum_rows
from .tile import TILE, multiply, tile

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
_N = "UniTuple(i8, {})".format  # so many numbers


@jit(f"{TILE}, i8, i8, i8, {_N(6)}, {_N(3)}, {_N(4)}, i8[:,:,::1], {_N(3)}, {_N(3)}, i8")
def _windows(tile, parts, images, groups, source, size, room, jobs, kernel, target, bias):
    """All products on all images; the images are parted among the threads, each with a room of its own.

    source: id, distances of images, rows, pixels, channels, groups. size: height, width, channels of a group.
    room: id or 0 to take the images where they are, bytes for each thread and for a row, where the image begins.
    kernel: id, distance of groups, columns. target: id, distances of images and groups. bias: id of a whole row of
    pixels that hold it, or 0. An id is that of an array, see pointers.py.
    """
    chunks, x0, kernels, out = len(jobs), data_of(source[0]), data_of(kernel[0]), data_of(target[0])
    rooms = data_of(room[0]) if room[0] != 0 else 0
    biases = data_of(bias) if bias != 0 else 0
    for p in prange(parts):
        place = rooms + p * room[1]
        if room[0] != 0:
            clear(place, room[1])
        for task in range(p * images * chunks // parts, (p + 1) * images * chunks // parts):
            image, chunk = task // chunks, task % chunks
            for g in range(groups):
                x = x0 + image * source[1] + g * source[5]
                if room[0] != 0:
                    copy_image(tile[1], x, source[2], source[3], source[4], size, place + room[3], room[2])
                    x = place
                for j in range(jobs.shape[1]):
                    blocks, rows, a, a_block, a_row, a1, b, b1, c, c_block, c_row, k1, k2, more = jobs[chunk, j]
                    b2, c = kernel[2] * tile[1], out + image * target[1] + g * target[2] + c
                    if bias != 0 and g == 0 and more == 0:
                        for i in range(blocks):
                            copy(c + i * c_block, biases, rows * c_row)
                    multiply(
                        tile, blocks, rows, kernel[2], x + a, a_block, a_row, a1, tile[1], kernels + g * kernel[1] + b,
                        b1, b2, c, c_block, c_row, k1, k2, more if bias == 0 else 1,
                    )  # fmt: skip


@jit(f"{TILE}, i8, i8, i8, {_N(6)}, {_N(3)}, {_N(4)}, {_N(6)}, {_N(6)}, i8[:,::1], {_N(3)}")
def _correlate(tile, parts, images, groups, source, size, room, other, pixels, jobs, target):
    """The gradient of the weight, a partial sum for each thread.

    other: the gradient of the output, like source. pixels: its height, width, channels of a group; id and bytes for each
    thread of a room for it; how many are taken for one. target: id, distances of threads and groups.
    """
    x0, y0, sums = data_of(source[0]), data_of(other[0]), data_of(target[0])
    rooms, others = data_of(room[0]) if room[0] != 0 else 0, data_of(pixels[3]) if pixels[3] != 0 else 0
    width, columns = pixels[1] // pixels[5], pixels[2] * pixels[5]
    pixel = columns * tile[1]
    for p in prange(parts):
        place, there, first = rooms + p * room[1], others + p * pixels[4], p * images // parts
        if room[0] != 0:
            clear(place, room[1])
        for image in range(first, (p + 1) * images // parts):
            for g in range(groups):
                x, y = x0 + image * source[1] + g * source[5], y0 + image * other[1] + g * other[5]
                if room[0] != 0:
                    copy_image(tile[1], x, source[2], source[3], source[4], size, place + room[3], room[2])
                    x = place
                if pixels[3] != 0:
                    copy_image(tile[1], y, other[2], other[3], other[4], pixels[:3], there, width * pixel)
                    y = there
                for j in range(len(jobs)):
                    blocks, rows, a, a_block, a1, a2, c, c_block = jobs[j]
                    multiply(
                        tile, blocks, rows, columns, x + a, a_block, tile[1], a1, a2, y, width * pixel, pixel,
                        sums + p * target[1] + g * target[2] + c, c_block, pixel, pixels[0], width, int(image > first),
                    )  # fmt: skip


def _source(x: np.ndarray, groups: int) -> tuple[int, int, int, int, int, int]:
    image, channel, row, pixel = x.strides
    return id(x), image, row, pixel, channel, x.shape[1] // groups * channel


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
    return room, (id(room), step, row, corner[0] * row + corner[1] * pixel)


def _convolve(x: np.ndarray, kernel: np.ndarray, bias: Any, plan: Plan) -> np.ndarray:
    """x (n, groups * inner, h, w) and packed kernels to (n, groups * outer, *counts)."""
    (n, _, *size), groups, item = x.shape, len(kernel), x.itemsize
    out = np.empty((n, *plan.counts, groups * plan.outer), x.dtype)
    parts = min(get_num_threads(), n * len(plan.jobs))
    _memory, place = _room(x, groups, plan.room, plan.corner, parts)  # the name keeps it alive
    biases = None if bias is None else repeated(bias, plan.counts[1])
    _windows(
        tile(item), parts, n, groups, _source(x, groups), (*size, plan.inner), place, plan.jobs,
        (id(kernel), kernel.strides[0], plan.side * plan.outer), (id(out), out.strides[0], plan.outer * item),
        0 if biases is None else id(biases),
    )  # fmt: skip
    return out.transpose(0, 3, 1, 2)


@jit("F[:,:,:,:,:], i8[::1], i8[::1], i8, i8, i8, F[:,::1]", parallel=False)
def _pack(weight, rows, columns, side, stride, first, out):
    """Some rows and columns of kernels, from `first` on: (row, column, inner, outer), as the products read them.

    A kernel that makes several pixels at once has each of them side by side: itself, where that pixel's window is, and
    zeros. Returns the sum of what was packed.
    """
    groups, _, _, inner, outer = weight.shape
    wide, size, total = len(columns) + (side - 1) * stride, inner * side * outer, weight.dtype.type(0)
    for g in range(groups):
        packed = out[g, first : first + len(rows) * wide * size].reshape(len(rows), wide, inner, side, outer)
        if side > 1:
            packed[:] = 0
        for r in range(len(rows)):
            for c in range(len(columns)):
                plane = weight[g, rows[r], columns[c]]
                for k in range(side):
                    target = packed[r, c + k * stride, :, k]
                    for i in range(inner):
                        for o in range(outer):
                            target[i, o] = plane[i, o]
                            total += plane[i, o]
    return total


@jit("F[:,:,:,:,:,:,::1], i8, F[:,:,:,:,::1]", parallel=False)
def _unpack(partial, stride, out):
    """(thread, group, row, column, inner, side, outer) added up to (group, outer, inner, row, column)."""
    parts, groups, rows, _, inner, side, outer = partial.shape
    for g in range(groups):
        for r in range(rows):
            for c in range(out.shape[4]):
                total = out[g, :, :, r, c]
                for p in range(parts):
                    for k in range(side):
                        plane = partial[p, g, r, c + k * stride, :, k]
                        for i in range(inner):
                            for o in range(outer):
                                before = total[o, i] if p + k > 0 else plane.dtype.type(0)
                                total[o, i] = before + plane[i, o]


def _as_2d(*arrays: np.ndarray) -> list[np.ndarray]:
    """Sequences as images of one row."""
    return [x[:, :, None] if x.ndim == 3 else x for x in arrays]


def _fits(*arrays: Any) -> bool:
    """Whether something here applies: all arrays of one dtype, and not empty."""
    dtype = arrays[0].dtype
    if dtype not in _FLOATS:
        return False
    return all([x is None or (x.dtype == dtype and x.size > 0 and x.flags.aligned) for x in arrays])


def _compiled(x: np.ndarray) -> bool:
    """Whether there are compiled kernels for images like these, of one or two dimensions; see conv_runs.py for others."""
    return x.ndim in (3, 4) and available()


def _padding(x: np.ndarray) -> tuple:
    return ((0, 0),) * (x.ndim - 2)


def _prepared(x: np.ndarray, weight: np.ndarray, plan: Any, *key: Any) -> tuple[Plan, np.ndarray] | None:
    """A plan for x, and the weight (groups, rows, columns, inner, outer) packed for it.

    It is not a short one where NaN or infinity, in either, should meet the zeros that a short one adds or leaves out.
    """
    found: Any = None
    for safe in (True, False):
        found = plan(*key, len(x), x.itemsize, get_num_threads(), safe)
        if found is None:
            return None
        kernel, total = np.empty((len(weight), found.numbers), x.dtype), 0.0
        for rows, columns, first in found.taps:
            total += _pack(weight, rows, columns, found.side, found.stride, first, kernel)
        if math.isfinite(total) and (found.side == 1 or math.isfinite(x.sum())):
            break
    return found, kernel


def conv(x: np.ndarray, weight: np.ndarray, bias: Any = None, *, geometry: Any, padding: Any = None) -> Any:
    """Y = W X; see minigrad/ops/conv.py for shapes, `padding` is (before, after) for each dimension."""
    if not _fits(x, weight, bias):
        return NotImplemented
    if not _compiled(x):
        return conv_runs.conv(x, weight, bias, geometry, padding or _padding(x))
    key = x.shape[2:], weight.shape, geometry, padding or _padding(x)
    one_dimension, (x, weight) = x.ndim == 3, _as_2d(x, weight)
    kernels = weight.reshape(geometry[2], -1, *weight.shape[1:]).transpose(0, 3, 4, 2, 1)
    if (prepared := _prepared(x, kernels, forward_plan, *key)) is None:
        return NotImplemented
    plan, kernel = prepared
    out = _convolve(x, kernel, bias, plan)
    return out[:, :, 0] if one_dimension else out


def conv_transpose(y: np.ndarray, weight: np.ndarray, *, size: Any, geometry: Any, padding: Any = None) -> Any:
    """X = Wᵀ Y, the gradient of the input of a given size."""
    if not _fits(y, weight):
        return NotImplemented
    if not _compiled(y):
        if not conv_runs.can_turn_around(weight, geometry):
            return NotImplemented
        return conv_runs.conv_transpose(y, weight, size, geometry, padding or _padding(y))
    key = tuple(size), weight.shape, geometry, padding or _padding(y), y.shape[2:]
    one_dimension, (y, weight) = y.ndim == 3, _as_2d(y, weight)
    kernels = weight.reshape(geometry[2], -1, *weight.shape[1:]).transpose(0, 3, 4, 1, 2)
    if (prepared := _prepared(y, kernels, backward_plan, *key)) is None:
        return NotImplemented
    plan, kernel = prepared
    out = _convolve(y, kernel, None, plan)
    return out[:, :, 0] if one_dimension else out


def correlate(x: np.ndarray, y: np.ndarray, *, kernel: Any, geometry: Any, padding: Any = None) -> Any:
    """W = Y Xᵀ, the gradient of a weight with kernels of a given size."""
    if not _fits(x, y):
        return NotImplemented
    if not _compiled(x):
        return conv_runs.correlate(x, y, kernel, geometry, padding or _padding(x))
    plan = correlation(x.shape, y.shape, tuple(kernel), geometry, padding or _padding(x), x.itemsize)
    if plan is None:
        return NotImplemented
    one_dimension, (x, y) = x.ndim == 3, _as_2d(x, y)
    (groups, rows, _, inner, _, outer), parts = plan.shape, min(get_num_threads(), len(x))
    _memory, place = _room(x, groups, plan.room, plan.corner, parts)  # the name keeps it alive
    partial = np.empty((parts, *plan.shape), x.dtype)
    _more, pixels = _pixels(y, groups, parts)
    _correlate(
        tile(x.itemsize), parts, len(x), groups, _source(x, groups), (*x.shape[2:], inner), place, _source(y, groups),
        (*pixels, plan.side), plan.jobs, (id(partial), *partial.strides[:2]),
    )  # fmt: skip
    total = np.empty((groups, outer, inner, rows, plan.columns), x.dtype)
    _unpack(partial, plan.stride, total)
    total.shape = (groups * outer, inner, *((plan.columns,) if one_dimension else (rows, plan.columns)))
    return total


def _pixels(y: np.ndarray, groups: int, parts: int) -> tuple[Any, tuple[int, int, int, int, int]]:
    """How `_correlate` sees the gradient of the output: where it is, or copied into a room for each thread."""
    _, channels, height, width = y.shape
    if groups == 1 and _is_dense(y):
        return None, (height, width, channels, 0, 0)
    step = height * width * channels // groups * y.itemsize + 128
    room = np.empty(parts * step, np.uint8)
    return room, (height, width, channels // groups, id(room), step)


def convolution(x: np.ndarray, weight: np.ndarray, bias: Any = None, *, padding: Any, geometry: Any) -> Any:
    """Forward pass of the composition `convolution`: pads, convolves and adds the bias in one go."""
    if not _compiled(x) and not conv_runs.can_turn_around(weight, geometry):
        return NotImplemented
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
        channels_last = g.transpose(0, *range(2, g.ndim), 1)
        gb = sum_rows(channels_last)
        gb = channels_last.sum(tuple(range(g.ndim - 1))) if gb is NotImplemented else gb
    return [gx, gw, gb][: len(needs)]

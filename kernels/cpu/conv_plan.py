"""Which products make a convolution, or one of its gradients: made once for each combination of shapes, see conv.py.

Distances are in bytes, as the kernels want them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .tile import shape

SMALL = 100_000  # products of numbers, below which NumPy is as good


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
        counts: height and width of the result.
        inner, outer: channels of a group, of the image and of the result.
        room: height and width of the image with its padding.
        corner: (top, left) of the image in there.
        side: how many pixels of the result are taken for one.
        stride: how far apart the windows of those are.
        jobs: (chunks, jobs, numbers): the arguments of the products, see `_windows` in conv.py.
        taps: rows and columns of the kernel that are packed together, and where in the packed kernel they begin.
        numbers: how many the packed kernel of a group has.
    """

    counts: tuple[int, int]
    inner: int
    outer: int
    room: tuple[int, int]
    corner: tuple[int, int]
    side: int
    stride: int
    jobs: np.ndarray
    taps: list[tuple[np.ndarray, np.ndarray, int]]
    numbers: int


def _runs(phase: Phase) -> list[tuple[int, tuple[int, ...]]]:
    """Taps whose pixels are neighbours, as one run: (position of the first, taps)."""
    if phase.reach == 1 or len(phase.taps) <= 1:
        return [(0, phase.taps)]
    return [(i * phase.reach, (k,)) for i, k in enumerate(phase.taps)]


def _bands(phase: Phase, size: int, top: int, bottom: int, whole: bool) -> list[tuple[int, int, int, int]]:
    """Outputs from top to bottom that see the same rows of the image, not of its padding: (first, last, first tap, last)."""

    def inside(i: int) -> tuple[int, int]:
        start = phase.start + i * phase.stride
        first = max(0, -(start // phase.reach))
        return first, max(first, min(len(phase.taps), -((start - size) // phase.reach)))

    if whole:
        return [(top, bottom, 0, len(phase.taps))]
    groups = [(taps, list(group)) for taps, group in itertools.groupby(range(top, bottom), inside)]
    return [(group[0], group[-1] + 1, *taps) for taps, group in groups]


def _side(pixels: int, channels: int, taps: int, stride: int, item: int) -> int:
    """How many pixels to take for one so that the fewest vectors have to be multiplied: at most two for each row of B."""
    lanes = shape(item).lanes

    def cost(side: int) -> float:
        return ((side - 1) * stride + taps) * -(-side * channels // lanes) / side

    return min((n for n in range(1, 2 * lanes // channels + 1) if pixels % n == 0), key=cost, default=1)


def _plan(
    phases: Sequence[Sequence[Phase]], size: tuple[int, int], inner: int, outer: int, groups: int, chunks: int, item: int,
    safe: bool,
) -> Plan:
    """The products that make the outputs of all phases.

    Args:
        phases: of both dimensions.
        size: of the image.
        inner, outer, groups: channels of a group, of the image and of the result, and how many groups.
        chunks: into how many parts the rows of the result are divided, for threads that share an image.
        item: bytes of a number.
        safe: whether a product with 0 is 0: then several pixels may be taken for one, and rows of padding left out.
    """
    low = [max(0, -min((p.start for p in dim if p.taps), default=0)) for dim in phases]
    ends = [[p.start + (p.outputs - 1) * p.stride + (len(p.taps) - 1) * p.reach + 1 for p in dim if p.taps] for dim in phases]
    room = [max([l + n, *(l + end for end in dim)]) for l, n, dim in zip(low, size, ends)]
    counts = [sum(p.outputs for p in dim) for dim in phases]
    across = phases[1][0]
    side = 1
    if safe and groups == len(phases[1]) == 1 and across.reach == 1 and across.taps:
        side = _side(across.outputs, outer, len(across.taps), across.stride, item)
    pixel, columns = inner * item, side * outer
    row, target = room[1] * pixel, (counts[1] * groups * outer * item, groups * outer * item)
    jobs: list[list[list[int]]] = [[] for _ in range(chunks)]
    taps, b = [], 0
    for y, x in itertools.product(*phases):
        for run, (offset, columns_of_kernel) in enumerate(_runs(x)):
            k2 = (len(columns_of_kernel) + (side - 1) * x.stride) * inner
            line = k2 * columns * item
            taps.append((np.array(y.taps, np.int64), np.array(columns_of_kernel, np.int64), b // item))
            for chunk in range(chunks):
                rows = y.outputs * chunk // chunks, y.outputs * (chunk + 1) // chunks
                for top, bottom, k, end in _bands(y, size[0], *rows, not safe):
                    a = (low[0] + y.start + top * y.stride + k * y.reach) * row + (low[1] + x.start + offset) * pixel
                    c = (y.first + top * y.step) * target[0] + x.first * target[1]
                    jobs[chunk].append([
                        bottom - top, x.outputs // side, a, y.stride * row, side * x.stride * pixel, y.reach * row,
                        b + k * line, line, c, y.step * target[0], side * x.step * target[1],
                        end - k, k2 if end > k else 0, int(run > 0),
                    ])  # fmt: skip
            b += len(y.taps) * line
    return Plan(
        (counts[0], counts[1]), inner, outer, (room[0], room[1]), (low[0], low[1]), side, across.stride,
        np.array(jobs, np.int64), taps, b // item,
    )  # fmt: skip


def _chunks(images: int, rows: int, threads: int) -> int:
    return 1 if images >= threads else min(-(-threads // images), rows)


@lru_cache(512)
def forward_plan(
    size: Any, weight: Any, geometry: Any, padding: Any, images: int, item: int, threads: int, safe: bool
) -> Plan | None:
    """How to convolve images of some size with a weight of some shape, both of one or two dimensions."""
    stride, dilation, groups = geometry
    numbers = zip(size, weight[2:], stride, dilation, padding)
    phases = _pairs([_forward_phases(*numbers_of_one) for numbers_of_one in numbers], [ONE])
    counts = [dim[0].outputs for dim in phases]
    if images * math.prod(weight) * math.prod(counts) < SMALL:
        return None
    inner, outer, chunks = weight[1], weight[0] // groups, _chunks(images, counts[0], threads)
    return _plan(phases, _pairs(size, 1), inner, outer, groups, chunks, item, safe)


@lru_cache(512)
def backward_plan(
    size: Any, weight: Any, geometry: Any, padding: Any, counts: Any, images: int, item: int, threads: int, safe: bool
) -> Plan | None:
    """How to come back from results of the size `counts` to images of a size."""
    stride, dilation, groups = geometry
    if images * math.prod(weight) * math.prod(counts) < SMALL or 0 in size:
        return None
    numbers = zip(size, weight[2:], stride, dilation, padding)
    phases = _pairs([_backward_phases(*numbers_of_one) for numbers_of_one in numbers], [ONE])
    inner, outer, chunks = weight[0] // groups, weight[1], _chunks(images, _pairs(size, 1)[0], threads)
    return _plan(phases, _pairs(counts, 1), inner, outer, groups, chunks, item, safe)


ONE = Phase(0, 1, 1, 0, 1, (0,), 1)  # of a dimension that is not there


class Correlation(NamedTuple):
    """What to do with each image for the gradient of a weight.

    Attributes:
        shape: of the sums: groups, rows and columns of the kernel, channels in, pixels taken for one, channels out.
        room, corner: as in `Plan`.
        side, stride: likewise.
        columns: of the kernel.
        jobs: the arguments of the products, see `_correlate` in conv.py.
    """

    shape: tuple[int, ...]
    room: tuple[int, int]
    corner: tuple[int, int]
    side: int
    stride: int
    columns: int
    jobs: np.ndarray


@lru_cache(512)
def correlation(x: Any, y: Any, kernel: Any, geometry: Any, padding: Any, item: int) -> Correlation | None:
    """For x and y of some shapes and kernels of a size."""
    if x[1] * y[1] // geometry[2] * math.prod(kernel) * y[0] * math.prod(y[2:]) < SMALL or 0 in kernel:
        return None
    groups, counts, size = geometry[2], _pairs(y[2:], 1), _pairs(x[2:], 1)
    stride, dilation, padding = _pairs(geometry[0], 1), _pairs(geometry[1], 1), _pairs(padding, (0, 0))
    rows, columns = _pairs(kernel, 1)
    inner, outer = x[1] // groups, y[1] // groups
    side = _side(counts[1], outer, columns, stride[1], item) if dilation[1] == 1 else 1
    reach = [(n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(counts, (rows, columns), stride, dilation)]
    height, width = (max(r, n + low) for r, n, (low, _) in zip(reach, size, padding))
    pixel, line, wide = inner * item, inner * side * outer * item, columns + (side - 1) * stride[1]
    row, along = width * pixel, side * stride[1] * pixel
    runs = [(0, wide)] if dilation[1] == 1 else [(k, 1) for k in range(columns)]
    jobs = [
        [rows, n * inner, k * dilation[1] * pixel, dilation[0] * row, stride[0] * row, along, k * line, wide * line]
        for k, n in runs
    ]
    sums = (groups, rows, wide, inner, side, outer)
    corner = (padding[0][0], padding[1][0])
    return Correlation(sums, (height, width), corner, side, stride[1], columns, np.array(jobs, np.int64))


def _pairs(values: Any, missing: Any) -> tuple:
    """One value for each of two dimensions, also where there is one only."""
    return (missing, *values) if len(values) == 1 else tuple(values)

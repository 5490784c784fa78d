"""Convolutions, and the sliding windows under them, in any number of dimensions.

A convolution is a matrix product. Put the windows of the input side by side as the columns of a matrix X, and the
kernels one under the other as the rows of a matrix W; then the result, a row for each output channel and a column for
each window, is

    Y = W X

and its derivatives are those of every matrix product (see linalg.py), done by the other two functions:

    dX = Wᵀ dY      `conv_transpose`: each column goes back to where its window was, and where windows overlap they add up
    dW = dY Xᵀ      `correlate`: how what the kernels saw goes with what came out

Another way to see it: all three are slopes of one and the same sum, over the images n, the channels o and c, the
windows i and the places k in a window,

    L = Σ y[n, o, i] · w[o, c, k] · x[n, c, i * stride + k * dilation]

`conv` is dL/dy, `conv_transpose` is dL/dx, `correlate` is dL/dw. So the slope of each of the three, by either of its
arguments, is another of the three, to any order. A composition of `windows` and `matmul` would give the same, but keep
X for backward, which for kernels of 3 by 3 is nine times the input.

Padding is not done here: it is `pad`, before. Several groups of channels are as many matrix products.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ..composite import composite
from ..kernels import cpu as kernels
from ..op import op
from .shape import _pad_constant


def window_counts(size, kernel, stride, dilation):
    """How many windows fit into a size, for each dimension."""
    return tuple(max(0, (n - d * (k - 1) - 1) // s + 1) for n, k, s, d in zip(size, kernel, stride, dilation))


@op(
    input=lambda g, input_shape, kernel, stride, dilation: overlap_add(
        g, size=input_shape[-len(kernel) :], stride=stride, dilation=dilation
    )
)
def windows(xp, input, *, kernel, stride, dilation):
    """All windows of the last dimensions, without copying: (..., *size) to (..., *kernel, *window_counts)."""
    lead = input.ndim - len(kernel)
    counts = window_counts(input.shape[lead:], kernel, stride, dilation)
    inside = (d * step for d, step in zip(dilation, input.strides[lead:]))
    between = (s * step for s, step in zip(stride, input.strides[lead:]))
    strides = (*input.strides[:lead], *inside, *between)
    return xp.lib.stride_tricks.as_strided(input, (*input.shape[:lead], *kernel, *counts), strides)


@op(
    input=lambda g, input_shape, size, stride, dilation: windows(
        g, kernel=input_shape[-2 * len(size) : -len(size)], stride=stride, dilation=dilation
    )
)
def overlap_add(xp, input, *, size, stride, dilation):
    """The adjoint of `windows`: every window back to its place, (..., *kernel, *window_counts) to (..., *size)."""
    n = len(size)
    out = xp.zeros((*input.shape[: -2 * n], *size), input.dtype)
    for offset in itertools.product(*map(range, input.shape[-2 * n : -n])):  # one element of all windows at a time
        starts = [k * d for k, d in zip(offset, dilation)]
        met = (slice(start, start + s * count, s) for start, s, count in zip(starts, stride, input.shape[-n:]))
        out[(..., *met)] += input[(..., *offset, *[slice(None)] * n)]
    return out


class Geometry(NamedTuple):
    """How windows lie, for each dimension, and into how many groups the channels are parted."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def _kernels(weight, groups):
    """W: for each group a kernel in each row."""
    return weight.reshape(groups, weight.shape[0] // groups, math.prod(weight.shape[1:]))


def _outputs(y, groups):
    """Y: for each image and group a channel in each row, a window in each column."""
    return y.reshape(y.shape[0], groups, y.shape[1] // groups, math.prod(y.shape[2:]))


def _columns(x, kernel, geometry):
    """X: for each image and group a window in each column; and the counts of windows."""
    stride, dilation, groups = geometry
    found = windows(x, kernel=kernel, stride=stride, dilation=dilation)
    counts = found.shape[2 + len(kernel) :]
    rows = x.shape[1] // groups * math.prod(kernel)
    return found.reshape(x.shape[0], groups, rows, math.prod(counts)), counts


@op(
    input=lambda g, weight, input_shape, geometry: conv_transpose(g, weight, size=input_shape[2:], geometry=geometry),
    weight=lambda g, input, weight_shape, geometry: correlate(input, g, kernel=weight_shape[2:], geometry=geometry),
)
def conv(xp, input, weight, *, geometry):
    """Y = W X: (n, channels in, *size) and (channels out, channels in / groups, *kernel) to (n, channels out, *counts)."""
    columns, counts = _columns(input, weight.shape[2:], geometry)
    return (_kernels(weight, geometry.groups) @ columns).reshape(input.shape[0], weight.shape[0], *counts)


@op(
    input=lambda g, weight, geometry: conv(g, weight, geometry=geometry),
    weight=lambda g, input, weight_shape, geometry: correlate(g, input, kernel=weight_shape[2:], geometry=geometry),
)
def conv_transpose(xp, input, weight, *, size, geometry):
    """X = Wᵀ Y, put back to its places: what `conv` makes of (n, channels in, *size), back to that shape."""
    stride, dilation, groups = geometry
    columns = _kernels(weight, groups).swapaxes(-1, -2) @ _outputs(input, groups)
    channels, kernel = weight.shape[1] * groups, weight.shape[2:]
    columns = columns.reshape(input.shape[0], channels, *kernel, *input.shape[2:])
    return overlap_add(columns, size=size, stride=stride, dilation=dilation)


@op(
    input=lambda g, other, input_shape, geometry: conv_transpose(other, g, size=input_shape[2:], geometry=geometry),
    other=lambda g, input, geometry: conv(input, g, geometry=geometry),
)
def correlate(xp, input, other, *, kernel, geometry):
    """W = Y Xᵀ, summed over the images: (n, channels in, *size) and (n, channels out, *counts) to a weight's shape."""
    groups = geometry.groups
    columns, _ = _columns(input, kernel, geometry)
    total = xp.zeros((groups, other.shape[1] // groups, columns.shape[2]), input.dtype)
    for x, y in zip(columns, _outputs(other, groups)):
        total += y @ x.swapaxes(-1, -2)
    return total.reshape(other.shape[1], input.shape[1] // groups, *kernel)


@composite
def convolution(input, weight, bias=None, *, padding, geometry):
    """`conv` of the padded input, plus a number for each channel; padding is (before, after) for each dimension."""
    if any(map(any, padding)):
        input = _pad_constant(input, widths=((0, 0), (0, 0), *padding), value=0)
    out = conv(input, weight, geometry=geometry)
    return out if bias is None else out + bias.reshape(-1, *[1] * len(padding))


conv.fast("cpu")(kernels.conv)
conv_transpose.fast("cpu")(kernels.conv_transpose)
correlate.fast("cpu")(kernels.correlate)
convolution.fused("cpu", kernels.convolution, kernels.convolution_backward)

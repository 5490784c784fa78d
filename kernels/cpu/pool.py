"""Pools over windows of pixels.

1. The formula takes one element of all windows after the other, by tables of where they are.
2. NumPy alone, for windows that lie inside of the image: these elements are slices. Backward compares them with the result.
3. Compiled, all channels of a pixel at once:

The largest of a window is found with vectors of channels, which stay in registers from its first pixel to its last. The
instructions are written here, as in tile.py: which of the pixels it was is a small number beside a float, and compilers
do not put the two into vectors of the same length.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .jit import Intrinsic, available, jit, prange
from .layout import FLOATS, image, pixels, pixels_like
from .tile import _Body, shape

SMALL = 10_000  # numbers


class _Window(_Body):
    """Writes the search of a window; the last vector of channels may reach over their end."""

    def __init__(self, builder: Any, dtype: Any) -> None:
        from llvmlite import ir

        size = dtype.bitwidth // 8
        super().__init__(builder, ir.VectorType(ir.FloatType() if size == 4 else ir.DoubleType(), shape(size).lanes), 1, 1)
        self.places = ir.VectorType(ir.IntType(dtype.bitwidth), self.vector.count)  # as wide as the numbers
        self.small = ir.VectorType(ir.IntType(8), self.vector.count)

    def search(self, x, counts, distances, k, k_row, channels, best, where) -> None:
        """What `largest` does."""
        from numba.core import cgutils

        builder, lanes = self.builder, self._number(self.vector.count)
        blocks = builder.sdiv(builder.add(channels, self._number(self.vector.count - 1)), lanes)
        with cgutils.for_range(builder, blocks) as block:
            done = builder.mul(block.index, lanes)
            self.mask = self._inside(builder.sub(channels, done))
            number, place = (cgutils.alloca_once(builder, kind) for kind in (self.vector, self.places))
            x, best = (self._at(address, block.index, self._number(self.size)) for address in (x, best))
            builder.store(self._load(x), number)
            builder.store(self._everywhere(k), place)
            with cgutils.for_range(builder, counts[0]) as i, cgutils.for_range(builder, counts[1]) as j:
                value = self._load(self._at(self._at(x, i.index, distances[0]), j.index, distances[1]))
                more = builder.fcmp_ordered(">", value, builder.load(number))
                better = builder.or_(more, builder.fcmp_unordered("uno", value, value))
                this = self._everywhere(builder.add(self._at(k, i.index, k_row), j.index))
                for new, kept in ((value, number), (this, place)):
                    builder.store(builder.select(better, new, builder.load(kept)), kept)
            self._store(builder.load(number), best)
            self._store_places(builder.load(place), builder.add(where, done))

    def spread(self, out, counts, distances, k, k_row, channels, g, where) -> None:
        """What `spread` does."""
        from numba.core import cgutils

        builder, lanes = self.builder, self._number(self.vector.count)
        blocks = builder.sdiv(builder.add(channels, self._number(self.vector.count - 1)), lanes)
        with cgutils.for_range(builder, blocks) as block:
            done = builder.mul(block.index, lanes)
            self.mask = self._inside(builder.sub(channels, done))
            out, g = (self._at(address, block.index, self._number(self.size)) for address in (out, g))
            slope, place = self._load(g), self._load_places(builder.add(where, done))
            with cgutils.for_range(builder, counts[0]) as i, cgutils.for_range(builder, counts[1]) as j:
                this = self._everywhere(builder.add(self._at(k, i.index, k_row), j.index))
                value = builder.select(builder.icmp_signed("==", place, this), slope, self.zero)
                self._store(value, self._at(self._at(out, i.index, distances[0]), j.index, distances[1]))

    def _everywhere(self, number: Any) -> Any:
        """An integer in every place of a vector."""
        ir, builder, n = self.ir, self.builder, self.places.count
        number = builder.trunc(number, self.places.element) if self.places.element.width < 64 else number
        first = builder.insert_element(ir.Constant(self.places, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), n), [0] * n))

    def _store_places(self, places: Any, address: Any) -> None:
        """Each as a byte."""
        self._small("store", self.ir.VoidType(), self.builder.trunc(places, self.small), *self._where(address))

    def _load_places(self, address: Any) -> Any:
        zeros = self.ir.Constant(self.small, [0] * self.small.count)
        return self.builder.zext(self._small("load", self.small, *self._where(address), zeros), self.places)

    def _where(self, address: Any) -> tuple:
        pointer = self.builder.inttoptr(address, self.small.as_pointer())
        return pointer, self.ir.Constant(self.ir.IntType(32), 1), self.mask

    def _small(self, name: str, result: Any, *values: Any) -> Any:
        from numba.core import cgutils

        kind = self.ir.FunctionType(result, [value.type for value in values])
        name = f"llvm.masked.{name}.v{self.small.count}i8.p0"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), values)


def _emit(what: str) -> Any:
    from numba.core import cgutils, types

    def window(context, like, x, counts, distances, k, k_row, channels, numbers, where):
        def emit(context, builder, signature, args):
            _, x, counts, distances, *rest = args
            pairs = [cgutils.unpack_tuple(builder, pair, 2) for pair in (counts, distances)]
            getattr(_Window(builder, signature.args[0].dtype), what)(x, *pairs, *rest)
            return context.get_dummy_value()

        number, pair = types.int64, types.UniTuple(types.int64, 2)  # type: ignore[attr-defined] # numba makes this name at run time
        return types.void(like, number, pair, pair, *[number] * 5), emit

    return window


# largest(like, x, counts, distances, k, k_row, channels, best, where)
#
# Of a window of rows and columns (counts) of pixels, with these distances in bytes, the largest number of each channel, to
# the address best, and which pixel it was, a byte to where: the first of several, NaN before all others. x: the first
# pixel; k, k_row: its number, and that of one a row below less that.
largest = Intrinsic(_emit, "search")

# spread(like, x, counts, distances, k, k_row, channels, g, where): the way back, the numbers at g to where they belong in
# a window, zeros to the rest of it.
spread = Intrinsic(_emit, "spread")

_FOUR = "UniTuple(i8, 2), UniTuple(i8, 2), UniTuple(i8, 2), UniTuple(i8, 2)"


@jit("i8, i8, i8, i8, i8, i8", parallel=False)
def _inside(i, size, kernel, stride, padding, dilation):
    """Of a window in one dimension: its first element inside of the image, how many there are, where the first is."""
    start = i * stride - padding
    if start >= 0 and start + (kernel - 1) * dilation < size:
        return 0, kernel, start
    first = (dilation - 1 - start) // dilation if start < 0 else 0
    last = min(kernel, (size - 1 - start) // dilation + 1)
    return first, last - first, start + first * dilation


@jit(f"F[:,:,:,::1], F[:,:,:,::1], u1[:,:,:,::1], {_FOUR}")
def _max_pool(x, out, where, kernel, stride, padding, dilation):
    """The largest of each window, and which of its elements that was."""
    _, height, width, channels = x.shape
    row, pixel = x.strides[1], x.strides[2]
    distances = (dilation[0] * row, dilation[1] * pixel)
    for n in prange(len(x)):
        here, best, place = x[n].ctypes.data, out[n].ctypes.data, where[n].ctypes.data
        for i in range(out.shape[1]):
            k, rows, y = _inside(i, height, kernel[0], stride[0], padding[0], dilation[0])
            for j in range(out.shape[2]):
                m, columns, z = _inside(j, width, kernel[1], stride[1], padding[1], dilation[1])
                first = here + y * row + z * pixel
                largest(x, first, (rows, columns), distances, k * kernel[1] + m, kernel[1], channels, best, place)
                best += pixel
                place += channels


@jit(f"F[:,:,:,::1], u1[:,:,:,::1], F[:,:,:,::1], {_FOUR}")
def _max_pool_slope(g, where, out, kernel, stride, padding, dilation):
    """Each gradient to the element that was the largest; where windows lie side by side, no element is in two."""
    _, height, width, channels = out.shape
    row, pixel = out.strides[1], out.strides[2]
    distances = (dilation[0] * row, dilation[1] * pixel)
    zero = g.dtype.type(0)
    apart = kernel[0] <= stride[0] and kernel[1] <= stride[1] and max(dilation) == 1
    for n in prange(len(g)):
        out[n] = zero
        here, slope, place = out[n].ctypes.data, g[n].ctypes.data, where[n].ctypes.data
        for i in range(g.shape[1]):
            k, rows, y = _inside(i, height, kernel[0], stride[0], padding[0], dilation[0])
            for j in range(g.shape[2]):
                m, columns, z = _inside(j, width, kernel[1], stride[1], padding[1], dilation[1])
                if apart:
                    first = here + y * row + z * pixel
                    spread(out, first, (rows, columns), distances, k * kernel[1] + m, kernel[1], channels, slope, place)
                else:
                    for a in range(rows):
                        for b in range(columns):
                            this = (k + a) * kernel[1] + m + b
                            for c in range(channels):
                                value = g[n, i, j, c] if where[n, i, j, c] == this else zero
                                out[n, y + a * dilation[0], z + b * dilation[1], c] += value
                slope += pixel
                place += channels


def _pairs(geometry: tuple) -> list[tuple[int, int]]:
    """Kernel, stride, padding and dilation, for one dimension as for two of which the first has size 1."""
    return [(missing, *v) if len(v) == 1 else tuple(v) for v, missing in zip(geometry, (1, 1, 0, 1))]


def max_pool(x: np.ndarray, *, tables: Any, geometry: tuple) -> Any:
    """Forward pass of the composition `max_windows`."""
    kernel, counts = geometry[0], [len(table) for table in tables]
    if x.dtype not in FLOATS:
        return NotImplemented
    if x.size < SMALL or math.prod(kernel) > 255 or x.ndim != len(kernel) + 2 or not available():
        return _numpy_pool(x, counts, geometry)
    source = pixels(x[:, :, None] if len(kernel) == 1 else x)
    out = np.empty((len(source), *([1, *counts] if len(kernel) == 1 else counts), source.shape[3]), x.dtype)
    where = np.empty(out.shape, np.uint8)
    _max_pool(source, out, where, *_pairs(geometry))
    result = image(out, x.shape[1])
    return result[:, :, 0] if len(kernel) == 1 else result, (where, source.shape)


def max_pool_backward(g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, *, tables: Any, geometry: tuple) -> list:
    """Each gradient to the element that was the largest."""
    if len(kept) == 1:
        return [_numpy_slope(g, kept[0], x, geometry)]
    where, shape = kept
    gx = np.empty(shape, g.dtype)
    slopes = pixels_like(g[:, :, None] if len(geometry[0]) == 1 else g, where)
    _max_pool_slope(slopes, where, gx, *_pairs(geometry))
    result = image(gx, x.shape[1])
    return [result[:, :, 0] if len(geometry[0]) == 1 else result]


# ------------------------------------------------------------------------------------------------------- NumPy alone


def _elements(x: np.ndarray, counts: Sequence[int], geometry: tuple) -> Iterator[np.ndarray]:
    """One element of all windows after the other."""
    kernel, stride, _, dilation = geometry
    for offset in itertools.product(*map(range, kernel)):
        starts = [k * d for k, d in zip(offset, dilation)]
        where: Any = (..., *[slice(a, a + s * (n - 1) + 1, s) for a, s, n in zip(starts, stride, counts)])
        yield x[where]


def _numpy_pool(x: np.ndarray, counts: Sequence[int], geometry: tuple) -> Any:
    kernel, stride, padding, dilation = geometry
    ends = [s * (n - 1) + d * (k - 1) for k, s, d, n in zip(kernel, stride, dilation, counts)]
    if any(padding) or any(end >= size for end, size in zip(ends, x.shape[-len(kernel) :])):
        return NotImplemented
    first, *others = _elements(x, counts, geometry)
    out = first.copy()
    for element in others:
        np.maximum(out, element, out=out)
    return out, (out,)


def _numpy_slope(g: np.ndarray, out: np.ndarray, x: np.ndarray, geometry: tuple) -> np.ndarray:
    counts = out.shape[-len(geometry[0]) :]
    gx, searching, nan = np.zeros_like(x), np.ones(out.shape, bool), np.isnan(out).any()
    for element, slope in zip(_elements(x, counts, geometry), _elements(gx, counts, geometry)):
        found = element == out
        if nan:
            found |= element != element
        found &= searching
        slope += g * found
        searching ^= found
    return gx

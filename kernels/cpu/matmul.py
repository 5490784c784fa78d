"""The matrix product of every rank and layout.

The BLAS library multiplies, with one thread, and our pool calls it: each thread computes some of the rows of the result,
or of its columns if there are more of these; for a stack of products each thread takes some of the stack. This is as fast
as a BLAS with threads of its own, and leaves one pool on the machine (see blas.py).

Small products stay with NumPy, whose BLAS does not use threads for them either.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from .blas import PLAIN, TRANSPOSED, blas, gemm, restored, running, sequential
from .jit import available, dense, get_num_threads, jit, prange

SMALL = 100_000  # products of numbers: below, NumPy's BLAS uses one thread, and calls cost less
SHARED = 1_000_000  # below, one thread has finished before the others are awake
TINY = 512  # numbers in both: below, NumPy's `dot` is twice as fast as its `@`, which has more to find out
SMALL_ROW = 8_000  # the same where the result is one row or one column
CACHE = 1 << 19  # bytes that are still in a core's own cache when another pass over them begins
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@jit("i8, i8, i8, i8[::1], i8, i8, i8, F[:,::1], F[:,::1], F[::1], F[:,::1]")
def _product(address, get_threads, set_threads, running, parts, ta, tb, a, b, bias, c):
    """c = op(a) op(b) + bias, in parts; each is finished with its bias while it is still in the cache."""
    sequential(get_threads, set_threads, running)
    if parts == 1:
        _part_of_product(0, 1, address, ta, tb, a, b, bias, c)
    else:
        for p in prange(parts):
            _part_of_product(p, parts, address, ta, tb, a, b, bias, c)
    restored(set_threads, running)


@jit(parallel=False)
def _part_of_product(p, parts, address, ta, tb, a, b, bias, c):
    top, bottom, left, right = region(p, parts, *c.shape)
    step = bottom - top
    if bias.size and b.nbytes < CACHE:  # a larger one would have to come from afar for each of the steps
        step = max(64, CACHE // ((right - left) * c.itemsize) // 8 * 8)
    while top < bottom:
        last = min(top + step, bottom)
        multiply(address, ta, tb, a, b, c, top, last, left, right)
        if bias.size:
            _add_to_rows(c, bias, top, last, left, right)
        top = last


@jit(parallel=False)
def multiply(address, ta, tb, a, b, c, top, bottom, left, right):
    """Some rows and columns of c = op(a) op(b)."""
    k, lda, ldb, ldc, size = a.shape[1] if ta == PLAIN else a.shape[0], a.shape[1], b.shape[1], c.shape[1], c.itemsize
    one, zero = c.dtype.type(1), c.dtype.type(0)
    pa = a.ctypes.data + size * top * (lda if ta == PLAIN else 1)
    pb = b.ctypes.data + size * left * (1 if tb == PLAIN else ldb)
    pc = c.ctypes.data + size * (top * ldc + left)
    if top < bottom and left < right:
        gemm(address, ta, tb, bottom - top, right - left, k, one, pa, lda, pb, ldb, zero, pc, ldc)


@jit(parallel=False)
def region(p, parts, m, n):
    """Which rows and columns of an (m, n) result are part p of so many: some of the rows, or of the columns if more."""
    if m >= n:
        top, bottom = part(p, parts, m, 8)
        return top, bottom, 0, n
    left, right = part(p, parts, n, 16)
    return 0, m, left, right


@jit("i8, i8, i8, i8", parallel=False)
def part(p, parts, size, step):
    """Where part p of so many begins and ends; all but the last end at a multiple of a step."""
    begin = (p * size // parts + step - 1) // step * step
    end = ((p + 1) * size // parts + step - 1) // step * step
    return min(begin, size), min(end, size)


@jit("F[:,::1], F[::1], i8, i8, i8, i8", parallel=False)
def _add_to_rows(c, bias, top, bottom, left, right):
    some = bias[left:right]  # loops over a range that begins at 0 become vectors; another's indices might be negative
    for i in range(top, bottom):
        row = c[i, left:right]
        for j in range(some.size):
            row[j] += some[j]


@jit("i8, i8, i8, i8[::1], i8, i8, i8, i8, i8, F, i8, i8, i8[::1], i8, i8, i8[::1], i8, i8, i8[::1]")
def _products(
    address, get_threads, set_threads, running, ta, tb, m, n, k, one, a, lda, starts_a, b, ldb, starts_b, c, ldc, starts_c
):
    """A stack of products, one for each of the starts, which are in bytes."""
    sequential(get_threads, set_threads, running)
    for i in prange(len(starts_c)):
        at, bt, ct = a + starts_a[i], b + starts_b[i], c + starts_c[i]
        gemm(address, ta, tb, m, n, k, one, at, lda, bt, ldb, one - one, ct, ldc)
    restored(set_threads, running)


_empty = {dtype: np.empty(0, dtype) for dtype in _FLOATS}


def matmul(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> Any:
    """`a @ b`, plus a bias for each column; NotImplemented where NumPy is as good, or no kernel applies.

    >>> matmul(np.array([[1.0, 2.0]]), np.array([[1.0], [10.0]]), np.array([0.5]))
    array([[21.5]])
    """
    if a.size + b.size < TINY and a.ndim == b.ndim == 2:
        out = a.dot(b)
        if bias is not None:
            out += bias
        return out
    dtype = a.dtype
    if dtype is not b.dtype or dtype not in _FLOATS or a.ndim == 0 or b.ndim == 0:
        return NotImplemented
    if a.ndim == 1 or b.ndim == 1:
        return _with_vector(a, b) if bias is None else NotImplemented
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    if b.shape[-2] != k:
        return NotImplemented
    work = m * n * k
    if a.ndim == b.ndim == 2:
        if work < (SMALL if m > 1 and n > 1 else SMALL_ROW) or not available() or (library := blas()) is None:
            return NotImplemented
        ta, a = _stored(a)
        tb, b = _stored(b)
        parts = min(get_num_threads(), max(m, n) // 16) if work >= SHARED else 1
        out = np.empty((m, n), dtype)
        extra = _empty[dtype] if bias is None else dense(bias)
        threads = library.get_threads, library.set_threads, running
        _product(library.gemm(dtype), *threads, max(parts, 1), ta, tb, a, b, extra, out)
        return out
    return _stack(a, b, m, n, k) if bias is None else NotImplemented


def _stored(x: np.ndarray) -> tuple[int, np.ndarray]:
    """A matrix as it lies in memory, and whether it is meant transposed; copied if there are gaps."""
    if x.flags.carray:
        return PLAIN, x
    if x.T.flags.carray:
        return TRANSPOSED, x.T
    return PLAIN, np.array(x, order="C")


def _with_vector(a: np.ndarray, b: np.ndarray) -> Any:
    """A vector on the left is a matrix of one row, one on the right a matrix of one column."""
    if a.ndim == 1 and b.ndim == 2:
        out = matmul(a[None], b)
        return out if out is NotImplemented else out[0]
    if a.ndim == 2 and b.ndim == 1:
        out = matmul(a, b[:, None])
        return out if out is NotImplemented else out[:, 0]
    return NotImplemented


def _rows(x: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Of a stack of matrices: plain or transposed, the distance of rows in numbers; copied if BLAS cannot read it."""
    size = x.itemsize
    for kind, row, column, length in ((PLAIN, -2, -1, -1), (TRANSPOSED, -1, -2, -2)):
        between, rest = divmod(x.strides[row], size)
        if x.strides[column] == size and not rest and between >= max(1, x.shape[length]) and x.flags.aligned:
            return kind, between, x
    return PLAIN, max(1, x.shape[-1]), np.array(x, order="C")


def _starts(x: np.ndarray, batch: tuple[int, ...]) -> np.ndarray:
    """Where each matrix of a stack begins, in bytes; broadcast to the shape of the batch. Not to be written to."""
    return _starts_of(x.shape[:-2], x.strides[:-2], batch)


@lru_cache(maxsize=256)  # a network asks for the same ones in each step
def _starts_of(shape: tuple[int, ...], strides: tuple[int, ...], batch: tuple[int, ...]) -> np.ndarray:
    total = np.zeros((1,) * len(batch), np.int64)
    lead = len(batch) - len(shape)
    for dim, (length, stride) in enumerate(zip(shape, strides)):
        if length > 1:
            steps = np.arange(length, dtype=np.int64) * stride
            total = total + steps.reshape((length,) + (1,) * (len(batch) - lead - dim - 1))
    return np.array(np.broadcast_to(total, batch)).reshape(-1)


def _stack(a: np.ndarray, b: np.ndarray, m: int, n: int, k: int) -> Any:
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        return NotImplemented
    count = math.prod(batch)
    if m * n * k * count < SMALL or min(m, n) == 1 or not available() or (library := blas()) is None:
        return NotImplemented
    (ta, lda, a), (tb, ldb, b) = _rows(a), _rows(b)
    out = np.empty((*batch, m, n), a.dtype)
    places = [x.__array_interface__["data"][0] for x in (a, b, out)]
    threads = library.get_threads, library.set_threads, running
    _products(
        library.gemm(a.dtype), *threads, ta, tb, m, n, k, a.dtype.type(1),
        places[0], lda, _starts(a, batch), places[1], ldb, _starts(b, batch), places[2], n, _starts(out, batch),
    )  # fmt: skip
    return out

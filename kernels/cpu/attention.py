"""Attention, each query's weights made where they are used and never kept.

1. The formula makes the scores of all queries with all keys, (queries, keys) for each head, in five arrays.
2. NumPy alone: one such array, kept for the backward pass; made and used in blocks that stay in the cache, without the
   keys that a block of queries may not see.
3. Compiled, after FlashAttention (Dao et al., 2022): a head's queries are taken in blocks, so that the scores of a block
   stay in the cache from the product that makes them, through the softmax, to the product that uses them. Of a block of
   queries that may not look ahead only the keys up to its last one are touched, which is half of the work. What is kept
   for the backward pass is log(sum(exp(scores))) of each query, one number, from which it makes the weights anew.

The heads are read where they are: queries, keys and values that lie beside each other in one array, as one linear layer
makes them, are not copied apart. Each (batch, head) is the work of one thread, with BLAS inside (see blas.py).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from .blas import PLAIN, TRANSPOSED, blas, gemm, restored, running, sequential
from .bytes import clear
from .elementary import exp
from .jit import jit, prange
from .matmul import _rows as readable
from .matmul import _starts_of as starts_of
from .pointers import data_of, view
from .rows import pays
from .softmax import largest

BLOCK = 32  # queries: the fewer, the fewer keys are looked at in vain; the more, the faster the products


@jit("F[::1], i8", parallel=False)
def _softmax(row, n):
    """Weights out of the first n scores, zero for the others; returns log(sum(exp(scores)))."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    peak = largest(row[:n])
    total = zero
    if peak != -np.inf:
        for j in range(n):
            row[j] = exp(row[j] - peak)
            total += row[j]
    scale = one / total if total != zero else zero  # a query that may see nothing takes nothing
    for j in range(n):
        row[j] = row[j] * scale if total != zero else zero
    row[n:] = zero
    return peak + np.log(total) if total != zero else row.dtype.type(np.inf)


_KERNEL = "UniTuple(i8, 3), i8[::1], i8[::1], i8[:,::1], i8[::1], UniTuple(i8, 6), F, F[:,::1]"


@jit("i8[::1], i8[:,::1]", parallel=False)
def _places(arrays, starts):
    """The address of each head in each of some arrays."""
    places = np.empty_like(starts)
    for i in range(len(arrays)):
        for head in range(starts.shape[1]):
            places[i, head] = data_of(arrays[i]) + starts[i, head]
    return places


@jit(_KERNEL)
def _forward(library, running, arrays, starts, steps, sizes, scale, lse):
    """arrays: ids of queries, keys, values, mask and results; starts of each head in them, steps from row to row."""
    queries, keys, features, values, causal, masked = sizes
    one, zero, width, multiply = lse.dtype.type(1), lse.dtype.type(0), lse.itemsize, library[0]
    sequential(library[1], library[2], running)
    places = _places(arrays, starts)
    for head in prange(places.shape[1]):
        q, k, v, m, o = places[0, head], places[1, head], places[2, head], places[3, head], places[4, head]
        weights = np.empty((BLOCK, keys), lse.dtype)
        w = weights.ctypes.data
        for first in range(0, queries, BLOCK):
            rows = min(BLOCK, queries - first)
            seen = min(keys, first + rows) if causal else keys
            block = q + width * first * steps[0]
            gemm(multiply, PLAIN, TRANSPOSED, rows, seen, features, scale, block, steps[0], k, steps[1], zero, w, keys)
            for r in range(rows):
                row = weights[r, :seen]
                if masked:
                    row += view(m + width * (first + r) * steps[3], seen, lse)
                lse[head, first + r] = _softmax(row, min(first + r + 1, keys) if causal else keys)
            block = o + width * first * steps[4]
            gemm(multiply, PLAIN, PLAIN, rows, values, seen, one, w, keys, v, steps[2], zero, block, steps[4])
    restored(library[2], running)


@jit("F[::1], F[::1], i8, F, F", parallel=False)
def _slopes(row, slope, n, lse, scale):
    """Scores become weights, and the gradient of the weights becomes that of the scores: W * (dW - sum(dW * W))."""
    zero = row.dtype.type(0)
    total = zero
    for j in range(n):
        row[j] = exp(row[j] - lse)
        total += row[j] * slope[j]
    for j in range(n):
        slope[j] = row[j] * (slope[j] - total) * scale
    row[n:] = zero
    slope[n:] = zero


@jit(_KERNEL)
def _backward(library, running, arrays, starts, steps, sizes, scale, lse):
    """As forward, with the gradients of the results, and of queries, keys and values after that, where these go."""
    queries, keys, features, values, causal, masked = sizes
    one, zero, width, multiply = lse.dtype.type(1), lse.dtype.type(0), lse.itemsize, library[0]
    sequential(library[1], library[2], running)
    places = _places(arrays, starts)
    for head in prange(places.shape[1]):
        q, k, v, m, g = places[0, head], places[1, head], places[2, head], places[3, head], places[4, head]
        gq, gk, gv = places[5, head], places[6, head], places[7, head]
        weights, slopes = np.empty((BLOCK, keys), lse.dtype), np.empty((BLOCK, keys), lse.dtype)
        w, s = weights.ctypes.data, slopes.ctypes.data
        for j in range(keys):
            clear(gk + width * j * steps[6], width * features)
            clear(gv + width * j * steps[7], width * values)
        for first in range(0, queries, BLOCK):
            rows = min(BLOCK, queries - first)
            seen = min(keys, first + rows) if causal else keys
            at_q, at_g, at_gq = (width * first * steps[0] + q, width * first * steps[4] + g, width * first * steps[5] + gq)
            gemm(multiply, PLAIN, TRANSPOSED, rows, seen, features, scale, at_q, steps[0], k, steps[1], zero, w, keys)
            gemm(multiply, PLAIN, TRANSPOSED, rows, seen, values, one, at_g, steps[4], v, steps[2], zero, s, keys)
            for r in range(rows):
                row = weights[r, :seen]
                if masked:
                    row += view(m + width * (first + r) * steps[3], seen, lse)
                n = min(first + r + 1, keys) if causal else keys
                _slopes(row, slopes[r, :seen], n, lse[head, first + r], scale)
            gemm(multiply, TRANSPOSED, PLAIN, seen, values, rows, one, w, keys, at_g, steps[4], one, gv, steps[7])
            gemm(multiply, TRANSPOSED, PLAIN, seen, features, rows, one, s, keys, at_q, steps[0], one, gk, steps[6])
            gemm(multiply, PLAIN, PLAIN, rows, features, seen, one, s, keys, k, steps[1], zero, at_gq, steps[5])
    restored(library[2], running)


@lru_cache(maxsize=256)  # a network asks for the same ones in each step
def _layout(batch: tuple[int, ...], *forms: tuple[tuple[int, ...], tuple[int, ...], int]) -> tuple[np.ndarray, np.ndarray]:
    """Of arrays (..., rows, columns) of some shapes, strides and item sizes: where each head begins, and the step of rows."""
    starts = np.array([starts_of(shape[:-2], strides[:-2], batch) for shape, strides, _ in forms])
    return starts, np.array([strides[-2] // item for _, strides, item in forms])


def _run(kernel: Any, batch: tuple[int, ...], arrays: list[np.ndarray], sizes: tuple, scale: float, lse: np.ndarray) -> None:
    library: Any = blas()
    starts, steps = _layout(batch, *[(x.shape, x.strides, x.itemsize) for x in arrays])
    ids = np.array([id(x) for x in arrays])
    kernel(library.functions(lse.dtype), running, ids, starts, steps, sizes, lse.dtype.type(scale), lse)


def _without_gaps(x: np.ndarray) -> np.ndarray:
    """Copied if a head's rows cannot be read as they lie."""
    kind, _, x = readable(x)
    return x if kind == PLAIN else np.array(x, order="C")


def _spread(mask: np.ndarray | None, shape: tuple[int, int], missing: np.ndarray) -> np.ndarray:
    """Numbers to add to the scores; a row that serves all queries has a step of 0. Some array if there are none."""
    if mask is None:
        return missing
    mask = np.atleast_2d(mask)
    mask = np.ascontiguousarray(np.broadcast_to(mask, (*mask.shape[:-1], shape[1])))
    return np.broadcast_to(mask, (*mask.shape[:-2], *shape))


def _inside_out(batch: tuple[int, ...], rows: int, columns: int, dtype: np.dtype) -> np.ndarray:
    """An array (..., heads, rows, columns) with (..., rows, heads, columns) in memory: what joins the heads copies nothing."""
    if not batch:
        return np.empty((rows, columns), dtype)
    return np.empty((*batch[:-1], rows, batch[-1], columns), dtype).swapaxes(-3, -2)


def _like(batch: tuple[int, ...], *arrays: np.ndarray) -> list[np.ndarray]:
    """Room for the gradients of queries, keys and values; beside each other in one array if these are so themselves.

    Then the array that they were cut out of has its gradient ready, see minigrad/slices.py.
    """
    first = arrays[0]
    if len(batch) and first.base is not None and all(x.base is first.base and x.shape == first.shape for x in arrays):
        *outer, heads, rows, columns = first.shape
        beside = np.empty((*outer, rows, len(arrays), heads, columns), first.dtype)
        return [beside[..., i, :, :].swapaxes(-3, -2) for i in range(len(arrays))]
    return [_inside_out(batch, x.shape[-2], x.shape[-1], x.dtype) for x in arrays]


def attention(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, *, scale: float, is_causal: bool, mask: np.ndarray | None = None
) -> Any:
    dtype = query.dtype
    if dtype.kind != "f" or dtype.itemsize < 4 or key.dtype != dtype or value.dtype != dtype or not key.shape[-2]:
        return NotImplemented
    if mask is not None and mask.dtype.kind == "b":
        mask = np.where(mask, dtype.type(0), dtype.type(-np.inf))
    if pays(query, key, value, mask) and blas() is not None:
        return _compiled(query, key, value, scale, is_causal, mask)
    return NotImplemented if mask is not None else _with_numpy(query, key, value, scale, is_causal)


def _compiled(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, causal: bool, mask: np.ndarray | None) -> Any:
    batch = np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2], () if mask is None else mask.shape[:-2])
    queries, keys, values = q.shape[-2], k.shape[-2], v.shape[-1]
    out = _inside_out(batch, queries, values, q.dtype)
    lse = np.empty((math.prod(batch), queries), q.dtype)
    sizes = queries, keys, q.shape[-1], values, int(causal), int(mask is not None)
    arrays = [_without_gaps(x) for x in (q, k, v)]
    _run(_forward, batch, [*arrays, _spread(mask, (queries, keys), q), out], sizes, scale, lse)
    return out, (batch, sizes, mask, lse)


def attention_backward(
    g: np.ndarray, needs: list[bool], kept: Any, query: np.ndarray, key: np.ndarray, value: np.ndarray,
    *, scale: float, is_causal: bool, mask: np.ndarray | None = None,
) -> list:
    """dS = W * (dW - sum(dW * W)), with dW = g Vᵀ; hidden keys have weight 0, hence gradient 0."""
    if len(kept) == 2:
        grads = _numpy_backward(g, kept, query, key, value, scale, is_causal)
        return [x if need else None for x, need in zip(grads, needs)]
    batch, sizes, mask, lse = kept
    grads = _like(batch, query, key, value)
    arrays = [_without_gaps(x) for x in (query, key, value)]
    arrays += [_spread(mask, sizes[:2], query), _without_gaps(g), *grads]
    _run(_backward, batch, arrays, sizes, scale, lse)
    return [x if need else None for x, need in zip(grads, needs)]


# ------------------------------------------------------------------------------------------------------- NumPy alone
# A column for each query, not a row: NumPy finds the largest of long columns three times as fast as of short rows.

ROWS = 256  # queries of a block
ROOM = 1 << 17  # weights of a block: those of several heads, if there are few keys


def _blocks(shape: tuple[int, ...], is_causal: bool) -> Iterator[tuple[slice, slice, slice]]:
    """Of weights (batch, ..., keys, queries) parts that stay in the cache: some of the batch, queries, and keys they see.

    The last queries come first, since they see the most keys.
    """
    keys, queries = shape[-2:]
    step = max(1, ROOM // (math.prod(shape[1:-1]) * min(ROWS, queries)))
    for first, row in itertools.product(range(0, shape[0], step), range(0, queries, ROWS)[::-1]):
        stop = min(row + ROWS, queries)
        yield slice(first, first + step), slice(row, stop), slice(0, min(keys, stop) if is_causal else keys)


def _with_batch(*arrays: np.ndarray) -> list[np.ndarray]:
    """All with the same dimensions before the last two, at least one."""
    batch = np.broadcast_shapes(*[x.shape[:-2] for x in arrays]) or (1,)
    return [np.broadcast_to(x, (*batch, *x.shape[-2:])) for x in arrays]


def _with_numpy(query: np.ndarray, key: np.ndarray, value: np.ndarray, scale: float, is_causal: bool) -> Any:
    flat, dtype = query.ndim == key.ndim == value.ndim == 2, query.dtype
    q, k, v = _with_batch(query, key, value)
    (*batch, keys, _), queries = k.shape, q.shape[-2]
    weights, out = np.empty((*batch, keys, queries), dtype), _inside_out(tuple(batch), queries, v.shape[-1], dtype)
    hidden = np.where(np.tri(keys, queries, -1), dtype.type(-np.inf), dtype.type(0)) if is_causal else None
    for some, rows, seen in _blocks(weights.shape, is_causal):
        block = weights[some, ..., seen, rows]
        np.matmul(k[some, ..., seen, :], q[some, ..., rows, :].swapaxes(-1, -2) * dtype.type(scale), out=block)
        if hidden is not None:
            block[..., rows.start :, :] += hidden[rows.start : seen.stop, rows]
        block -= block.max(axis=-2, keepdims=True)  # finite: a causal column sees at least its first key
        np.exp(block, out=block)
        block /= block.sum(axis=-2, keepdims=True)
        np.matmul(block.swapaxes(-1, -2), v[some, ..., seen, :], out=out[some, ..., rows, :])
    out = out[0] if flat else out
    return out, (weights, out)


def _numpy_backward(
    g: np.ndarray, kept: tuple, query: np.ndarray, key: np.ndarray, value: np.ndarray, scale: float, is_causal: bool
) -> list:
    """Of each query sum(dW * W) is g times the result, which has fewer numbers."""
    weights, out = kept
    g, out, q, k, v = _with_batch(g, out, query, key, value)
    gq, gk, gv = _like(g.shape[:-2], q, k, v)
    keys, queries = weights.shape[-2:]
    for x in (gk, gv):
        x[..., queries if is_causal else keys :, :] = 0
    for some, rows, seen in _blocks(weights.shape, is_causal):
        block, slope = weights[some, ..., seen, rows], g[some, ..., rows, :]
        _put(block, slope, gv[some, ..., seen, :], rows.stop == queries)
        scores = v[some, ..., seen, :] @ slope.swapaxes(-1, -2)
        scores -= np.einsum("...ij,...ij->...i", slope, out[some, ..., rows, :])[..., None, :]
        scores *= block
        scores *= query.dtype.type(scale)
        np.matmul(scores.swapaxes(-1, -2), k[some, ..., seen, :], out=gq[some, ..., rows, :])
        _put(scores, q[some, ..., rows, :], gk[some, ..., seen, :], rows.stop == queries)
    return [x[0] if query.ndim == key.ndim == value.ndim == 2 else x for x in (gq, gk, gv)]


def _put(a: np.ndarray, b: np.ndarray, out: np.ndarray, first: bool) -> None:
    """A product to where there is nothing yet, or added to what is there."""
    if first:
        np.matmul(a, b, out=out)
    else:
        out += a @ b

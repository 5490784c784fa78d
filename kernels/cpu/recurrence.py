"""RNN, GRU and LSTM: all steps of a layer in one kernel.

1. The formula makes a dozen small arrays at each step, and records as many operations: with 100 steps of 32 sequences
   nearly all the time goes into calls.
2. Here the whole layer is one call. Each thread takes some of the sequences through all steps, so that threads never wait
   for each other. The weights are packed once, in the order in which the micro-kernel of tile.py reads them; then a step
   is two small products and a few loops over the gates, while all this is in the cache.
3. The backward pass goes through the steps from the last to the first in the same way. What the gradients of the weights
   have in common is a sum over all rows of all steps: a few steps are collected, then added to them as one product.

A step's rows are taken apart by gates: a block (gates, sequences, hidden), so that a loop over a gate has all sequences
in one row of numbers, however few hidden units there are. Blocks begin as biases, the products are added to them, the
gates are made of them in place, and with the state before the step after them that is what is kept for backward.

A cell is two functions of a block at address z, whose parts have n numbers each. Forward: the block becomes gates, h and
c (which only the LSTM has) the state after the step. Backward: dh and dc are the gradients of the state after the step,
and become those of the state before, but for the part of dh that goes through the product; d is where the gradients of
what the products made go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from . import lstm
from . import rows as sizes_that_pay
from .bytes import clear, copy
from .elementary import sigmoid, tanh
from .jit import Kernel, available, dense, get_num_threads, jit, prange
from .pointers import view
from .tile import TILE, multiply, tile

# Numbers in the loops have the dtype of the arrays: `one - y`, since `1 - y` would be float64. Loops are short on purpose:
# a compiler has to prove, or to test before each, that no two of its arrays overlap, and gives up beyond a few.

_step = jit("i8, i8, F[:,::1], F[::1], F[::1]", parallel=False)
_back = jit("i8, i8, i8, F[::1], F[::1]", parallel=False)


@jit("i8, i8, i8, F[::1]", parallel=False)
def _part(z, i, n, like):
    return view(z + i * n * like.itemsize, n, like)


# ------------------------------------------------------------------------------------------------------- simple RNN


@_step
def tanh_step(z, n, bias, h, c):
    y = view(z, n, h)
    for j in range(n):
        h[j] = y[j] = tanh(y[j] + bias[0, j])


@_back
def tanh_back(z, n, d, dh, dc):
    y, slope, one = view(z, n, dh), view(d, n, dh), dh.dtype.type(1)
    for j in range(n):
        slope[j] = dh[j] * (one - y[j] * y[j])
        dh[j] = 0


@_step
def relu_step(z, n, bias, h, c):
    y, zero = view(z, n, h), h.dtype.type(0)
    for j in range(n):
        s = y[j] + bias[0, j]
        h[j] = y[j] = zero if s < zero else s


@_back
def relu_back(z, n, d, dh, dc):
    y, slope, zero = view(z, n, dh), view(d, n, dh), dh.dtype.type(0)
    for j in range(n):
        slope[j] = dh[j] if y[j] > zero else zero
        dh[j] = zero


# --------------------------------------------------------------------------------------------------------------- GRU
# Parts: reset, keep, new, what reset is multiplied with, and h before the step.


@_step
def gru_step(z, n, bias, h, c):
    reset, keep, new, product = view(z, n, h), _part(z, 1, n, h), _part(z, 2, n, h), _part(z, 3, n, h)
    for j in range(n):
        reset[j] = sigmoid(reset[j] + bias[0, j])
    for j in range(n):
        keep[j] = sigmoid(keep[j] + bias[1, j])
    for j in range(n):
        product[j] += bias[3, j]
    for j in range(n):
        new[j] = tanh(new[j] + bias[2, j] + reset[j] * product[j])
    for j in range(n):
        h[j] = new[j] + keep[j] * (h[j] - new[j])


@_back
def gru_back(z, n, d, dh, dc):
    reset, keep, new, product = view(z, n, dh), _part(z, 1, n, dh), _part(z, 2, n, dh), _part(z, 3, n, dh)
    before, one = _part(z, 4, n, dh), dh.dtype.type(1)
    d_reset, d_keep, d_new, d_product = view(d, n, dh), _part(d, 1, n, dh), _part(d, 2, n, dh), _part(d, 3, n, dh)
    for j in range(n):
        d_new[j] = dh[j] * (one - keep[j]) * (one - new[j] * new[j])
    for j in range(n):
        d_keep[j] = dh[j] * (before[j] - new[j]) * keep[j] * (one - keep[j])
    for j in range(n):
        d_product[j] = d_new[j] * reset[j]
        d_reset[j] = d_new[j] * product[j] * reset[j] * (one - reset[j])
    for j in range(n):
        dh[j] *= keep[j]


# -------------------------------------------------------------------------------------------------------------- LSTM
# Parts: write, keep, new, show, and h and c before the step.


@_step
def lstm_step(z, n, bias, h, c):
    write, keep, new, show = view(z, n, h), _part(z, 1, n, h), _part(z, 2, n, h), _part(z, 3, n, h)
    for j in range(n):
        write[j] = sigmoid(write[j] + bias[0, j])
    for j in range(n):
        keep[j] = sigmoid(keep[j] + bias[1, j])
    for j in range(n):
        new[j] = tanh(new[j] + bias[2, j])
    for j in range(n):
        show[j] = sigmoid(show[j] + bias[3, j])
    for j in range(n):
        c[j] = keep[j] * c[j] + write[j] * new[j]
    for j in range(n):
        h[j] = show[j] * tanh(c[j])


@_back
def lstm_back(z, n, d, dh, dc):
    write, keep, new, show = view(z, n, dh), _part(z, 1, n, dh), _part(z, 2, n, dh), _part(z, 3, n, dh)
    before, one, zero = _part(z, 5, n, dh), dh.dtype.type(1), dh.dtype.type(0)
    d_write, d_keep, d_new, d_show = view(d, n, dh), _part(d, 1, n, dh), _part(d, 2, n, dh), _part(d, 3, n, dh)
    for j in range(n):
        d_show[j] = tanh(keep[j] * before[j] + write[j] * new[j])
    for j in range(n):
        t, slope = d_show[j], dh[j] * show[j]
        dc[j] += slope * (one - t * t)
        d_show[j] = slope * t * (one - show[j])
    for j in range(n):
        d_write[j] = dc[j] * new[j] * write[j] * (one - write[j])
        d_new[j] = dc[j] * write[j] * (one - new[j] * new[j])
    for j in range(n):
        d_keep[j] = dc[j] * before[j] * keep[j] * (one - keep[j])
        dc[j] *= keep[j]
    for j in range(n):
        dh[j] = zero


# ------------------------------------------------------------------------------------------------------ the products
# A packed matrix B (k, f) stands in panels of as many columns as the micro-kernel takes at once.


@jit("F[:,:,::1], F[:,:,:,::1], i8")
def _pack(matrices, panels, transposed):
    """A stack of matrices into a stack of panels (matrices, panels, k, width)."""
    width = panels.shape[3]
    for panel in prange(panels.shape[1]):
        first = panel * width
        for i in range(panels.shape[0]):
            if transposed:
                for f in range(min(width, matrices.shape[1] - first)):
                    for k in range(panels.shape[2]):
                        panels[i, panel, k, f] = matrices[i, first + f, k]
            else:
                for k in range(panels.shape[2]):
                    for f in range(min(width, matrices.shape[2] - first)):
                        panels[i, panel, k, f] = matrices[i, k, first + f]


@jit(f"{TILE}, i8, i8, i8, i8, i8, i8, i8, i8, i8, i8", parallel=False)
def _product(tile, rows, k, columns, a, a_row, panels, tall, c, c_row, accumulate):
    """C = A B, or C += A B, with k rows of packed panels that have `tall` rows."""
    size, width = tile[1], 2 * tile[2]
    for f in range(0, columns, width):
        b = panels + size * f * tall
        n, to, b_row = min(width, columns - f), c + size * f, size * width
        multiply(tile, 1, rows, n, a, 0, a_row, 0, size, b, 0, b_row, to, 0, c_row, 1, k, accumulate)


@jit(f"{TILE}, i8, i8, i8, i8, i8, i8, i8, i8, i8, i8", parallel=False)
def _add_gradient(tile, columns, steps, rows, d, d_step, d_row, b, b_step, b_row, gradient):
    """G += sum over the rows of some steps of what d has there, as a column, times what B has there, as a row."""
    size = tile[1]
    hidden = d_row // size
    multiply(tile, 1, hidden, columns, d, 0, size, d_step, d_row, b, b_step, b_row, gradient, 0, size * columns, steps, rows, 1)


@jit("i8, F[:,::1]", parallel=False)
def _aligned(n, like):
    """Room for n numbers at a multiple of 64 bytes, so that no vector lies across two lines of the cache."""
    lines = np.empty(n + 64 // like.itemsize, like.dtype)
    first = -lines.ctypes.data % 64 // like.itemsize
    return lines[first : first + n]


@jit("i8, i8, i8", parallel=False)
def _hidden_part(i, gates, sums):
    """Which part of a block has the hidden share of gate i."""
    return i + 1 if i == 2 and sums > gates else i


@jit("F[::1], i8, i8, i8", parallel=False)
def _add(total, first, address, n):
    """Add n numbers from an address on to those of an array from the first on."""
    to, numbers = view(total.ctypes.data + first * total.itemsize, n, total), view(address, n, total)
    for j in range(n):
        to[j] += numbers[j]


# --------------------------------------------------------------------------------------------------------- sequences
# Sequences are packed, from long to short (see minigrad/ops/rnn.py): sizes[t] of them have step t, whose rows begin at
# offsets[t]; or the rows of each sequence stand together, with batch_first. A thread has the sequences low to high.


class Cell(NamedTuple):
    """What there is to know of a cell.

    Attributes:
        gates: parts of its weights.
        sums: parts of a block; one more than gates for the GRU, whose last gate keeps the two products apart.
        states: 2 for h and c, 1 for h.
        step, back: its functions.
    """

    gates: int
    sums: int
    states: int
    step: Kernel
    back: Kernel


CELLS = {
    "RNN_TANH": Cell(1, 1, 1, tanh_step, tanh_back),
    "RNN_RELU": Cell(1, 1, 1, relu_step, relu_back),
    "GRU": Cell(3, 4, 1, gru_step, gru_back),
    "LSTM": Cell(4, 4, 2, lstm_step, lstm_back),
}
COLLECTED = 256, 1 << 17  # rows of steps whose gradients of weights are one product, and how many numbers at most


def _forward_of(cell: Cell) -> Kernel:
    gates, sums, states, step, _ = cell

    @jit(
        f"{TILE}, i8, F[:,::1], F[:,:,::1], F[:,:,::1], F[:,:,::1], F[:,::1], F[:,:,:,::1], F[:,:,:,::1], F[::1], "
        "F[:,::1], F[:,::1], i8[::1], i8[::1], i8, i8"
    )
    def forward(
        tile, parts, x, hx, w_ih, w_hh, bias, from_x, from_h, kept, out, cells, sizes, offsets, reverse, batch_first
    ):
        size, steps, features, hidden = x.itemsize, len(sizes), x.shape[1], hx.shape[2]
        hop, row = (steps if batch_first else 1), size * hidden
        _pack(w_ih, from_x, 1)
        _pack(w_hh, from_h, 1)
        for part in prange(parts):
            low, high = part * len(hx) // parts, (part + 1) * len(hx) // parts
            most = (high - low) * hidden
            h, c, start = _aligned(most, x), _aligned(most, x), _aligned(sums * most, x).reshape(sums, most)
            for r in range(high - low):
                copy(h.ctypes.data + row * r, hx[low + r].ctypes.data, row)
                if states == 2:
                    copy(c.ctypes.data + row * r, hx[low + r, 1].ctypes.data, row)
                for i in range(sums):
                    copy(start[i, r * hidden :].ctypes.data, bias[i].ctypes.data, row)
            for s in range(steps):
                t = steps - 1 - s if reverse else s
                rows = min(high, sizes[t]) - low
                if rows <= 0:
                    continue
                n = rows * hidden
                z = kept.ctypes.data + row * (offsets[t] + low) * (sums + states)
                copy(z + size * sums * n, h.ctypes.data, size * n)
                if states == 2:
                    copy(z + size * (sums + 1) * n, c.ctypes.data, size * n)
                first = t + low * hop if batch_first else offsets[t] + low
                at, apart = x.ctypes.data + size * features * first, size * features * hop
                for i in range(gates):
                    to, panels = z + size * i * n, from_x[i].ctypes.data
                    _product(tile, rows, features, hidden, at, apart, panels, features, to, row, 0)
                for i in range(gates):
                    to, panels = z + size * _hidden_part(i, gates, sums) * n, from_h[i].ctypes.data
                    add = _hidden_part(i, gates, sums) == i
                    _product(tile, rows, hidden, hidden, h.ctypes.data, row, panels, hidden, to, row, add)
                step(z, n, start, h, c)
                for r in range(rows):
                    copy(out.ctypes.data + row * (first + r * hop), h.ctypes.data + row * r, row)
            if states == 2:
                copy(cells.ctypes.data + row * low, c.ctypes.data, size * most)

    forward.name = f"recurrence.{step.function.__name__}s"
    return forward


def _backward_of(cell: Cell) -> Kernel:
    gates, sums, states, _, back = cell

    @jit(
        f"{TILE}, i8, F[:,::1], F[:,::1], F[:,::1], F[:,:,::1], F[:,:,::1], F[:,:,:,::1], F[:,:,:,::1], F[::1], "
        "F[:,:,::1], F[:,::1], F[:,:,::1], F[:,:,::1], F[:,:,::1], i8[::1], i8[::1], i8, i8"
    )
    def backward(
        tile, parts, g, gcells, x, w_ih, w_hh, to_x, to_h, kept, ghx, gx, gw_ih, gw_hh, gbias,
        sizes, offsets, reverse, batch_first,
    ):
        size, width, steps, features, hidden = tile[1], 2 * tile[2], len(sizes), x.shape[1], w_hh.shape[2]
        hop, way = (steps if batch_first else 1), (-1 if reverse else 1)
        if len(gx):
            _pack(w_ih, to_x, 0)
        _pack(w_hh, to_h, 0)
        for part in prange(parts):
            low, high = part * len(ghx) // parts, (part + 1) * len(ghx) // parts
            most, block = (high - low) * hidden, (high - low) * hidden * sums
            dh, dc, total = _aligned(most, x), _aligned(most, x), _aligned(block, x)
            dh[:], dc[:], total[:] = 0, 0, 0
            if states == 2:
                copy(dc.ctypes.data, gcells.ctypes.data + size * hidden * low, size * most)
            room = max(1, min(COLLECTED[0] * hidden, COLLECTED[1] // sums) // most)
            d = _aligned(room * block, x).reshape(room, block)
            clear(gw_ih[part].ctypes.data, size * gw_ih[part].size)
            clear(gw_hh[part].ctypes.data, size * gw_hh[part].size)
            collected = 0
            for s in range(steps - 1, -1, -1):
                t = steps - 1 - s if reverse else s
                rows = min(high, sizes[t]) - low
                if rows <= 0:
                    continue
                n = rows * hidden
                z = kept.ctypes.data + size * (offsets[t] + low) * hidden * (sums + states)
                first = t + low * hop if batch_first else offsets[t] + low
                for r in range(rows):
                    _add(dh, r * hidden, g.ctypes.data + size * hidden * (first + r * hop), hidden)
                slot = d[collected].ctypes.data
                back(z, n, slot, dh, dc)
                for i in range(sums):
                    _add(total, i * most, slot + size * i * n, n)
                for i in range(gates):
                    at, panels = _hidden_part(i, gates, sums), to_h.ctypes.data + size * i * hidden * width
                    at, result = slot + size * at * n, dh.ctypes.data
                    _product(tile, rows, hidden, hidden, at, size * hidden, panels, gates * hidden, result, size * hidden, 1)
                collected += 1
                if collected < room and s > 0 and sizes[t - way] == sizes[t]:
                    continue
                # The steps collected, from this one back to the first of them.
                row, x_row, back_one = size * hidden, size * features * hop, -size * block
                before, h_step = z + size * sums * n, way * row * sizes[t] * (sums + states)
                at, x_step = size * features * first, way * size * features * (1 if batch_first else sizes[t])
                for i in range(gates):
                    to, taken = gw_ih[part, i * hidden].ctypes.data, slot + size * i * n
                    _add_gradient(tile, features, collected, rows, taken, back_one, row, x.ctypes.data + at, x_step, x_row, to)
                    to, taken = gw_hh[part, i * hidden].ctypes.data, slot + size * _hidden_part(i, gates, sums) * n
                    _add_gradient(tile, hidden, collected, rows, taken, back_one, row, before, h_step, row, to)
                if len(gx):
                    for f in range(0, features, width):
                        multiply(
                            tile, collected, rows, min(width, features - f), slot, back_one, row, size * n, size,
                            to_x.ctypes.data + size * f * gates * hidden, size * hidden * width, size * width,
                            gx.ctypes.data + at + size * f, x_step, x_row, gates, hidden, 0,
                        )  # fmt: skip
                collected = 0
            for r in range(high - low):
                copy(ghx[low + r].ctypes.data, dh.ctypes.data + size * hidden * r, size * hidden)
                if states == 2:
                    copy(ghx[low + r, 1].ctypes.data, dc.ctypes.data + size * hidden * r, size * hidden)
            for i in range(sums):
                clear(gbias[part, i].ctypes.data, size * hidden)
                for r in range(high - low):
                    _add(gbias[part, i], 0, total.ctypes.data + size * (i * most + r * hidden), hidden)

    backward.name = f"recurrence.{back.function.__name__}"
    return backward


KERNELS = {mode: (_forward_of(cell), _backward_of(cell)) for mode, cell in CELLS.items()}

# --------------------------------------------------------------------------------------------------------- for NumPy


@lru_cache(maxsize=64)
def _packing(sizes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(sizes, np.int64), np.array([0, *accumulate(sizes)], np.int64)


def _aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """As `_aligned`, outside of kernels."""
    size = math.prod(shape)
    lines = np.empty(size + 64 // dtype.itemsize, dtype)
    first = -lines.__array_interface__["data"][0] % 64 // dtype.itemsize
    return lines[first : first + size].reshape(shape)


def _panels(count: int, k: int, columns: int, dtype: np.dtype) -> np.ndarray:
    width = 2 * tile(dtype.itemsize)[2]
    return _aligned_empty((count, -(-columns // width), k, width), dtype)


def _bias(cell: Cell, hidden: int, ih: np.ndarray | None, hh: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """What the parts of a block begin with."""
    out = np.zeros((cell.sums, hidden), dtype)
    if ih is not None:
        out[: cell.gates] = ih.reshape(-1, hidden)
    if hh is not None:
        hh = hh.reshape(-1, hidden)
        shared = min(cell.gates, 2) if cell.gates < cell.sums else cell.gates
        out[:shared] += hh[:shared]
        out[cell.gates :] = hh[shared:]
    return out


def recurrence(
    x: np.ndarray, hx: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any = None, b_hh: Any = None,
    *, mode: str, sizes: Sequence[int], reverse: bool = False, batch_first: bool = False,
) -> Any:
    dtype = x.dtype
    if dtype.char not in "fd" or any(a is not None and a.dtype != dtype for a in (hx, w_ih, w_hh, b_ih, b_hh)):
        return NotImplemented
    if len(x) * len(w_hh) < sizes_that_pay.SMALL or not available():
        if mode != "LSTM" or not x.size or sizes[0] != sizes[-1]:
            return NotImplemented
        return lstm.forward(x, hx, w_ih, w_hh, b_ih, b_hh, reverse, batch_first)
    cell, hidden, batch = CELLS[mode], w_hh.shape[1], len(hx)
    x, hx, parts = dense(x), dense(hx).reshape(batch, -1, hidden), min(get_num_threads(), batch)
    kept = _aligned_empty((len(x) * (cell.sums + cell.states) * hidden,), dtype)
    panels = (_panels(cell.gates, k, hidden, dtype) for k in (x.shape[1], hidden))
    result = np.empty((len(x) + (batch if cell.states == 2 else 0), hidden), dtype)
    weights = (dense(w).reshape(cell.gates, hidden, w.shape[1]) for w in (w_ih, w_hh))
    packing = (*_packing(tuple(sizes)), int(reverse), int(batch_first))
    bias, out, cells = _bias(cell, hidden, b_ih, b_hh, dtype), result[: len(x)], result[len(x) :]
    KERNELS[mode][0](tile(dtype.itemsize), parts, x, hx, *weights, bias, *panels, kept, out, cells, *packing)
    return result, (kept, parts)


def recurrence_backward(
    g: np.ndarray, needs: list[bool], saved: tuple, x: np.ndarray, hx: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray,
    b_ih: Any = None, b_hh: Any = None, *, mode: str, sizes: Sequence[int], reverse: bool = False, batch_first: bool = False,
) -> list:
    if isinstance(saved, lstm.Kept):
        *grads, gb = lstm.backward(g, saved, w_ih, w_hh, reverse, batch_first)
        return [grad if need else None for grad, need in zip([*grads, gb, gb], needs)]
    (kept, parts), cell, hidden = saved, CELLS[mode], w_hh.shape[1]
    x, g = dense(x), dense(g)
    ghx, gx = np.empty((len(hx), cell.states, hidden), x.dtype), np.empty(x.shape if needs[0] else (0, x.shape[1]), x.dtype)
    gw_ih, gw_hh, gbias = (np.empty((parts, *shape), x.dtype) for shape in (w_ih.shape, w_hh.shape, (cell.sums, hidden)))
    packing = (*_packing(tuple(sizes)), int(reverse), int(batch_first))
    panels = (_panels(1, len(w), w.shape[1], x.dtype) for w in (w_ih, w_hh))
    arrays = x, dense(w_ih)[None], dense(w_hh)[None], *panels, kept, ghx, gx, gw_ih, gw_hh, gbias
    KERNELS[mode][1](tile(x.itemsize), parts, g[: len(x)], g[len(x) :], *arrays, *packing)
    bias = gbias.sum(0)
    gb_ih, gb_hh = bias[: cell.gates], np.concatenate([bias[:2], bias[3:]]) if mode == "GRU" else bias
    grads = [gx, ghx.reshape(hx.shape), gw_ih.sum(0), gw_hh.sum(0), gb_ih.reshape(-1), gb_hh.reshape(-1)]
    return [grad if need else None for grad, need in zip(grads, needs)]

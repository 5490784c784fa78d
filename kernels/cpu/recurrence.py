"""RNN, GRU and LSTM: all steps of a layer in one kernel.

1. The formula makes a dozen small arrays at each step, and records as many operations: with 100 steps of 32 sequences
   nearly all the time goes into calls.
2. Here the whole sequence is one call. Each thread takes some of the sequences through all steps, so that threads never
   wait for each other; a step is one small product by BLAS and one loop over the gates, while all this is in the cache.
   What a step leaves for the backward pass is its gates; what the steps' weight gradients have in common is one large
   product at the end.

A cell is two functions of one sequence at one step. All arrays are (rows, parts, hidden), where the parts are gates, or
h and c of a state. Forward: `z[i]` holds the product of the state with the weight and becomes what is kept, `x[i]` is the
input's share, `before[k]` and `after[i]` are the states. Backward: `g[i]` is what the step's result is asked for from
outside, `carry[r]` what later steps ask for, which becomes what is asked of the state before (but for the part that goes
through the product); `dx[i]` and `dz[i]` are the gradients of the two shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from .blas import PLAIN, TRANSPOSED, blas, gemm, restored, running, sequential
from .elementary import sigmoid, tanh
from .jit import Kernel, dense, get_num_threads, jit, prange
from .matmul import matmul
from .rows import flat, pays
from .sums import sum_rows

# Numbers in the loops have the dtype of the arrays: `one - y`, since `1 - y` would be float64. Rows and parts are indices
# and no slices: a slice is an object that is counted, which takes longer than a loop over sixteen numbers.

_step = jit("F[:,:,::1], i8, F[:,:,::1], F[:,::1], F[:,:,::1], i8, F[:,:,::1]", parallel=False)
_back = jit(
    "F[:,:,::1], i8, F[:,:,::1], i8, F[:,:,::1], F[:,:,::1], F[:,:,::1], i8, F[:,:,::1], F[:,:,::1]", parallel=False
)

# ------------------------------------------------------------------------------------------------------- simple RNN


@_step
def tanh_step(z, i, x, bias, before, k, after):
    for j in range(after.shape[2]):
        after[i, 0, j] = tanh(z[i, 0, j] + x[i, 0, j] + bias[0, j])


@_back
def tanh_back(z, i, before, k, after, g, carry, r, dx, dz):
    one = after.dtype.type(1)
    for j in range(after.shape[2]):
        dx[i, 0, j] = (g[i, 0, j] + carry[r, 0, j]) * (one - after[i, 0, j] * after[i, 0, j])
        carry[r, 0, j] = 0


@_step
def relu_step(z, i, x, bias, before, k, after):
    zero = after.dtype.type(0)
    for j in range(after.shape[2]):
        s = z[i, 0, j] + x[i, 0, j] + bias[0, j]
        after[i, 0, j] = zero if s < zero else s


@_back
def relu_back(z, i, before, k, after, g, carry, r, dx, dz):
    zero = after.dtype.type(0)
    for j in range(after.shape[2]):
        dx[i, 0, j] = g[i, 0, j] + carry[r, 0, j] if after[i, 0, j] > zero else zero
        carry[r, 0, j] = zero


# --------------------------------------------------------------------------------------------------------------- GRU
# Parts: reset, keep, new, and what reset is multiplied with.


@_step
def gru_step(z, i, x, bias, before, k, after):
    n = after.shape[2]
    for part in range(2):
        for j in range(n):
            z[i, part, j] = sigmoid(z[i, part, j] + x[i, part, j] + bias[part, j])
    for j in range(n):
        z[i, 3, j] = z[i, 2, j] + bias[2, j]
    for j in range(n):
        z[i, 2, j] = tanh(x[i, 2, j] + z[i, 0, j] * z[i, 3, j])
    for j in range(n):
        after[i, 0, j] = z[i, 2, j] + z[i, 1, j] * (before[k, 0, j] - z[i, 2, j])


@_back
def gru_back(z, i, before, k, after, g, carry, r, dx, dz):
    one = after.dtype.type(1)
    for j in range(after.shape[2]):
        reset, keep, new, product = z[i, 0, j], z[i, 1, j], z[i, 2, j], z[i, 3, j]
        d = g[i, 0, j] + carry[r, 0, j]
        slope = d * (one - keep) * (one - new * new)
        dx[i, 2, j] = slope
        dz[i, 2, j] = slope * reset
        dx[i, 1, j] = dz[i, 1, j] = d * (before[k, 0, j] - new) * keep * (one - keep)
        dx[i, 0, j] = dz[i, 0, j] = slope * product * reset * (one - reset)
        carry[r, 0, j] = d * keep


# -------------------------------------------------------------------------------------------------------------- LSTM
# Parts: write, keep, new and show.


@_step
def lstm_step(z, i, x, bias, before, k, after):
    n = after.shape[2]
    for part in (0, 1, 3):
        for j in range(n):
            z[i, part, j] = sigmoid(z[i, part, j] + x[i, part, j] + bias[part, j])
    for j in range(n):
        z[i, 2, j] = tanh(z[i, 2, j] + x[i, 2, j] + bias[2, j])
    for j in range(n):
        after[i, 1, j] = z[i, 1, j] * before[k, 1, j] + z[i, 0, j] * z[i, 2, j]
    for j in range(n):
        after[i, 0, j] = z[i, 3, j] * tanh(after[i, 1, j])


@_back
def lstm_back(z, i, before, k, after, g, carry, r, dx, dz):
    one, n = after.dtype.type(1), after.shape[2]
    for j in range(n):
        t, show = tanh(after[i, 1, j]), z[i, 3, j]
        d = g[i, 0, j] + carry[r, 0, j]
        dx[i, 3, j] = d * t * show * (one - show)
        carry[r, 1, j] += g[i, 1, j] + d * show * (one - t * t)
    for j in range(n):
        write, new, c = z[i, 0, j], z[i, 2, j], carry[r, 1, j]
        dx[i, 0, j] = c * new * write * (one - write)
        dx[i, 2, j] = c * write * (one - new * new)
    for j in range(n):
        keep, c = z[i, 1, j], carry[r, 1, j]
        dx[i, 1, j] = c * before[k, 1, j] * keep * (one - keep)
        carry[r, 1, j] = c * keep
        carry[r, 0, j] = 0


# ----------------------------------------------------------------------------------------------------- the sequences
# Sequences are packed, from long to short (see minigrad/ops/rnn.py): the rows of step t begin at starts[t], and
# sizes[t] sequences have it. Those that had the step before it as well carry its state on, the others begin with hx.


def _forward_of(step: Kernel) -> Kernel:
    @jit(
        "i8[::1], i8[::1], i8, F[:,:,::1], F[:,:,::1], F[:,::1], F[:,::1], F[:,:,::1], F[:,:,::1], i8[::1], i8[::1], i8"
    )
    def forward(library, running, parts, x, hx, weight, bias, kept, states, sizes, starts, reverse):
        steps, hidden, gates = len(sizes), weight.shape[1], weight.shape[0]
        one, zero, width = x.dtype.type(1), x.dtype.type(0), x.itemsize
        wide, stride = hx.shape[1] * hidden, kept.shape[1] * hidden
        sequential(library[1], library[2], running)
        for part in prange(parts):
            low, high = part * len(hx) // parts, (part + 1) * len(hx) // parts
            for s in range(steps):
                t, last = (steps - 1 - s, steps - s) if reverse else (s, s - 1)
                stop = min(high, sizes[t])
                middle = min(stop, max(low, sizes[last])) if s > 0 else low
                for first, end in ((low, middle), (middle, stop)):
                    if first < end:
                        h = states.ctypes.data + width * wide * (starts[last] + first)
                        h = h if first < middle else hx.ctypes.data + width * wide * first
                        z = kept.ctypes.data + width * stride * (starts[t] + first)
                        w, rows = weight.ctypes.data, end - first
                        gemm(library[0], PLAIN, TRANSPOSED, rows, gates, hidden, one, h, wide, w, hidden, zero, z, stride)
                for r in range(low, middle):
                    step(kept, starts[t] + r, x, bias, states, starts[last] + r, states)
                for r in range(middle, stop):
                    step(kept, starts[t] + r, x, bias, hx, r, states)
        restored(library[2], running)

    forward.name = f"recurrence.{step.function.__name__}s"
    return forward


def _backward_of(back: Kernel) -> Kernel:
    @jit(
        "i8[::1], i8[::1], i8, F[:,:,::1], F[:,:,::1], F[:,::1], F[:,:,::1], F[:,:,::1], F[:,:,::1], F[:,:,::1], "
        "F[:,:,::1], F[:,::1], i8[::1], i8[::1], i8"
    )
    def backward(library, running, parts, g, hx, weight, kept, states, carry, dx, dz, h, sizes, starts, reverse):
        steps, hidden, gates = len(sizes), weight.shape[1], weight.shape[0]
        one, width, wide = g.dtype.type(1), g.itemsize, hx.shape[1] * weight.shape[1]
        sequential(library[1], library[2], running)
        for part in prange(parts):
            low, high = part * len(hx) // parts, (part + 1) * len(hx) // parts
            for s in range(steps - 1, -1, -1):
                t, last = (steps - 1 - s, steps - s) if reverse else (s, s - 1)
                stop = min(high, sizes[t])
                middle = min(stop, max(low, sizes[last])) if s > 0 else low
                for r in range(low, middle):
                    back(kept, starts[t] + r, states, starts[last] + r, states, g, carry, r, dx, dz)
                    for j in range(hidden):
                        h[starts[t] + r, j] = states[starts[last] + r, 0, j]
                for r in range(middle, stop):
                    back(kept, starts[t] + r, hx, r, states, g, carry, r, dx, dz)
                    for j in range(hidden):
                        h[starts[t] + r, j] = hx[r, 0, j]
                if low < stop:
                    z = dz.ctypes.data + width * gates * (starts[t] + low)
                    c = carry.ctypes.data + width * wide * low
                    w, rows = weight.ctypes.data, stop - low
                    gemm(library[0], PLAIN, PLAIN, rows, hidden, gates, one, z, gates, w, hidden, one, c, wide)
        restored(library[2], running)

    backward.name = f"recurrence.{back.function.__name__}"
    return backward


MODES = {
    "RNN_TANH": (_forward_of(tanh_step), _backward_of(tanh_back)),
    "RNN_RELU": (_forward_of(relu_step), _backward_of(relu_back)),
    "GRU": (_forward_of(gru_step), _backward_of(gru_back)),
    "LSTM": (_forward_of(lstm_step), _backward_of(lstm_back)),
}


def _library(dtype: np.dtype) -> np.ndarray:
    library = blas()
    return library.functions(dtype)  # type: ignore[union-attr] # asked for before


def _parted(rows: np.ndarray, hidden: int) -> np.ndarray:
    return dense(rows).reshape(len(rows), -1, hidden)


def _packing(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(sizes, np.int64), np.array([0, *accumulate(sizes)], np.int64)


def recurrence(
    x: np.ndarray, hx: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None,
    *, mode: str, sizes: Sequence[int], reverse: bool = False,
) -> Any:
    if not pays(x, hx, weight, bias) or blas() is None:
        return NotImplemented
    hidden = weight.shape[1]
    kept = np.empty((len(x), 1 if mode.startswith("RNN") else 4, hidden), x.dtype)
    states = np.empty((len(x), hx.shape[1] // hidden, hidden), x.dtype)
    share = np.zeros(len(weight), x.dtype) if bias is None else flat(bias)
    parts = min(get_num_threads(), len(hx))
    arrays = (_parted(x, hidden), _parted(hx, hidden), dense(weight), share.reshape(-1, hidden), kept, states)
    MODES[mode][0](_library(x.dtype), running, parts, *arrays, *_packing(sizes), int(reverse))
    out = states.reshape(len(x), -1)
    return out, (kept, out)


def recurrence_backward(
    g: np.ndarray, needs: list[bool], saved: tuple, x: np.ndarray, hx: np.ndarray, weight: np.ndarray, bias: Any = None,
    *, mode: str, sizes: Sequence[int], reverse: bool = False,
) -> list:
    kept, states = saved
    hidden = weight.shape[1]
    carry, dx, h = np.zeros(hx.shape, x.dtype), np.empty(x.shape, x.dtype), np.empty((len(x), hidden), x.dtype)
    dz = np.empty_like(dx) if mode == "GRU" else dx  # for the others the two shares are a sum
    parts = min(get_num_threads(), len(hx))
    arrays = (_parted(g, hidden), _parted(hx, hidden), dense(weight), kept)
    results = (_parted(a, hidden) for a in (states, carry, dx, dz))
    MODES[mode][1](_library(x.dtype), running, parts, *arrays, *results, h, *_packing(sizes), int(reverse))
    gweight = _product(dz.T, h) if needs[2] else None
    return [dx, carry, gweight, _sum(dz) if any(needs[3:]) else None]


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = matmul(a, b)
    return a @ b if out is NotImplemented else out


def _sum(rows: np.ndarray) -> np.ndarray:
    out = sum_rows(rows)
    return rows.sum(0) if out is NotImplemented else out

"""An LSTM over all its steps in NumPy alone: for a few numbers, and for machines without numba.

The formula (minigrad/ops/rnn.py) records a dozen operations at each step. Here a step is eleven NumPy calls that write
where their results belong, the products with the input are one for all steps, and so is all in the backward pass that does
not wait for the step after: the slopes of the gates, and the gradients of the weights.

    z = x W_ih + h W_hh + b      one row for the gates write, keep, new, show of each sequence
    c = keep * c + write * new   h = show * tanh(c)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Kept(NamedTuple):
    """What backward wants: gates, tanh(c), and the states, of which there is one more, by step and sequence."""

    x: np.ndarray
    gates: np.ndarray
    h: np.ndarray
    c: np.ndarray
    tanh_c: np.ndarray


def _by_step(rows: np.ndarray, batch: int, reverse: bool, batch_first: bool) -> np.ndarray:
    """Rows as (steps, batch, numbers), in the order in which the steps are made."""
    table = rows.reshape(batch, -1, rows.shape[1]).swapaxes(0, 1) if batch_first else rows.reshape(-1, batch, rows.shape[1])
    return table[::-1] if reverse else table


def _as_rows(table: np.ndarray, reverse: bool, batch_first: bool) -> np.ndarray:
    """The way back."""
    table = table[::-1] if reverse else table
    return (table.swapaxes(0, 1) if batch_first else table).reshape(-1, table.shape[2])


def forward(
    x: np.ndarray, hx: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: Any, b_hh: Any, reverse: bool, batch_first: bool
) -> tuple[np.ndarray, Kept]:
    """h of each step, in rows like those of x, and the last c; see `recurrence`."""
    batch, n = len(hx), w_hh.shape[1]
    x = np.ascontiguousarray(_by_step(x, batch, reverse, batch_first))
    steps = len(x)
    gates = x.reshape(-1, x.shape[2]).dot(w_ih.T).reshape(steps, batch, 4 * n)
    for bias in (b_ih, b_hh):
        if bias is not None:
            gates += bias
    h, c = np.empty((2, steps + 1, batch, n), x.dtype)
    tanh_c = np.empty((steps, batch, n), x.dtype)
    h[0], c[0], turned = hx[:, :n], hx[:, n:], w_hh.T
    half = np.full(4 * n, 0.5, x.dtype)  # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2
    half[2 * n : 3 * n] = 1
    rest = 1 - half
    rest[2 * n : 3 * n] = 0
    for t in range(steps):
        z = gates[t]
        z += h[t].dot(turned)
        z *= half
        np.tanh(z, out=z)
        z *= half
        z += rest
        write, keep, new, show = z[:, :n], z[:, n : 2 * n], z[:, 2 * n : 3 * n], z[:, 3 * n :]
        np.multiply(keep, c[t], out=c[t + 1])
        c[t + 1] += write * new
        np.tanh(c[t + 1], out=tanh_c[t])
        np.multiply(show, tanh_c[t], out=h[t + 1])
    rows = _as_rows(h[1:], reverse, batch_first)
    return np.concatenate([rows, c[steps]]), Kept(x, gates, h, c, tanh_c)


def backward(
    g: np.ndarray, kept: Kept, w_ih: np.ndarray, w_hh: np.ndarray, reverse: bool, batch_first: bool
) -> list[np.ndarray]:
    """Gradients of x, hx, both weights, and of a bias."""
    x, gates, h, c, tanh_c = kept
    steps, batch, n = tanh_c.shape
    g_h = _by_step(g[: steps * batch], batch, reverse, batch_first)
    dc, dh = g[steps * batch :].copy(), np.zeros((batch, n), g.dtype)
    write, keep, new, show = (gates[:, :, i * n : (i + 1) * n] for i in range(4))
    slope = gates * (1 - gates)
    slope[:, :, 2 * n : 3 * n] = 1 - new * new
    through = show * (1 - tanh_c * tanh_c)
    d = np.empty_like(gates)
    for t in range(steps - 1, -1, -1):
        dh += g_h[t]
        dc += dh * through[t]
        z = d[t]
        np.multiply(dc, new[t], out=z[:, :n])
        np.multiply(dc, c[t], out=z[:, n : 2 * n])
        np.multiply(dc, write[t], out=z[:, 2 * n : 3 * n])
        np.multiply(dh, tanh_c[t], out=z[:, 3 * n :])
        z *= slope[t]
        dh = z.dot(w_hh)
        dc *= keep[t]
    rows = d.reshape(-1, 4 * n)
    gx = _as_rows(rows.dot(w_ih).reshape(x.shape), reverse, batch_first)
    gw_ih, gw_hh = rows.T.dot(x.reshape(-1, x.shape[2])), rows.T.dot(h[:-1].reshape(-1, n))
    return [gx, np.concatenate([dh, dc], 1), gw_ih, gw_hh, rows.sum(0)]

"""Softmax, logarithm and the choice of the target in one go.

1. The formula makes the log probabilities and picks one of each row; its backward pass makes them into a gradient.
2. NumPy alone: the probabilities are kept, which are nearly the gradient already.
3. Compiled: a row is read once for its loss. Only log(sum(exp)) is kept of it, one number, from which the backward pass
   makes the gradient: with a vocabulary of 50,000 that is what fits into memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .elementary import exp
from .jit import dense, jit, prange
from .rows import as_rows, pays
from .softmax import largest


@jit("F[:,::1], int64[::1], int64, F[::1], F[::1]")
def _forward(logits, target, ignored, losses, lse):
    """The mean loss and how many rows it is of; that is -1 if a target is no class."""
    mean, counted = logits.dtype.type(0), 0
    for t in target:
        if t != ignored:
            counted += 1
            if t < 0 or t >= logits.shape[1]:
                return mean, -1
    for r in prange(logits.shape[0]):
        peak, total = largest(logits[r]), logits.dtype.type(0)
        for i in range(logits.shape[1]):
            total += exp(logits[r, i] - peak)
        shift = np.log(total)
        lse[r] = peak + shift
        losses[r] = 0 if target[r] == ignored else shift - (logits[r, target[r]] - peak)
    for loss in losses:
        mean += loss
    return mean / logits.dtype.type(counted), counted


@jit("F, F[:,::1], int64[::1], int64, F[::1], F[:,::1]")
def _backward(scale, logits, target, ignored, lse, gx):
    for r in prange(logits.shape[0]):
        if target[r] == ignored:
            for i in range(logits.shape[1]):
                gx[r, i] = 0
        else:
            for i in range(logits.shape[1]):
                gx[r, i] = scale * exp(logits[r, i] - lse[r])
            gx[r, target[r]] -= scale


def cross_entropy(logits: np.ndarray, target: np.ndarray, *, ignore_index: int) -> Any:
    """The mean loss, and what backward wants; NotImplemented for other dtypes, and where a target is no class."""
    if logits.dtype.kind != "f" or logits.dtype.itemsize < 4 or not logits.size:
        return NotImplemented
    if pays(logits):
        return _compiled(logits, target, ignore_index)
    counted = target != ignore_index
    rows, classes = np.arange(len(target)), np.where(counted, target, 0)
    if classes.min() < 0 or classes.max() >= logits.shape[1]:
        return NotImplemented
    p = logits - logits.max(axis=1, keepdims=True)
    chosen = p[rows, classes]
    np.exp(p, out=p)
    total = p.sum(axis=1)
    n = logits.dtype.type(counted.sum())
    loss = np.where(counted, np.log(total) - chosen, 0).sum(dtype=logits.dtype) / n
    p /= total[:, None]
    return np.asarray(loss, logits.dtype), (p, rows, classes, counted, n)


def _compiled(logits: np.ndarray, target: np.ndarray, ignored: int) -> Any:
    rows, classes = dense(logits), dense(target.astype(np.int64, copy=False))
    losses, lse = np.empty((2, len(rows)), rows.dtype)
    mean, counted = _forward(rows, classes, ignored, losses, lse)
    if counted < 0:
        return NotImplemented
    return np.asarray(mean, rows.dtype), (None, classes, lse, counted)


def cross_entropy_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, logits: np.ndarray, target: np.ndarray, *, ignore_index: int
) -> list:
    """(probability - 1 at the target) / n, and nothing for ignored rows."""
    if kept[0] is None:
        _, classes, lse, n = kept
        gx = np.empty(logits.shape, logits.dtype)
        scale = logits.dtype.type(g / n if n else 0)
        _backward(scale, as_rows(logits, logits.shape[1]), classes, ignore_index, lse, gx)
        return [gx, None]
    p, rows, classes, counted, n = kept
    scale = g / n if n else logits.dtype.type(0)
    gx = p * scale
    gx[rows, classes] -= scale
    if not counted.all():
        gx[~counted] = 0
    return [gx, None]

"""Softmax, logarithm and the choice of the target in one go; the probabilities are kept and are nearly the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np


def cross_entropy(logits: np.ndarray, target: np.ndarray, *, ignore_index: int) -> Any:
    if logits.dtype.kind != "f" or logits.dtype.itemsize < 4 or not logits.size:
        return NotImplemented
    counted = target != ignore_index
    rows, classes = np.arange(len(target)), np.where(counted, target, 0)
    p = logits - logits.max(axis=1, keepdims=True)
    chosen = p[rows, classes]
    np.exp(p, out=p)
    total = p.sum(axis=1)
    n = logits.dtype.type(counted.sum())
    loss = np.where(counted, np.log(total) - chosen, 0).sum(dtype=logits.dtype) / n
    p /= total[:, None]
    return np.asarray(loss, logits.dtype), (p, rows, classes, counted, n)


def cross_entropy_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, logits: np.ndarray, target: np.ndarray, *, ignore_index: int
) -> list:
    """(probability - 1 at the target) / n, and nothing for ignored rows."""
    p, rows, classes, counted, n = kept
    scale = g / n if n else logits.dtype.type(0)
    gx = p * scale
    gx[rows, classes] -= scale
    if not counted.all():
        gx[~counted] = 0
    return [gx, None]

"""Layer norm with the normalised rows and 1 / standard deviation kept for the backward pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def _rows(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    size = math.prod(x.shape[len(x.shape) - len(dims) :])
    return x.reshape(-1, size)


def layer_norm(
    x: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, *, dims: tuple[int, ...], eps: float
) -> Any:
    mixed = any(a is not None and a.dtype != x.dtype for a in (weight, bias))
    if x.dtype.kind != "f" or x.dtype.itemsize < 4 or not x.size or mixed:
        return NotImplemented
    rows = _rows(x, dims)
    normal = rows - rows.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", normal, normal) / x.dtype.type(rows.shape[1])
    rstd = 1 / np.sqrt(variance + x.dtype.type(eps))[:, None]
    normal *= rstd
    out = normal * weight.reshape(-1) if weight is not None else normal.copy()
    if bias is not None:
        out += bias.reshape(-1)
    return out.reshape(x.shape), (normal, rstd)


def layer_norm_backward(
    g: np.ndarray, needs: list[bool], kept: tuple, x: np.ndarray, weight: Any, bias: Any, *, dims: Any, eps: float
) -> list:
    """With y = normalised x and h = g * weight:  dx = (h - mean(h) - y * mean(h * y)) / std."""
    normal, rstd = kept
    rows = _rows(g, dims)
    gx = gweight = gbias = None
    if needs[0]:
        h = rows * weight.reshape(-1) if weight is not None else rows.copy()
        n = x.dtype.type(rows.shape[1])
        along = np.einsum("ij,ij->i", h, normal)[:, None] / n
        h -= h.mean(axis=1, keepdims=True)
        h -= normal * along
        h *= rstd
        gx = h.reshape(x.shape)
    if needs[1]:
        gweight = np.einsum("ij,ij->j", rows, normal).reshape(weight.shape)
    if needs[2]:
        gbias = rows.sum(axis=0).reshape(bias.shape)
    return [gx, gweight, gbias]

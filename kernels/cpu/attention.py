"""Attention with one array of weights, kept for the backward pass, where the formula makes one for each of its steps."""

from __future__ import annotations

from typing import Any

import numpy as np


def attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, *, scale: float, is_causal: bool) -> Any:
    dtype = query.dtype
    if dtype.kind != "f" or dtype.itemsize < 4 or key.dtype != dtype or value.dtype != dtype or not key.shape[-2]:
        return NotImplemented
    weights = (query * dtype.type(scale)) @ key.swapaxes(-1, -2)
    if is_causal:
        weights += np.where(np.tri(*weights.shape[-2:]), dtype.type(0), dtype.type(-np.inf))
    weights -= weights.max(axis=-1, keepdims=True)  # finite: a causal row sees at least its first key
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-1, keepdims=True)
    return weights @ value, weights


def attention_backward(
    g: np.ndarray, needs: list[bool], weights: np.ndarray, query: np.ndarray, key: np.ndarray, value: np.ndarray,
    *, scale: float, is_causal: bool,
) -> list:
    """dS = W * (dW - sum(dW * W)), with dW = g Vᵀ; hidden keys have weight 0, hence gradient 0."""
    gq = gk = gv = None
    if needs[2]:
        gv = weights.swapaxes(-1, -2) @ g
    if needs[0] or needs[1]:
        scores = g @ value.swapaxes(-1, -2)
        scores -= np.einsum("...ij,...ij->...i", scores, weights)[..., None]
        scores *= weights
        scores *= query.dtype.type(scale)
        gq = scores @ key if needs[0] else None
        gk = scores.swapaxes(-1, -2) @ query if needs[1] else None
    return [gq, gk, gv]

"""Attention: each query takes the values whose keys it resembles."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..composite import composite
from ..errors import explained
from ..kernels import cpu as kernels
from .dropout import dropout
from .elementwise import where
from .linalg import matmul
from .reduction import safe_softmax
from .shape import transpose


@composite
def _attention(query, key, value, *, scale, is_causal, mask=None):
    """The common case, which has fused kernels: no dropout, and a mask, if any, is an array that needs no gradient."""
    if mask is not None and mask.dtype.kind != "b":
        return _attend(query, key, value, scale, None, mask)
    return _attend(query, key, value, scale, _causal(query, key) if is_causal else mask)


_attention.fused("cpu", kernels.attention, kernels.attention_backward)


def _attend(query, key, value, scale, allowed, extra=None, dropout_p=0.0):
    scores = matmul(query * scale, transpose(key, -2, -1))
    if extra is not None:
        scores = scores + extra
    if allowed is not None:
        scores = where(allowed, scores, -float("inf"))
    weights = safe_softmax(scores, -1)
    return matmul(dropout(weights, dropout_p) if dropout_p else weights, value)


def _causal(query, key):
    """Which key each query may see: those not after it."""
    xp = backend.namespace(getattr(query, "array", query))
    return xp.tril(xp.ones((query.shape[-2], key.shape[-2]), bool))


@explained
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """softmax(query @ key.T * scale + mask) @ value.

    Args:
        query: (..., queries, features).
        key: (..., keys, features).
        value: (..., keys, features of the value).
        attn_mask: broadcasts to (..., queries, keys): bool, where False hides a key, or numbers that are added. A query
            that may see no key at all gets zeros.
        dropout_p: probability of dropping a weight. It applies whenever it is not 0: pass 0 when evaluating.
        is_causal: hide the keys after each query; then attn_mask must be None.
        scale: 1 / sqrt(features) if None.
        enable_gqa: let several query heads (dimension -3) share one head of key and value.

    Returns:
        (..., queries, features of the value).

    Raises:
        RuntimeError: shapes do not fit, or both a mask and is_causal.

    Source: Vaswani et al., Attention Is All You Need, 2017; `torch.nn.functional.scaled_dot_product_attention`.

    >>> import minigrad as mg
    >>> q, k, v = mg.eye(2), mg.eye(2), mg.tensor([[1.0], [3.0]])
    >>> mg.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    tensor([[1.0000],
            [2.3395]])
    """
    name = "scaled_dot_product_attention"
    for what, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise RuntimeError(f"{name}: {what} needs at least 2 dimensions, got shape {tuple(x.shape)}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise RuntimeError(
            f"{name}: query {tuple(query.shape)} and key {tuple(key.shape)} must agree in the last dimension, key and value "
            f"{tuple(value.shape)} in the one before"
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError(f"{name}: pass either attn_mask or is_causal=True, not both")
    if not 0 <= dropout_p < 1:
        raise RuntimeError(f"{name}: dropout_p must be from 0 to below 1, got {dropout_p}")
    if enable_gqa and query.shape[-3] != key.shape[-3]:
        if query.shape[-3] % key.shape[-3]:
            raise RuntimeError(f"{name}: {query.shape[-3]} query heads cannot share {key.shape[-3]} key heads evenly")
        key, value = (_repeat_heads(x, query.shape[-3] // x.shape[-3]) for x in (key, value))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if attn_mask is None and not dropout_p:
        return _attention(query, key, value, scale=scale, is_causal=is_causal)
    if not dropout_p and not attn_mask.requires_grad:
        return _attention(query, key, value, scale=scale, is_causal=is_causal, mask=attn_mask.array)
    allowed = extra = None
    if is_causal:
        allowed = _causal(query, key)
    elif attn_mask is not None and attn_mask.dtype.kind == "b":
        allowed = attn_mask
    else:
        extra = attn_mask
    return _attend(query, key, value, scale, allowed, extra, dropout_p)


def _repeat_heads(x, times):
    shape = tuple(x.shape)
    wide = x.unsqueeze(-3).expand(*shape[:-2], times, *shape[-2:])
    return wide.reshape(*shape[:-3], shape[-3] * times, *shape[-2:])

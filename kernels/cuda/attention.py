"""Attention and its gradient on CUDA in the manner of FlashAttention-2: how attention.cu is launched, and what is right."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import unaligned

MOST_COLUMNS = 128  # of a head


def by_warps(rows: int, items: int) -> Launch:
    """A warp for each row; heads and batches in y."""
    return Launch((ceil_div(rows, 4), items), (128,))


def tiled(own: int, floats: int) -> Callable[..., Launch]:
    """Blocks that own so many rows, with so many floats of shared memory."""
    return lambda rows, items: Launch((ceil_div(rows, own), items), (256,), 4 * floats)


def _kernel(name: str, geometry: Any) -> Kernel:
    return Kernel(name, "attention.cu", geometry)


# Shared memory: the tiles of forward (q, k, v), backward_q (q, dO, k, v), backward_kv (k, v, q, dO and the weights).
FORWARD = {
    64: _kernel("attention_v2_d64", tiled(64, (64 + 64 + 64) * 64)),
    128: _kernel("attention_v2_d128", tiled(64, (64 + 32 + 32) * 128)),
}
BACKWARD_Q = {
    64: _kernel("attention_backward_q_v2_d64", tiled(64, 2 * (64 + 32) * 64)),
    128: _kernel("attention_backward_q_v2_d128", tiled(32, 2 * (32 + 32) * 128)),
}
BACKWARD_KV = {
    64: _kernel("attention_backward_kv_v2_d64", tiled(64, 2 * (64 + 32) * 64 + 64 * 32)),
    128: _kernel("attention_backward_kv_v2_d128", tiled(32, 2 * (32 + 32) * 128 + 32 * 32)),
}
V1 = _kernel("attention_v1", by_warps)
BACKWARD_Q_V1 = _kernel("attention_backward_q_v1", by_warps)
BACKWARD_KV_V1 = _kernel("attention_backward_kv_v1", by_warps)
DOT = _kernel("attention_dot", lambda rows: Launch((ceil_div(rows, 4),), (128,)))


def supports(query: Any, key: Any, value: Any) -> bool:
    """Whether the kernels can do it: float32, heads of at most 128 columns, as many for values as for keys."""
    alike = query.shape[:-2] == key.shape[:-2] == value.shape[:-2] and key.shape == value.shape
    fits = query.ndim >= 3 and 1 <= query.shape[-1] <= MOST_COLUMNS and key.shape[-1] == query.shape[-1]
    return alike and fits and all(x.dtype == np.float32 for x in (query, key, value)) and math.prod(query.shape[:-2]) <= 65535


def shared_memory(d: int) -> int:
    """The most bytes of shared memory that a block needs for heads of d columns, forward and backward."""
    kernels = (k[64 if d <= 64 else 128] for k in (FORWARD, BACKWARD_Q, BACKWARD_KV))
    return max(kernel.geometry(rows=1, items=1).shared for kernel in kernels)


def _sizes(query: Any, key: Any) -> tuple[int, int, int, int]:
    return math.prod(query.shape[:-2]), query.shape[-2], key.shape[-2], query.shape[-1]


def _mask(mask: Any, query: Any) -> tuple[Any, int, int, int, int]:
    """The mask, heads, and how far apart its batches, heads and queries are."""
    heads = query.shape[-3]
    if mask is None:
        return None, heads, 0, 0, 0
    shape = (1,) * (4 - mask.ndim) + mask.shape
    steps = (shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3])
    return (mask, heads, *(0 if n == 1 else step for n, step in zip(shape, steps)))


def forward(
    query: Any, key: Any, value: Any, mask: Any = None, *, scale: float, is_causal: bool = False, launch: Any = launch,
    step: str = "v2",
) -> tuple[Any, Any]:
    """Attention of contiguous float32 arrays (..., heads, length, d).

    Args:
        mask: float32, added to the scores; (queries, keys) behind dimensions that are 1 or those of the query.

    Returns:
        The result, and for `backward` the logarithm of the sum of exponentials of each row.
    """  # fmt: skip
    xp, (items, queries, keys, d) = namespace(query), _sizes(query, key)
    out, lse = xp.empty(query.shape, query.dtype), xp.empty(query.shape[:-1], query.dtype)
    values, heads, *steps = _mask(mask, query)
    kernel = V1 if step == "v1" else FORWARD[64 if d <= 64 else 128]
    args = (query, key, value, values, out, lse, queries, keys, d, float(scale), int(is_causal), heads, *steps)
    launch(kernel, args, rows=queries, items=items)
    return out, lse


def backward(
    g: Any, query: Any, key: Any, value: Any, out: Any, lse: Any, mask: Any = None, *, scale: float, is_causal: bool = False,
    launch: Any = launch, step: str = "v2",
) -> tuple[Any, Any, Any]:
    """Gradients for query, key and value, from those of the result and what `forward` returned."""  # fmt: skip
    xp, (items, queries, keys, d) = namespace(query), _sizes(query, key)
    dots, dq, dk, dv = (xp.empty(s, query.dtype) for s in (lse.shape, query.shape, key.shape, value.shape))
    values, heads, *steps = _mask(mask, query)
    sizes = (queries, keys, d, float(scale), int(is_causal), heads, *steps)
    wide = 64 if d <= 64 else 128
    by_query, by_key = (BACKWARD_Q_V1, BACKWARD_KV_V1) if step == "v1" else (BACKWARD_Q[wide], BACKWARD_KV[wide])
    launch(DOT, (out, g, dots, dots.size, d), rows=dots.size)
    launch(by_query, (query, key, value, values, g, lse, dots, dq, *sizes), rows=queries, items=items)
    launch(by_key, (query, key, value, values, g, lse, dots, dk, dv, *sizes), rows=keys, items=items)
    return dq, dk, dv


def _inputs(rng: Any, batch: int, heads: int, queries: int, keys: int, d: int, **options: Any) -> dict[str, Any]:
    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32)

    kind, mask = options.get("mask"), None
    if kind == "full":
        mask = 2 * draw(batch, heads, queries, keys)
    elif kind == "shared":
        mask = draw(queries, keys)
        mask[0], mask[:, -1] = -np.inf, -np.inf  # the first query sees nothing
    elif kind == "padding":
        mask = np.where(rng.random((batch, 1, 1, keys)) < 0.3, -np.inf, 0).astype(np.float32)
    q, k, v = 2 * draw(batch, heads, queries, d), draw(batch, heads, keys, d), draw(batch, heads, keys, d)
    if options.get("moved"):
        q, k, v = unaligned(q), unaligned(k), unaligned(v)
    return {"query": q, "key": k, "value": v, "mask": mask}


def _weights(case: Case, query: Any, key: Any, mask: Any) -> tuple[Any, Any]:
    scores = query.astype(np.float64) @ key.astype(np.float64).swapaxes(-1, -2) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores + mask
    if case.get("causal"):
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -np.inf)
    m = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isinf(m), 0, m))
    total = e.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.where(total > 0, m + np.log(total), np.inf)
    return e / np.where(total > 0, total, 1), lse[..., 0]


def _reference(case: Case, query: Any, key: Any, value: Any, mask: Any) -> dict[str, Any]:
    weights, lse = _weights(case, query, key, mask)
    return {"out": weights @ value.astype(np.float64), "lse": lse}


def _backward_inputs(rng: Any, **case: Any) -> dict[str, Any]:
    given = _inputs(rng, **case)
    right = _reference(case, **given)
    given |= {name: np.ascontiguousarray(x, np.float32) for name, x in right.items()}
    g = rng.standard_normal(given["out"].shape, dtype=np.float32)
    return {"g": unaligned(g) if case.get("moved") else g, **given}


def _backward_reference(
    case: Case, g: Any, query: Any, key: Any, value: Any, out: Any, lse: Any, mask: Any
) -> dict[str, Any]:
    q, k, v, g = (x.astype(np.float64) for x in (query, key, value, g))
    p, scale = _weights(case, query, key, mask)[0], 1 / math.sqrt(query.shape[-1])
    dp = g @ v.swapaxes(-1, -2)
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
    return {"dq": ds @ k, "dk": ds.swapaxes(-1, -2) @ q, "dv": p.swapaxes(-1, -2) @ g}


def _options(case: Case) -> dict[str, Any]:
    return {"scale": 1 / math.sqrt(case["d"]), "is_causal": bool(case.get("causal"))}


def _step(step: str) -> Any:
    def run(launch: Any, case: Case, query: Any, key: Any, value: Any, mask: Any) -> dict[str, Any]:
        results = forward(query, key, value, mask, launch=launch, step=step, **_options(case))
        return dict(zip(("out", "lse"), results))

    return run


def _backward_step(step: str) -> Any:
    def run(launch: Any, case: Case, **inputs: Any) -> dict[str, Any]:
        results = backward(**inputs, launch=launch, step=step, **_options(case))
        return dict(zip(("dq", "dk", "dv"), results))

    return run


def _case(batch: int, heads: int, queries: int, keys: int, d: int, **options: Any) -> dict[str, Any]:
    return {"batch": batch, "heads": heads, "queries": queries, "keys": keys, "d": d, **options}


CASES = (
    _case(1, 1, 1, 1, 1),
    _case(2, 2, 5, 9, 3, mask="full"),
    _case(1, 2, 70, 70, 16, causal=True),
    _case(1, 1, 64, 64, 64),
    _case(2, 1, 33, 130, 64, mask="padding"),
    _case(1, 1, 130, 67, 61, causal=True),
    _case(1, 1, 40, 72, 80, mask="shared"),
    _case(1, 2, 66, 66, 128, causal=True, mask="shared"),
    _case(1, 1, 31, 33, 127),
    *(_case(1, 1, 50, keys, d, causal=True) for keys, d in ((40, 24), (40, 100), (52, 72))),
    _case(1, 1, 17, 40, 12, moved=True),
    # The last row in each part of a tile that a thread fetches in turn, with one to four columns in the last four.
    *(_case(1, 1, 16 * (k % 4) + 5, 16 * (k // 4) + 9, 33 + (k + k // 4) % 4, mask="full", moved=True) for k in range(16)),
    *(_case(1, 1, 16 * (k // 4) + 3, 16 * (k % 4) + 2, 24) for k in range(16)),
    *(_case(1, 1, 8 * k + 3, 8 * (7 - k) + 5, 97 + k, mask="full", moved=True) for k in range(8)),
    *(_case(1, 1, 8 * (7 - k) + 1, 8 * k + 2, 97 + k % 4, moved=k > 5) for k in range(8)),
    *(_case(1, 1, 8 * k + 2, 8 * (7 - k) + 2, 100) for k in range(8)),
    *(_case(1, 1, 57, 2, d) for d in (98, 99, 128)),
)


def _tile_traffic(batch: int, heads: int, queries: int, keys: int, d: int, own: int, **options: Any) -> int:
    """Bytes that FlashAttention-2 moves with tiles of `own` queries: keys and values once for each tile that sees them."""
    seen = sum(min(keys, first + own) if options.get("causal") else keys for first in range(0, queries, own))
    return 4 * batch * heads * (2 * queries * d + 2 * seen * d + queries)


def _backward_traffic(batch: int, heads: int, queries: int, keys: int, d: int, **options: Any) -> int:
    """The same for both passes of the backward: each reads its own rows once, and the other side once for each tile."""
    causal, by_query, by_key = options.get("causal"), 64 if d <= 64 else 32, 64 if d <= 64 else 32
    seen = sum(min(keys, first + by_query) if causal else keys for first in range(0, queries, by_query))
    met = sum(max(0, queries - first // 32 * 32) if causal else queries for first in range(0, keys, by_key))
    rows = 2 * queries + (3 * queries + 2 * seen) + (4 * keys + 2 * met)  # dots; dQ; dK and dV
    return 4 * batch * heads * (d * rows + 3 * queries + 2 * met)


ATTENTION = Ladder(
    name="attention",
    file="attention.cu",
    steps=(
        Step("v1", "a warp for each query, scores never stored; every query fetches all keys and values again",
             _step("v1"), (V1,)),
        Step("v2", "64 queries share each tile of keys and values in shared memory, the scores stay in registers", _step("v2"),
             (FORWARD[64], FORWARD[128]), used=True),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=CASES,
    example=_case(1, 2, 256, 256, 64),
    tolerance=5e-6,
    minimum_bytes=lambda **case: _tile_traffic(own=64, **case),
    flops=lambda batch, heads, queries, keys, d, **options: 4 * batch * heads * queries * keys * d,
)  # fmt: skip

ATTENTION_BACKWARD = Ladder(
    name="attention_backward",
    file="attention.cu",
    steps=(
        Step("v1", "a warp for each query and a warp for each key; each fetches the whole other side", _backward_step("v1"),
             (BACKWARD_Q_V1, BACKWARD_KV_V1, DOT)),
        Step("v2", "tiles: a pass that owns queries for dQ, one that owns keys for dK and dV; no atomics", _backward_step("v2"),
             (BACKWARD_Q[64], BACKWARD_KV[64], BACKWARD_Q[128], BACKWARD_KV[128], DOT), used=True),
    ),
    inputs=_backward_inputs,
    reference=_backward_reference,
    cases=CASES,
    example=_case(1, 1, 256, 256, 64),
    tolerance=2e-5,
    minimum_bytes=_backward_traffic,
    flops=lambda batch, heads, queries, keys, d, **options: 14 * batch * heads * queries * keys * d,
)  # fmt: skip

"""Cross entropy and its gradient in one pass on CUDA: how cross_entropy.cu is launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import unaligned

WARP_COLS = 1024  # the longest row that the registers of a warp hold


def by_warps(rows: int, cols: int) -> Launch:
    """A warp for each row."""
    return Launch((ceil_div(rows, 4),), (128,))


def by_blocks(rows: int, cols: int) -> Launch:
    """A block for each row, of so many threads that each has 16 numbers at most, if there can be so many."""
    return Launch((rows,), (min(1024, 32 * ceil_div(cols, 16 * 32)),))


V1 = Kernel("cross_entropy_v1", "cross_entropy.cu", by_warps)
V2 = Kernel("cross_entropy_v2", "cross_entropy.cu", by_warps)
V3 = Kernel("cross_entropy_v3", "cross_entropy.cu", by_warps)
V4 = Kernel("cross_entropy_v4", "cross_entropy.cu", by_blocks)


def fused(
    logits: Any, target: Any, scale: Any = None, *, loss: bool = True, gradient: bool = True, ignore_index: int = -100,
    smoothing: float = 0.0, launch: Any = launch, kernel: Kernel | None = None,
) -> tuple[Any, Any]:
    """The loss of each row, and the gradient for the logits.

    Args:
        logits: (rows, cols), float32, contiguous.
        target: (rows,), int64.
        scale: an array of one float32 that every gradient is multiplied by, None for 1.
        loss, gradient: whether that result is wanted; the other is None.
    """  # fmt: skip
    xp, (rows, cols) = namespace(logits), logits.shape
    losses = xp.empty(rows, logits.dtype) if loss else None
    slopes = xp.empty(logits.shape, logits.dtype) if gradient else None
    kernel = kernel or (V3 if cols <= WARP_COLS else V4)
    sizes = (cols,) if kernel is V4 else (rows, cols)
    launch(kernel, (logits, target, scale, losses, slopes, *sizes, ignore_index, smoothing), rows=rows, cols=cols)
    return losses, slopes


def _inputs(rng: Any, rows: int, cols: int, extreme: bool = False, **options: Any) -> dict[str, Any]:
    logits = 3 * rng.standard_normal((rows, cols), dtype=np.float32)
    target = rng.integers(0, cols, rows)
    if rows > 2:
        target[-1] = 0  # the first class there is
    target[1:9:3] = options.get("ignore_index", -100)
    if extreme:  # classes that cannot be, a very sure row, and targets that are no class
        logits[:, ::3], logits[0] = -np.inf, 1e4 * logits[0]
        np.fill_diagonal(logits[9:], 300)  # the maximum, in each place in turn
        target[0] = 1
        target[2:5] = (cols, -1, 1 << 40)
    logits = unaligned(logits) if options.get("moved") else logits
    return {"logits": logits, "target": target, "scale": rng.random(1, dtype=np.float32) + 0.5}


def _reference(case: Case, logits: Any, target: Any, scale: Any) -> dict[str, Any]:
    x, e = logits.astype(np.float64), case.get("smoothing", 0.0)
    cols = x.shape[1]
    m = x.max(1, keepdims=True)
    p = np.exp(x - m)
    lse = m[:, 0] + np.log(p.sum(1))
    p /= p.sum(1, keepdims=True)
    valid = (target >= 0) & (target < cols)
    hot = np.arange(cols) == np.where(valid, target, 0)[:, None]
    chosen = np.where(hot, x, 0).sum(1)
    loss = lse - (1 - e) * chosen - (e * x.mean(1) if e else 0)
    slope = scale[0] * (p - (1 - e) * hot - e / cols)
    ignored = target == case.get("ignore_index", -100)
    fill = np.where(ignored, 0, np.nan)
    skip = ignored | ~valid
    return {"loss": np.where(skip, fill, loss), "dlogits": np.where(skip[:, None], fill[:, None], slope)}


def _step(kernel: Kernel | None) -> Any:
    def run(launch: Any, case: Case, logits: Any, target: Any, scale: Any) -> dict[str, Any]:
        options = {"ignore_index": case.get("ignore_index", -100), "smoothing": case.get("smoothing", 0.0)}
        results = fused(logits, target, scale, launch=launch, kernel=kernel, **options)
        return dict(zip(("loss", "dlogits"), results))

    return run


SHAPES = (
    (1, 1), (4, 2), (7, 33), (9, 65), (3, 64), (2, 196), (2, 300), (3, 420), (2, 516), (2, 640), (2, 800), (6, 1000),
    (5, 1024), (3, 1028), (3, 2050), (2, 8192),
)  # fmt: skip
CASES = tuple({"rows": r, "cols": c, "smoothing": s} for r, c in SHAPES for s in (0.0, 0.1))
CASES += tuple({"rows": 1, "cols": c} for c in (1400, 17000, 21000, 25000, 32768))
CASES += tuple({"rows": r, "cols": c, "extreme": True} for r, c in ((12, 64), (12, 1030), (138, 129)))
CASES += ({"rows": 3, "cols": 64, "moved": True}, {"rows": 1, "cols": 30000})
CASES += ({"rows": 7, "cols": 60, "ignore_index": 3}, {"rows": 7, "cols": 1100, "ignore_index": 3})

CROSS_ENTROPY = Ladder(
    name="cross_entropy",
    file="cross_entropy.cu",
    steps=(
        Step("v1", "a warp per row, passes for maximum, sum and gradient; the probabilities are never stored",
             _step(V1), (V1,)),
        Step("v2", "online maximum and sum: two reads of the logits instead of three", _step(V2), (V2,)),
        Step("v3", "the row stays in registers: one read, one write, 16 bytes at a time; a warp or a block per row",
             _step(None), (V3, V4), used=True),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=CASES,
    example={"rows": 256, "cols": 1024},
    tolerance=4e-6,
    minimum_bytes=lambda rows, cols, **options: 8 * rows * cols + 12 * rows,
)  # fmt: skip

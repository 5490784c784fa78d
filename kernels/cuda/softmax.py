"""Softmax and log-softmax over the last axis on CUDA: how the kernels of softmax.cu are launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import unaligned

WARPS = 4  # rows of a block in which every warp has its own
HELD = 32  # numbers that a thread keeps in registers: HELD in softmax.cu


def by_threads(rows: int, cols: int) -> Launch:
    """A thread for each row."""
    return Launch((ceil_div(rows, 128),), (128,))


def by_warps(rows: int, cols: int) -> Launch:
    """A warp for each row."""
    return Launch((ceil_div(rows, WARPS),), (32 * WARPS,))


def by_blocks(rows: int, cols: int) -> Launch:
    """A block for each row, of so many threads that each has 16 numbers at most, if there can be so many."""
    return Launch((rows,), (min(1024, 32 * ceil_div(cols, 16 * 32)),))


V1 = Kernel("softmax_v1", "softmax.cu", by_threads)
V2 = Kernel("softmax_v2", "softmax.cu", by_warps)
V3 = Kernel("softmax_v3", "softmax.cu", by_warps)
V4 = Kernel("softmax_v4", "softmax.cu", by_warps)
V5 = Kernel("softmax_v5", "softmax.cu", by_blocks)
LOG_V4 = Kernel("log_softmax_v4", "softmax.cu", by_warps)
LOG_V5 = Kernel("log_softmax_v5", "softmax.cu", by_blocks)
BACKWARD_V1 = Kernel("softmax_backward_v1", "softmax.cu", by_warps)
BACKWARD_V2 = Kernel("softmax_backward_v2", "softmax.cu", by_warps)
BACKWARD_V3 = Kernel("softmax_backward_v3", "softmax.cu", by_blocks)
LOG_BACKWARD_V2 = Kernel("log_softmax_backward_v2", "softmax.cu", by_warps)
LOG_BACKWARD_V3 = Kernel("log_softmax_backward_v3", "softmax.cu", by_blocks)


def _forward(launch: Any, x: Any, kernel: Kernel) -> Any:
    y, (rows, cols) = namespace(x).empty(x.shape, x.dtype), x.shape
    args = (x, y, cols) if kernel.geometry is by_blocks else (x, y, rows, cols)
    launch(kernel, args, rows=rows, cols=cols)
    return y


def _backward(launch: Any, y: Any, dy: Any, kernel: Kernel) -> Any:
    dx, (rows, cols) = namespace(y).empty(y.shape, y.dtype), y.shape
    args = (y, dy, dx, cols) if kernel.geometry is by_blocks else (y, dy, dx, rows, cols)
    launch(kernel, args, rows=rows, cols=cols)
    return dx


def forward(x: Any, log: bool = False, launch: Any = launch) -> Any:
    """Softmax, or its logarithm, of the rows of a contiguous float32 matrix."""
    short = x.shape[1] <= 32 * HELD
    return _forward(launch, x, (LOG_V4 if short else LOG_V5) if log else (V4 if short else V5))


def backward(y: Any, dy: Any, log: bool = False, launch: Any = launch) -> Any:
    """The gradient for x from the result y and the gradient for it."""
    short = y.shape[1] <= 16 * HELD
    kernels = (LOG_BACKWARD_V2, LOG_BACKWARD_V3) if log else (BACKWARD_V2, BACKWARD_V3)
    return _backward(launch, y, dy, kernels[not short])


def _inputs(rng: Any, rows: int, cols: int, log: bool = False, extreme: bool = False, moved: bool = False) -> dict[str, Any]:
    x = 4 * rng.standard_normal((rows, cols), dtype=np.float32)
    x[:, 0] = 8  # counts, even in a long row, so that it is noticed if the first number is left out
    if extreme:  # hidden columns, as a mask makes them; huge ones; one column that takes all
        x[rng.random(x.shape) < 0.3] = -np.inf
        x[:, -1] = 1e30 if cols % 2 else -3e4
        np.fill_diagonal(x, x.diagonal() if cols % 2 else 300)  # the maximum, in each place in turn
    return {"x": unaligned(x) if moved else x}


def _reference(case: Case, x: Any) -> dict[str, Any]:
    x = x.astype(np.float64)
    x = x - x.max(1, keepdims=True)
    total = np.exp(x).sum(1, keepdims=True)
    return {"y": x - np.log(total) if case.get("log") else np.exp(x) / total}


def _backward_inputs(rng: Any, rows: int, cols: int, log: bool = False, moved: bool = False) -> dict[str, Any]:
    case = {"log": log}
    y = _reference(case, **_inputs(rng, rows, cols))["y"].astype(np.float32)
    return {"y": unaligned(y) if moved else y, "dy": rng.standard_normal((rows, cols), dtype=np.float32)}


def _backward_reference(case: Case, y: Any, dy: Any) -> dict[str, Any]:
    y, dy = y.astype(np.float64), dy.astype(np.float64)
    if case.get("log"):
        return {"dx": dy - np.exp(y) * dy.sum(1, keepdims=True)}
    return {"dx": y * (dy - (dy * y).sum(1, keepdims=True))}


def _plain(case: Case) -> bool:
    return not case.get("log")


def _short(case: Case) -> bool:
    """Rows that one thread can add up in float32 without losing digits."""
    return _plain(case) and case["cols"] <= 4100


def _step(kernel: Kernel) -> Any:
    return lambda launch, case, x: {"y": _forward(launch, x, kernel)}


SHAPES = (
    (1, 1), (3, 2), (7, 33), (3, 64), (5, 128), (2, 196), (6, 257), (3, 300), (2, 420), (1, 516), (2, 640), (1, 800),
    (9, 1000), (2, 1024), (3, 1025), (2, 1028), (2, 2048), (1, 4100), (1, 16000), (1, 17000), (1, 21000), (1, 25000),
    (1, 30000),
)  # fmt: skip
ODD = tuple({"rows": r, "cols": c, "log": log} for r, c in SHAPES for log in (False, True))
ODD += tuple({"rows": 3, "cols": 64, "log": log, "moved": True} for log in (False, True))

SOFTMAX = Ladder(
    name="softmax",
    file="softmax.cu",
    steps=(
        Step("v1", "a thread per row, three passes: simple, and an eighth of each sector used",
             _step(V1), (V1,), supports=_short),
        Step("v2", "a warp per row: neighbours read neighbours, so every sector is used whole",
             _step(V2), (V2,), supports=_plain),
        Step("v3", "online maximum and sum: two reads instead of three", _step(V3), (V3,), supports=_plain),
        Step(
            "v4", "the row stays in registers: one read, 16 bytes at a time; a warp or a block per row, by its length",
            lambda launch, case, x: {"y": forward(x, bool(case.get("log")), launch)}, (V4, V5, LOG_V4, LOG_V5), used=True,
        ),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=ODD + tuple({"rows": r, "cols": c, "extreme": True} for r, c in ((4, 60), (4, 61), (129, 130))),
    example={"rows": 256, "cols": 1024},
    tolerance=1e-5,
    minimum_bytes=lambda rows, cols, **options: 8 * rows * cols,
)  # fmt: skip

SOFTMAX_BACKWARD = Ladder(
    name="softmax_backward",
    file="softmax.cu",
    steps=(
        Step(
            "v1", "a warp per row, both arrays read twice",
            lambda launch, case, y, dy: {"dx": _backward(launch, y, dy, BACKWARD_V1)}, (BACKWARD_V1,), supports=_plain,
        ),
        Step(
            "v2", "both rows stay in registers: one read, 16 bytes at a time; a warp or a block per row, by its length",
            lambda launch, case, y, dy: {"dx": backward(y, dy, bool(case.get("log")), launch)},
            (BACKWARD_V2, BACKWARD_V3, LOG_BACKWARD_V2, LOG_BACKWARD_V3), used=True,
        ),
    ),
    inputs=_backward_inputs,
    reference=_backward_reference,
    cases=ODD,
    example={"rows": 256, "cols": 512},
    tolerance=3e-6,
    minimum_bytes=lambda rows, cols, **options: 12 * rows * cols,
)  # fmt: skip

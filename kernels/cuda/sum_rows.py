"""Sums over rows on CUDA: how the kernels of sum_rows.cu are launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import unaligned, wide

LEAST = 128  # rows in a slice: what the slices write, and is read again, stays below 2 % of the whole
BLOCKS = 1056  # as many as run at a time on a large card


def columns(rows: int, cols: int) -> Launch:
    """A thread for each column."""
    return Launch((ceil_div(cols, 256),), (256,))


def slices(rows: int, cols: int, width: int) -> Launch:
    """In x a block for each `width` columns, in y one for each slice of the rows."""
    across = ceil_div(cols, width)
    count = max(1, min(ceil_div(rows, LEAST), ceil_div(BLOCKS, across)))
    return Launch((across, ceil_div(rows, ceil_div(rows, count))), (32, 8))


V1 = Kernel("sum_rows_v1", "sum_rows.cu", columns, wide=True)
V2 = Kernel("sum_rows_v2", "sum_rows.cu", lambda rows, cols: slices(rows, cols, 32), wide=True)
V3 = Kernel("sum_rows_v3", "sum_rows.cu", lambda rows, cols: slices(rows, cols, 128), wide=True)


def sum_rows(x: Any, launch: Any = launch, step: str | None = None) -> Any:
    """The sum of each column of a contiguous float32 matrix."""
    xp, (rows, cols) = namespace(x), x.shape
    if step == "v1":
        out = xp.empty(cols, x.dtype)
        launch(V1, (x, out, rows, cols), rows=rows, cols=cols)
        return out
    kernel = {"v2": V2, "v3": V3}[step or ("v3" if wide(cols, x) else "v2")]
    while True:
        count = kernel.geometry(rows=rows, cols=cols).grid[1]
        out = xp.empty((count, cols) if count > 1 else cols, x.dtype)
        launch(kernel, (x, out, rows, cols, ceil_div(rows, count)), rows=rows, cols=cols)
        if count == 1:
            return out
        x, rows = out, count


def _inputs(rng: Any, rows: int, cols: int, moved: bool = False) -> dict[str, Any]:
    x = rng.standard_normal((rows, cols), dtype=np.float32)
    return {"x": unaligned(x) if moved else x}


def _reference(case: Case, x: Any) -> dict[str, Any]:
    return {"sums": x.sum(0, dtype=np.float64)}


def _step(step: str) -> Any:
    return lambda launch, case, x: {"sums": sum_rows(x, launch, step)}


def _wide(case: Case) -> bool:
    return case["cols"] % 4 == 0 and not case.get("moved")


SUM_ROWS = Ladder(
    name="sum_rows",
    file="sum_rows.cu",
    steps=(
        Step("v1", "a thread for each column", _step("v1"), (V1,)),
        Step("v2", "the rows in slices, a block for each: enough threads to keep the memory busy", _step("v2"), (V2,)),
        Step("v3", "16 bytes at a time", _step("v3"), (V3,), used=True, supports=_wide),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=(
        {"rows": 1, "cols": 1}, {"rows": 7, "cols": 33}, {"rows": 8, "cols": 4}, {"rows": 9, "cols": 132},
        {"rows": 128, "cols": 260}, {"rows": 129, "cols": 31}, {"rows": 1000, "cols": 8}, {"rows": 5, "cols": 8},
        {"rows": 300, "cols": 128, "moved": True}, {"rows": 140_000, "cols": 4}, {"rows": 20_000, "cols": 1},
    ),
    example={"rows": 4096, "cols": 768},
    tolerance=1e-4,
    minimum_bytes=lambda rows, cols, moved=False: 4 * (rows + 1) * cols,
)  # fmt: skip

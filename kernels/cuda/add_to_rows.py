"""A row added to each row of a matrix on CUDA: how the kernels of add_to_rows.cu are launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch
from .layer_norm import unaligned, wide

MOST_SLICES = 4096  # of the rows; where there are more, a block does several


def by_numbers(n: int) -> Launch:
    """A thread for each number."""
    return Launch((ceil_div(n, 256),), (256,))


def by_slices(rows: int, cols: int) -> Launch:
    """In x a block for each 128 columns, in y one for each 64 rows."""
    return Launch((ceil_div(cols, 128), min(MOST_SLICES, ceil_div(rows, 64))), (32, 8))


V1 = Kernel("add_to_rows_v1", "add_to_rows.cu", by_numbers, wide=True)
V2 = Kernel("add_to_rows_v2", "add_to_rows.cu", by_slices, wide=True)


def add_to_rows(x: Any, b: Any, launch: Any = launch, step: str | None = None) -> None:
    """`x += b` for a matrix and a vector, contiguous, float32."""
    rows, cols = x.shape
    if (step or ("v2" if wide(cols, x, b) else "v1")) == "v2":
        launch(V2, (x, b, rows, cols), rows=rows, cols=cols)
    else:
        launch(V1, (x, b, x.size, cols), n=x.size)


def _inputs(rng: Any, rows: int, cols: int, moved: bool = False) -> dict[str, Any]:
    x, b = (rng.standard_normal(shape, dtype=np.float32) for shape in ((rows, cols), (cols,)))
    return {"x": unaligned(x) if moved else x, "b": b}


def _reference(case: Case, x: Any, b: Any) -> dict[str, Any]:
    return {"x": x.astype(np.float64) + b}


def _step(step: str) -> Any:
    def run(launch: Any, case: Case, x: Any, b: Any) -> dict[str, Any]:
        add_to_rows(x, b, launch, step)
        return {"x": x}

    return run


ADD_TO_ROWS = Ladder(
    name="add_to_rows",
    file="add_to_rows.cu",
    steps=(
        Step("v1", "a number for each thread, which divides to know its column", _step("v1"), (V1,)),
        Step("v2", "16 bytes at a time, four rows at a time; a block keeps what it adds", _step("v2"), (V2,), used=True,
             supports=lambda case: case["cols"] % 4 == 0 and not case.get("moved")),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=(
        {"rows": 1, "cols": 1}, {"rows": 7, "cols": 33}, {"rows": 1, "cols": 4}, {"rows": 9, "cols": 132},
        {"rows": 33, "cols": 260}, {"rows": 63, "cols": 128}, {"rows": 70, "cols": 124}, {"rows": 20, "cols": 8},
        {"rows": 29, "cols": 12}, {"rows": 20, "cols": 8, "moved": True},
        {"rows": 64 * MOST_SLICES + 41, "cols": 4},
    ),
    example={"rows": 1024, "cols": 768},
    tolerance=1e-6,
    minimum_bytes=lambda rows, cols, moved=False: 4 * (2 * rows + 1) * cols,
)  # fmt: skip

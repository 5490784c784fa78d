"""The gradient of an embedding on CUDA: how embedding.cu is launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import wide


def by_numbers(tokens: int, cols: int) -> Launch:
    """A thread for each number of dy."""
    return Launch((ceil_div(tokens * cols, 256),), (256,))


def by_columns(tokens: int, cols: int) -> Launch:
    """A block for 32 tokens and up to 256 columns."""
    threads = min(256, 32 * ceil_div(cols, 32))
    return Launch((ceil_div(tokens, 32), ceil_div(cols, threads)), (threads,))


V1 = Kernel("embedding_backward_v1", "embedding.cu", by_numbers)
V2, JOIN_V2 = (Kernel(f"embedding_backward_{name}", "embedding.cu", by_columns) for name in ("v2", "join_v2"))
V3, JOIN_V3 = (
    Kernel(f"embedding_backward_{name}", "embedding.cu", lambda tokens, cols: by_columns(tokens, cols // 4))
    for name in ("v3", "join_v3")
)


def backward(
    index: Any, dy: Any, rows: int, padding_idx: int | None = None, launch: Any = launch, step: str = "", onto: Any = None
) -> Any:
    """The gradient for the table.

    Args:
        index: tokens, int64, any shape.
        dy: float32, contiguous, (..., cols).
        rows: of the table.
        padding_idx: a row that gets no gradient.
        onto: (rows, cols), float32, contiguous: what the gradient is added to, in place; None for zeros.
    """  # fmt: skip
    xp, cols, index = namespace(dy), dy.shape[-1], index.reshape(-1)
    dw = xp.zeros((rows, cols), dy.dtype) if onto is None else onto
    step = step or ("v3" if wide(cols, dy, dw) else "v2")
    numbers = (index.size, cols, rows, -1 if padding_idx is None else padding_idx)
    if step == "v1":
        launch(V1, (index, dy, dw, *numbers), tokens=index.size, cols=cols)
    else:
        order = xp.argsort(index, kind="stable")
        places, partial = index[order], xp.empty((2 * ceil_div(index.size, 32), cols), dy.dtype)
        gather, join = (V3, JOIN_V3) if step == "v3" else (V2, JOIN_V2)
        options = (*numbers, int(onto is not None))
        launch(gather, (places, order.astype(np.int32), dy, dw, partial, *options), tokens=index.size, cols=cols)
        launch(join, (places, partial, dw, *options), tokens=index.size, cols=cols)
    return dw


def _inputs(rng: Any, tokens: int, cols: int, rows: int, **options: Any) -> dict[str, Any]:
    index = rng.integers(0, rows, tokens)
    index[: int(tokens * options.get("popular", 0.2))] = rows // 2  # a word that is everywhere
    if options.get("runs"):  # runs of equal tokens that begin exactly where a block does
        index = np.arange(tokens) // options["runs"] + options.get("first", 0)
    if options.get("strange"):  # no rows of the table; in order, -1 begins at this place
        strange = (-5,) * options["strange"] + (-1, -1, rows, rows, rows + 1, 1 << 40)
        index[-len(strange) :] = strange
    onto = rng.standard_normal((rows, cols), dtype=np.float32) if options.get("onto") else None
    return {"index": rng.permutation(index), "dy": rng.standard_normal((tokens, cols), dtype=np.float32), "onto": onto}


def _reference(case: Case, index: Any, dy: Any, onto: Any) -> dict[str, Any]:
    dw = np.zeros((case["rows"], dy.shape[1])) if onto is None else onto.astype(np.float64)
    valid = (index >= 0) & (index < len(dw)) & (index != case.get("padding"))
    np.add.at(dw, index[valid], dy[valid].astype(np.float64))
    return {"dw": dw}


def _step(step: str) -> Any:
    return lambda launch, case, index, dy, onto: {
        "dw": backward(index, dy, case["rows"], case.get("padding"), launch, step, onto)
    }


CASES: tuple[Case, ...] = (
    {"tokens": 1, "cols": 1, "rows": 1}, {"tokens": 5, "cols": 3, "rows": 2},
    {"tokens": 70, "cols": 36, "rows": 9, "padding": 4},
    {"tokens": 33, "cols": 132, "rows": 100}, {"tokens": 200, "cols": 8, "rows": 3, "popular": 0.9},
    {"tokens": 64, "cols": 1100, "rows": 7},
    {"tokens": 96, "cols": 64, "rows": 50, "popular": 1.0}, {"tokens": 96, "cols": 5, "rows": 3, "runs": 32},
    {"tokens": 130, "cols": 8, "rows": 5, "strange": 1, "padding": 2},
    {"tokens": 100, "cols": 7, "rows": 4, "strange": 1, "padding": 2},
    {"tokens": 130, "cols": 8, "rows": 5, "strange": 2, "padding": 3, "onto": True},
    {"tokens": 101, "cols": 7, "rows": 5, "strange": 2, "padding": 3, "onto": True},
    {"tokens": 96, "cols": 7, "rows": 3, "runs": 32, "onto": True},
    {"tokens": 70, "cols": 8, "rows": 5, "runs": 16, "onto": True},
    {"tokens": 330, "cols": 12, "rows": 4, "popular": 0.8, "onto": True},  # a run of more blocks than are joined at a time
    {"tokens": 290, "cols": 5, "rows": 4, "popular": 0.7, "padding": 0},
    # Runs that reach behind their blocks, of tokens that have no row too; and runs that end where joining looks.
    *({"tokens": 40 * 6, "cols": cols, "rows": 4, "runs": 40, "first": -1, "padding": 1} for cols in (8, 7)),
    *({"tokens": 64 * 3, "cols": cols, "rows": 3, "runs": 64} for cols in (8, 7)),
    *({"tokens": tokens, "cols": cols, "rows": 3, "popular": 1.0} for tokens in (129, 160, 256) for cols in (4, 1)),
)  # fmt: skip

EMBEDDING_BACKWARD = Ladder(
    name="embedding_backward",
    file="embedding.cu",
    steps=(
        Step("v1", "atomics: a row is fetched and stored as often as its token occurs", _step("v1"), (V1,)),
        Step("v2", "sorted tokens: sums grow in registers, in the same order in every run; long runs are shared by blocks",
             _step("v2"), (V2, JOIN_V2)),
        Step("v3", "16 bytes at a time", _step(""), (V3, V2, JOIN_V3, JOIN_V2), used=True),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=CASES,
    example={"tokens": 2048, "cols": 256, "rows": 5000},
    tolerance=1e-5,
    minimum_bytes=lambda tokens, cols, rows, **options: 4 * cols * tokens + 4 * cols * min(rows, tokens) + 12 * tokens,
)  # fmt: skip

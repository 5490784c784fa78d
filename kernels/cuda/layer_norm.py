"""Layer and RMS normalisation of the last axis on CUDA: how the kernels of layer_norm.cu are launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace

BLOCKS = 128  # of a kernel that stays: about one for each multiprocessor of a large card
SLICES = 96  # the same of a gradient: fewer, for each writes two rows of sums that are read again
WARP_COLS, BLOCK_COLS = 768, 8192  # the longest rows that the registers of a warp, and of a block, hold


def by_threads(rows: int, cols: int) -> Launch:
    """A thread for each row."""
    return Launch((ceil_div(rows, 128),), (128,))


def by_warps(rows: int, cols: int) -> Launch:
    """A warp for each row."""
    return Launch((ceil_div(rows, 4),), (128,))


def staged(rows: int, cols: int, arrays: int = 2) -> Launch:
    """Warps that do many rows each, with weight and bias (`arrays` of them) in shared memory."""
    warps = min(32, max(4, ceil_div(rows, BLOCKS)))
    return Launch((min(BLOCKS, ceil_div(rows, warps)),), (32 * warps,), 4 * cols * arrays)


def by_blocks(rows: int, cols: int) -> Launch:
    """A block for each row at a time, with at most 8 numbers for a thread."""
    return Launch((min(8 * BLOCKS, rows),), (32 * ceil_div(cols, 256),))


def groups(rows: int, cols: int, blocks: int = SLICES) -> Launch:
    """As many groups of threads in a block as there is room for; each group shares a row, 8 numbers at most for a thread.

    A group is 1, 2, 4, ... warps: three warps would fill a block of 1,024 threads only to 960.
    """
    threads = 32 << max(0, ceil_div(cols, 256) - 1).bit_length()
    together = max(1, min(1024 // threads, ceil_div(rows, blocks)))
    each = max(1, ceil_div(rows, blocks * together))
    return Launch((ceil_div(rows, each * together),), (threads, together), 4 * max(128 * together + cols, 2 * cols))


def rows_each(rows: int, cols: int, blocks: int = SLICES) -> int:
    """How many rows a group of `groups` does."""
    how = groups(rows, cols, blocks)
    return ceil_div(rows, how.grid[0] * how.block[1])


def slices(rows: int, cols: int) -> Launch:
    """32 columns for a block in x; in y the rows are cut into slices of 64 and more."""
    return Launch((ceil_div(cols, 32), min(BLOCKS, ceil_div(rows, 64))), (32, 8))


def columns(cols: int) -> Launch:
    """A thread for each column of dweight and dbias."""
    return Launch((ceil_div(2 * cols, 256),), (256,))


def _kernel(name: str, geometry: Any) -> Kernel:
    return Kernel(name, "layer_norm.cu", geometry)


V1 = _kernel("layer_norm_v1", by_threads)
FORWARD = {  # rms, then the step
    False: {
        "v2": _kernel("layer_norm_v2", by_warps),
        "v3": _kernel("layer_norm_v3", staged),
        "v4": _kernel("layer_norm_v4", by_blocks),
    },
    True: {
        "v2": _kernel("rms_norm_v2", by_warps),
        "v3": _kernel("rms_norm_v3", lambda rows, cols: staged(rows, cols, 1)),
        "v4": _kernel("rms_norm_v4", by_blocks),
    },
}
BACKWARD = {
    False: {"v1": _kernel("layer_norm_backward_v1", by_warps), "v2": _kernel("layer_norm_backward_v2", groups)},
    True: {"v1": _kernel("rms_norm_backward_v1", by_warps), "v2": _kernel("rms_norm_backward_v2", groups)},
}
PARAMETERS = {
    False: _kernel("layer_norm_parameters_v1", slices),
    True: _kernel("rms_norm_parameters_v1", slices),
}
SUM_PARTIALS = _kernel("norm_sum_partials", columns)


def wide(cols: int, *arrays: Any) -> bool:
    """Whether rows can be read 16 bytes at a time."""
    return cols % 4 == 0 and all(a is None or address(a) % 16 == 0 for a in arrays)


def address(array: Any) -> int:
    """Where an array begins."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


def unaligned(array: Any) -> Any:
    """The same numbers 4 bytes behind a multiple of 16, where nothing can be read 16 bytes at a time; for tests."""
    room = np.empty(array.size + 8, array.dtype)
    start = (4 - room.ctypes.data % 16) % 16 // 4
    moved = room[start : start + array.size].reshape(array.shape)
    moved[...] = array
    return moved


def forward(
    x: Any, weight: Any, bias: Any, eps: float, rms: bool = False, launch: Any = launch, step: str | None = None
) -> tuple[Any, Any]:
    """Normalise the rows of a contiguous float32 matrix.

    Returns:
        The result, and (mean, 1 / standard deviation) of each row for `backward`, rms only the second.
    """
    xp, (rows, cols) = namespace(x), x.shape
    y, stats = xp.empty(x.shape, x.dtype), xp.empty((rows,) if rms else (rows, 2), x.dtype)
    if step is None or step != "v1":
        fits = wide(cols, x, weight, bias, y) and cols <= BLOCK_COLS
        step = step or ("v2" if not fits else "v3" if cols <= WARP_COLS else "v4")
    kernel = V1 if step == "v1" else FORWARD[rms][step]
    parameters = (weight,) if rms else (weight, bias)
    launch(kernel, (x, *parameters, y, stats, rows, cols, eps), rows=rows, cols=cols)
    return y, stats


def backward(
    x: Any, weight: Any, dy: Any, stats: Any, rms: bool = False, launch: Any = launch, step: str | None = None,
    blocks: int = SLICES,
) -> tuple[Any, Any, Any]:
    """Gradients for x, for the weight and for the bias, by about so many blocks."""
    xp, (rows, cols) = namespace(x), x.shape
    dx, dweight, dbias = xp.empty(x.shape, x.dtype), xp.empty(cols, x.dtype), xp.empty(cols, x.dtype)
    fits = wide(cols, x, weight, dy, dx) and cols <= BLOCK_COLS
    step = step or ("v2" if fits else "v1")
    sizes = {"rows": rows, "cols": cols}
    kernel = BACKWARD[rms][step]
    if step == "v1":
        partial = xp.empty((slices(**sizes).grid[1], 2, cols), x.dtype)
        launch(kernel, (x, weight, dy, stats, dx, rows, cols), **sizes)
        launch(PARAMETERS[rms], (x, dy, stats, partial, rows, cols), **sizes)
    else:
        sizes["blocks"] = blocks
        partial = xp.empty((groups(**sizes).grid[0], 2, cols), x.dtype)
        launch(kernel, (x, weight, dy, stats, dx, partial, rows, cols, rows_each(**sizes)), **sizes)
    launch(SUM_PARTIALS, (partial, dweight, dbias, len(partial), cols), cols=cols)
    return dx, dweight, dbias


EPS = 1e-5


def _inputs(
    rng: Any, rows: int, cols: int, rms: bool = False, bare: bool = False, moved: bool = False, **options: Any
) -> dict[str, Any]:
    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32)

    x = 3 * draw(rows, cols) + 20 * draw(rows, 1)  # a mean much larger than what varies
    x = unaligned(x) if moved else x
    return {"x": x, "weight": None if bare else draw(cols), "bias": None if bare or rms else draw(cols)}


def _normal(case: Case, x: Any) -> tuple[Any, Any]:
    x = x.astype(np.float64)
    mean = 0 if case.get("rms") else x.mean(1, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + EPS)
    return (x - mean) * rstd, rstd


def _reference(case: Case, x: Any, weight: Any, bias: Any) -> dict[str, Any]:
    h, rstd = _normal(case, x)
    h = h if weight is None else h * weight
    return {"y": h if bias is None else h + bias, "rstd": rstd[:, 0]}


def _backward_inputs(rng: Any, **case: Any) -> dict[str, Any]:
    given = _inputs(rng, **case)
    h, rstd = _normal(case, given["x"])
    mean = given["x"].astype(np.float64) - h / rstd
    stats = rstd[:, 0] if case.get("rms") else np.concatenate([mean[:, :1], rstd], 1)
    dy = rng.standard_normal(given["x"].shape, dtype=np.float32)
    return {"x": given["x"], "weight": given["weight"], "dy": dy, "stats": np.ascontiguousarray(stats, np.float32)}


def _backward_reference(case: Case, x: Any, weight: Any, dy: Any, stats: Any) -> dict[str, Any]:
    h, rstd = _normal(case, x)
    d = dy.astype(np.float64) if weight is None else dy * weight.astype(np.float64)
    mean = 0 if case.get("rms") else d.mean(1, keepdims=True)
    dx = rstd * (d - mean - h * (d * h).mean(1, keepdims=True))
    return {"dx": dx, "dweight": (dy * h).sum(0), "dbias": dy.sum(0, dtype=np.float64)}


def _forward_step(step: str | None) -> Any:
    def run(launch: Any, case: Case, x: Any, weight: Any, bias: Any) -> dict[str, Any]:
        rms = bool(case.get("rms"))
        y, stats = forward(x, weight, bias, EPS, rms, launch, step)
        return {"y": y, "rstd": stats if rms else stats[:, 1]}

    return run


def _backward_step(step: str | None) -> Any:
    def run(launch: Any, case: Case, x: Any, weight: Any, dy: Any, stats: Any) -> dict[str, Any]:
        results = backward(x, weight, dy, stats, bool(case.get("rms")), launch, step, case.get("blocks", SLICES))
        return dict(zip(("dx", "dweight", "dbias"), results))

    return run


SHAPES = (
    (1, 1), (3, 2), (5, 33), (7, 100), (2, 196), (40, 256), (3, 420), (2, 520), (3, 640), (33, 768), (2, 1024), (3, 1028),
    (2, 1001), (300, 64), (257, 776), (2, 4100),
)  # fmt: skip
CASES = tuple({"rows": r, "cols": c, "rms": rms} for r, c in SHAPES for rms in (False, True))
CASES += ({"rows": 3, "cols": 64, "moved": True},)
CASES += tuple({"rows": 5, "cols": c, "bare": True} for c in (100, 132)) + ({"rows": 5, "cols": 35, "bare": True, "rms": True},)

LAYER_NORM = Ladder(
    name="layer_norm",
    file="layer_norm.cu",
    steps=(
        Step("v1", "a thread per row: simple, and an eighth of each sector used", _forward_step("v1"), (V1,),
             supports=lambda case: not case.get("rms")),
        Step("v2", "a warp per row: neighbours read neighbours",
             _forward_step("v2"), (FORWARD[False]["v2"], FORWARD[True]["v2"])),
        Step(
            "v3", "the row stays in registers (one read, 16 bytes at a time), weight and bias in shared memory for many rows",
            _forward_step(None), tuple(FORWARD[rms][v] for rms in (False, True) for v in ("v3", "v4", "v2")), used=True,
        ),
    ),
    inputs=_inputs,
    reference=_reference,
    cases=CASES,
    example={"rows": 8192, "cols": 768},
    tolerance={"y": 1e-4, "rstd": 2e-6},
    minimum_bytes=lambda rows, cols, **options: 8 * rows * cols + 8 * cols + 8 * rows,
)  # fmt: skip

LAYER_NORM_BACKWARD = Ladder(
    name="layer_norm_backward",
    file="layer_norm.cu",
    steps=(
        Step("v1", "a kernel for dx that reads its row twice, another for the parameters that reads all again",
             _backward_step("v1"), tuple(k for rms in (False, True) for k in (BACKWARD[rms]["v1"], PARAMETERS[rms]))),
        Step(
            "v2", "one read for both: dweight and dbias grow in registers, are added block by block, without atomics",
            _backward_step(None), (BACKWARD[False]["v2"], BACKWARD[True]["v2"], SUM_PARTIALS), used=True,
        ),
    ),
    inputs=_backward_inputs,
    reference=_backward_reference,
    # Where the rows of a group are more than those whose stats are kept at a time.
    cases=CASES + tuple({"rows": 1030, "cols": 8, "blocks": 1, "rms": rms} for rms in (False, True)),
    example={"rows": 8192, "cols": 768},
    tolerance=3e-5,
    minimum_bytes=lambda rows, cols, **options: 12 * rows * cols + 12 * cols + 8 * rows,
)  # fmt: skip

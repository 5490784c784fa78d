"""im2col and col2im for convolutions on CUDA: how im2col.cu is launched, and what is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import unaligned, wide

Pair = tuple[int, int]


def grid(pixels: int, rows: int, batch: int) -> Launch:
    """A thread for each pixel; rows in y, images in z."""
    return Launch((ceil_div(pixels, 256), rows, batch), (256,))


def staged(pixels: int, rows: int, batch: int, numbers: int) -> Launch:
    """A block for each plane, with its numbers in shared memory."""
    return Launch((1 if pixels else 0, rows, batch), (256,), 4 * numbers)


def by_fours(pixels: int, rows: int, batch: int, fours: int) -> Launch:
    """A thread for each four pixels, `fours` of them in each of 8 warps; rows in y, images in z."""
    return Launch((ceil_div(pixels, 4 * 8 * fours), rows, batch), (256,))


def whole_rows(width: int) -> int:
    """How many threads of a warp do four pixels each in v3 of col2im.

    So many that a warp does whole rows, if that leaves at most a quarter of it idle: where a row goes on in the next warp,
    both fetch there what the other has.

    >>> whole_rows(32), whole_rows(34), whole_rows(56), whole_rows(72), whole_rows(1024)
    (32, 27, 28, 32, 32)
    """
    fours = 32 - 32 % ceil_div(width, 4)
    return fours if fours >= 24 else 32


def _kernel(name: str, geometry: Any = grid) -> Kernel:
    return Kernel(name, "im2col.cu", geometry, wide=True)


STAGED = 12288  # numbers of a plane that fit in the 48 KiB of shared memory that every card gives
IM2COL = {
    "v1": _kernel("im2col_v1"),
    "v2": _kernel("im2col_v2"),
    "v3": _kernel("im2col_v3", staged),
    "v4": _kernel("im2col_v4", staged),
}
COL2IM = {"v1": _kernel("col2im_v1"), "v2": _kernel("col2im_v2"), "v3": _kernel("col2im_v3", by_fours)}


def out_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of what a convolution gives.

    >>> out_size((5, 7), (3, 3), (2, 1), (1, 0), (1, 2))
    (3, 3)
    """
    h, w = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation))
    return h, w


def pitch(kw: int, ow: int, stride_h: int, pad_w: int) -> int:
    """How far apart the rows of a padded plane lie in the shared memory of v4.

    Eight threads read 32 numbers at once. If a row of the output ends among them, the next begins where it would have gone
    on, counted in banks.

    >>> pitch(3, 32, 1, 1), pitch(3, 28, 1, 1)
    (40, 60)
    """
    least = 4 * ceil_div(-pad_w % 4 + ow + kw - 1, 4)
    return next((p for p in range(least, least + 32, 4) if ow % 32 == 0 or (p * stride_h - ow) % 32 == 0), least)


def _plan(x: Any, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[str, int]:
    """The best step that can do it, and the pitch of v4."""
    height, plane = x.shape[2] + 2 * padding[0], x.shape[2] * x.shape[3]
    if stride[1] == dilation[1] == 1 and out[1] % 4 == 0:
        apart = pitch(kernel[1], out[1], stride[0], padding[1])
        if height * apart <= STAGED:
            return "v4", apart
    return ("v3" if plane <= STAGED else "v2"), 0


def im2col(
    x: Any, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1), launch: Any = launch,
    step: str = "",
) -> Any:
    """(batch, channels, H, W), float32 and contiguous, to (batch, channels * taps, pixels)."""  # fmt: skip
    (batch, channels, *size), taps = x.shape, kernel[0] * kernel[1]
    out = out_size(x.shape[2:], kernel, stride, padding, dilation)
    pixels = out[0] * out[1]
    columns = namespace(x).empty((batch, channels * taps, pixels), x.dtype)
    best, apart = _plan(x, kernel, out, stride, padding, dilation)
    step = step or best
    numbers: tuple = (channels, *size, *kernel, *out, *stride, *padding, *dilation)
    sizes = {"pixels": pixels, "rows": channels, "batch": batch}
    if step == "v4":
        numbers = (channels, *size, *kernel, *out, stride[0], *padding, dilation[0], apart)
        sizes["numbers"] = (size[0] + 2 * padding[0]) * apart
    elif step == "v3":
        sizes["numbers"] = size[0] * size[1]
    else:
        sizes["pixels" if step == "v1" else "rows"] *= taps
    launch(IM2COL[step], (x, columns, *numbers), **sizes)
    return columns


def col2im(
    columns: Any, size: Pair, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1),
    launch: Any = launch, step: str = "",
) -> Any:
    """The gradient of im2col for an image of that size, from the gradient for its columns."""  # fmt: skip
    xp, batch, channels = namespace(columns), len(columns), columns.shape[1] // (kernel[0] * kernel[1])
    out = out_size(size, kernel, stride, padding, dilation)
    x = (xp.zeros if step == "v1" else xp.empty)((batch, channels, *size), columns.dtype)
    neighbours = stride[1] == dilation[1] == 1 and size[1] % 2 == 0 and x.size > 0
    step = step or ("v3" if neighbours and wide(out[1], columns, x) else "v2")
    numbers: tuple = (channels, *size, *kernel, *out, *stride, *padding, *dilation)
    sizes = {"pixels": size[0] * size[1], "rows": channels, "batch": batch}
    if step == "v3":
        sizes |= {"pixels": size[0] * 4 * ceil_div(size[1], 4), "fours": whole_rows(size[1])}
        numbers = (channels, *size, *kernel, *out, stride[0], *padding, dilation[0], sizes["fours"])
    elif step == "v1":
        sizes |= {"pixels": out[0] * out[1], "rows": columns.shape[1]}
    launch(COL2IM[step], (columns, x, *numbers), **sizes)
    return x


def _options(case: Case) -> dict[str, Any]:
    names = {"kernel": (3, 3), "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1)}
    return {name: case.get(name, value) for name, value in names.items()}


def _places(case: Case) -> tuple[Any, Any]:
    """For each filter position and pixel where it reads in the padded image: rows (kh, 1, oh, 1), columns (1, kw, 1, ow)."""
    o = _options(case)
    out = out_size(case["size"], **o)
    at = [np.arange(k)[:, None] * d + np.arange(n) * s for k, d, n, s in zip(o["kernel"], o["dilation"], out, o["stride"])]
    return at[0][:, None, :, None], at[1][None, :, None, :]


def _inputs(rng: Any, batch: int, channels: int, size: Pair, **options: Any) -> dict[str, Any]:
    x = rng.standard_normal((batch, channels, *size), dtype=np.float32)
    return {"x": unaligned(x) if options.get("moved") else x}


def _padded(case: Case) -> tuple[Any, tuple[slice, slice]]:
    (h, w), (p, q) = case["size"], _options(case)["padding"]
    return np.zeros((case["batch"], case["channels"], h + 2 * p, w + 2 * q)), (slice(p, p + h), slice(q, q + w))


def _reference(case: Case, x: Any) -> dict[str, Any]:
    padded, inside = _padded(case)
    padded[:, :, *inside] = x
    seen = padded[:, :, *_places(case)]
    return {"columns": seen.reshape(len(x), -1, seen.shape[-2] * seen.shape[-1])}


def _col2im_inputs(rng: Any, **case: Any) -> dict[str, Any]:
    shape = _reference(case, **_inputs(rng, **case))["columns"].shape
    columns = rng.standard_normal(shape, dtype=np.float32)
    return {"columns": unaligned(columns) if case.get("moved") else columns}


def _col2im_reference(case: Case, columns: Any) -> dict[str, Any]:
    padded, inside = _padded(case)
    rows, cols = _places(case)
    shape = np.broadcast_shapes(rows.shape, cols.shape)
    everywhere: Any = (slice(None), slice(None), rows, cols)
    np.add.at(padded, everywhere, columns.reshape(*padded.shape[:2], *shape).astype(np.float64))
    return {"x": padded[:, :, *inside]}


def _case(batch: int, channels: int, size: Pair, **options: Any) -> dict[str, Any]:
    return {"batch": batch, "channels": channels, "size": size, **options}


CASES = (
    _case(1, 1, (1, 1), kernel=(1, 1)),
    _case(2, 3, (5, 7), padding=(1, 1)),
    _case(1, 2, (9, 6), kernel=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    _case(2, 2, (8, 10)),
    _case(1, 3, (17, 18), padding=(1, 1), stride=(2, 3)),
    _case(1, 1, (97, 131), kernel=(2, 1), stride=(7, 9)),
    _case(1, 1, (6, 4), kernel=(5, 4), padding=(2, 3), dilation=(2, 1)),
    _case(1, 2, (3, 12), kernel=(2, 9)),
    _case(2, 1, (4, 9), kernel=(1, 6)),
    _case(1, 1, (9, 5), kernel=(7, 4)),
    _case(2, 2, (6, 8), padding=(1, 1)),
    _case(1, 2, (9, 10), kernel=(4, 3), stride=(2, 1), dilation=(2, 1)),
    _case(1, 1, (5, 28), kernel=(2, 5), padding=(1, 2)),
    _case(1, 1, (3, 13), kernel=(1, 8), padding=(0, 3)),
    _case(1, 1, (40, 36), padding=(1, 1)),
    _case(1, 1, (7, 16), kernel=(3, 1), stride=(3, 1)),
    _case(1, 1, (200, 64), kernel=(2, 1)),
    _case(1, 1, (97, 131), stride=(4, 5), padding=(1, 1)),
    _case(1, 2, (5, 10), padding=(1, 0)),
    # Filters of each width, with the output a multiple of four, and not.
    *(_case(1, 1, (2, k + 7), kernel=(2, k)) for k in range(1, 9)),
    *(_case(1, 1, (3, k + 7 - 2 * p), kernel=(2, k), padding=(1, p)) for k, p in ((2, 1), (5, 1), (4, 2), (6, 2), (5, 3))),
    *(_case(1, 1, (3, k + 4), kernel=(2, k), padding=(1, 2)) for k in range(1, 9)),
    *(_case(1, 1, (3, 5), kernel=(2, k), padding=(1, p)) for k, p in ((4, 3), (7, 6), (8, 6))),
    # Rows of the output that are multiples of four, of the image even, moved by 5 to -6, within a warp and over its end.
    *(_case(2, 3, (5, w), padding=(1, 1)) for w in (4, 8, 32, 36, 56, 72)),
    *(_case(1, 2, (3, w), kernel=(1, 1), padding=(0, p)) for w, p in ((8, 0), (32, 2), (4, 2))),
    *(_case(1, 2, (7, w), kernel=(2, 5), padding=(1, p)) for w, p in ((8, 2), (32, 0), (36, 2), (72, 0), (132, 2))),
    *(_case(2, 1, (5, w), kernel=(3, 3), padding=(0, p)) for w, p in ((4, 3), (36, 3), (72, 3), (8, 5), (132, 5), (132, 1))),
    *(_case(1, 1, (3, w), kernel=(2, 7), padding=(1, p)) for w, p in ((8, 1), (36, 3), (72, 1), (132, 1), (132, 3))),
    *(_case(1, 1, (5, w), kernel=(1, 2), padding=(0, p)) for w, p in ((8, 0), (32, 1))),
    *(_case(2, 2, (5, w), padding=(1, p)) for w, p in ((6, 0), (34, 0), (58, 0), (130, 0), (262, 0), (6, 2), (70, 2))),
    *(_case(1, 2, (5, w), kernel=(2, 1), padding=(0, p)) for w, p in ((2, 1), (34, 1), (70, 1))),
    _case(1, 2, (9, 36), stride=(2, 1), padding=(1, 1), dilation=(2, 1)),
    _case(1, 1, (3, 132), kernel=(1, 9)),
    _case(1, 1, (5, 8), padding=(1, 1), moved=True),
)


def _bytes(batch: int, channels: int, size: Pair, **options: Any) -> int:
    o = _options(options)
    out = out_size(size, **o)
    return 4 * batch * channels * (size[0] * size[1] + o["kernel"][0] * o["kernel"][1] * out[0] * out[1])


EXAMPLE = _case(1, 8, (32, 32), padding=(1, 1))

IM2COL_LADDER = Ladder(
    name="im2col",
    file="im2col.cu",
    steps=(
        Step("v1", "a number for each thread, filter positions innermost: neighbours write whole rows apart",
             lambda launch, case, x: {"columns": im2col(x, **_options(case), launch=launch, step="v1")}, (IM2COL["v1"],)),
        Step("v2", "a block for each row of columns: neighbours write neighbours",
             lambda launch, case, x: {"columns": im2col(x, **_options(case), launch=launch, step="v2")}, (IM2COL["v2"],)),
        Step("v3", "a block keeps a plane in shared memory: it is fetched once, not once for each filter position",
             lambda launch, case, x: {"columns": im2col(x, **_options(case), launch=launch, step="v3")}, (IM2COL["v3"],),
             supports=lambda case: case["size"][0] * case["size"][1] <= STAGED),
        Step("v4", "four pixels at a time, stored 16 bytes at a time; the padding lies in shared memory, so nothing is checked",
             lambda launch, case, x: {"columns": im2col(x, **_options(case), launch=launch)},
             (IM2COL["v4"], IM2COL["v3"], IM2COL["v2"]), used=True),
    ),
    inputs=_inputs, reference=_reference, cases=CASES, example=EXAMPLE, tolerance=1e-7, minimum_bytes=_bytes,
)  # fmt: skip

COL2IM_LADDER = Ladder(
    name="col2im",
    file="im2col.cu",
    steps=(
        Step("v1", "atomics: a pixel is fetched and stored as often as the filter covers it",
             lambda launch, case, columns: {"x": col2im(columns, case["size"], **_options(case), launch=launch, step="v1")},
             (COL2IM["v1"],)),
        Step("v2", "each pixel collects what belongs to it: one store, no atomics, the same sum in every run",
             lambda launch, case, columns: {"x": col2im(columns, case["size"], **_options(case), launch=launch, step="v2")},
             (COL2IM["v2"],)),
        Step("v3", "four pixels at a time, 16 bytes for each tap: what a tap is moved by comes from the neighbour",
             lambda launch, case, columns: {"x": col2im(columns, case["size"], **_options(case), launch=launch)},
             (COL2IM["v3"], COL2IM["v2"]), used=True),
    ),
    inputs=_col2im_inputs, reference=_col2im_reference, cases=CASES, example=EXAMPLE, tolerance=2e-6, minimum_bytes=_bytes,
)  # fmt: skip

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


def staged(bands: int, rows: int, batch: int, numbers: int) -> Launch:
    """A block for each band of each plane, with the numbers that it sees in shared memory."""
    return Launch((bands, rows, batch), (256,), 4 * numbers)


def by_fours(pixels: int, rows: int, batch: int, fours: int) -> Launch:
    """A thread for twice four pixels, `fours` times two of them in each of 8 warps; rows in y, images in z."""
    return Launch((ceil_div(pixels, 4 * 2 * 8 * fours), rows, batch), (256,))


def whole_rows(width: int) -> int:
    """How many threads of a warp make four pixels each in v3 of col2im, and as many behind them, for rows of `width`.

    So many that a warp does whole rows, if that leaves at most a quarter of it idle: where a row goes on in the next warp,
    both fetch there what the other has. And an even number, if a row goes on in the second half: no sector is in both then.

    >>> whole_rows(32), whole_rows(28), whole_rows(56), whole_rows(72), whole_rows(100), whole_rows(224), whole_rows(1024)
    (32, 28, 28, 32, 25, 28, 32)
    """
    row = ceil_div(width, 4)
    return next((n for n in range(32, 23, -1) if n % row == 0 or (n % 2 == 0 and 2 * n % row == 0)), 32)


def _kernel(name: str, geometry: Any = grid) -> Kernel:
    return Kernel(name, "im2col.cu", geometry, wide=True)


STAGED = 8192  # numbers in the shared memory of a block: of 32 KiB each, enough blocks run at a time on every card
IM2COL = {
    "v1": _kernel("im2col_v1"),
    "v2": _kernel("im2col_v2"),
    "v3": _kernel("im2col_v3", staged),
    "v4": _kernel("im2col_v4", staged),
}
COL2IM = {"v1": _kernel("col2im_v1"), "v2": _kernel("col2im_v2"), "v3": _kernel("col2im_v3", by_fours)}
COL2IM["by two"] = _kernel("col2im_v3_by_two", by_fours)


def out_size(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of what a convolution gives.

    >>> out_size((5, 7), (3, 3), (2, 1), (1, 0), (1, 2))
    (3, 3)
    """
    h, w = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, stride, padding, dilation))
    return h, w


def parts(kw: int, ow: int, stride_w: int, pad_w: int, dilation_w: int) -> tuple[int, int]:
    """In the shared memory of v4: the numbers of each part of a row, and how far apart rows lie.

    Eight threads read 32 numbers at once. If a row of the output ends among them, the next begins where it would have gone
    on, counted in banks.

    >>> parts(3, 32, 1, 1, 1), parts(3, 28, 1, 1, 1), parts(3, 28, 2, 1, 1)
    ((44, 44), (40, 60), (32, 92))
    """
    part = 4 * ceil_div((-pad_w % 8 + (kw - 1) * dilation_w) // stride_w + ow, 4)
    return part, stride_w * part + ((ow - stride_w * part) % 32 if ow % 32 else 0)


def bands(out: int, kernel: int, stride: int, dilation: int, row: int, image: int) -> tuple[int, int, int]:
    """Into how many bands the rows of the output are divided, of how many each, and the numbers that one looks at.

    Args:
        out, kernel, stride, dilation: of the rows.
        row: numbers of a row in shared memory, where there is room for a multiple of `stride` rows.
        image: how many rows there are of which a band may see.

    >>> bands(32, 3, 1, 1, 40, 34), bands(224, 3, 1, 1, 240, 226), bands(112, 7, 2, 1, 224, 224), bands(9, 3, 1, 1, 5000, 11)
    ((1, 32, 1360), (7, 32, 8160), (8, 14, 7616), (0, 0, 0))
    """
    fit, high = STAGED // max(row, 1), (kernel - 1) * dilation + 1
    most = out if image <= fit else min(out, (fit // stride * stride - high) // stride + 1)
    if most < 1:
        return 0, 0, 0
    band = ceil_div(out, ceil_div(out, most))
    return ceil_div(out, band), band, min(stride * ceil_div((band - 1) * stride + high, stride), image) * row


def _plan(step: str, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> tuple[str, tuple, tuple]:
    """The step, the best one that can do it if none is asked for, its bands, and the parts of v4."""
    out = out_size(size, kernel, stride, padding, dilation)
    rows = out[0], kernel[0], stride[0], dilation[0]
    if not step and out[1] % 4 == 0:
        lie = parts(kernel[1], out[1], stride[1], padding[1], dilation[1])
        cut = bands(*rows, lie[1], stride[0] * ceil_div(size[0] + 2 * padding[0], stride[0]))
        if cut[0]:
            return "v4", cut, lie
    cut = bands(*rows, size[1], size[0])
    return step or ("v3" if cut[0] else "v2"), cut, ()


def im2col(
    x: Any, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0), dilation: Pair = (1, 1), launch: Any = launch,
    step: str = "",
) -> Any:
    """(batch, channels, H, W), float32 and contiguous, to (batch, channels * taps, pixels)."""  # fmt: skip
    (batch, channels, *size), taps = x.shape, kernel[0] * kernel[1]
    out = out_size(x.shape[2:], kernel, stride, padding, dilation)
    pixels = out[0] * out[1]
    columns = namespace(x).empty((batch, channels * taps, pixels), x.dtype)
    if not columns.size:
        return columns
    step, (count, band, seen), lie = _plan(step, x.shape[2:], kernel, stride, padding, dilation)
    numbers: tuple = (channels, *size, *kernel, *out, *stride, *padding, *dilation)
    sizes = {"rows": channels, "batch": batch}
    if step in ("v3", "v4"):
        numbers += (band, *lie)
        sizes |= {"bands": count, "numbers": seen}
    else:
        sizes["pixels"] = pixels
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
    neighbours = dilation[1] == 1 and x.size > 0 and wide(out[1], columns, x)
    by_two = "by two" if neighbours and stride[1] == 2 and size[1] % 8 == 0 else "v2"
    step = step or ("v3" if neighbours and stride[1] == 1 and size[1] % 2 == 0 else by_two)
    numbers: tuple = (channels, *size, *kernel, *out, *stride, *padding, *dilation)
    sizes = {"pixels": size[0] * size[1], "rows": channels, "batch": batch}
    if step in ("v3", "by two"):
        fours = whole_rows(size[1] if step == "v3" else size[1] // 2)
        high = size[0] if step == "v3" else stride[0] * ceil_div(size[0], stride[0])
        sizes |= {"pixels": high * 4 * ceil_div(size[1], 4), "fours": fours}
        numbers = (channels, *size, *kernel, *out, stride[0], *padding, dilation[0], fours)
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
    # More than a block keeps: bands, the last of them smaller, some in the padding; and rows that are too long even so.
    _case(1, 2, (9, 1024), padding=(1, 1)),
    _case(1, 1, (11, 1024), stride=(2, 1), padding=(2, 1)),
    _case(2, 1, (13, 1001), stride=(2, 3), padding=(3, 1), dilation=(1, 2)),
    _case(1, 1, (9, 2000), kernel=(3, 1), stride=(1, 3), padding=(1, 0)),
    _case(1, 1, (13, 1024), stride=(2, 2), padding=(1, 1)),
    *(_case(1, 1, (2, w), kernel=(1, 1), padding=(3, 0)) for w in (4100, 4099)),
    _case(1, 2, (9, 1001), kernel=(9, 1), padding=(1, 1)),
    _case(1, 1, (97, 131), stride=(4, 5), padding=(1, 1)),
    _case(1, 2, (5, 10), padding=(1, 0)),
    # Filters that move by more than one, or take numbers apart, with the output a multiple of four.
    _case(1, 2, (9, 24), kernel=(3, 5), stride=(2, 2), padding=(1, 2)),
    *(_case(1, 1, (9, 14 + 2 * k), kernel=(k, 2 * k), stride=(2, 2)) for k in range(3, 7)),
    *(_case(1, 1, (9, 12 + 2 * k), kernel=(k, 2 * k), stride=(2, 2), padding=(0, 1)) for k in range(3, 7)),
    *(_case(1, 1, (9, 15 + 2 * k), kernel=(k, 2 * k + 1), stride=(2, 2)) for k in (5, 7)),
    *(_case(1, 1, (10, 21 + k), kernel=(k, k), stride=(3, 3)) for k in (5, 6, 7)),
    *(_case(1, 1, (5, w), kernel=(2, 5), stride=(1, s), padding=(1, 0)) for w, s in ((36, 1), (132, 1), (132, 2))),
    _case(2, 1, (7, 23), kernel=(2, 5), stride=(1, 2), padding=(0, 2)),
    _case(1, 1, (8, 24), stride=(3, 3), padding=(1, 1)),
    _case(1, 2, (6, 16), kernel=(2, 3), padding=(1, 2), dilation=(2, 2)),
    _case(1, 1, (5, 21), kernel=(1, 3), stride=(1, 2), dilation=(1, 3)),
    _case(1, 1, (3, 8), kernel=(1, 3), padding=(0, 9)),
    # Images that are multiples of eight, within a warp and over its end.
    *(_case(1, 2, (7, w), stride=(2, 2), padding=(1, 1)) for w in (8, 32, 56, 72, 112)),
    *(_case(2, 1, (5, w), kernel=(2, 5), stride=(2, 2), padding=(1, 2)) for w in (24, 64, 88, 264)),
    *(_case(1, 2, (6, w), kernel=(1, k), stride=(s, 2), padding=(0, p))
      for w, k, s, p in ((16, 8, 1, 3), (264, 8, 1, 3), (16, 2, 3, 4), (264, 10, 1, 0), (264, 2, 2, 4), (264, 14, 2, 6))),
    _case(1, 1, (7, 264), kernel=(1, 2), stride=(3, 2), padding=(0, 4)),
    _case(1, 1, (7, 168), kernel=(3, 4), stride=(2, 2), padding=(1, 1)),
    _case(1, 2, (5, 16), kernel=(3, 4), stride=(1, 2), padding=(1, 1)),
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
    _case(1, 1, (7, 84), stride=(2, 1), padding=(1, 1)),
    _case(1, 1, (2, 208), padding=(1, 1)),
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
        Step("v3", "a block keeps rows of the image in shared memory: they are fetched once, not once for each filter position",
             lambda launch, case, x: {"columns": im2col(x, **_options(case), launch=launch, step="v3")}, (IM2COL["v3"],),
             supports=lambda case: _plan("v3", case["size"], **_options(case))[1][0] > 0),
        Step("v4", "four pixels at a time, stored 16 bytes at a time; what they read lies side by side, with its padding",
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
        Step("v3", "four pixels at a time, 16 bytes for each tap: what a tap is moved by comes from the neighbouring thread",
             lambda launch, case, columns: {"x": col2im(columns, case["size"], **_options(case), launch=launch)},
             (COL2IM["v3"], COL2IM["by two"], COL2IM["v2"]), used=True),
    ),
    inputs=_col2im_inputs, reference=_col2im_reference, cases=CASES, example=EXAMPLE, tolerance=2e-6, minimum_bytes=_bytes,
)  # fmt: skip

"""Cases of convolutions, pools, norms, padding and resampling."""

from __future__ import annotations

import warnings
from typing import Any

from .cases import Input, case, kink

# ------------------------------------------------------------------------------------------------------ convolutions


def _conv(n: int, transposed: bool, bias: bool, options: dict[str, Any]) -> Any:
    name = f"conv_transpose{n}d" if transposed else f"conv{n}d"

    def call(t: Any, x: Any, w: Any, b: Any = None) -> Any:
        with warnings.catch_warnings():  # torch says that "same" with even kernels makes it copy
            warnings.simplefilter("ignore")
            return getattr(t.nn.functional, name)(x, w, b, **options)

    return call if bias else lambda t, x, w: call(t, x, w)


CONV: list[tuple[int, tuple, tuple, dict[str, Any]]] = [
    (1, (2, 3, 7), (4, 3, 3), {}),
    (1, (3, 7), (4, 3, 2), {"stride": 2}),
    (1, (2, 4, 9), (6, 2, 3), {"groups": 2, "padding": 2, "dilation": 3}),
    (1, (2, 3, 6), (3, 1, 4), {"groups": 3, "padding": "same"}),
    (1, (2, 3, 8), (2, 3, 3), {"padding": "valid", "stride": (3,)}),
    (2, (2, 3, 5, 6), (4, 3, 3, 2), {}),
    (2, (2, 3, 5, 4), (2, 3, 1, 1), {}),
    (2, (3, 6, 5), (4, 3, 2, 3), {"padding": (1, 0)}),
    (2, (1, 2, 7, 8), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 2)}),  # kernels do not reach the last rows
    (2, (2, 2, 7, 6), (2, 2, 2, 3), {"dilation": (3, 2), "padding": 1}),
    (2, (1, 4, 6, 5), (6, 2, 3, 3), {"groups": 2, "stride": 2, "padding": 1}),
    (2, (2, 3, 4, 5), (6, 1, 2, 2), {"groups": 3, "dilation": 2, "stride": (1, 2)}),
    (2, (1, 2, 4, 5), (3, 2, 4, 3), {"padding": "same"}),
    (2, (1, 2, 6, 5), (3, 2, 2, 4), {"padding": "same", "dilation": (2, 1)}),
    (2, (1, 2, 3, 2), (3, 2, 5, 4), {"padding": 1}),  # the kernel is as large as the padded image
    (2, (2, 2, 4, 5), (3, 2, 2, 2), {"stride": 3}),  # windows with gaps between them
    (2, (0, 3, 5, 4), (2, 3, 3, 2), {"padding": 1}),
]
for n, x, w, options in CONV:
    case(f"conv{n}d", _conv(n, False, False, options), x, w)
    case(f"conv{n}d", _conv(n, False, True, options), x, w, (w[0],))

TRANSPOSED: list[tuple[int, tuple, tuple, dict[str, Any]]] = [
    (1, (2, 3, 5), (3, 4, 3), {}),
    (1, (3, 4), (3, 2, 2), {"stride": 3, "output_padding": 2}),
    (1, (2, 4, 5), (4, 3, 3), {"groups": 2, "dilation": 2, "padding": 2}),
    (2, (2, 3, 3, 4), (3, 2, 2, 3), {}),
    (2, (3, 3, 4), (3, 2, 3, 2), {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2)}),
    (2, (1, 4, 3, 2), (4, 3, 3, 3), {"groups": 2, "stride": 2, "padding": 1, "output_padding": (0, 1)}),
    (2, (2, 2, 3, 3), (2, 3, 2, 2), {"dilation": (3, 2), "output_padding": (2, 1)}),
    (2, (1, 2, 2, 3), (2, 3, 2, 2), {"stride": 3}),
    (2, (0, 3, 3, 4), (3, 2, 2, 3), {"stride": 2}),
]
for n, x, w, options in TRANSPOSED:
    case(f"conv_transpose{n}d", _conv(n, True, False, options), x, w)
    case(f"conv_transpose{n}d", _conv(n, True, True, options), x, w, (w[1] * options.get("groups", 1),))

UNFOLD: list[tuple[tuple, dict[str, Any]]] = [
    ((2, 3, 4, 5), {"kernel_size": (2, 3)}),
    ((3, 4, 5), {"kernel_size": 2, "stride": (2, 1), "padding": (0, 1)}),
    ((1, 2, 6, 5), {"kernel_size": (3, 2), "dilation": (2, 3), "padding": 1}),
    ((1, 2, 5, 6), {"kernel_size": 2, "stride": 3}),
    ((0, 2, 3, 4), {"kernel_size": 2}),
    ((2, 3, 2, 2), {"kernel_size": 1}),
]
for x, options in UNFOLD:
    case("unfold", lambda t, x, o=options: t.nn.functional.unfold(x, **o), x)
for x, options in [
    ((2, 12, 8), {"output_size": (3, 5), "kernel_size": 2}),
    ((6, 6), {"output_size": (4, 5), "kernel_size": (2, 3), "stride": (2, 1), "padding": 0}),
    ((1, 12, 16), {"output_size": (6, 5), "kernel_size": (3, 2), "dilation": (2, 3), "padding": 1}),
    ((2, 3, 20), {"output_size": (4, 5), "kernel_size": 1}),
]:
    case("fold", lambda t, x, o=options: t.nn.functional.fold(x, **o), x)


# `correlate` and `overlap_add` are gradients of what users call: here as functions, so that theirs are checked as well.
def _weight_gradient(t: Any, x: Any, g: Any, size: tuple, options: dict[str, Any]) -> Any:
    with t.enable_grad():
        w = t.ones(size, dtype=x.dtype, requires_grad=True)
        y = (t.nn.functional.conv1d if len(size) == 3 else t.nn.functional.conv2d)(x, w, **options)
        return t.autograd.grad(y, w, g, create_graph=True)[0]


def _mean_gradient(t: Any, g: Any) -> Any:
    with t.enable_grad():
        x = t.ones((2, 3, 8), dtype=g.dtype, requires_grad=True)
        return t.autograd.grad(t.nn.functional.avg_pool1d(x, 3, 2), x, g, create_graph=True)[0]


case("conv1d weight", lambda t, x, g: _weight_gradient(t, x, g, (4, 3, 2), {"stride": 3}), (2, 3, 7), (2, 4, 2))
case(
    "conv2d weight", lambda t, x, g: _weight_gradient(t, x, g, (6, 2, 3, 2), {"groups": 2, "dilation": 2, "padding": 1}),
    (2, 4, 5, 4), (2, 6, 3, 4),
)  # fmt: skip
case("avg_pool1d input", _mean_gradient, (2, 3, 3))

# ------------------------------------------------------------------------------------------------------------ pools

POOLS: list[tuple[tuple, dict[str, Any]]] = [
    ((2, 3, 7), {"kernel_size": 3}),
    ((3, 7), {"kernel_size": 2, "stride": 3, "padding": 1}),
    ((2, 2, 8), {"kernel_size": 4, "stride": 3, "padding": 2, "ceil_mode": True}),
    ((1, 2, 5), {"kernel_size": 2, "stride": 4, "padding": 1, "ceil_mode": True}),
    ((2, 3, 5, 6), {"kernel_size": 2}),
    ((3, 6, 5), {"kernel_size": (3, 2), "stride": (1, 2)}),
    ((1, 2, 6, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 2, 6, 7), {"kernel_size": (2, 3), "stride": (3, 2), "padding": (1, 0), "ceil_mode": True}),
    ((1, 1, 5, 4), {"kernel_size": (5, 2), "padding": (2, 1), "stride": (2, 1), "ceil_mode": True}),
    ((0, 2, 5, 4), {"kernel_size": 2}),
    ((1, 2, 1, 3), {"kernel_size": 3, "padding": 1, "stride": 1}),
]
for x, options in POOLS:
    n = 1 if len(x) == 2 or (len(x) == 3 and isinstance(options["kernel_size"], int)) else 2
    for pool in ("max_pool", "avg_pool"):
        case(f"{pool}{n}d", lambda t, x, f=f"{pool}{n}d", o=options: getattr(t.nn.functional, f)(x, **o), x)
    kink(f"max_pool{n}d", lambda t, x, f=f"max_pool{n}d", o=options: getattr(t.nn.functional, f)(x, **o), x)
    kink(
        f"max_pool{n}d",
        lambda t, x, f=f"max_pool{n}d", o=options: getattr(t.nn.functional, f)(x, return_indices=True, **o)[1] + x.sum(), x,
    )  # fmt: skip
    case(
        f"avg_pool{n}d",
        lambda t, x, f=f"avg_pool{n}d", o=options: getattr(t.nn.functional, f)(x, count_include_pad=False, **o), x,
    )  # fmt: skip
for options in ({"dilation": 2}, {"dilation": 2, "padding": 1, "stride": 1}, {"dilation": 3, "ceil_mode": True}):
    case("max_pool1d", lambda t, x, o=options: t.nn.functional.max_pool1d(x, 3, **o), (2, 3, 9))
    case("max_pool2d", lambda t, x, o=options: t.nn.functional.max_pool2d(x, (3, 2), **o), (2, 1, 9, 6))
    kink("max_pool2d", lambda t, x, o=options: t.nn.functional.max_pool2d(x, (3, 2), **o), (2, 1, 9, 6))
case("avg_pool2d", lambda t, x: t.nn.functional.avg_pool2d(x, (2, 3), 1, 1, divisor_override=5), (2, 3, 4, 5))
for shape, size in [((2, 3, 7), 3), ((3, 5), 8), ((2, 2, 6), (2,)), ((1, 2, 5), 1)]:
    case("adaptive_avg_pool1d", lambda t, x, s=size: t.nn.functional.adaptive_avg_pool1d(x, s), shape)
    case("adaptive_max_pool1d", lambda t, x, s=size: t.nn.functional.adaptive_max_pool1d(x, s), shape)
    kink("adaptive_max_pool1d", lambda t, x, s=size: t.nn.functional.adaptive_max_pool1d(x, s), shape)
for shape, size in [((2, 3, 5, 6), 2), ((3, 7, 5), (3, 4)), ((1, 2, 4, 5), (None, 2)), ((2, 2, 3, 2), (5, 3)), ((0, 2, 3, 4), 2)]:
    case("adaptive_avg_pool2d", lambda t, x, s=size: t.nn.functional.adaptive_avg_pool2d(x, s), shape)
    case("adaptive_max_pool2d", lambda t, x, s=size: t.nn.functional.adaptive_max_pool2d(x, s), shape)
    kink("adaptive_max_pool2d", lambda t, x, s=size: t.nn.functional.adaptive_max_pool2d(x, s), shape)
    kink(
        "adaptive_max_pool2d",
        lambda t, x, s=size: t.nn.functional.adaptive_max_pool2d(x, s, return_indices=True)[1] + x.sum(), shape,
    )  # fmt: skip

# ------------------------------------------------------------------------------------------------------------ norms


def _batch_norm(t: Any, x: Any, weight: Any = None, bias: Any = None, **options: Any) -> Any:
    channels = t.arange(x.shape[1], dtype=x.dtype)
    return t.nn.functional.batch_norm(x, channels * 0.3 - 0.5, channels * 0.4 + 0.7, weight, bias, **options)


for shape in [(4, 3), (2, 3, 5), (2, 3, 2, 4), (5, 1)]:
    for training in (True, False):
        case("batch_norm", lambda t, x, r=training: _batch_norm(t, x, training=r, eps=0.01), shape)
        case("batch_norm", lambda t, x, w, b, r=training: _batch_norm(t, x, w, b, training=r), shape, shape[1:2], shape[1:2])
case("batch_norm", lambda t, x, w: _batch_norm(t, x, w, training=True), (0, 3, 2), (3,), second=False)
case("batch_norm", lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True), (3, 2, 2))
for shape in [(2, 3, 5), (2, 3, 2, 4), (1, 2, 3)]:
    case("instance_norm", lambda t, x: t.nn.functional.instance_norm(x), shape)
    case(
        "instance_norm", lambda t, x, w, b: t.nn.functional.instance_norm(x, weight=w, bias=b, eps=0.1), shape, shape[1:2],
        shape[1:2],
    )  # fmt: skip
case(
    "instance_norm",
    lambda t, x, m, v: t.nn.functional.instance_norm(x, m, v, use_input_stats=False),
    (2, 3, 4), Input((3,), grad=False), Input((3,), "positive", grad=False),
)  # fmt: skip
for shape, groups in [((2, 6, 5), 3), ((3, 4), 2), ((1, 4, 2, 3), 1), ((2, 4, 3), 4), ((0, 4, 3), 2)]:
    case("group_norm", lambda t, x, g=groups: t.nn.functional.group_norm(x, g, eps=0.01), shape)
    case(
        "group_norm", lambda t, x, w, b, g=groups: t.nn.functional.group_norm(x, g, w, b), shape, shape[1:2], shape[1:2]
    )
case("rms_norm", lambda t, x, w: t.nn.functional.rms_norm(x, (5,), w), (2, 3, 5), (5,))
case("rms_norm", lambda t, x, w: t.nn.functional.rms_norm(x, (3, 5), w, eps=0.1), (2, 3, 5), (3, 5))
case("rms_norm", lambda t, x: t.nn.functional.rms_norm(x, (4,)), (4,))
case("rms_norm", lambda t, x: t.nn.functional.rms_norm(x, (4,)), (0, 4))

# -------------------------------------------------------------------------------------------------- padding, resampling

for mode in ("reflect", "replicate", "circular"):
    for shape, widths in [
        ((2, 4), (1, 3)), ((2, 3, 5), (2, 0)), ((2, 3, 4), (1, 2, 2, 0)), ((1, 2, 3, 4), (3, 1, 0, 2)), ((2, 3, 5), (-1, 2)),
        ((2, 3, 5), (2, -2)), ((0, 3, 4), (1, 2)), ((2, 3, 4, 2), (1, 0, 2, 3, 1, 1)),
    ]:  # fmt: skip
        case(f"pad {mode}", lambda t, x, w=widths, m=mode: t.nn.functional.pad(x, w, mode=m), shape)
case("pad replicate", lambda t, x: t.nn.functional.pad(x, (7, 9), mode="replicate"), (2, 3))
case("pad", lambda t, x: t.nn.functional.pad(x, (-3, 4)), (2, 3))

for shape, options in [
    ((2, 3, 4), {"scale_factor": 2}), ((1, 2, 5), {"size": 3}), ((1, 2, 5), {"scale_factor": 1.7}), ((2, 1, 7), {"size": 7}),
    ((1, 2, 3), {"scale_factor": 2.6, "recompute_scale_factor": True}), ((1, 2, 6), {"scale_factor": 0.4}),
    ((0, 2, 3), {"size": 5}), ((2, 2, 4), {"size": 1}), ((2, 1, 1), {"size": 3}),
]:  # fmt: skip
    for mode in ("nearest", "nearest-exact", "linear", "area"):
        case(f"interpolate {mode}", lambda t, x, m=mode, o=options: t.nn.functional.interpolate(x, mode=m, **o), shape)
    case(
        "interpolate linear",
        lambda t, x, o=options: t.nn.functional.interpolate(x, mode="linear", align_corners=True, **o), shape,
    )  # fmt: skip
for shape, options in [
    ((2, 1, 3, 4), {"scale_factor": 2}), ((1, 2, 5, 3), {"size": (3, 7)}), ((1, 2, 4, 5), {"scale_factor": (1.3, 0.7)}),
]:  # fmt: skip
    for mode in ("nearest", "nearest-exact", "bilinear", "area"):
        case(f"interpolate {mode}", lambda t, x, m=mode, o=options: t.nn.functional.interpolate(x, mode=m, **o), shape)
    case(
        "interpolate bilinear",
        lambda t, x, o=options: t.nn.functional.interpolate(x, mode="bilinear", align_corners=True, **o), shape,
    )  # fmt: skip
for mode in ("nearest", "trilinear"):
    case(f"interpolate {mode}", lambda t, x, m=mode: t.nn.functional.interpolate(x, (3, 2, 5), mode=m), (1, 2, 2, 3, 2))
case("pixel_shuffle", lambda t, x: t.nn.functional.pixel_shuffle(x, 2), (2, 12, 3, 2))
case("pixel_shuffle", lambda t, x: t.nn.functional.pixel_shuffle(x, 3), (9, 2, 1))
case("pixel_unshuffle", lambda t, x: t.nn.functional.pixel_unshuffle(x, 2), (2, 3, 4, 6))
case("pixel_unshuffle", lambda t, x: t.nn.functional.pixel_unshuffle(x, 3), (1, 3, 6))
for lead in ((2, 3), (), (0,)):
    case("bilinear", lambda t, x, y, w, b: t.nn.functional.bilinear(x, y, w, b), (*lead, 4), (*lead, 5), (2, 4, 5), (2,))
    case("bilinear", lambda t, x, y, w: t.nn.functional.bilinear(x, y, w), (*lead, 3), (*lead, 2), (4, 3, 2))

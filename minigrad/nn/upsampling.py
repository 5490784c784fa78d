"""Images of another size: interpolation, and channels traded for pixels. Functions and layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import tensor
from ..errors import explained
from ..tensor import Tensor
from .module import Module
from .padding import pick
from .pooling import _adaptive_avg_pool

# -------------------------------------------------------------------------------------------------------- functions

_DIMENSIONS = {"linear": 1, "bilinear": 2, "trilinear": 3}


def _sizes(input: Any, size: Any, scale_factor: Any, recompute: bool) -> list[tuple[int, float | None]]:
    """The new size of each dimension, and its factor where that decides what is read where."""
    old = tuple(input.shape[2:])
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: give one of size and scale_factor" + (", not both" if size is not None else ""))
    given = size if scale_factor is None else scale_factor
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,) * len(old)
    if len(given) != len(old):
        raise ValueError(
            f"interpolate: input of shape {tuple(input.shape)} has {len(old)} sizes after batch and channels, got {given} for "
            "them"
        )
    if size is not None and recompute:
        raise ValueError("interpolate: recompute_scale_factor works with scale_factor only, not with size")
    new = [int(n) for n in given] if scale_factor is None else [math.floor(n * f) for n, f in zip(old, given)]
    if min(new + list(old)) < 1:
        raise RuntimeError(f"interpolate: sizes must be at least 1, got {old} to become {tuple(new)}")
    return [(n, None if scale_factor is None or recompute else float(f)) for n, f in zip(new, given)]


def _nearest(x: Any, dim: int, size: int, factor: float | None, exact: bool) -> Any:
    old = x.shape[dim]
    step = np.float32(old / size if factor is None else 1 / factor)  # in float32, as in PyTorch: it decides ties
    place = np.arange(size, dtype=np.float32) + np.float32(0.5 if exact else 0)
    rows = np.minimum(np.floor(place * step).astype(np.int64), old - 1)
    return pick(x, dim, tensor(rows, device=x.device))


def _linear(x: Any, dim: int, size: int, factor: float | None, align_corners: bool) -> Any:
    old = x.shape[dim]
    if size == old:
        return x  # whatever the factor is, as in PyTorch
    if align_corners:
        place = np.arange(size) * ((old - 1) / (size - 1) if size > 1 else 0.0)
    else:
        place = np.maximum((np.arange(size) + 0.5) * (old / size if factor is None else 1 / factor) - 0.5, 0)
    low = np.minimum(np.floor(place).astype(np.int64), old - 1)
    share = np.minimum(place - low, 1).reshape(-1, *[1] * (x.ndim - dim - 1))
    before, after = (tensor(rows, device=x.device) for rows in (low, np.minimum(low + 1, old - 1)))
    weights = (tensor(w, dtype=x.dtype, device=x.device) for w in (1 - share, share))
    return pick(x, dim, before) * next(weights) + pick(x, dim, after) * next(weights)


@explained
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Sequences, images or volumes in another size.

    Args:
        input: (batch, channels, *sizes).
        size: the new sizes, one int for all or one for each.
        scale_factor: or by what to multiply the sizes.
        mode: "nearest", "nearest-exact" (which reads at the middle of a pixel), "linear" for sequences, "bilinear" for
            images, "trilinear" for volumes, "area" for means.
        align_corners: whether the linear modes put the middles of the outermost pixels on each other, not their edges.
        recompute_scale_factor: read by the ratio of the sizes, which after rounding may not be scale_factor.
        antialias: not supported.

    Raises:
        ValueError: not one of size and scale_factor, or not as many of them as sizes.
        NotImplementedError: another mode, or one for other inputs.

    Source: `torch.nn.functional.interpolate`.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[1.0, 3.0]]])
    >>> interpolate(x, scale_factor=2), interpolate(x, 3, mode="linear", align_corners=True)
    (tensor([[[1., 1., 3., 3.]]]), tensor([[[1., 2., 3.]]]))
    """
    n = input.ndim - 2
    if mode not in ("nearest", "nearest-exact", "area", *_DIMENSIONS):
        raise NotImplementedError(
            f"interpolate: mode must be 'nearest', 'nearest-exact', 'area', 'linear', 'bilinear' or 'trilinear', got {mode!r}"
        )
    if n not in (1, 2, 3) or _DIMENSIONS.get(mode, n) != n or (mode == "area" and n == 3):
        raise NotImplementedError(
            f"interpolate: mode {mode!r} needs an input (batch, channels, *sizes) with "
            f"{_DIMENSIONS.get(mode, '1 to 3')} sizes, got shape {tuple(input.shape)}"
        )
    if antialias:
        raise NotImplementedError("interpolate: antialias is not supported; mode 'area' takes means")
    if align_corners is not None and mode not in _DIMENSIONS:
        raise ValueError(f"interpolate: align_corners is for the linear modes only, got mode {mode!r}")
    new = _sizes(input, size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return _adaptive_avg_pool(n, input, [count for count, _ in new])
    out = input
    for dim, (count, factor) in enumerate(new, 2):
        if mode in _DIMENSIONS:
            out = _linear(out, dim, count, factor, bool(align_corners))
        else:
            out = _nearest(out, dim, count, factor, mode == "nearest-exact")
    return out.clone() if out is input else out.contiguous()


@explained
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Trade channels for pixels: (..., c * r * r, h, w) to (..., c, h * r, w * r).

    Args:
        input: at least 3 dimensions, channels a multiple of r * r.
        upscale_factor: r.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Shi and others, Real-Time Single Image and Video Super-Resolution, 2016; `torch.nn.functional.pixel_shuffle`.

    >>> import minigrad as mg
    >>> pixel_shuffle(mg.arange(8).reshape(4, 1, 2), 2)
    tensor([[[0, 2, 1, 3],
             [4, 6, 5, 7]]])
    """
    r = upscale_factor
    if r < 1 or input.ndim < 3 or input.shape[-3] % (r * r):
        raise RuntimeError(
            f"pixel_shuffle: expected an input (..., channels, height, width) with a multiple of upscale_factor {r} squared "
            f"channels, got shape {tuple(input.shape)}"
        )
    *lead, c, h, w = input.shape
    parts = input.reshape(*lead, c // (r * r), r, r, h, w)
    return parts.movedim((-4, -3), (-3, -1)).reshape(*lead, c // (r * r), h * r, w * r)


@explained
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Trade pixels for channels, the inverse of `pixel_shuffle`: (..., c, h * r, w * r) to (..., c * r * r, h, w).

    Args:
        input: at least 3 dimensions, height and width multiples of r.
        downscale_factor: r.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: `torch.nn.functional.pixel_unshuffle`.

    >>> import minigrad as mg
    >>> pixel_unshuffle(mg.tensor([[[0, 2, 1, 3]]]), 1).shape
    Size([1, 1, 4])
    """
    r = downscale_factor
    if r < 1 or input.ndim < 3 or input.shape[-2] % r or input.shape[-1] % r:
        raise RuntimeError(
            f"pixel_unshuffle: expected an input (..., channels, height, width) with sizes that are multiples of "
            f"downscale_factor {r}, got shape {tuple(input.shape)}"
        )
    *lead, c, h, w = input.shape
    parts = input.reshape(*lead, c, h // r, r, w // r, r)
    return parts.movedim((-3, -1), (-4, -3)).reshape(*lead, c * r * r, h // r, w // r)


# ----------------------------------------------------------------------------------------------------------- layers


class Upsample(Module):
    """Sequences, images or volumes in another size, see `functional.interpolate` (as `torch.nn.Upsample`).

    >>> import minigrad as mg
    >>> mg.nn.Upsample(scale_factor=2, mode="bilinear")(mg.ones(1, 3, 4, 5)).shape
    Size([1, 3, 8, 10])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        several = isinstance(scale_factor, (tuple, list))
        one = None if scale_factor is None or several else float(scale_factor)
        self.scale_factor = tuple(map(float, scale_factor)) if several else one
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, *sizes) to the new sizes."""
        return interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        which = f"scale_factor={self.scale_factor}" if self.scale_factor is not None else f"size={self.size}"
        return f"{which}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """`Upsample` with mode "nearest"."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor)


class UpsamplingBilinear2d(Upsample):
    """`Upsample` with mode "bilinear" and align_corners."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)


class PixelShuffle(Module):
    """Trade channels for pixels, see `functional.pixel_shuffle` (as `torch.nn.PixelShuffle`).

    >>> import minigrad as mg
    >>> mg.nn.PixelShuffle(2)(mg.ones(1, 12, 4, 5)).shape
    Size([1, 3, 8, 10])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(..., c * r * r, h, w) to (..., c, h * r, w * r)."""
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Trade pixels for channels, see `functional.pixel_unshuffle` (as `torch.nn.PixelUnshuffle`)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(..., c, h * r, w * r) to (..., c * r * r, h, w)."""
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"

"""The kernels in the form that the engine asks for: see composite.py and op.py, which call them, and kernels/cpu.

What lives here: which arrays a kernel takes, and how they are laid out for it. A function gives NotImplemented for
everything else (another dtype, nothing to do, rows too long for the indices), and then the formula runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from . import adam as _adam
from . import add_to_rows as _add_to_rows
from . import attention as _attention
from . import cross_entropy as _cross_entropy
from . import dropout as _dropout
from . import embedding as _embedding
from . import gelu as _gelu
from . import im2col as _im2col
from . import layer_norm as _layer_norm
from . import matmul as _matmul
from . import matmul_tf32 as _matmul_tf32
from . import softmax as _softmax
from . import sum_rows as _sum_rows
from .launcher import MOST, most_shared, namespace

Array = Any

EVERYWHERE = 64 * 1024  # bytes of shared memory that a block may have on every card that the kernels are for


def takes(*arrays: Array | None) -> bool:
    """Whether all are float32, of one library, not empty, and within reach of 32-bit indices; None is no array."""
    there = [a for a in arrays if a is not None]
    return len(set(map(type, there))) < 2 and all(a.dtype == np.float32 and 0 < a.size <= MOST for a in there)


def dense(array: Array | None) -> Array:
    """The array, contiguous."""
    return array if array is None or array.flags.c_contiguous else namespace(array).ascontiguousarray(array)


def rows(array: Array, width: int) -> Array:
    """Everything but the last `width` numbers as rows."""
    return dense(array).reshape(-1, width)


def shaped(array: Array, shape: tuple[int, ...]) -> Array:
    """The array in a shape; itself, not a view, if it has that: a gradient that nobody else sees is given away uncopied."""
    return array if array.shape == shape else array.reshape(shape)


def halves(kernel: Callable) -> Callable:
    """Float16 too, as autocast makes it: computed in float32, so that only what comes and goes is rounded."""

    @wraps(kernel)
    def call(*arrays: Array, **options: Any) -> Any:
        if any(a.dtype != np.float16 for a in arrays):
            return kernel(*arrays, **options)
        done = kernel(*(a.astype(np.float32) for a in arrays), **options)
        return done if done is NotImplemented else (done[0].astype(np.float16), done[1])

    return call


def halves_backward(kernel: Callable) -> Callable:
    """The same for a gradient."""

    @wraps(kernel)
    def call(g: Array, needs: list[bool], kept: Any, *arrays: Array, **options: Any) -> list:
        if g.dtype != np.float16:
            return kernel(g, needs, kept, *arrays, **options)
        slopes = kernel(g.astype(np.float32), needs, kept, *(a.astype(np.float32) for a in arrays), **options)
        return [slope.astype(np.float16) for slope in slopes]

    return call


# -------------------------------------------------------------------------------------------------------------- sums


def sum_first(x: Array, axes: Any) -> Any:
    """Over the first dimensions, 0 or (0, 1, ...): over rows. Those of float16 are added up in float32."""
    count = len(axes) if isinstance(axes, (tuple, list)) else 1
    if x.dtype == np.float16 and x.size:
        total = sum_first(x.astype(np.float32), axes)
        return total if total is NotImplemented else total.astype(x.dtype)
    if not takes(x) or not 0 < count < x.ndim:
        return NotImplemented
    return shaped(_sum_rows.sum_rows(rows(x, math.prod(x.shape[count:]))), x.shape[count:])


def sum(x: Array, *, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if dim is None or keepdim or dtype is not None:
        return NotImplemented
    dims = dim if isinstance(dim, (tuple, list)) else (dim,)
    over = {d + x.ndim if d < 0 else d for d in dims}
    return sum_first(x, dims) if over == set(range(len(dims))) else NotImplemented


# ------------------------------------------------------------------------------------------------------------- norms


def layer_norm(x: Array, weight: Any = None, bias: Any = None, *, dims: tuple[int, ...], eps: float) -> Any:
    if not takes(x, weight, bias):
        return NotImplemented
    width = math.prod(x.shape[len(x.shape) - len(dims) :])
    w, b = (None if a is None else dense(a).reshape(-1) for a in (weight, bias))
    y, stats = _layer_norm.forward(rows(x, width), w, b, eps)
    return y.reshape(x.shape), stats


def layer_norm_backward(
    g: Array, needs: list[bool], stats: Array, x: Array, weight: Any = None, bias: Any = None, *, dims: Any, eps: float
) -> list:
    width = math.prod(x.shape[len(x.shape) - len(dims) :])
    flat = None if weight is None else dense(weight).reshape(-1)
    gx, gw, gb = _layer_norm.backward(rows(x, width), flat, rows(g, width), stats)
    gw, gb = (None if a is None else shaped(b, a.shape) for a, b in ((weight, gw), (bias, gb)))
    return [gx.reshape(x.shape), gw, gb]


def rms_norm(x: Array, weight: Any = None, *, dims: tuple[int, ...], eps: float) -> Any:
    if not takes(x, weight):
        return NotImplemented
    width = math.prod(x.shape[len(x.shape) - len(dims) :])
    y, stats = _layer_norm.forward(rows(x, width), None if weight is None else dense(weight).reshape(-1), None, eps, rms=True)
    return y.reshape(x.shape), stats


def rms_norm_backward(
    g: Array, needs: list[bool], stats: Array, x: Array, weight: Any = None, *, dims: Any, eps: float
) -> list:
    width = math.prod(x.shape[len(x.shape) - len(dims) :])
    flat = None if weight is None else dense(weight).reshape(-1)
    gx, gw, _ = _layer_norm.backward(rows(x, width), flat, rows(g, width), stats, rms=True)
    return [gx.reshape(x.shape), None if weight is None else shaped(gw, weight.shape)]


# -------------------------------------------------------------------------------------------- activations and losses


@halves
def gelu(x: Array, *, approximate: str) -> Any:
    return (_gelu.forward(dense(x), approximate), None) if takes(x) else NotImplemented


@halves_backward
def gelu_backward(g: Array, needs: list[bool], kept: None, x: Array, *, approximate: str) -> list:
    return [_gelu.backward(dense(x), dense(g), approximate)]


def dropout(x: Array, p: float, key: int, place: int) -> Array:
    """Of what `takes` says; who is dropped depends on the key, the place and the position alone."""
    return _dropout.apply(dense(x), p, key, place)


def softmax(x: Array, *, dim: int, dtype: Any = None) -> Any:
    return _over_rows(x, dim, dtype, log=False)


def log_softmax(x: Array, *, dim: int, dtype: Any = None) -> Any:
    return _over_rows(x, dim, dtype, log=True)


def _over_rows(x: Array, dim: int, dtype: Any, log: bool) -> Any:
    if dtype is not None or not takes(x) or not x.ndim or dim not in (-1, x.ndim - 1):
        return NotImplemented
    return _softmax.forward(rows(x, x.shape[-1]), log).reshape(x.shape)


def softmax_slope(g: Array, y: Array, dim: int) -> Any:
    return _slope_over_rows(g, y, dim, log=False)


def log_softmax_slope(g: Array, y: Array, dim: int) -> Any:
    return _slope_over_rows(g, y, dim, log=True)


def _slope_over_rows(g: Array, y: Array, dim: int, log: bool) -> Any:
    if not takes(g, y) or not y.ndim or dim not in (-1, y.ndim - 1) or g.shape != y.shape:
        return NotImplemented
    return _softmax.backward(rows(y, y.shape[-1]), rows(g, y.shape[-1]), log).reshape(y.shape)


def cross_entropy(logits: Array, target: Array, *, ignore_index: int) -> Any:
    """The mean loss. The gradient is computed from the logits again: to keep it would cost as much traffic, and memory."""
    if not takes(logits) or logits.ndim != 2:
        return NotImplemented
    xp = namespace(logits)
    numbers = dense(target.astype(np.int64, copy=False))
    losses, _ = _cross_entropy.fused(dense(logits), numbers, gradient=False, ignore_index=ignore_index)
    count = (numbers != ignore_index).sum().astype(np.float32)
    return xp.sum(losses) / count, (numbers, count)


def cross_entropy_backward(
    g: Array, needs: list[bool], kept: tuple, logits: Array, target: Array, *, ignore_index: int
) -> list:
    numbers, count = kept
    scale = namespace(logits).where(count > 0, g / count, np.float32(0)).reshape(1)
    return [_cross_entropy.fused(dense(logits), numbers, scale, loss=False, ignore_index=ignore_index)[1], None]


# --------------------------------------------------------------------------------------------------------- attention


@halves
def attention(query: Array, key: Array, value: Array, *, scale: float, is_causal: bool, mask: Any = None) -> Any:
    if not takes(query, key, value) or not _attention.supports(query, key, value):
        return NotImplemented
    needed = _attention.shared_memory(query.shape[-1])
    if needed > EVERYWHERE and needed > most_shared(query):
        return NotImplemented  # the backward of wide heads, on sm_75
    if mask is not None:
        if not _lies_along(mask, query, key):
            return NotImplemented
        xp = namespace(mask)
        mask = xp.where(mask, np.float32(0), np.float32(-np.inf)) if mask.dtype.kind == "b" else mask
        mask = dense(mask.astype(np.float32, copy=False))
    q, k, v = dense(query), dense(key), dense(value)
    out, lse = _attention.forward(q, k, v, mask, scale=scale, is_causal=is_causal)
    return out, (out, lse, mask)


def _lies_along(mask: Array, query: Array, key: Array) -> bool:
    """Whether each dimension of the mask is 1 or that of the scores, and the last one is there; on the same device."""
    if type(mask) is not type(query) or not 2 <= mask.ndim <= query.ndim <= 4:
        return False
    scores = (*query.shape[:-1], key.shape[-2])[-mask.ndim :]
    return mask.shape[-1] == key.shape[-2] and all(n in (1, full) for n, full in zip(mask.shape, scores))


@halves_backward
def attention_backward(
    g: Array, needs: list[bool], kept: tuple, query: Array, key: Array, value: Array, *, scale: float, is_causal: bool,
    mask: Any = None,
) -> list:  # fmt: skip
    out, lse, mask = kept
    q, k, v = dense(query), dense(key), dense(value)
    return list(_attention.backward(dense(g), q, k, v, out, lse, mask, scale=scale, is_causal=is_causal))


# ---------------------------------------------------------------------------------------------------------- products


def with_bias(a: Array, b: Array, bias: Array) -> Any:
    """`a @ b + bias`, the product by the library, the bias added in place by a kernel."""
    if not takes(a, b, bias):
        return NotImplemented
    out = dense(a @ b)
    _add_to_rows.add_to_rows(out.reshape(-1, len(bias)), dense(bias))
    return out


def product(a: Array, b: Array, bias: Any = None, *, tf32: bool = False) -> Any:
    """`a @ b + bias` by our own kernel; the library's, which on a card is cuBLAS, is used unless somebody asks for this.

    With `tf32` on tensor cores, where sizes and addresses allow it.
    """
    if not takes(a, b, bias) or min(a.ndim, b.ndim) < 2 or a.shape[-1] != b.shape[-2]:
        return NotImplemented
    layout = "nn"
    if _transposed(a) and not _transposed(b):
        a, layout = a.swapaxes(-1, -2), "tn"
    elif _transposed(b):
        b, layout = b.swapaxes(-1, -2), "nt"
    a, b, bias = dense(a), dense(b), dense(bias)
    if not _matmul.supports(a, b, bias):
        return NotImplemented
    out = _matmul_tf32.product(a, b, layout, bias) if tf32 else NotImplemented
    return _matmul.product(a, b, layout, bias) if out is NotImplemented else out


def _transposed(x: Array) -> bool:
    """Whether a matrix lies in memory as the transpose of a contiguous one: the kernel reads that as it is."""
    return not x.flags.c_contiguous and x.swapaxes(-1, -2).flags.c_contiguous


# --------------------------------------------------------------------------------------------- tables, convolutions


def add_rows(table: Array, index: Any, values: Array) -> Any:
    """`table[index] += values` in place, every row as often as it comes, and in the same order in every run."""
    index = index if isinstance(index, tuple) else (index,)
    if not index or not all(isinstance(i, slice) and i == slice(None) for i in index[1:]):
        return NotImplemented
    places = index[0]
    if type(places) is not type(table) or places.dtype.kind not in "iu" or not takes(table, values) or table.ndim != 2:
        return NotImplemented
    if values.shape != (*places.shape, table.shape[1]) or not table.flags.c_contiguous or places.size > MOST:
        return NotImplemented
    numbers = places.astype(np.int64, copy=False)
    numbers = namespace(table).where(numbers < 0, numbers + len(table), numbers)  # -1 is the last row
    _embedding.backward(numbers, dense(values), len(table), onto=table)
    return None


def _fits(images: int, channels: int, size: Any, kernel: Any, geometry: Any, padding: Any) -> bool:
    """Whether it is about images, with windows in them, and no more than a grid and indices reach."""
    rows = channels * math.prod(kernel)
    if len(kernel) != 2 or max(images, rows) > 65535:
        return False
    counts = _im2col.out_size(size, kernel, geometry.stride, padding, geometry.dilation)
    return min(counts) > 0 and images * rows * math.prod(counts) <= MOST


def _columns(x: Array, other: Array, kernel: Any, geometry: Any, padding: Any) -> Any:
    """A window of x in each column, for each image and group; `other` is what they will be multiplied by."""
    if not takes(x, other) or not _fits(len(x), x.shape[1], x.shape[2:], kernel, geometry, padding):
        return NotImplemented
    columns = _im2col.im2col(dense(x), kernel, geometry.stride, padding, geometry.dilation)
    return columns.reshape(len(x), geometry.groups, -1, columns.shape[-1])


def conv(input: Array, weight: Array, *, geometry: Any, padding: Any = (0, 0)) -> Any:
    """Y = W X, see minigrad/ops/conv.py; `padding` is how many zeros are on each side, down and across."""
    kernel = weight.shape[2:]
    columns = _columns(input, weight, kernel, geometry, padding)
    if columns is NotImplemented:
        return NotImplemented
    counts = _im2col.out_size(input.shape[2:], kernel, geometry.stride, padding, geometry.dilation)
    return (weight.reshape(geometry.groups, -1, columns.shape[2]) @ columns).reshape(len(input), len(weight), *counts)


def correlate(input: Array, other: Array, *, kernel: tuple[int, ...], geometry: Any, padding: Any = (0, 0)) -> Any:
    """W = Y Xᵀ, the gradient of a weight with kernels of a given size."""
    columns = _columns(input, other, kernel, geometry, padding)
    if columns is NotImplemented:
        return NotImplemented
    outputs = other.reshape(len(other), geometry.groups, -1, columns.shape[-1])
    total = (outputs @ columns.swapaxes(-1, -2)).sum(axis=0)
    return total.reshape(other.shape[1], -1, *kernel)


def conv_transpose(input: Array, weight: Array, *, size: tuple[int, ...], geometry: Any, padding: Any = (0, 0)) -> Any:
    """X = Wᵀ Y, the gradient of an input of a given size."""
    kernel, groups = weight.shape[2:], geometry.groups
    if not takes(input, weight) or not _fits(len(input), weight.shape[1] * groups, size, kernel, geometry, padding):
        return NotImplemented
    kernels = weight.reshape(groups, len(weight) // groups, -1)
    outputs = input.reshape(len(input), groups, kernels.shape[1], -1)
    columns = (kernels.swapaxes(-1, -2) @ outputs).reshape(len(input), -1, outputs.shape[-1])
    return _im2col.col2im(dense(columns), (size[0], size[1]), kernel, geometry.stride, padding, geometry.dilation)


def convolution(x: Array, weight: Array, bias: Any = None, *, padding: Any, geometry: Any) -> Any:
    """Images as they are: the zeros around them are never stored, so rows stay as long, and as aligned, as they were."""
    if not takes(x, bias) or any(before != after for before, after in padding):
        return NotImplemented
    out = conv(x, weight, geometry=geometry, padding=tuple(before for before, _ in padding))
    if out is NotImplemented or not takes(out):  # as backward will want it
        return NotImplemented
    return out if bias is None else out + bias.reshape(-1, 1, 1), None


def convolution_backward(
    g: Array, needs: list[bool], kept: None, x: Array, weight: Array, bias: Any = None, *, padding: Any, geometry: Any
) -> list:
    zeros = tuple(before for before, _ in padding)
    gx = conv_transpose(g, weight, size=x.shape[2:], geometry=geometry, padding=zeros) if needs[0] else None
    gw = correlate(x, g, kernel=weight.shape[2:], geometry=geometry, padding=zeros) if needs[1] else None
    gb = g.sum(axis=(0, 2, 3)) if len(needs) > 2 and needs[2] else None
    return [gx, gw, gb][: len(needs)]


# -------------------------------------------------------------------------------------------------------- optimizers


def step(rule: str, tensors: list[tuple], numbers: tuple[float, ...]) -> Any:
    """Adam's and AdamW's step for all parameters in one launch; the numbers are those of kernels/cpu/optimizers.py."""
    arrays = [array for group in tensors for array in group]
    if rule != "adam" or not all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays):
        return NotImplemented
    shrink, sign, decay, beta1, _, beta2, _, rate, unbias, eps, amsgrad = numbers
    if sign != 1 or amsgrad:
        return NotImplemented
    if decoupled := shrink != 1:
        decay = (1 - shrink) / rate
    params, grads, firsts, seconds = map(list, zip(*tensors))
    xp, chunks = namespace(params[0]), _adam.chunk_table(*(p.size for p in params))
    table = np.array([[*map(_adam.address, row), row[0].size] for row in zip(params, grads, firsts, seconds)], np.uint64)
    constants = (rate, beta1, beta2, eps, decay, 1.0, 1 / unbias, int(decoupled))  # rate has the first correction in it
    _adam.launch(_adam.V2, (xp.asarray(table), xp.asarray(chunks), *constants, None), blocks=len(chunks))
    return None

"""Functions that make many numbers into fewer, and the softmax family, which is built on them."""

from __future__ import annotations

import builtins
import math
from collections import namedtuple
from functools import partial
from typing import Any

from .. import dtypes
from ..errors import explained
from ..fast import with_kernel
from ..kernels import cpu as kernels
from ..op import op
from .choice import maximum, minimum, where
from .elementwise import exp, sqrt
from .indexing import take_along_dim
from .shape import axes, expand, flip, kept_shape, normalize_dim

floating = partial(op, dtypes="float")
Extremum = namedtuple("Extremum", "values indices")


def spread(g, shape, dim, keepdim):
    """Give a reduced gradient back to every element that was reduced: what sum does, backwards."""
    return expand(g if keepdim or not shape else g.reshape(kept_shape(shape, dim)), shape)


def _accumulator(input, dtype):
    """Integers are summed as int64, everything else as itself."""
    return dtypes.as_dtype(dtype) if dtype is not None else dtypes.int64 if input.dtype.kind in "iub" else None


@op(input=lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim))
def sum(xp, input, *, dim=None, keepdim=False, dtype=None):
    """Sum over all elements or over some dimensions. Source: `torch.sum`.

    Args:
        input: any shape.
        dim: a dimension or several; all if None.
        keepdim: keep reduced dimensions with size 1.
        dtype: of the result; integers are summed as int64.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0)
    tensor([4., 6.])
    """
    over = None if dim is None else axes(dim, input.ndim)
    return input.sum(axis=over, keepdims=keepdim, dtype=_accumulator(input, dtype))


def _count(shape, dim):
    return math.prod(shape[axis] for axis in axes(dim, len(shape)))


@op(
    input=lambda g, input_shape, dim, keepdim: spread(
        g / builtins.max(1, _count(input_shape, dim)), input_shape, dim, keepdim
    )
)
def mean(xp, input, *, dim=None, keepdim=False, dtype=None):
    """Mean over all elements or over some dimensions; of nothing it is NaN. Source: `torch.mean`.

    Args:
        input: any shape, floating point.
        dim: a dimension or several; all if None.
        keepdim: keep reduced dimensions with size 1.
        dtype: convert to this first.

    Raises:
        RuntimeError: integers, whose mean is not one.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]]).mean(1, keepdim=True)
    tensor([[1.5000],
            [3.5000]])
    """
    if dtype is not None:
        input = input.astype(dtypes.as_dtype(dtype), copy=False)
    if input.dtype.kind != "f":
        raise RuntimeError(f"expected floating point numbers, got {input.dtype}; convert with .float() or pass dtype")
    over = None if dim is None else axes(dim, input.ndim)
    return input.sum(axis=over, keepdims=keepdim) / input.dtype.type(_count(input.shape, dim))


@explained
def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """Variance: mean squared distance from the mean. Source: `torch.var`.

    Args:
        input: any shape, floating point.
        dim: a dimension or several; all if None.
        unbiased: False is `correction=0`.
        keepdim: keep reduced dimensions with size 1.
        correction: taken off the number of elements that is divided by; 1 if left out.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).var(), mg.tensor([1.0, 2.0, 3.0]).var(correction=0)
    (tensor(1.), tensor(0.6667))
    """
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    centred = input - mean(input, dim, True)
    free = _count(input.shape, dim) - correction
    total = sum(centred * centred, dim, keepdim)
    return total / free if free > 0 else total / 0.0


@explained
def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> Any:
    """Standard deviation: square root of `var`, with gradient 0 where it is 0. Source: `torch.std`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).std()
    tensor(1.)
    """
    variance = var(input, dim, unbiased, keepdim, correction=correction)
    flat = variance == 0
    return where(flat, 0.0, sqrt(where(flat, 1.0, variance)))


@explained
def var_mean(
    input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> tuple:
    """Variance and mean. Source: `torch.var_mean`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, dim, keepdim)


# ----------------------------------------------------------------------------------------------------- extremes


def _refuse_empty(input, dim):
    if builtins.any(input.shape[axis] == 0 for axis in axes(dim, input.ndim)):
        raise IndexError(f"an empty tensor has no extremum; dimension {dim} of shape {tuple(input.shape)} has size 0")


def _share(g, input, out, dim, keepdim):
    """All elements that reach the extremum share the gradient equally."""
    hits = input == spread(out, input.shape, dim, keepdim)
    return hits * spread(g, input.shape, dim, keepdim) / sum(hits, dim, True)


@op(input=_share)
def amax(xp, input, *, dim=None, keepdim=False):
    """Largest element overall or along dimensions; ties share the gradient. Source: `torch.amax`.

    Args:
        input: any shape, not empty.
        dim: a dimension or several; all if None.
        keepdim: keep reduced dimensions with size 1.

    Raises:
        IndexError: there is nothing to choose from.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0], [3.0, 4.0]]).amax(1)
    tensor([5., 4.])
    """
    _refuse_empty(input, dim)
    return xp.max(input, axis=axes(dim, input.ndim), keepdims=keepdim)


@op(input=_share)
def amin(xp, input, *, dim=None, keepdim=False):
    """Smallest element overall or along dimensions; ties share the gradient. Source: `torch.amin`.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0], [3.0, 4.0]]).amin(0)
    tensor([1., 4.])
    """
    _refuse_empty(input, dim)
    return xp.min(input, axis=axes(dim, input.ndim), keepdims=keepdim)


def _arg(name, xp, input, dim, keepdim):
    _refuse_empty(input, dim)
    if dim is None:
        index = getattr(xp, name)(input.reshape(-1))
        return xp.reshape(index, (1,) * input.ndim if keepdim else ())
    return getattr(xp, name)(input, axis=normalize_dim(dim, input.ndim), keepdims=keepdim)


@op()
def argmax(xp, input, *, dim=None, keepdim=False):
    """Index of the largest element, the first of several. Source: `torch.argmax`.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0], [3.0, 4.0]]).argmax(1)
    tensor([1, 1])
    """
    return _arg("argmax", xp, input, dim, keepdim)


@op()
def argmin(xp, input, *, dim=None, keepdim=False):
    """Index of the smallest element, the first of several. Source: `torch.argmin`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 5.0, 0.5]).argmin()
    tensor(2)
    """
    return _arg("argmin", xp, input, dim, keepdim)


def _extremum(input, dim, keepdim, total, position, pairwise):
    if dim is None:
        return total(input)
    if hasattr(dim, "dtype"):  # max(input, other)
        return pairwise(input, dim)
    index = position(input, dim, True)
    values = take_along_dim(input, index, dim) if input.ndim else input
    if not keepdim and input.ndim:
        values, index = values.squeeze(dim), index.squeeze(dim)
    return Extremum(values, index)


@explained
def max(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Largest element; along a dimension also where it stands; of two tensors, `maximum`. Source: `torch.max`.

    Args:
        input: any shape, not empty.
        dim: None for the largest of all, a dimension, or another tensor.
        keepdim: keep the reduced dimension with size 1.

    Returns:
        A tensor; along a dimension a pair (values, indices), where the first of several wins.

    Raises:
        IndexError: there is nothing to choose from.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0], [3.0, 4.0]]).max(0)
    Extremum(values=tensor([3., 5.]), indices=tensor([1, 0]))
    """
    return _extremum(input, dim, keepdim, amax, argmax, maximum)


@explained
def min(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest element; along a dimension also where it stands; of two tensors, `minimum`. Source: `torch.min`.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0], [3.0, 4.0]]).min()
    tensor(1.)
    """
    return _extremum(input, dim, keepdim, amin, argmin, minimum)


@op()
def all(xp, input, *, dim=None, keepdim=False):
    """Whether all elements are nonzero. Source: `torch.all`."""
    return xp.all(input, axis=axes(dim, input.ndim), keepdims=keepdim)


@op()
def any(xp, input, *, dim=None, keepdim=False):
    """Whether some element is nonzero. Source: `torch.any`."""
    return xp.any(input, axis=axes(dim, input.ndim), keepdims=keepdim)


@op(input=lambda g, dim: flip(cumsum(flip(g, dim), dim), dim))
def cumsum(xp, input, *, dim):
    """Running sum along a dimension. Source: `torch.cumsum`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).cumsum(0)
    tensor([1., 3., 6.])
    """
    return xp.cumsum(input, axis=normalize_dim(dim, input.ndim), dtype=_accumulator(input, None))


# ----------------------------------------------------------------------------------------------------- softmax


def _finite(xp, peak):
    """The maximum that is subtracted before exp; 0 where a row is all -inf, since inf - inf is NaN."""
    return xp.where(xp.isfinite(peak), peak, 0)


def _logsumexp_slope(g, input, out, dim, keepdim):
    return spread(g, input.shape, dim, keepdim) * exp(input - spread(out, input.shape, dim, keepdim))


@floating(input=_logsumexp_slope)
def logsumexp(xp, input, *, dim=None, keepdim=False):
    """log(sum(exp(x))) without overflow. Source: `torch.logsumexp`.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 1000.0]).logsumexp(0)
    tensor(1000.6932)
    """
    over = axes(dim, input.ndim)
    peak = _finite(xp, xp.max(input, axis=over, keepdims=True)) if input.size else 0
    out = xp.log(xp.sum(xp.exp(input - peak), axis=over, keepdims=True)) + peak
    return out if keepdim else out.reshape(kept_shape(input.shape, dim, drop=True))


@with_kernel(kernels.softmax_slope)
def _softmax_slope(g, out, dim):
    return out * (g - sum(g * out, dim, True))


@with_kernel(kernels.log_softmax_slope)
def _log_softmax_slope(g, out, dim):
    return g - exp(out) * sum(g, dim, True)


@floating(input=_softmax_slope)
def softmax(xp, input, *, dim, dtype=None):
    """exp(x) / sum(exp(x)) along a dimension: positive, and 1 in sum. Source: `torch.softmax`.

    Args:
        input: any shape.
        dim: along which to normalise.
        dtype: convert to this first.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 1000.0, 0.0]).softmax(0)
    tensor([0.5000, 0.5000, 0.0000])
    """
    return _softmax(xp, input, dim, dtype, safe=False)


@floating(input=_softmax_slope)
def safe_softmax(xp, input, *, dim):
    """Softmax where a row of nothing but -inf gives zeros, not NaN: attention to nothing (as in PyTorch's attention)."""
    return _softmax(xp, input, dim, None, safe=True)


def _softmax(xp, input, dim, dtype, safe):
    if dtype is not None:
        input = input.astype(dtypes.as_dtype(dtype), copy=False)
    axis = normalize_dim(dim, input.ndim)
    if input.size == 0:
        return input.copy()
    if input.ndim == 0:
        return xp.ones_like(input)
    peak = xp.max(input, axis=axis, keepdims=True)
    out = input - (_finite(xp, peak) if safe else peak)
    out = xp.exp(out, out=out)
    total = xp.sum(out, axis=axis, keepdims=True)
    out /= xp.where(total == 0, 1, total) if safe else total
    return out


@floating(input=_log_softmax_slope)
def log_softmax(xp, input, *, dim, dtype=None):
    """log(softmax(x)) without overflow. Source: `torch.log_softmax`.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 1000.0, 0.0]).log_softmax(0)
    tensor([-6.9315e-01, -6.9315e-01, -1.0007e+03])
    """
    if dtype is not None:
        input = input.astype(dtypes.as_dtype(dtype), copy=False)
    axis = normalize_dim(dim, input.ndim)
    if input.size == 0:
        return input.copy()
    shifted = input - xp.max(input, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


sum.fast("cpu", kernels.sums.LARGE)(kernels.sum)
mean.fast("cpu", kernels.sums.LARGE)(kernels.mean)
softmax.fast("cpu")(kernels.softmax)
safe_softmax.fast("cpu")(kernels.safe_softmax)
log_softmax.fast("cpu")(kernels.log_softmax)

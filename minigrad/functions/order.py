"""Putting in order, and what order makes easy: medians, running extrema, counting, looking up."""

from __future__ import annotations

from typing import Any

from .. import backend, dtypes
from .. import op as op_module
from ..errors import explained
from ..on_cuda import running
from ..op import op
from ..ops.choice import where
from ..ops.indexing import take_along_dim
from ..ops.logic import isnan
from ..ops.reduction import Extremum, _refuse_empty, amax
from ..ops.shape import flatten, narrow, normalize_dim


@op()
def argsort(xp, input, *, dim=-1, descending=False, stable=True):
    """Indices that would sort along a dimension; equal elements keep their order. Source: `torch.argsort`.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 2]).argsort()
    tensor([1, 2, 0])
    """
    if input.ndim == 0:
        return xp.zeros((), xp.int64)
    axis = normalize_dim(dim, input.ndim)
    if not descending:
        return xp.argsort(input, axis=axis, kind="stable")
    backwards = xp.argsort(xp.flip(input, axis), axis=axis, kind="stable")  # so that equal elements keep their order
    return input.shape[axis] - 1 - xp.flip(backwards, axis)


@explained
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = True) -> Extremum:
    """Elements in order along a dimension, and where they were; equal ones keep their order. Source: `torch.sort`.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 2]).sort(descending=True).values
    tensor([3, 2, 1])
    """
    order = argsort(input, dim, descending)
    return Extremum(take_along_dim(input, order, dim) if input.ndim else input, order)


@explained
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extremum:
    """The k largest (or smallest) elements along a dimension in order, and where they were. Source: `torch.topk`.

    Args:
        input: any shape.
        k: how many.
        dim: along which dimension.
        largest: False gives the smallest.
        sorted: no effect: the result is always in order.

    Raises:
        RuntimeError: the dimension has fewer than k elements.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 2]).topk(2).values
    tensor([3, 2])
    """
    dim = normalize_dim(dim, input.ndim)
    size = input.shape[dim] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"topk: k must be from 0 to {size}, the size of dimension {dim}, got {k}")
    order = argsort(input, dim, largest)
    if input.ndim:
        order = order[(slice(None),) * dim + (slice(0, k),)]
    return Extremum(take_along_dim(input, order, dim) if input.ndim else input, order)


@explained
def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The element in the middle, the lower of two; NaN if there is one. Source: `torch.median`.

    Args:
        input: any shape, not empty.
        dim: None for the median of all, or a dimension.
        keepdim: keep the reduced dimension with size 1.

    Returns:
        A tensor, whose gradient all elements equal to it share; along a dimension a pair (values, indices).

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 5.0, 2.0], [3.0, 4.0, 9.0]]).median(1).values
    tensor([2., 4.])
    """
    _refuse_empty(input, dim)
    if dim is None:
        flat = flatten(input)
        middle = median(flat.detach(), 0).values
        return amax(flat[(flat == middle) | isnan(middle)])
    if input.ndim == 0:
        return Extremum(input.clone(), argsort(input))
    dim = normalize_dim(dim, input.ndim)
    order, n = argsort(input, dim), input.shape[dim]
    last = narrow(order, dim, n - 1, 1)  # where NaN is, if there is one
    index = where(isnan(take_along_dim(input, last, dim)), last, narrow(order, dim, (n - 1) // 2, 1))
    values = take_along_dim(input, index, dim)
    return Extremum(values, index) if keepdim else Extremum(values.squeeze(dim), index.squeeze(dim))


@op()
def _last_best(xp, input, *, dim, best):
    if input.ndim == 0:
        return xp.zeros((), xp.int64)
    axis = normalize_dim(dim, input.ndim)
    values = running(getattr(xp, best), input, axis)
    places = xp.arange(input.shape[axis]).reshape((-1,) + (1,) * (input.ndim - 1 - axis))
    return running(xp.maximum, xp.where((input == values) | (input != input), places, 0), axis)


@explained
def cummax(input: Any, dim: int) -> Extremum:
    """Largest element so far along a dimension, and where it stands, the last of several. Source: `torch.cummax`.

    >>> import minigrad as mg
    >>> mg.tensor([1, 3, 2, 3]).cummax(0)
    Extremum(values=tensor([1, 3, 3, 3]), indices=tensor([0, 1, 1, 3]))
    """
    index = _last_best(input, dim=dim, best="maximum")
    return Extremum(take_along_dim(input, index, dim) if input.ndim else input.clone(), index)


def cummin(input: Any, dim: int) -> Extremum:
    """Smallest element so far along a dimension, and where it stands, the last of several. Source: `torch.cummin`.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 2]).cummin(0).values
    tensor([3, 1, 1])
    """
    index = _last_best(input, dim=dim, best="minimum")
    return Extremum(take_along_dim(input, index, dim) if input.ndim else input.clone(), index)


# ------------------------------------------------------------------------------------------- counting and looking up


@explained
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different elements, in order. Source: `torch.unique`.

    Args:
        input: any shape.
        sorted: no effect: the result is always in order.
        return_inverse: also where each element of the input stands in the result.
        return_counts: also how often each is there.
        dim: compare whole slices of a dimension.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 3]).unique(return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    xp = backend.namespace(input.array)
    values, inverse, counts = xp.unique(input.array, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    parts = [values]
    if return_inverse:
        parts.append(inverse.reshape(input.shape if dim is None else -1))
    if return_counts:
        parts.append(counts)
    found = tuple(op_module.Tensor._wrap(part) for part in parts)
    return found if len(found) > 1 else found[0]


@op()
def bincount(xp, input, weights=None, *, minlength=0):
    """How often each of the numbers 0, 1, 2, ... is there, or the sum of its weights. Source: `torch.bincount`.

    Args:
        input: a vector of integers, not negative.
        weights: a number for each; no gradient flows to them, as in PyTorch.
        minlength: least length of the result.

    Raises:
        RuntimeError: not a vector of such integers, or weights of another shape.

    >>> import minigrad as mg
    >>> mg.tensor([0, 2, 2]).bincount()
    tensor([1, 0, 2])
    """
    if input.ndim != 1 or input.dtype.kind not in "iu" or (input.size and input.min() < 0):
        raise RuntimeError(f"expected a vector of integers from 0 on, got {input.dtype} of shape {tuple(input.shape)}")
    if weights is not None and weights.shape != input.shape:
        raise RuntimeError(f"weights must have the shape {tuple(input.shape)} of the input, got {tuple(weights.shape)}")
    counts = xp.bincount(input, weights, minlength)
    return counts.astype(dtypes.float32) if weights is not None and weights.dtype == dtypes.float32 else counts


@op()
def searchsorted(xp, sorted_sequence, input, *, out_int32=False, right=False, side=None):
    """Where each element would have to be inserted to keep a sequence in order. Source: `torch.searchsorted`.

    Args:
        sorted_sequence: (n,), or (..., n) with a sequence for each row of the input.
        input: any shape, or (..., m); a number for one sequence.
        out_int32: whether the result is int32 and not int64.
        right: behind equal elements, not before them.
        side: "right" or "left", another way to say it.

    >>> import minigrad as mg
    >>> mg.searchsorted(mg.tensor([1.0, 3.0, 5.0]), mg.tensor([3.0, 6.0]))
    tensor([1, 3])
    """
    side = side or ("right" if right else "left")
    if sorted_sequence.ndim == 1:
        found = xp.searchsorted(sorted_sequence, input, side)
    else:
        if getattr(input, "shape", (0,))[:-1] != sorted_sequence.shape[:-1]:
            raise RuntimeError(f"expected rows of values for sequences of shape {sorted_sequence.shape}, got {input.shape}")
        rows = zip(sorted_sequence.reshape(-1, sorted_sequence.shape[-1]), input.reshape(-1, input.shape[-1]))
        found = xp.stack([xp.searchsorted(row, values, side) for row, values in rows]).reshape(input.shape)
    return xp.asarray(found, xp.int32 if out_int32 else xp.int64)


@explained
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """In which of the intervals between the boundaries each element lies. Source: `torch.bucketize`.

    >>> import minigrad as mg
    >>> mg.bucketize(mg.tensor([0.5, 1.0, 7.0]), mg.tensor([1.0, 5.0]))
    tensor([0, 0, 2])
    """
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)

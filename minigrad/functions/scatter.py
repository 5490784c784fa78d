"""Reading and writing along one dimension, at places that a tensor of indices names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backend
from ..errors import explained
from ..ops.indexing import (
    _along,
    _check_advanced,
    _index_array,
    _put,
    _scatter_extreme,
    _select,
    _write,
    getitem,
)
from ..ops.shape import clone, flatten, normalize_dim

# ------------------------------------------------------------------------------------------------ reading arguments


def _places(name: str, input: Any, dim: int, index: Any, src: Any = None) -> tuple:
    """Where the index points to, as an index of the input; and the part of src that goes there."""
    array = _index_array(name, index)
    dim = normalize_dim(dim, input.ndim)
    if array.ndim != input.ndim or any(n > m for i, (n, m) in enumerate(zip(array.shape, input.shape)) if i != dim):
        raise RuntimeError(
            f"{name}: the index {tuple(array.shape)} must have the dimensions of the input {tuple(input.shape)} and be no "
            f"larger but in dimension {dim}"
        )
    if array.ndim:
        _check_advanced(array, input.shape, dim)
    if (array < 0).any():
        raise IndexError(f"{name}: index must not be negative")
    places = _along(backend.namespace(array), array, dim)
    if not hasattr(src, "dtype"):
        return places, src
    _same_dtype(name, input, src)
    if src.ndim != array.ndim or any(n > m for n, m in zip(array.shape, src.shape)):
        raise RuntimeError(f"{name}: the index {tuple(array.shape)} must be no larger than src {tuple(src.shape)}")
    return places, src[tuple(slice(n) for n in array.shape)]


def _same_dtype(name: str, input: Any, src: Any) -> None:
    if input.dtype != src.dtype:
        raise RuntimeError(f"{name}: input and source must have one dtype, got {input.dtype} and {src.dtype}; use .to()")


def _slices(name: str, input: Any, dim: int, index: Any, source: Any = None) -> tuple:
    """The slices of a dimension that the index names, as an index of the input."""
    array = _index_array(name, index)
    dim = normalize_dim(dim, input.ndim)
    if array.ndim > 1:
        raise RuntimeError(f"{name}: the index must have 1 dimension, got shape {tuple(array.shape)}")
    array, shape = array.reshape(-1), tuple(input.shape) or (1,)
    _check_advanced(array, shape, dim)
    expected = (*shape[:dim], array.size, *shape[dim + 1 :])
    if source is not None:
        _same_dtype(name, input, source)
        if input.ndim and tuple(source.shape) != expected:
            raise RuntimeError(f"{name}: expected a source of shape {expected}, got {tuple(source.shape)}")
    return (slice(None),) * dim + (array,)


# ---------------------------------------------------------------------------------------------------------- reading


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Along a dimension, the element that the index names at each place. Source: `torch.gather`.

    Args:
        input: any shape.
        dim: which dimension the index counts.
        index: integers; as many dimensions as the input, none but `dim` longer.
        sparse_grad: no effect: gradients are dense.

    Returns:
        A tensor of the index's shape.

    Raises:
        RuntimeError: shapes or dtype of the index do not fit.
        IndexError: an index is out of bounds.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2], [3, 4]]).gather(1, mg.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    return _select(input, index=_places("gather", input, dim, index)[0])


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of a dimension that the index names. Source: `torch.index_select`.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2], [3, 4]]).index_select(1, mg.tensor([1, 1, 0]))
    tensor([[2, 2, 1],
            [4, 4, 3]])
    """
    return getitem(input, _slices("index_select", input, dim, index))


@explained
def take(input: Any, index: Any) -> Any:
    """Elements by their numbers in the flattened tensor. Source: `torch.take`.

    >>> import minigrad as mg
    >>> mg.take(mg.tensor([[3, 4], [5, 6]]), mg.tensor([[0], [3]]))
    tensor([[3],
            [6]])
    """
    return getitem(flatten(input), (_index_array("take", index),))


# ---------------------------------------------------------------------------------------------------------- writing


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """A copy of the input with `alpha * source` added to the slices that the index names. Source: `torch.index_add`.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_add(0, mg.tensor([0, 2, 2]), mg.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 5.])
    """
    index = _slices("index_add", input, dim, index, source)
    return input + _put(source if alpha == 1 else source * alpha, shape=tuple(input.shape), index=index, repeats=True)


@explained
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of the input with the slices that the index names taken from the source. Source: `torch.index_copy`.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_copy(0, mg.tensor([2, 0]), mg.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    return _write(clone(input), source, index=_slices("index_copy", input, dim, index, source))


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy of the input with one number in the slices that the index names. Source: `torch.index_fill`.

    >>> import minigrad as mg
    >>> mg.zeros(3).index_fill(0, mg.tensor([0, 2]), 5)
    tensor([5., 0., 5.])
    """
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"index_fill: value must be a number or a 0-d tensor, got shape {tuple(value.shape)}")
    return _write(clone(input), value, index=_slices("index_fill", input, dim, index))


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy of the input with the source's elements, in order, where the mask is true. Source: `torch.masked_scatter`.

    >>> import minigrad as mg
    >>> mg.zeros(3).masked_scatter(mg.tensor([True, False, True]), mg.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 2.])
    """
    if mask.dtype.kind != "b":
        raise RuntimeError(f"masked_scatter: mask must be a bool tensor, got {mask.dtype}")
    _same_dtype("masked_scatter", input, source)
    mask = mask.expand(input.shape).array
    if (count := int(mask.sum())) > source.numel():
        raise RuntimeError(f"masked_scatter: the mask has {count} true elements, the source only {source.numel()}")
    return _write(clone(input), flatten(source)[:count], index=(mask,))


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """A copy of the input with `src` written where the index says, along a dimension. Source: `torch.scatter`.

    Args:
        input: any shape.
        dim: which dimension the index counts.
        index: integers; as many dimensions as the input, none but `dim` longer.
        src: a tensor with an element for each index, or a number.
        value: another name for a number.
        reduce: None; for sums and products see `scatter_reduce`.

    Raises:
        RuntimeError: shapes or dtypes do not fit, or there is something to reduce.
        IndexError: an index is out of bounds.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3).scatter(1, mg.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    src = value if src is None else src
    if reduce is not None or src is None:
        raise RuntimeError("scatter: expected src or value, and no reduce; use scatter_reduce or scatter_add to combine")
    places, part = _places("scatter", input, dim, index, src)
    return _write(clone(input), part, index=places)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """A copy of the input with `src` added where the index says, along a dimension. Source: `torch.scatter_add`.

    >>> import minigrad as mg
    >>> mg.zeros(3).scatter_add(0, mg.tensor([0, 2, 2]), mg.tensor([1.0, 2.0, 3.0]))
    tensor([1., 0., 5.])
    """
    places, part = _places("scatter_add", input, dim, index, src)
    return input + _put(part, shape=tuple(input.shape), index=places, repeats=True)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """A copy of the input where each place is combined with all that `src` sends there. Source: `torch.scatter_reduce`.

    Args:
        input: any shape.
        dim: which dimension the index counts.
        index: integers; as many dimensions as the input, none but `dim` longer.
        src: a tensor with an element for each index.
        reduce: "sum", "mean", "amax" or "amin"; equal extrema share the gradient.
        include_self: whether the input takes part where something is sent to.

    Raises:
        RuntimeError: shapes or dtypes do not fit, or another name ("prod" is not supported).

    >>> import minigrad as mg
    >>> mg.ones(2).scatter_reduce(0, mg.tensor([1, 1]), mg.tensor([5.0, 3.0]), "amax")
    tensor([1., 5.])
    """
    places, part = _places("scatter_reduce", input, dim, index, src)
    lowest = -math.inf if input.dtype.kind == "f" else np.iinfo(input.dtype).min
    neutral = {"sum": 0, "mean": 0, "amax": lowest, "amin": -1 - lowest if input.dtype.kind in "iu" else -lowest}
    if reduce not in neutral:
        raise RuntimeError(f"scatter_reduce: reduce must be 'sum', 'mean', 'amax' or 'amin', got {reduce!r}")
    if not include_self:
        input = _write(clone(input), neutral[reduce], index=places)
    if reduce in ("amax", "amin"):
        return _scatter_extreme(input, part, index=places, largest=reduce == "amax")
    total = input + _put(part, shape=tuple(input.shape), index=places, repeats=True)
    if reduce == "sum":
        return total
    count = _put(part.detach() * 0 + 1, shape=tuple(input.shape), index=places, repeats=True) + int(include_self)
    return total.div(count.clamp(min=1), rounding_mode=None if input.dtype.kind == "f" else "floor")

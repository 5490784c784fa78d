"""Picking elements and writing them: `x[...]` in all its forms, gather and scatter, embedding."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend
from .. import op as op_module
from ..errors import explained
from ..fast import with_kernel
from ..kernels import cpu as kernels
from ..on_cuda import combine_at
from ..op import op
from ..slices import At
from .shape import normalize_dim

# An index is taken in two steps. The first holds what NumPy calls basic: integers, slices, None and Ellipsis; it gives
# a view. The second holds the masks and index tensors; it copies. So an integer beside an index tensor selects first,
# as in PyTorch, where NumPy would broadcast it with the tensor.


_BASIC = {int, slice, type(None), type(Ellipsis)}


def _parse(index: Any, shape: tuple[int, ...]) -> tuple[tuple, tuple | None]:
    """Split an index into its basic part and, if there is one, its advanced part on what the basic part gives."""
    items = list(index) if isinstance(index, tuple) else [index]
    items = [_array_index(item) for item in items]
    used = sum(_consumes(item) for item in items)
    if sum(item is Ellipsis for item in items) > 1:
        raise IndexError("an index can have one Ellipsis ('...') only")
    if used > len(shape):
        raise IndexError(f"too many indices: {used} for a tensor of shape {tuple(shape)}")
    if Ellipsis not in [item for item in items if not hasattr(item, "dtype")]:
        items.append(Ellipsis)
    basic: list[Any] = []
    advanced: list[Any] = []
    dim = 0
    for item in items:
        if item is Ellipsis:
            fill = len(shape) - used
            basic += [slice(None)] * fill
            advanced += [slice(None)] * fill
            dim += fill
        elif hasattr(item, "dtype"):
            basic += [slice(None)] * item_dims(item)
            _check_advanced(item, shape, dim)
            advanced.append(item)
            dim += item_dims(item)
        elif item is None:
            basic.append(None)
            advanced.append(slice(None))
        elif isinstance(item, slice):
            basic.append(item)
            advanced.append(slice(None))
            dim += 1
        else:
            if not -shape[dim] <= item < shape[dim]:
                raise IndexError(f"index {item} is out of bounds for dimension {dim} of size {shape[dim]}")
            basic.append(item)
            dim += 1
    # the Ellipsis makes NumPy give a view, and not a number, also where every dimension has an integer
    return (*basic, Ellipsis), tuple(advanced) if any(hasattr(a, "dtype") for a in advanced) else None


def item_dims(item: Any) -> int:
    """How many dimensions an index array uses up: a mask as many as it has, integers one."""
    return item.ndim if item.dtype.kind == "b" else 1


def _consumes(item: Any) -> int:
    return item_dims(item) if hasattr(item, "dtype") else 0 if item is None or item is Ellipsis else 1


def _array_index(item: Any) -> Any:
    """One part of an index as None, Ellipsis, int, slice or array."""
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        return slice(*(part if part is None else part.__index__() for part in (item.start, item.stop, item.step)))
    if isinstance(item, (list, tuple)):
        item = np.asarray([x.array if isinstance(x, op_module.Tensor) else x for x in item])
        item = item if item.size else item.astype(np.int64)
    elif isinstance(item, bool):
        item = np.asarray(item)
    elif isinstance(item, op_module.Tensor):
        item = item.array
    if hasattr(item, "dtype"):
        if item.dtype.kind not in "iub":
            raise IndexError(f"tensors used as indices must be integers or bool, got {item.dtype}; convert with .long()")
        return int(item) if item.ndim == 0 and item.dtype.kind != "b" else item
    if hasattr(item, "__index__"):
        return item.__index__()
    raise TypeError(f"an index must be int, slice, None, Ellipsis, a list or a tensor, got {type(item).__name__}")


def _check_advanced(item: Any, shape: tuple[int, ...], dim: int) -> None:
    if item.dtype.kind == "b":
        masked = tuple(shape[dim : dim + item.ndim])
        if tuple(item.shape) != masked:
            raise IndexError(f"the mask has shape {tuple(item.shape)}, the dimensions it stands for have {masked}")
    elif isinstance(item, np.ndarray) and item.size and not (-shape[dim] <= item.min() and item.max() < shape[dim]):
        worst = item.min() if item.min() < -shape[dim] else item.max()
        raise IndexError(f"index {worst} is out of bounds for dimension {dim} of size {shape[dim]}")


def put(g, shape, index, repeats):
    """Zeros of a shape with `g` added at an index: the adjoint of indexing.

    On arrays it is left to autograd.py to add it up, so that ten slices of one tensor fill one array and not ten.
    """
    if isinstance(g, op_module.Tensor):
        return _put(g, shape=shape, index=index, repeats=repeats)
    return At(g, shape, index, _scatter if repeats else None)


@with_kernel(kernels.add_rows)
def _scatter(target, index, value):
    """`target[index] += value`, where a place may come twice."""
    backend.scatter_add(backend.namespace(target), target, index, value)


@op(input=lambda g, index: g[index])
def _put(xp, input, *, shape, index, repeats):
    out = xp.zeros(shape, input.dtype)
    At(input, shape, index, _scatter if repeats else None).add_to(out)
    return out


@op(view=True, input=lambda g, input_shape, index: put(g, input_shape, index, False))
def _slice(xp, input, *, index):
    try:
        return input[index]
    except (IndexError, ValueError):
        _parse(tuple(part for part in index if part is not Ellipsis), input.shape)  # says what is wrong, in our words
        raise


@op(input=lambda g, input_shape, index: put(g, input_shape, index, True))
def _select(xp, input, *, index):
    return input[index]


def getitem(input: Any, index: Any) -> Any:
    """`input[index]` with integers, slices, None, Ellipsis, masks, integer tensors and lists in any mixture.

    Args:
        input: any shape.
        index: one of these or a tuple of them. Integers, slices, None and Ellipsis give views.

    Raises:
        IndexError: out of bounds, too many indices, or a mask of another shape.

    Source: indexing of `torch.Tensor`; steps may be negative, which PyTorch refuses.

    >>> import minigrad as mg
    >>> x = mg.arange(6).reshape(2, 3)
    >>> x[0, [2, 0]], x[x > 3]
    (tensor([2, 0]), tensor([4, 5]))
    """
    parts = index if type(index) is tuple else (index,)
    if all(type(part) in _BASIC for part in parts):  # the usual case, which NumPy parses faster than we can
        return _slice(input, index=parts if Ellipsis in parts else (*parts, Ellipsis))
    basic, advanced = _parse(index, input.array.shape)
    result = _slice(input, index=basic)
    return result if advanced is None else _select(result, index=advanced)


@op(input=lambda g, index: _write_zero(g, index), value=lambda g, index: g[index])
def _write(xp, input, value, *, index):
    input[index] = value  # in place: setitem hands over the tensor's own array
    return input


def _write_zero(g, index):
    if isinstance(g, op_module.Tensor):
        hit = _write(backend.namespace(g.array).zeros(g.shape, bool), True, index=index)
        return g.masked_fill(op_module.Tensor._wrap(hit), 0)
    g = g.copy()
    g[index] = 0
    return g


def setitem(input: Any, index: Any, value: Any) -> None:
    """`input[index] = value`, in place and differentiable in both.

    Args:
        input: the tensor to write to.
        index: as in `getitem`.
        value: a number or a tensor that broadcasts to `input[index]`.

    Raises:
        RuntimeError: the value does not fit, or the tensor may not be written to.
        IndexError: as in `getitem`.

    Source: assignment to `torch.Tensor`.

    >>> import minigrad as mg
    >>> x = mg.zeros(3)
    >>> x[1:] = mg.tensor([5.0, 6.0]); x
    tensor([0., 5., 6.])
    """
    basic, advanced = _parse(index, input.array.shape)
    target = input
    if advanced is not None:
        target, basic = _slice(input, index=basic), advanced
    recorded = input._check_writable("setitem", value)
    place = target.array[basic]
    if isinstance(value, (list, tuple)):
        value = np.asarray(value)
    shape = tuple(getattr(value, "shape", ()))
    if len(shape) > place.ndim:  # leading ones are allowed
        extra = len(shape) - place.ndim
        if shape[:extra] == (1,) * extra:
            value, shape = value.reshape(shape[extra:]), shape[extra:]
    if len(shape) > place.ndim or any(a not in (1, b) for a, b in zip(shape[::-1], place.shape[::-1])):
        raise RuntimeError(f"setitem: a value of shape {shape} does not fit a place of shape {tuple(place.shape)}")
    if isinstance(value, op_module.Tensor):
        if value.device != input.device and value.ndim:
            raise RuntimeError(f"setitem: the tensor is on {input.device}, the value on {value.device}; move it first")
        value = value.to(input.dtype)
        if np.shares_memory(value.array, target.array) if isinstance(value.array, np.ndarray) else False:
            value = value.clone()
    if not recorded:
        target.array[basic] = getattr(value, "array", value)
        input._bump()
        return
    before = op_module.Tensor._wrap(target.array)
    before.node = target.node
    after = _write(before, value, index=basic)
    input._bump()
    target._rebase(after.node)


@op(input=lambda g, steps: _clear_view(g, steps), value=lambda g, steps: _on_view(g, steps))
def write_view(xp, input, value, *, steps):
    """The base of a view after the view was written to: its memory has changed already, this is for the graph only."""
    return input


def walk(tensor, steps):
    """Take the steps from a tensor to a view of it."""
    for function, options in steps:
        tensor = function(tensor, **options)
    return tensor


def _on_view(g, steps):
    return walk(g, steps) if isinstance(g, op_module.Tensor) else walk(op_module.Tensor._wrap(g), steps).array


def _clear_view(g, steps):
    """The gradient, with zeros where the view is."""
    if isinstance(g, op_module.Tensor):
        cleared = g.clone()
        walk(cleared, steps).mul_(0)
        return cleared
    cleared = g.copy()
    _on_view(cleared, steps)[...] = 0
    return cleared


# ----------------------------------------------------------------------------------- along one dimension, and tables


def _index_array(name: str, index: Any) -> Any:
    array = index.array if isinstance(index, op_module.Tensor) else index
    if not hasattr(array, "dtype") or array.dtype.kind not in "iu":
        got = getattr(array, "dtype", type(index).__name__)
        raise RuntimeError(f"{name}: index must be an integer tensor, got {got}; convert with .long()")
    return array


def _along(xp, index, dim):
    """For each dimension its own positions, but the index for one of them: what NumPy calls take_along_axis."""
    grid = list(xp.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim:] = [index, *grid[dim + 1 :]][: len(grid) - dim]
    return tuple(grid)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` that broadcasts the other dimensions. Source: `torch.take_along_dim`.

    >>> import minigrad as mg
    >>> x = mg.tensor([[3, 1, 2]])
    >>> mg.take_along_dim(x, x.argmax(1, keepdim=True), 1)
    tensor([[3]])
    """
    array = _index_array("take_along_dim", indices)
    if dim is None:
        return _select(input.reshape(-1), index=(array.reshape(-1),))
    dim = normalize_dim(dim, input.ndim)
    xp = backend.namespace(array)
    shape = [n for n in np.broadcast_shapes(array.shape, tuple(1 if i == dim else n for i, n in enumerate(input.shape)))]
    shape[dim] = array.shape[dim]
    return _select(input, index=_along(xp, xp.broadcast_to(array, shape), dim))


def _winners(g, input, src, out, index):
    """The gradient shared by all that reached the extremum, and which of src did."""
    hits = (src == out[index]) * 1.0
    return g / ((input == out) + _put(hits, shape=tuple(out.shape), index=index, repeats=True)), hits


def _src_slope(g, input, src, out, index):
    share, hits = _winners(g, input, src, out, index)
    return share[index] * hits


@op(
    input=lambda g, input, src, out, index: _winners(g, input, src, out, index)[0] * (input == out),
    src=lambda g, input, src, out, index: _src_slope(g, input, src, out, index),
)
def _scatter_extreme(xp, input, src, *, index, largest):
    out = input.copy()
    combine_at(xp.maximum if largest else xp.minimum, out, index, src)
    return out


@explained
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask is true, as a vector. Source: `torch.masked_select`.

    >>> import minigrad as mg
    >>> mg.tensor([1, 2, 3]).masked_select(mg.tensor([True, False, True]))
    tensor([1, 3])
    """
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    return getitem(input.expand(shape), mask.expand(shape))


@explained
def nonzero(input: Any, as_tuple: bool = False) -> Any:
    """Indices of the nonzero elements, one row each, or one tensor per dimension. Source: `torch.nonzero`.

    >>> import minigrad as mg
    >>> mg.tensor([0, 5, 6]).nonzero()
    tensor([[1],
            [2]])
    """
    found = input.array.nonzero() if input.ndim else input.array.reshape(1).nonzero()
    wrapped = tuple(op_module.Tensor._wrap(index) for index in found)
    if as_tuple:
        return wrapped
    xp = backend.namespace(input.array)
    return op_module.Tensor._wrap(xp.stack(found[: input.ndim], axis=1) if input.ndim else xp.zeros((len(found[0]), 0), int))


@op()
def one_hot(xp, input, *, num_classes=-1):
    """A row of zeros with a one at the class, for each integer. Source: `torch.nn.functional.one_hot`.

    >>> import minigrad as mg
    >>> mg.nn.functional.one_hot(mg.tensor([0, 2]), 3)
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if input.dtype.kind not in "iu":
        raise RuntimeError(f"expected integer classes, got {input.dtype}")
    n = num_classes if num_classes >= 0 else int(input.max()) + 1
    if input.size and (input.min() < 0 or input.max() >= n):
        raise RuntimeError(f"classes must be from 0 to {n - 1}, got {int(input.min())} to {int(input.max())}")
    return (input[..., None] == xp.arange(n)).astype(xp.int64)


@op(weight=lambda g, input, weight_shape, padding_idx: _embedding_slope(g, input, weight_shape, padding_idx))
def _embedding(xp, input, weight, *, padding_idx):
    if input.dtype.kind not in "iu":
        raise RuntimeError(f"input must hold integer indices, got {input.dtype}; convert with .long()")
    if weight.ndim != 2:
        raise RuntimeError(f"weight must have 2 dimensions (rows, features), got shape {tuple(weight.shape)}")
    if xp is np and input.size and not (input.min() >= 0 and input.max() < len(weight)):
        worst = input.min() if input.min() < 0 else input.max()
        raise IndexError(f"index {worst} is out of range for {len(weight)} rows")
    return weight[input]


def _embedding_slope(g, input, shape, padding_idx):
    if padding_idx is not None:
        g = g * (input != padding_idx)[..., None]
    return put(g, shape, (getattr(input, "array", input),), True)


def embedding(input: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """Rows of a table by their numbers. Source: `torch.nn.functional.embedding`.

    Args:
        input: integers of any shape.
        weight: the table, shape (rows, features).
        padding_idx: a row that gets no gradient.

    Returns:
        Shape `(*input.shape, features)`.

    Raises:
        IndexError: there is no such row.
        RuntimeError: the input is not of integers, or the table not two-dimensional.

    >>> import minigrad as mg
    >>> mg.nn.functional.embedding(mg.tensor([1, 1, 0]), mg.tensor([[0.0, 1.0], [2.0, 3.0]]))
    tensor([[2., 3.],
            [2., 3.],
            [0., 1.]])
    """
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise RuntimeError(f"embedding: padding_idx {padding_idx} is out of range for {rows} rows")
        padding_idx %= rows
    return _embedding(input, weight, padding_idx=padding_idx)

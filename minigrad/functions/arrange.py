"""Larger arrangements of tensors: repeated, rolled, side by side, as grids and as windows."""

from __future__ import annotations

from typing import Any

from .. import backend
from .. import op as op_module
from ..errors import explained
from ..ops.shape import _expand, _reshape, _sequence, axes, cat, flatten, narrow, normalize_dim, reshape_as, sizes, stack
from .scatter import index_select


def repeat(input: Any, *repeats: Any) -> Any:
    """Copies of the tensor laid side by side along each dimension. Source: `torch.Tensor.repeat`.

    >>> import minigrad as mg
    >>> mg.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    times = sizes(repeats)
    if len(times) < input.ndim:
        raise RuntimeError(f"repeat: expected a number for each of {input.ndim} dimensions, got {len(times)}")
    shape = (1,) * (len(times) - input.ndim) + tuple(input.shape)
    interleaved = _reshape(input, shape=tuple(n for size in shape for n in (1, size)))
    wide = _expand(interleaved, shape=tuple(n for pair in zip(times, shape) for n in pair))
    return _reshape(wide, shape=tuple(a * b for a, b in zip(times, shape)))


@explained
def tile(input: Any, *dims: Any) -> Any:
    """`repeat` that may name fewer dimensions than there are: the last ones. Source: `torch.tile`.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2]]).tile(2)
    tensor([[1, 2, 1, 2]])
    """
    times = sizes(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


@explained
def repeat_interleave(input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each slice of a dimension repeated in its place. Source: `torch.repeat_interleave`.

    Args:
        input: any shape; alone, it holds the repeats, and the result the numbers of the slices.
        repeats: how often, for all slices or for each.
        dim: which dimension; None takes the flattened input.
        output_size: no effect: the size of the result, which PyTorch then need not work out.

    Raises:
        RuntimeError: the number of repeats is neither 1 nor that of the slices.

    >>> import minigrad as mg
    >>> mg.tensor([1, 2]).repeat_interleave(2), mg.tensor([1, 2]).repeat_interleave(mg.tensor([1, 3]))
    (tensor([1, 1, 2, 2]), tensor([1, 2, 2, 2]))
    """
    if dim is None:
        flat = flatten(input)
        numbers = op_module.Tensor._wrap(backend.namespace(input.array).arange(flat.shape[0]))
        return repeat_interleave(numbers, input, 0) if repeats is None else repeat_interleave(flat, repeats, 0)
    dim = normalize_dim(dim, input.ndim)
    size = input.shape[dim]
    if isinstance(repeats, int):
        wide = input.unsqueeze(dim + 1).expand(*input.shape[: dim + 1], repeats, *input.shape[dim + 1 :])
        return _reshape(wide, shape=(*input.shape[:dim], size * repeats, *input.shape[dim + 1 :]))
    if repeats.numel() not in (1, size):
        raise RuntimeError(f"repeat_interleave: expected 1 or {size} repeats for dimension {dim}, got {repeats.numel()}")
    xp = backend.namespace(repeats.array)
    return index_select(input, dim, xp.repeat(xp.arange(size), repeats.array.reshape(-1)))


@explained
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements moved along dimensions, those pushed out come in again. Source: `torch.roll`.

    >>> import minigrad as mg
    >>> mg.arange(4).roll(1)
    tensor([3, 0, 1, 2])
    """
    if dims is None:
        return reshape_as(roll(flatten(input), shifts, 0), input)
    for shift, dim in zip((shifts,) if isinstance(shifts, int) else shifts, axes(dims, input.ndim)):
        cut = -shift % max(input.shape[dim], 1)
        input = cat([narrow(input, dim, cut, input.shape[dim] - cut), narrow(input, dim, 0, cut)], dim)
    return input


def hstack(tensors: Any) -> Any:
    """Tensors side by side: along the second dimension, vectors along their only one. Source: `torch.hstack`.

    >>> import minigrad as mg
    >>> mg.hstack([mg.tensor([1, 2]), mg.tensor([3])])
    tensor([1, 2, 3])
    """
    tensors = [x.reshape(1) if x.ndim == 0 else x for x in _sequence("hstack", tensors)]
    return cat(tensors, 0 if tensors[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Any:
    """Tensors one below the other: along the first dimension, vectors as rows. Source: `torch.vstack`.

    >>> import minigrad as mg
    >>> mg.vstack([mg.tensor([1, 2]), mg.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    return cat([x.reshape(1, -1) if x.ndim < 2 else x for x in _sequence("vstack", tensors)])


@explained
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple:
    """For each vector the grid that holds its coordinate of every point. Source: `torch.meshgrid`.

    Args:
        tensors: vectors or numbers, one per dimension of the grid; or a list of them.
        indexing: "ij" counts rows first, "xy" columns.

    Raises:
        RuntimeError: a tensor with two dimensions or more, or another indexing.

    >>> import minigrad as mg
    >>> mg.meshgrid(mg.tensor([1, 2]), mg.tensor([3, 4]), indexing="ij")
    (tensor([[1, 1],
            [2, 2]]), tensor([[3, 4],
            [3, 4]]))
    """
    vectors = _sequence("meshgrid", tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if wrong := [tuple(x.shape) for x in vectors if x.ndim > 1]:
        raise RuntimeError(f"meshgrid: expected vectors, got a tensor of shape {wrong[0]}")
    shape, n = [x.numel() for x in vectors], len(vectors)
    grids = [x.reshape((-1,) + (1,) * (n - 1 - i)).expand(shape) for i, x in enumerate(vectors)]
    return tuple(grid.transpose(0, 1) if indexing == "xy" and n > 1 else grid for grid in grids)


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of a dimension, as a new last dimension; a copy, in PyTorch a view. Source: `torch.Tensor.unfold`.

    Args:
        input: any shape.
        dimension: which one.
        size: of a window.
        step: from one window to the next.

    Raises:
        RuntimeError: a window does not fit, or the step is not positive.

    >>> import minigrad as mg
    >>> mg.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    dim = normalize_dim(dimension, input.ndim)
    room = input.shape[dim] - size
    if step <= 0 or size <= 0 or room < 0:
        raise RuntimeError(
            f"unfold: windows of size {size} and step {step} do not fit dimension {dim} of shape {tuple(input.shape)}"
        )
    lead = (slice(None),) * dim
    return stack([input[(*lead, slice(k, k + room + 1, step))] for k in range(size)], -1)

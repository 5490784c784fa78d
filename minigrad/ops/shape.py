"""Functions that move numbers without changing them. Where the memory allows, the result is a view."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from operator import index
from typing import Any

from .. import dtypes
from ..errors import explained
from ..kernels import cpu as kernels
from ..op import op

# ---------------------------------------------------------------------------------------------- reading arguments


def normalize_dim(dim: Any, ndim: int) -> int:
    """A dimension counted from the front; a 0-d tensor has dimension 0 too, as in PyTorch."""
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"dim must be an int, got {type(dim).__name__}")
    most = max(ndim, 1)
    if not -most <= dim < most:
        raise IndexError(f"dim {dim} is out of range: a tensor with {ndim} dimensions has {-most} to {most - 1}")
    return dim.__index__() % most


def axes(dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions to reduce: all for None or (), else those named, each once."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    found = tuple(normalize_dim(d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,)))
    if len(set(found)) != len(found):
        raise RuntimeError(f"dim {dim} names a dimension twice")
    return found if ndim else ()


def kept_shape(shape: Sequence[int], dim: Any, drop: bool = False) -> tuple[int, ...]:
    """A shape after reduction, with the reduced dimensions as 1 or dropped."""
    over = axes(dim, len(shape))
    return tuple(1 if i in over else n for i, n in enumerate(shape) if not (drop and i in over))


def sizes(args: tuple) -> tuple[int, ...]:
    """Sizes given one by one or as a sequence: `reshape(2, 3)` and `reshape((2, 3))`."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = tuple(args[0])
    try:
        return tuple(map(index, args))
    except TypeError:
        wrong = next(type(n).__name__ for n in args if not hasattr(n, "__index__"))
        raise TypeError(f"sizes must be ints, got {wrong}") from None


def _inferred(shape: Sequence[int], new: tuple[int, ...]) -> tuple[int, ...]:
    """A new shape with its -1, if any, worked out."""
    if any(n < -1 for n in new):
        raise RuntimeError(f"invalid negative size in shape {new}")
    total, known = math.prod(shape), math.prod(n for n in new if n != -1)
    unknown = new.count(-1)
    if unknown > 1:
        raise RuntimeError(f"only one size of {new} can be -1")
    if unknown and known == 0:
        raise RuntimeError(f"the -1 in {new} cannot be worked out, since the other sizes make 0")
    if total % known if unknown and known else total != known:
        raise RuntimeError(f"shape {new} does not fit a tensor of shape {tuple(shape)} with {total} elements")
    return tuple(total // known if n == -1 else n for n in new)


# ----------------------------------------------------------------------------------------------------- new shapes


@op(view=True, input=lambda g, input_shape: g.reshape(input_shape))
def _reshape(xp, input, *, shape):
    try:
        return input.reshape(shape)
    except ValueError:
        return input.reshape(_inferred(input.shape, shape))  # says what is wrong, in our words


def reshape(input: Any, *shape: Any) -> Any:
    """The same elements in another shape, a view where possible. Source: `torch.reshape`.

    Args:
        input: any shape.
        shape: sizes, one of them may be -1 for whatever is left.

    Raises:
        RuntimeError: the number of elements differs.

    >>> import minigrad as mg
    >>> mg.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    return _reshape(input, shape=sizes(shape))


def view(input: Any, *shape: Any) -> Any:
    """`reshape` that refuses to copy; with a dtype, a conversion is refused too. Source: `torch.Tensor.view`.

    What a convolution made is copied where it must be: it has its channels last in memory, which nobody asked for.

    Raises:
        RuntimeError: the elements do not stand in memory in an order that allows it.

    >>> import minigrad as mg
    >>> mg.arange(6).view(3, 2).shape
    Size([3, 2])
    """
    if len(shape) == 1 and not isinstance(shape[0], (int, tuple, list)) and not hasattr(shape[0], "__index__"):
        raise RuntimeError("view: reading the same bytes as another dtype is not supported; use .to(dtype) to convert")
    result = reshape(input, *shape)
    if result.array.size and result.data_ptr() != input.data_ptr() and not _has_channels_last(input):
        raise RuntimeError(
            f"view: a tensor of shape {tuple(input.shape)} and strides {input.stride()} cannot be seen as "
            f"{tuple(result.shape)} without copying; use reshape(...), or contiguous() first"
        )
    return result


def _has_channels_last(x: Any) -> bool:
    """Whether it was computed, not viewed, with the channels of each pixel side by side in memory."""
    return x._base is None and x.ndim > 2 and bool(x.array.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous)


def view_as(input: Any, other: Any) -> Any:
    """`view` with another tensor's shape. Source: `torch.Tensor.view_as`."""
    return view(input, *other.shape)


def reshape_as(input: Any, other: Any) -> Any:
    """`reshape` to another tensor's shape. Source: `torch.Tensor.reshape_as`."""
    return reshape(input, *other.shape)


@explained
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Several neighbouring dimensions as one. Source: `torch.flatten`.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3, 4).flatten(1).shape
    Size([2, 12])
    """
    start, end = normalize_dim(start_dim, input.ndim), normalize_dim(end_dim, input.ndim)
    if start > end:
        raise RuntimeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = tuple(input.shape)
    merged = math.prod(shape[start : end + 1])
    return _reshape(input, shape=(*shape[:start], merged, *shape[end + 1 :]))


@explained
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension as several. Source: `torch.unflatten`.

    >>> import minigrad as mg
    >>> mg.zeros(2, 12).unflatten(1, (3, -1)).shape
    Size([2, 3, 4])
    """
    dim = normalize_dim(dim, input.ndim)
    shape = tuple(input.shape)
    return _reshape(input, shape=shape[:dim] + _inferred(shape[dim : dim + 1], tuple(sizes)) + shape[dim + 1 :])


@explained
def squeeze(input: Any, dim: Any = None) -> Any:
    """Drop dimensions of size 1: all, or those named if they are 1. Source: `torch.squeeze`.

    >>> import minigrad as mg
    >>> mg.zeros(1, 3, 1).squeeze().shape, mg.zeros(1, 3, 1).squeeze(0).shape
    (Size([3]), Size([3, 1]))
    """
    drop = axes(dim, input.ndim)
    return _reshape(input, shape=tuple(n for i, n in enumerate(input.shape) if not (n == 1 and i in drop)))


@explained
def unsqueeze(input: Any, dim: int) -> Any:
    """A new dimension of size 1 at a position. Source: `torch.unsqueeze`.

    >>> import minigrad as mg
    >>> mg.zeros(3).unsqueeze(-1).shape
    Size([3, 1])
    """
    dim = normalize_dim(dim, input.ndim + 1)
    return _reshape(input, shape=(*input.shape[:dim], 1, *input.shape[dim:]))


@op(view=True, input=lambda g: g)
def _expand(xp, input, *, shape):
    lead = len(shape) - input.ndim
    full = tuple(input.shape[i - lead] if n == -1 and i >= lead else n for i, n in enumerate(shape))
    fits = lead >= 0 and all(old in (1, new) for old, new in zip(input.shape, full[lead:]))
    if not fits or min(full, default=0) < 0:
        raise RuntimeError(
            f"shape {tuple(input.shape)} cannot become {tuple(shape)}: aligned at the right, each size must be the same or 1"
        )
    return xp.broadcast_to(input, full)


def expand(input: Any, *shape: Any) -> Any:
    """The tensor repeated along dimensions of size 1, without copying. Source: `torch.Tensor.expand`.

    Args:
        input: any shape.
        shape: the new sizes; -1 keeps a size.

    Raises:
        RuntimeError: a dimension that is not 1 would have to change.

    >>> import minigrad as mg
    >>> mg.tensor([[1], [2]]).expand(2, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    return _expand(input, shape=sizes(shape))


def expand_as(input: Any, other: Any) -> Any:
    """`expand` to another tensor's shape. Source: `torch.Tensor.expand_as`."""
    return _expand(input, shape=tuple(other.shape))


@explained
def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """`expand`, as a function. Source: `torch.broadcast_to`."""
    return _expand(input, shape=tuple(size))


# -------------------------------------------------------------------------------------------- dimensions in new order


@op(view=True, input=lambda g, dim0, dim1: g.swapaxes(dim0, dim1))
def transpose(xp, input, *, dim0, dim1):
    """Two dimensions swapped, a view. Source: `torch.transpose`.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3, 4).transpose(1, -1).shape
    Size([2, 4, 3])
    """
    dim0, dim1 = normalize_dim(dim0, input.ndim), normalize_dim(dim1, input.ndim)
    return input.swapaxes(dim0, dim1) if input.ndim else input.reshape(())


@op(view=True, input=lambda g, dims: _permute(g, dims=_inverse(dims)))
def _permute(xp, input, *, dims):
    order = axes(dims, input.ndim) if dims else ()
    if len(order) != input.ndim:
        raise RuntimeError(f"dims {tuple(dims)} must name each of the {input.ndim} dimensions once")
    return input.transpose(order)


def _inverse(dims):
    order = [d % len(dims) for d in dims]
    return tuple(order.index(i) for i in range(len(order)))


def permute(input: Any, *dims: Any) -> Any:
    """All dimensions in a new order, a view. Source: `torch.permute`.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3, 4).permute(2, 0, 1).shape
    Size([4, 2, 3])
    """
    return _permute(input, dims=sizes(dims))


@explained
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Some dimensions moved to other positions, the rest in order. Source: `torch.movedim`.

    >>> import minigrad as mg
    >>> mg.zeros(2, 3, 4).movedim(0, -1).shape
    Size([3, 4, 2])
    """
    src, dst = axes(source, input.ndim), axes(destination, input.ndim)
    if len(src) != len(dst):
        raise RuntimeError(f"movedim: {len(src)} dimensions to move, but {len(dst)} places")
    rest = iter(i for i in range(input.ndim) if i not in src)
    return _permute(input, dims=tuple(src[dst.index(i)] if i in dst else next(rest) for i in range(input.ndim)))


def t(input: Any) -> Any:
    """A matrix transposed; vectors and numbers as they are. Source: `torch.t`."""
    if input.ndim > 2:
        raise RuntimeError(f"t: expected at most 2 dimensions, got shape {tuple(input.shape)}; use .mT or transpose")
    return transpose(input, 0, 1) if input.ndim == 2 else input


@op(input=lambda g, dims: _flip(g, dims=dims))
def _flip(xp, input, *, dims):
    return xp.flip(input, axes(dims, input.ndim) if dims else ()).copy()


def flip(input: Any, *dims: Any) -> Any:
    """Dimensions run through backwards, a copy. Source: `torch.flip`.

    >>> import minigrad as mg
    >>> mg.tensor([1, 2, 3]).flip(0)
    tensor([3, 2, 1])
    """
    return _flip(input, dims=sizes(dims))


# ------------------------------------------------------------------------------------------------ joining and cutting


@op(tensors=lambda g, at, tensors_shape, dim: _piece(g, at, tensors_shape, dim))
def _cat(xp, *tensors, dim):
    target = dtypes.result_type(list(tensors))
    kept = [a.astype(target, copy=False) for a in tensors if a.shape != (0,)] or [tensors[0]]
    axis = normalize_dim(dim, kept[0].ndim)
    for a in kept:
        if a.ndim != kept[0].ndim or kept_shape(a.shape, axis) != kept_shape(kept[0].shape, axis):
            raise RuntimeError(
                f"all tensors must have the same shape except in dimension {dim}, got "
                f"{tuple(kept[0].shape)} and {tuple(a.shape)}"
            )
    return xp.concatenate(kept, axis=axis)


def _piece(g, at, shapes, dim):
    if shapes[at] == (0,):
        return g.reshape(-1)[:0]
    start = builtins.sum(shape[dim] for shape in shapes[:at] if shape != (0,))
    return narrow(g, dim, start, shapes[at][dim])


def _sequence(name: str, tensors: Any) -> list:
    if hasattr(tensors, "dtype") and tensors.ndim:
        tensors = list(tensors)
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(f"{name}: expected a list of tensors, got {type(tensors).__name__}")
    if not tensors:
        raise RuntimeError(f"{name}: expected at least one tensor, got an empty list")
    return list(tensors)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors one after the other along a dimension. Source: `torch.cat`.

    Args:
        tensors: of the same shape but for that dimension.
        dim: which one.

    Raises:
        RuntimeError: no tensors, or shapes that do not fit.

    >>> import minigrad as mg
    >>> mg.cat([mg.tensor([1, 2]), mg.tensor([3])])
    tensor([1, 2, 3])
    """
    return _cat(*_sequence("cat", tensors), dim=dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape as the slices of a new dimension. Source: `torch.stack`.

    >>> import minigrad as mg
    >>> mg.stack([mg.tensor([1, 2]), mg.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    tensors = _sequence("stack", tensors)
    for other in tensors[1:]:
        if tuple(other.shape) != tuple(tensors[0].shape):
            raise RuntimeError(
                f"stack: all tensors must have the same shape, got {tuple(tensors[0].shape)} and {tuple(other.shape)}"
            )
    return _cat(*[unsqueeze(x, dim) for x in tensors], dim=dim)


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """`length` entries of a dimension from `start` on, a view. Source: `torch.narrow`.

    >>> import minigrad as mg
    >>> mg.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
    return input[(slice(None),) * normalize_dim(dim, input.ndim) + (slice(start, start + length),)]


@explained
def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple:
    """Views of consecutive parts of a dimension. Source: `torch.split`.

    Args:
        tensor: any shape but 0-d.
        split_size_or_sections: size of each part (the last may be smaller), or a list of sizes.
        dim: which dimension.

    Raises:
        RuntimeError: the sizes do not add up.

    >>> import minigrad as mg
    >>> mg.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    dim = normalize_dim(dim, tensor.ndim)
    n = tensor.shape[dim] if tensor.ndim else 0
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size <= 0:
            raise RuntimeError(f"split: the size of a part must be positive, got {size}")
        parts = [min(size, n - start) for start in range(0, n, size)] or [0]
    else:
        parts = list(split_size_or_sections)
        if builtins.sum(parts) != n:
            raise RuntimeError(f"split: sizes {parts} add up to {builtins.sum(parts)}, dimension {dim} has {n}")
    starts = [builtins.sum(parts[:i]) for i in range(len(parts))]
    return tuple(narrow(tensor, dim, start, length) for start, length in zip(starts, parts))


@explained
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple:
    """At most so many views of equal parts of a dimension. Source: `torch.chunk`.

    >>> import minigrad as mg
    >>> mg.arange(5).chunk(2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks <= 0:
        raise RuntimeError(f"chunk: the number of chunks must be positive, got {chunks}")
    n = input.shape[normalize_dim(dim, input.ndim)]
    return split(input, max(1, -(-n // chunks)), dim)


@explained
def unbind(input: Any, dim: int = 0) -> tuple:
    """The slices along a dimension, as a tuple. Source: `torch.unbind`.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 2], [3, 4]]).unbind()
    (tensor([1, 2]), tensor([3, 4]))
    """
    lead = (slice(None),) * normalize_dim(dim, input.ndim)
    return tuple(input[(*lead, i)] for i in range(input.shape[len(lead)]))


def _unpad(g, widths):
    return g[tuple(slice(low, g.shape[i] - high) for i, (low, high) in enumerate(widths))]


@op(input=lambda g, widths: _unpad(g, widths))
def _pad_constant(xp, input, *, widths, value):
    return xp.pad(input, widths, constant_values=value)


def pad(input: Any, pad: Sequence[int], value: float | None = None) -> Any:
    """Put a number before and after, dimension by dimension from the last; the other modes stand in nn/padding.py.

    Args:
        input: any shape.
        pad: (before last, after last, before next to last, ...); negative numbers cut off.
        value: what to put there; 0 if None.

    Raises:
        RuntimeError: an odd number of widths, more of them than dimensions, or more cut off than there is.

    >>> import minigrad as mg
    >>> mg.nn.functional.pad(mg.tensor([[1, 2]]), (1, 0, 0, 1))
    tensor([[0, 1, 2],
            [0, 0, 0]])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise RuntimeError(f"pad: expected two widths for each of at most {input.ndim} dimensions, got {len(pad)} widths")
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    widths = [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1]
    if any(n < 0 for pair in widths for n in pair):
        if any(n + min(low, high, low + high) < 0 for n, (low, high) in zip(input.shape, widths)):
            raise RuntimeError(f"pad: {tuple(pad)} cuts off more than there is of shape {tuple(input.shape)}")
        cuts = [(max(0, -low), max(0, -high)) for low, high in widths]
        input = _unpad(input, cuts)
        widths = [(max(0, low), max(0, high)) for low, high in widths]
    return _pad_constant(input, widths=tuple(widths), value=0 if value is None else value)


# ---------------------------------------------------------------------------------- copies, other dtypes and devices


@op(input=lambda g: g)
def clone(xp, input, *, memory_format=None):
    """A copy that gradients flow through. Source: `torch.clone`."""
    return input.copy()


@op(input=lambda g: g)
def _contiguous(xp, input):
    return xp.ascontiguousarray(input)


_contiguous.fast("cpu", kernels.copies.SMALL)(kernels.in_order)


def contiguous(input: Any, memory_format: Any = None) -> Any:
    """The tensor itself if its elements stand in memory in order, else a copy where they do."""
    return input if input.is_contiguous() else _contiguous(input)

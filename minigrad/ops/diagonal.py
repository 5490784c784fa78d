"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import explained
from ..op import op
from .shape import axes


def _check_matrices(input):
    if input.ndim < 2:
        raise RuntimeError(f"expected at least 2 dimensions, got shape {tuple(input.shape)}")


@op(input=lambda g, diagonal: tril(g, diagonal))
def tril(xp, input, *, diagonal=0):
    """The lower triangle of each matrix, zeros elsewhere. Source: `torch.tril`.

    >>> import minigrad as mg
    >>> mg.ones(2, 3).tril()
    tensor([[1., 0., 0.],
            [1., 1., 0.]])
    """
    _check_matrices(input)
    return xp.tril(input, diagonal)


@op(input=lambda g, diagonal: triu(g, diagonal))
def triu(xp, input, *, diagonal=0):
    """The upper triangle of each matrix, zeros elsewhere. Source: `torch.triu`.

    >>> import minigrad as mg
    >>> mg.ones(2, 3).triu(1)
    tensor([[0., 1., 1.],
            [0., 0., 1.]])
    """
    _check_matrices(input)
    return xp.triu(input, diagonal)


@op(view=True, input=lambda g, input_shape, offset, dim1, dim2: _on_diagonal(g, input_shape, offset, dim1, dim2))
def diagonal(xp, input, *, offset=0, dim1=0, dim2=1):
    """The diagonal of each matrix as a last dimension, a view. Source: `torch.diagonal`.

    Args:
        input: two dimensions or more.
        offset: how far above the main diagonal; negative is below.
        dim1, dim2: the dimensions of the matrices.

    >>> import minigrad as mg
    >>> x = mg.zeros(2, 3)
    >>> _ = x.diagonal(1).fill_(5); x
    tensor([[0., 5., 0.],
            [0., 0., 5.]])
    """
    _check_matrices(input)
    first, second = axes((dim1, dim2), input.ndim)
    out = xp.diagonal(input, offset, first, second)
    if xp is np and input.flags.writeable:
        out.flags.writeable = True  # NumPy says that it will be one day
    return out


@op(input=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))
def _on_diagonal(xp, input, *, shape, offset, dim1, dim2):
    out = xp.zeros(shape, input.dtype)
    diagonal(out, offset, dim1, dim2)[...] = input
    return out


@explained
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension of the input on a diagonal, zeros elsewhere. Source: `torch.diag_embed`.

    >>> import minigrad as mg
    >>> mg.diag_embed(mg.tensor([1, 2]), offset=1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    if input.ndim == 0:
        raise RuntimeError("diag_embed: expected at least 1 dimension, got a 0-d tensor")
    shape, size = list(input.shape[:-1]), input.shape[-1] + abs(offset)
    for dim in sorted(axes((dim1, dim2), input.ndim + 1)):
        shape.insert(dim, size)
    return _on_diagonal(input, shape=tuple(shape), offset=offset, dim1=dim1, dim2=dim2)


@explained
def diag(input: Any, diagonal: int = 0) -> Any:
    """A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector. Source: `torch.diag`.

    >>> import minigrad as mg
    >>> mg.diag(mg.tensor([1, 2])), mg.diag(mg.tensor([[1, 2], [3, 4]]))
    (tensor([[1, 0],
            [0, 2]]), tensor([1, 4]))
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag: expected 1 or 2 dimensions, got shape {tuple(input.shape)}; use diagonal or diag_embed")
    return diag_embed(input, diagonal) if input.ndim == 1 else input.diagonal(diagonal).clone()


@explained
def trace(input: Any) -> Any:
    """Sum of the diagonal of a matrix. Source: `torch.trace`.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]]).trace()
    tensor(5.)
    """
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got shape {tuple(input.shape)}; use diagonal(...).sum(-1)")
    return diagonal(input).sum()

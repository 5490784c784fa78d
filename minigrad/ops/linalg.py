"""Products of matrices and vectors."""

from __future__ import annotations

import math

from ..errors import explained
from ..fast import with_kernel
from ..kernels import cpu as kernels
from ..op import op

# The rules use only what arrays and Tensors share, `@`, reshape, swapaxes and [...], so that on arrays nothing stands
# between them and the library. All products go through `_product`.


@with_kernel(kernels.matmul)  # for those of other devices see cuda/fused.py
def _product(a, b, bias=None):
    """`a @ b + bias`."""
    out = a @ b
    if bias is not None:
        out += bias  # ours, and of one dtype with it
    return out


def _rows(x):
    """All leading dimensions as one: a stack of matrices as one tall matrix."""
    return x if x.ndim == 2 else x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


def _by_matrix(x, matrix, bias=None):
    """A stack of matrices times one matrix, as one tall product: libraries would take one product for each."""
    if x.ndim <= 2:
        return _product(x, matrix, bias)
    return _product(_rows(x), matrix, bias).reshape((*x.shape[:-1], matrix.shape[-1]))


@with_kernel(kernels.sum_rows)
def _sum_rows(g):
    """The gradient of what was added to each row; without a kernel, autograd.py sums over them."""
    return g


def _left_slope(g, other, input_shape):
    """Y = A B:  dA = dY Bᵀ. A vector on either side is a matrix with one row or one column."""
    if other.ndim == 1:
        return g[..., None] * other
    if len(input_shape) == 1:
        return (other @ g[..., None])[..., 0]
    if other.ndim == 2:
        return _by_matrix(g, other.swapaxes(0, 1))
    return _product(g, other.swapaxes(-1, -2))


def _right_slope(g, input, other_shape):
    """Y = A B:  dB = Aᵀ dY. A stack of A against one B sums over the stack, which is one tall product."""
    if input.ndim == 1:
        return g * input if len(other_shape) == 1 else input[:, None] * g[..., None, :]
    if len(other_shape) == 1:
        return _product(g.reshape((-1,)), _rows(input))
    if len(other_shape) == 2:
        return _product(_rows(input).swapaxes(0, 1), _rows(g))
    return _product(input.swapaxes(-1, -2), g)


def _same_dtype(input, other):
    if input.dtype != other.dtype:
        raise RuntimeError(f"both must have the same dtype, got {input.dtype} and {other.dtype}; convert one with .to()")


@op(input=_left_slope, other=_right_slope)
def matmul(xp, input, other):
    """Matrix product over the last two dimensions, the others broadcast; vectors too. Source: `torch.matmul`.

    Args:
        input: (n,), (m, n) or (..., m, n).
        other: (n,), (n, p) or (..., n, p).

    Returns:
        The product; a vector's own dimension is gone from it, two vectors give a number.

    Raises:
        RuntimeError: sizes or dtypes do not fit, or one of them is 0-d.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]]) @ mg.tensor([1.0, 10.0])
    tensor([21., 43.])
    """
    if not hasattr(input, "ndim") or not hasattr(other, "ndim"):
        raise TypeError("both must be tensors; use * to multiply by a number")
    _same_dtype(input, other)
    if input.ndim == 0 or other.ndim == 0:
        raise RuntimeError("both must have at least 1 dimension; use * to multiply by a number")
    inner = other.shape[0] if other.ndim == 1 else other.shape[-2]
    if input.shape[-1] != inner:
        raise RuntimeError(
            f"the last dimension of input {tuple(input.shape)} must be the "
            f"{'only' if other.ndim == 1 else 'next to last'} one of other {tuple(other.shape)}: "
            f"{input.shape[-1]} is not {inner}"
        )
    return _by_matrix(input, other) if other.ndim == 2 else _product(input, other)


@op(
    input=lambda g, weight: _by_matrix(g, weight),
    weight=lambda g, input: _product(_rows(g).T, _rows(input)) if g.ndim > 1 else g[:, None] * input,
    bias=_sum_rows,
)
def linear(xp, input, weight, bias=None):
    """`input @ weight.T + bias`. Source: `torch.nn.functional.linear`.

    A primitive, since its rules need no transposed copy of the weight.

    Args:
        input: (..., features in).
        weight: (features out, features in).
        bias: (features out), or None.

    Returns:
        (..., features out).

    Raises:
        RuntimeError: sizes or dtypes do not fit.

    >>> import minigrad as mg
    >>> mg.nn.functional.linear(mg.tensor([[1.0, 2.0]]), mg.tensor([[10.0, 1.0]]), mg.tensor([0.5]))
    tensor([[12.5000]])
    """
    x, w, dtype = input.shape, weight.shape, weight.dtype  # looked up once: on a few numbers that is a part of the time
    if len(w) != 2:
        raise RuntimeError(f"weight must have 2 dimensions (out, in), got shape {tuple(w)}")
    if not x or x[-1] != w[1]:
        raise RuntimeError(
            f"expected an input with {w[1]} features in its last dimension for a weight of shape {tuple(w)}, got input of "
            f"shape {tuple(x)}"
        )
    if bias is not None and bias.shape != w[:1]:
        raise RuntimeError(f"bias must have shape ({w[0]},), got {tuple(bias.shape)}")
    if input.dtype is not dtype or (bias is not None and bias.dtype is not dtype):  # NumPy would promote
        _same_dtype(input, weight)
        if bias is not None:
            _same_dtype(weight, bias)
    if len(x) == 2:
        return _product(input, weight.T, bias)
    return _by_matrix(input, weight.T, bias)


linear.together(kernels.linear_slopes)


def _need(name, condition, *tensors):
    if not condition:
        raise RuntimeError(f"{name}: shapes {' and '.join(str(tuple(x.shape)) for x in tensors)} do not fit")


@explained
def mm(input, mat2):
    """Product of two matrices. Source: `torch.mm`."""
    _need("mm", input.ndim == 2 and mat2.ndim == 2, input, mat2)
    return matmul(input, mat2)


@explained
def bmm(input, mat2):
    """Products of two stacks of matrices of equal length. Source: `torch.bmm`."""
    _need("bmm", input.ndim == 3 and mat2.ndim == 3 and input.shape[0] == mat2.shape[0], input, mat2)
    return matmul(input, mat2)


@explained
def mv(input, vec):
    """Product of a matrix and a vector. Source: `torch.mv`."""
    _need("mv", input.ndim == 2 and vec.ndim == 1, input, vec)
    return matmul(input, vec)


@explained
def dot(input, tensor):
    """Sum of the products of two vectors. Source: `torch.dot`."""
    _need("dot", input.ndim == 1 and tensor.ndim == 1, input, tensor)
    return matmul(input, tensor)


@explained
def outer(input, vec2):
    """All products of the elements of two vectors. Source: `torch.outer`."""
    _need("outer", input.ndim == 1 and vec2.ndim == 1, input, vec2)
    return input.unsqueeze(1) * vec2


@explained
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """`beta * input + alpha * (mat1 @ mat2)`. Source: `torch.addmm`."""
    product = mm(mat1, mat2)
    return beta * input + (product if alpha == 1 else alpha * product)


@explained
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """`addmm` for stacks of matrices. Source: `torch.baddbmm`."""
    product = bmm(batch1, batch2)
    return beta * input + (product if alpha == 1 else alpha * product)

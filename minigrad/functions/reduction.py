"""More ways to make many numbers into fewer, or into running results."""

from __future__ import annotations

import math
from collections import namedtuple
from typing import Any

from ..errors import explained
from ..ops.choice import where
from ..ops.conversion import cast
from ..ops.elementwise import abs, logaddexp, mul, sign
from ..ops.logic import isnan
from ..ops.reduction import _accumulator, amax, amin, sum
from ..ops.shape import cat, clone, flatten, narrow, normalize_dim

Range = namedtuple("Range", "min max")


@explained
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum that takes NaN for 0. Source: `torch.nansum`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, mg.nan, 3.0]).nansum()
    tensor(4.)
    """
    return sum(where(isnan(input), 0, input), dim, keepdim, dtype)


@explained
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean of all that is not NaN. Source: `torch.nanmean`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, mg.nan, 3.0]).nanmean()
    tensor(2.)
    """
    return nansum(input, dim, keepdim, dtype=dtype) / sum(~isnan(input), dim, keepdim)


@explained
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero. Source: `torch.count_nonzero`.

    >>> import minigrad as mg
    >>> mg.tensor([[1, 0], [2, 3]]).count_nonzero(0)
    tensor([2, 1])
    """
    return sum(input != 0, dim)


@explained
def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Product of all elements or along a dimension. Source: `torch.prod`.

    Halves are multiplied until one is left: no rule divides by an element, so zeros need no special care.

    Args:
        input: any shape.
        dim: a dimension; None for all elements.
        keepdim: keep the reduced dimension with size 1.
        dtype: convert to this first; integers are multiplied as int64.

    >>> import minigrad as mg
    >>> mg.tensor([[1.0, 2.0], [3.0, 4.0]]).prod(1)
    tensor([ 2., 12.])
    """
    input = cast(input, dtype=_accumulator(input, dtype) or input.dtype)
    if dim is None or input.ndim == 0:
        input, dim, keepdim = flatten(input), 0, False
    dim = normalize_dim(dim, input.ndim)
    while (n := input.shape[dim]) > 1:
        product = narrow(input, dim, 0, n // 2) * narrow(input, dim, n // 2, n // 2)
        input = cat([product, narrow(input, dim, n - 1, 1)], dim) if n % 2 else product
    out = sum(input, dim, keepdim, input.dtype)  # of one element
    return out if n else out + 1


@explained
def norm(input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """Length of a vector, sum(|x|^p)^(1/p), with gradient 0 where it is 0. Source: `torch.norm`.

    Args:
        input: any shape, floating point.
        p: any number, also inf, -inf and 0 (which counts); "fro" is 2.
        dim: a dimension or several; all if None.
        keepdim: keep reduced dimensions with size 1.
        dtype: convert to this first.

    Raises:
        RuntimeError: integers, or "nuc": see `linalg.matrix_norm`.

    >>> import minigrad as mg
    >>> mg.tensor([[3.0, 4.0], [6.0, 8.0]]).norm(dim=1)
    tensor([ 5., 10.])
    """
    p = 2 if p in ("fro", None) else p
    input = input if dtype is None else cast(input, dtype=dtype)
    if isinstance(p, str) or input.dtype.kind != "f":
        raise RuntimeError(
            f"norm: expected floating point numbers and p a number or 'fro', got {input.dtype} and {p!r}; "
            "see linalg.matrix_norm for 'nuc'"
        )
    if p in (math.inf, -math.inf):
        return (amax if p > 0 else amin)(abs(input), dim, keepdim)
    if p in (0, 1):
        return sum(abs(input) if p else abs(sign(input)), dim, keepdim)
    zero = input == 0
    powers = input * input if p == 2 else where(zero, 0.0 if p > 0 else math.inf, abs(where(zero, 1.0, input)) ** p)
    total = sum(powers, dim, keepdim)
    zero = total == 0
    return where(zero, 0.0, where(zero, 1.0, total) ** (1 / p))


@explained
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """Smallest and largest element, overall or along a dimension. Source: `torch.aminmax`.

    >>> import minigrad as mg
    >>> mg.tensor([3, 1, 2]).aminmax()
    Range(min=tensor(1), max=tensor(3))
    """
    return Range(amin(input, dim, keepdim), amax(input, dim, keepdim))


def _scan(combine, input, dim):
    """Running results of an associative function: in step k each element takes in the one 2^k places before it."""
    dim, input, step = normalize_dim(dim, input.ndim), clone(input), 1
    while input.ndim and step < (n := input.shape[dim]):
        further = combine(narrow(input, dim, 0, n - step), narrow(input, dim, step, n - step))
        input, step = cat([narrow(input, dim, 0, step), further], dim), 2 * step
    return input


@explained
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Running product along a dimension; zeros need no special care. Source: `torch.cumprod`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]).cumprod(0)
    tensor([1., 2., 6.])
    """
    return _scan(mul, cast(input, dtype=_accumulator(input, dtype) or input.dtype), dim)


@explained
def logcumsumexp(input: Any, dim: int) -> Any:
    """log(cumsum(exp(x))) without overflow. Source: `torch.logcumsumexp`.

    >>> import minigrad as mg
    >>> mg.tensor([1000.0, 1000.0]).logcumsumexp(0)
    tensor([1000.0000, 1000.6932])
    """
    return _scan(logaddexp, input, dim)

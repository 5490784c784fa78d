"""Functions that choose between values: the larger, the one inside bounds, the one that a mask names."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..errors import explained
from ..op import op
from .logic import isfinite, isnan


@op(
    "promote",
    input=lambda g, input, other: g * ((input > other) + 0.5 * (input == other)),
    other=lambda g, input, other: g * ((other > input) + 0.5 * (input == other)),
)
def maximum(xp, input, other):
    """The larger of each pair; NaN if either is; a tie splits the gradient. Source: `torch.maximum`.

    >>> import minigrad as mg
    >>> mg.maximum(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 2.0]))
    tensor([3., 5.])
    """
    return xp.maximum(input, other)


@op(
    "promote",
    input=lambda g, input, other: g * ((input < other) + 0.5 * (input == other)),
    other=lambda g, input, other: g * ((other < input) + 0.5 * (input == other)),
)
def minimum(xp, input, other):
    """The smaller of each pair; NaN if either is; a tie splits the gradient. Source: `torch.minimum`.

    >>> import minigrad as mg
    >>> mg.minimum(mg.tensor([1.0, 5.0]), mg.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    return xp.minimum(input, other)


def _inside(input, min, max):
    inside = True if min is None else input >= min
    return inside if max is None else inside & (input <= max)


@op(
    "promote",
    input=lambda g, input, min, max: g * _inside(input, min, max),
    min=lambda g, input, min, max: g * ((input < min) if max is None else (input < min) & (min < max)),
    max=lambda g, input, min, max: g * ((input > max) if min is None else (input > max) | (max < min)),
)
def clamp(xp, input, min=None, max=None):
    """Each element, but not below min and not above max; the gradient passes at the borders. Source: `torch.clamp`.

    Args:
        input: any shape.
        min, max: numbers or tensors; at least one.

    Raises:
        RuntimeError: neither min nor max is given.

    >>> import minigrad as mg
    >>> mg.tensor([-1.0, 0.5, 2.0]).clamp(0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise RuntimeError("at least one of min and max must be given")
    if min is not None:
        input = xp.maximum(input, min)
    return input if max is None else xp.minimum(input, max)


@op(input=lambda g, condition: where(condition, g, 0.0), other=lambda g, condition: where(condition, 0.0, g))
def _where(xp, condition, input, other):
    if condition.dtype.kind != "b":
        raise RuntimeError(f"condition must be a bool tensor, got {condition.dtype}; compare, or convert with .bool()")
    target = dtypes.result_type([input, other])
    return xp.where(condition, xp.asarray(input, target), xp.asarray(other, target))


@explained
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, `other` elsewhere, broadcasting. Source: `torch.where`.

    What is not chosen gets gradient zero, whatever it is; but `0 * inf` upstream of it is NaN, so guard the
    argument of a function as well as its result.

    Args:
        condition: bool tensor.
        input, other: tensors or numbers; left out, the indices of the true elements, one tensor per dimension.

    Raises:
        RuntimeError: the condition is not bool.

    >>> import minigrad as mg
    >>> x = mg.tensor([-1.0, 2.0])
    >>> mg.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return _where(condition, input, other)


@op(input=lambda g, mask: where(mask, 0.0, g), value=lambda g, mask: where(mask, g, 0.0))
def masked_fill(xp, input, mask, value):
    """`input` with the elements where the mask is true replaced by a value. Source: `torch.masked_fill`.

    Args:
        input: any shape.
        mask: bool tensor that broadcasts with the input.
        value: a number or a 0-d tensor.

    Raises:
        RuntimeError: the mask is not bool, or the value is not one number.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0]).masked_fill(mg.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    if getattr(mask, "dtype", None) != dtypes.bool:
        raise RuntimeError(f"mask must be a bool tensor, got {getattr(mask, 'dtype', type(mask).__name__)}")
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"value must be a number or a 0-d tensor, got shape {value.shape}")
    return xp.where(mask, xp.asarray(value, input.dtype), input)


@explained
def fmax(input: Any, other: Any) -> Any:
    """The larger of each pair, or the one that is not NaN. Source: `torch.fmax`.

    >>> import minigrad as mg
    >>> mg.fmax(mg.tensor([1.0, mg.nan]), mg.tensor([3.0, 2.0]))
    tensor([3., 2.])
    """
    return where((input >= other) | isnan(other), input, other)


@explained
def fmin(input: Any, other: Any) -> Any:
    """The smaller of each pair, or the one that is not NaN. Source: `torch.fmin`.

    >>> import minigrad as mg
    >>> mg.fmin(mg.tensor([1.0, mg.nan]), mg.tensor([3.0, 2.0]))
    tensor([1., 2.])
    """
    return where((input <= other) | isnan(other), input, other)


@op("promote", input=lambda g, input: g * isfinite(input))
def nan_to_num(xp, input, *, nan=0.0, posinf=None, neginf=None):
    """NaN, inf and -inf replaced by numbers. Source: `torch.nan_to_num`.

    Args:
        input: any shape.
        nan: what NaN becomes.
        posinf, neginf: what inf and -inf become; the largest and the least number of the dtype if None.

    >>> import minigrad as mg
    >>> mg.nan_to_num(mg.tensor([mg.nan, mg.inf, 1.5]), posinf=9.0)
    tensor([0.0000, 9.0000, 1.5000])
    """
    return xp.nan_to_num(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)

"""Comparisons, logic and bits: functions without a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import explained
from ..op import op


def _of_one(name: str, function: str, doc: str, dtypes: str | None = "promote") -> Callable:
    """An operation on one tensor that is a function of the library, under PyTorch's name."""

    def forward(xp, input):
        return getattr(xp, function)(input)

    forward.__name__, forward.__doc__ = name, f"{doc} Source: `torch.{name}`."
    return op(dtypes)(forward)


def _of_two(name: str, function: str, doc: str, dtypes: str | None = "promote") -> Callable:
    """The same for two tensors, broadcasting."""

    def forward(xp, input, other):
        return getattr(xp, function)(input, other)

    forward.__name__, forward.__doc__ = name, f"{doc} Source: `torch.{name}`."
    return op(dtypes)(forward)


eq = _of_two("eq", "equal", "Whether each pair is equal.")
ne = _of_two("ne", "not_equal", "Whether each pair differs.")
lt = _of_two("lt", "less", "Whether input < other.")
le = _of_two("le", "less_equal", "Whether input <= other.")
gt = _of_two("gt", "greater", "Whether input > other.")
ge = _of_two("ge", "greater_equal", "Whether input >= other.")

logical_not = _of_one("logical_not", "logical_not", "Whether each element is zero or False.", None)
logical_and = _of_two("logical_and", "logical_and", "Whether both are nonzero.", None)
logical_or = _of_two("logical_or", "logical_or", "Whether one is nonzero.", None)
logical_xor = _of_two("logical_xor", "logical_xor", "Whether exactly one is nonzero.", None)

bitwise_not = _of_one("bitwise_not", "invert", "All bits flipped; for bool tensors, logical not.")
bitwise_and = _of_two("bitwise_and", "bitwise_and", "Bits set in both; for bool tensors, logical and.")
bitwise_or = _of_two("bitwise_or", "bitwise_or", "Bits set in either; for bool tensors, logical or.")
bitwise_xor = _of_two("bitwise_xor", "bitwise_xor", "Bits set in exactly one.")
bitwise_left_shift = _of_two("bitwise_left_shift", "left_shift", "Bits moved left: times 2 to the power of other.")
bitwise_right_shift = _of_two("bitwise_right_shift", "right_shift", "Bits moved right: divided by 2 to the power of other.")

isnan = _of_one("isnan", "isnan", "Whether each element is NaN.")
isinf = _of_one("isinf", "isinf", "Whether each element is inf or -inf.")
isfinite = _of_one("isfinite", "isfinite", "Whether each element is neither infinite nor NaN.")


@op("promote")
def isclose(xp, input, other, *, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |input - other| <= atol + rtol * |other|. Source: `torch.isclose`.

    >>> import minigrad as mg
    >>> mg.isclose(mg.tensor([1.0, 2.0]), mg.tensor([1.0 + 1e-7, 2.1]))
    tensor([ True, False])
    """
    return xp.isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@explained
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all pairs are close, see `isclose`. Source: `torch.allclose`.

    >>> import minigrad as mg
    >>> mg.allclose(mg.tensor([1.0]), mg.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan).all())


@explained
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements. Source: `torch.equal`.

    >>> import minigrad as mg
    >>> mg.equal(mg.tensor([1, 2]), mg.tensor([1, 2]))
    True
    """
    return input.shape == other.shape and bool((input == other).all())

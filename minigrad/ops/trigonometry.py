"""Angles: waves, their inverses, and their hyperbolic relatives."""

from __future__ import annotations

from typing import Any

from ..errors import explained
from ..op import op
from .elementwise import sqrt


@op("float", input=lambda g, input: g * cos(input))
def sin(xp, input):
    """Sine of an angle in radians. Source: `torch.sin`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).sin()
    tensor([0.0000, 0.8415])
    """
    return xp.sin(input)


@op("float", input=lambda g, input: -g * sin(input))
def cos(xp, input):
    """Cosine of an angle in radians. Source: `torch.cos`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).cos()
    tensor([1.0000, 0.5403])
    """
    return xp.cos(input)


@explained
def tan(input: Any) -> Any:
    """Tangent of an angle in radians. Source: `torch.tan`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).tan()
    tensor([0.0000, 1.5574])
    """
    return sin(input) / cos(input)


@op(
    "float",
    input=lambda g, input, other: g * other / (input * input + other * other),
    other=lambda g, input, other: -g * input / (input * input + other * other),
)
def atan2(xp, input, other):
    """Angle of the point with y = input and x = other, from -pi to pi. Source: `torch.atan2`.

    >>> import minigrad as mg
    >>> mg.atan2(mg.tensor([1.0, -1.0]), mg.tensor([0.0, -1.0]))
    tensor([ 1.5708, -2.3562])
    """
    return xp.arctan2(input, other)


# The other inverses are angles of points, too: of (1, x), and of the points on the unit circle at height or width x.


@explained
def atan(input: Any) -> Any:
    """Angle whose tangent is each element, from -pi/2 to pi/2. Source: `torch.atan`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).atan()
    tensor([0.0000, 0.7854])
    """
    return atan2(input, 1.0)


@explained
def asin(input: Any) -> Any:
    """Angle whose sine is each element, from -pi/2 to pi/2; NaN outside -1 to 1. Source: `torch.asin`.

    >>> import minigrad as mg
    >>> mg.tensor([0.5, 1.0]).asin()
    tensor([0.5236, 1.5708])
    """
    return atan2(input, sqrt((1 - input) * (1 + input)))


@explained
def acos(input: Any) -> Any:
    """Angle whose cosine is each element, from 0 to pi; NaN outside -1 to 1. Source: `torch.acos`.

    >>> import minigrad as mg
    >>> mg.tensor([0.5, 1.0]).acos()
    tensor([1.0472, 0.0000])
    """
    return atan2(sqrt((1 - input) * (1 + input)), input)


@op("float", input=lambda g, input: g * cosh(input))
def sinh(xp, input):
    """Hyperbolic sine, (exp(x) - exp(-x)) / 2. Source: `torch.sinh`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).sinh()
    tensor([0.0000, 1.1752])
    """
    return xp.sinh(input)


@op("float", input=lambda g, input: g * sinh(input))
def cosh(xp, input):
    """Hyperbolic cosine, (exp(x) + exp(-x)) / 2. Source: `torch.cosh`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).cosh()
    tensor([1.0000, 1.5431])
    """
    return xp.cosh(input)


@op("float", input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out))
def hypot(xp, input, other):
    """sqrt(input^2 + other^2) without overflow. Source: `torch.hypot`.

    >>> import minigrad as mg
    >>> mg.hypot(mg.tensor([3.0]), mg.tensor([4.0]))
    tensor([5.])
    """
    return xp.hypot(input, other)

"""Functions of each element by itself, and of pairs of elements under broadcasting.

A rule reads as the derivative does in a table: `g` times the derivative. At kinks and ties the rules take PyTorch's
subgradients, which the tests hold them to.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy import ndarray

from .. import backend
from ..composite import composite
from ..errors import explained
from ..fast import with_kernel
from ..kernels import cpu as kernels
from ..op import op
from .choice import where

elementwise = partial(op, dtypes="promote")  # the result has the inputs' dtype
floating = partial(op, dtypes="float")  # integers become floating point first

_multiply, _square, _subtract = np.multiply, np.square, np.subtract  # np.square takes NumPy's `__getattr__` each time

# ------------------------------------------------------------------------------------------------------ arithmetic


@elementwise(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else g * alpha)
def add(xp, input, other, *, alpha=1):
    """Sum `input + alpha * other`, broadcasting. Source: `torch.add`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0]) + mg.tensor([[10.0], [20.0]])
    tensor([[11., 12.],
            [21., 22.]])
    """
    return input + other if alpha == 1 else input + alpha * other


@elementwise(input=lambda g: g, other=lambda g, alpha: -g if alpha == 1 else g * -alpha)
def sub(xp, input, other, *, alpha=1):
    """Difference `input - alpha * other`, broadcasting. Source: `torch.sub`.

    >>> import minigrad as mg
    >>> 5 - mg.tensor([1, 2])
    tensor([4, 3])
    """
    return input - other if alpha == 1 else input - alpha * other


@elementwise(input=lambda g, other: g * other, other=lambda g, input: g * input)
def mul(xp, input, other):
    """Product of each pair of elements, broadcasting. Source: `torch.mul`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0]) * 3
    tensor([3., 6.])
    """
    return input * other


@floating(input=lambda g, other: g / other, other=lambda g, other, out: -g * out / other)
def _true_div(xp, input, other):
    return xp.true_divide(input, other)


@elementwise()
def floor_divide(xp, input, other):
    """Quotient rounded down; has no gradient. Source: `torch.floor_divide`.

    >>> import minigrad as mg
    >>> mg.tensor([7, -7]) // 2
    tensor([ 3, -4])
    """
    return xp.floor_divide(input, other)


@explained
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Quotient of each pair of elements; integers give floating point numbers. Source: `torch.div`.

    Args:
        input, other: tensors or numbers.
        rounding_mode: None, "trunc" (towards zero) or "floor"; a rounded quotient has gradient zero.

    Raises:
        RuntimeError: another rounding mode.

    >>> import minigrad as mg
    >>> mg.tensor([7, -7]) / 2, mg.div(mg.tensor([7, -7]), 2, rounding_mode="trunc")
    (tensor([ 3.5000, -3.5000]), tensor([ 3, -3]))
    """
    if rounding_mode is None:
        return _true_div(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        integers = all(isinstance(x, int) or (hasattr(x, "dtype") and x.dtype.kind in "iub") for x in (input, other))
        quotient = trunc(_true_div(input.double() if integers and hasattr(input, "double") else input, other))
        return quotient.long() if integers else quotient
    raise RuntimeError(f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")


@elementwise(input=lambda g: g, other=lambda g, input, other: -g * floor(input / other))
def remainder(xp, input, other):
    """Remainder of division with the sign of the divisor, as Python's `%`. Source: `torch.remainder`.

    >>> import minigrad as mg
    >>> mg.tensor([-3.0, 3.0]) % 2
    tensor([1., 1.])
    """
    return xp.remainder(input, other)


@elementwise(input=lambda g: g, other=lambda g, input, other: -g * trunc(input / other))
def fmod(xp, input, other):
    """Remainder of division with the sign of the dividend, as in C. Source: `torch.fmod`.

    >>> import minigrad as mg
    >>> mg.fmod(mg.tensor([-3.0, 3.0]), 2)
    tensor([-1.,  1.])
    """
    return xp.fmod(input, other)


def _power_slope(g, input, other):
    """d/dx x**n = n * x**(n-1), and 0 for n = 0 also where x is 0."""
    if isinstance(other, (int, float)):
        return g * 0 if other == 0 else g * (other * input ** (other - 1))
    return where(other == 0, 0.0, g * (other * input ** where(other == 0, 1.0, other - 1)))


def _exponent_slope(g, input, other, out):
    """d/dn x**n = x**n * log(x), and 0 for x = 0, where log is infinite but x**n is 0."""
    if isinstance(input, (int, float)):
        slope = out * (math.log(input) if input > 0 else -math.inf if input == 0 else math.nan)
    else:
        slope = out * log(input)
    return g * where((input == 0) & (other >= 0), 0.0, slope)


@elementwise(input=_power_slope, other=_exponent_slope)
def pow(xp, input, other):
    """Power `input ** other`, broadcasting. Source: `torch.pow`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2.0, 3.0]) ** 2
    tensor([1., 4., 9.])
    """
    if isinstance(other, int):  # the library's power function takes 50 times as long as a product
        if other == 2:
            return input * input
        if other == 3:
            return input * input * input
        if other < 0 and input.dtype.kind in "iu":
            raise RuntimeError("integers to negative powers are not integers; convert with .float() first")
    return input**other


@elementwise(input=lambda g: -g)
def neg(xp, input):
    """Minus each element. Source: `torch.neg`.

    >>> import minigrad as mg
    >>> -mg.tensor([1.0, -2.0])
    tensor([-1.,  2.])
    """
    return -input


@elementwise(input=lambda g, input: g * sign(input))
def abs(xp, input):
    """Absolute value; its gradient at 0 is 0. Source: `torch.abs`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 2.0]).abs()
    tensor([1.5000, 2.0000])
    """
    return xp.abs(input)


@elementwise(input=lambda g, input: g * 0)
def sign(xp, input):
    """-1, 0 or 1 by the sign of each element; the gradient is zero. Source: `torch.sign`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 0.0, 2.0]).sign()
    tensor([-1.,  0.,  1.])
    """
    return xp.where(input == input, xp.sign(input), input.dtype.type(0))  # 0 for NaN, as in PyTorch


@elementwise(input=lambda g: g * 0)
def floor(xp, input):
    """Largest integer not above each element; the gradient is zero. Source: `torch.floor`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 1.5]).floor()
    tensor([-2.,  1.])
    """
    return xp.floor(input)


@elementwise(input=lambda g: g * 0)
def ceil(xp, input):
    """Smallest integer not below each element; the gradient is zero. Source: `torch.ceil`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 1.5]).ceil()
    tensor([-1.,  2.])
    """
    return xp.ceil(input)


@elementwise(input=lambda g: g * 0)
def round(xp, input, *, decimals=0):
    """Nearest integer (halves to even), or so many decimals; the gradient is zero. Source: `torch.round`.

    >>> import minigrad as mg
    >>> mg.tensor([0.5, 1.5, 2.7]).round()
    tensor([0., 2., 3.])
    """
    return xp.round(input, decimals)


@elementwise(input=lambda g: g * 0)
def trunc(xp, input):
    """Integer part of each element; the gradient is zero. Source: `torch.trunc`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.5, 1.5]).trunc()
    tensor([-1.,  1.])
    """
    return xp.trunc(input)


@elementwise(
    input=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, input, end: g * (end - input),
)
def lerp(xp, input, end, weight):
    """`input + weight * (end - input)`: the way from input to end. Source: `torch.lerp`.

    >>> import minigrad as mg
    >>> mg.lerp(mg.tensor([0.0]), mg.tensor([10.0]), 0.3)
    tensor([3.])
    """
    return input + weight * (end - input)


# ------------------------------------------------------------------------------------- exponentials and roots -------


@with_kernel(kernels.mul, kernels.pointwise.SMALL)
def _times(g, other):
    return g * other


@floating(input=lambda g, out: _times(g, out))
def exp(xp, input):
    """e to the power of each element. Source: `torch.exp`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).exp()
    tensor([1.0000, 2.7183])
    """
    return xp.exp(input)


@floating(input=lambda g, out: g * (out + 1))
def expm1(xp, input):
    """exp(x) - 1, exact near zero. Source: `torch.expm1`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).expm1()
    tensor([0.0000, 1.7183])
    """
    return xp.expm1(input)


@floating(input=lambda g, input: g / input)
def log(xp, input):
    """Natural logarithm; -inf at 0, NaN below. Source: `torch.log`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 0.0]).log()
    tensor([0., -inf])
    """
    return xp.log(input)


@floating(input=lambda g, input: g / (input + 1))
def log1p(xp, input):
    """log(1 + x), exact near zero. Source: `torch.log1p`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).log1p()
    tensor([0.0000, 0.6931])
    """
    return xp.log1p(input)


@floating(input=lambda g, input: g / (input * math.log(2)))
def log2(xp, input):
    """Logarithm to base 2, exact for powers of 2. Source: `torch.log2`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 8.0]).log2()
    tensor([0., 3.])
    """
    return xp.log2(input)


@floating(input=lambda g, input: g / (input * math.log(10)))
def log10(xp, input):
    """Logarithm to base 10. Source: `torch.log10`.

    >>> import minigrad as mg
    >>> mg.tensor([1.0, 2000.0]).log10()
    tensor([0.0000, 3.3010])
    """
    return xp.log10(input)


@floating(input=lambda g, input, other: g * sigmoid(input - other), other=lambda g, input, other: g * sigmoid(other - input))
def logaddexp(xp, input, other):
    """log(exp(input) + exp(other)) without overflow. Source: `torch.logaddexp`.

    >>> import minigrad as mg
    >>> mg.logaddexp(mg.tensor([1000.0]), mg.tensor([1000.0]))
    tensor([1000.6932])
    """
    return xp.logaddexp(input, other)


@floating(input=lambda g, out: g / (2 * out))
def sqrt(xp, input):
    """Square root; its slope at 0 is infinite. Source: `torch.sqrt`.

    >>> import minigrad as mg
    >>> mg.tensor([4.0, 9.0]).sqrt()
    tensor([2., 3.])
    """
    return xp.sqrt(input)


@floating(input=lambda g, out: g * (-0.5 * out * out * out))
def rsqrt(xp, input):
    """1 / sqrt(x). Source: `torch.rsqrt`.

    >>> import minigrad as mg
    >>> mg.tensor([4.0]).rsqrt()
    tensor([0.5000])
    """
    return 1 / xp.sqrt(input)


@elementwise(input=lambda g, input: g * (2 * input))
def square(xp, input):
    """x * x. Source: `torch.square`.

    >>> import minigrad as mg
    >>> mg.tensor([2.0, -3.0]).square()
    tensor([4., 9.])
    """
    return input * input


@floating(input=lambda g, out: -g * out * out)
def reciprocal(xp, input):
    """1 / x. Source: `torch.reciprocal`.

    >>> import minigrad as mg
    >>> mg.tensor([2.0, -4.0]).reciprocal()
    tensor([ 0.5000, -0.2500])
    """
    return 1 / input


# ----------------------------------------------------------------------------------------------------- activations


@with_kernel(kernels.tanh_slope, kernels.pointwise.SMALL)
def _tanh_slope(g, out):
    if type(g) is not ndarray or not g.ndim:
        return g - g * out * out
    squares = _square(out)  # its memory serves twice: of few numbers, a new array takes as long as they do
    return _subtract(g, _multiply(g, squares, squares), squares)


@floating(input=_tanh_slope)
def tanh(xp, input):
    """Hyperbolic tangent. Source: `torch.tanh`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).tanh()
    tensor([0.0000, 0.7616])
    """
    return xp.tanh(input)


@with_kernel(kernels.sigmoid_slope, kernels.pointwise.SMALL)
def _sigmoid_slope(g, out):
    return g * (out * (1 - out))


@floating(input=_sigmoid_slope)
def sigmoid(xp, input):
    """1 / (1 + exp(-x)); 0 and 1 far out, never NaN. Source: `torch.sigmoid`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, -800.0, 800.0]).sigmoid()
    tensor([0.5000, 0.0000, 1.0000])
    """
    return xp.reciprocal(1 + xp.exp(-input))


@floating(input=lambda g, input: g * sigmoid(-input))
def logsigmoid(xp, input):
    """log(sigmoid(x)) without overflow. Source: `torch.nn.functional.logsigmoid`.

    >>> import minigrad as mg
    >>> mg.nn.functional.logsigmoid(mg.tensor([0.0, -800.0]))
    tensor([-6.9315e-01, -8.0000e+02])
    """
    return xp.minimum(input, 0) - xp.log1p(xp.exp(-xp.abs(input)))


@floating(input=lambda g, input: g * ((2 / math.sqrt(math.pi)) * exp(-input * input)))
def erf(xp, input):
    """The error function 2/sqrt(pi) * integral of exp(-t^2) from 0 to x. Source: `torch.erf`.

    >>> import minigrad as mg
    >>> mg.tensor([0.0, 1.0]).erf()
    tensor([0.0000, 0.8427])
    """
    return backend.erf(xp, input)


@with_kernel(kernels.relu_slope, kernels.pointwise.SMALL)
def _relu_slope(g, out):
    return g * (out > 0)


@elementwise(input=_relu_slope)
def relu(xp, input):
    """max(x, 0); its gradient at 0 is 0. Source: `torch.relu`.

    >>> import minigrad as mg
    >>> mg.tensor([-1.0, 2.0]).relu()
    tensor([0., 2.])
    """
    return xp.maximum(input, 0)


for _function in (add, sub, mul, exp, relu, sigmoid, tanh):
    _function.fast("cpu", kernels.pointwise.SMALL)(getattr(kernels, _function.op.name))
_true_div.fast("cpu", kernels.pointwise.SMALL)(kernels.div)
mul.together(kernels.mul_slopes, least=kernels.pointwise.SMALL)

_C = math.sqrt(2 / math.pi)


@composite
def _gelu(input, *, approximate):
    if approximate == "tanh":
        return 0.5 * input * (1 + tanh(_C * input * (1 + 0.044715 * (input * input))))
    return 0.5 * input * (1 + erf(input * math.sqrt(0.5)))


_gelu.fused("cpu", kernels.gelu, kernels.gelu_backward)


@explained
def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the normal distribution's probability of being below x. Source: `torch.nn.functional.gelu`.

    Args:
        input: any shape.
        approximate: "none" for the exact function, "tanh" for GPT-2's approximation to it, 5e-4 off at most.

    Raises:
        RuntimeError: another name.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    >>> import minigrad as mg
    >>> mg.nn.functional.gelu(mg.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _gelu(input, approximate=approximate)

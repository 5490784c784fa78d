"""exp, tanh and their like inside of kernels, as sums and products that the compiler turns into vector instructions.

A call of the C library's expf from a loop takes one element at a time. Written as a polynomial the same function goes
through a whole vector register at once: four million exponentials on two threads take 2.4 ms in place of 10.3.

    exp(x) = 2^k * exp(r)        k the nearest integer to x / log 2, so that |r| <= log(2) / 2

exp(r) is its Taylor series, as long as the dtype asks for, and 2^k is written into the exponent bits. NaN stays NaN.
These are for use inside of kernels, of numbers and not of arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .jit import Intrinsic, jit

LOG2_E = 1 / math.log(2)
LN2_HIGH = 0.693145751953125  # log 2 in two parts, the first so short that k times it is exact
LN2_LOW = math.log(2) - LN2_HIGH
HALF_ROOT = math.sqrt(0.5)
DENSITY = 1 / math.sqrt(2 * math.pi)


@jit("F", parallel=False)
def is_single(x):
    """Whether a number is a float32; the compiler knows the answer and leaves out the other branch."""
    real = type(x)
    return real(1) + real(1e-9) == real(1)


@jit("F", parallel=False)
def power_of_two(k):
    """2^k for a whole number k (of floating point dtype), by its bits."""
    real = type(k)
    if is_single(k):
        return real(np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32))
    return real(np.int64((np.int64(k) + np.int64(1023)) << np.int64(52)).view(np.float64))


@jit("F", parallel=False)
def expm1_near_zero(r):
    """exp(r) - 1 for |r| <= log(2) / 2: Taylor's series to the power 7, or 13 for float64."""
    real = type(r)
    s = real(1 / 5040)
    if not is_single(r):
        s = real(1 / 6227020800)
        s = s * r + real(1 / 479001600)
        s = s * r + real(1 / 39916800)
        s = s * r + real(1 / 3628800)
        s = s * r + real(1 / 362880)
        s = s * r + real(1 / 40320)
        s = s * r + real(1 / 5040)
    s = s * r + real(1 / 720)
    s = s * r + real(1 / 120)
    s = s * r + real(1 / 24)
    s = s * r + real(1 / 6)
    s = s * r + real(1 / 2)
    return s * r * r + r


@jit("F", parallel=False)
def exp(x):
    """e^x: exactly 0 where it would be subnormal, inf just below where it would overflow."""
    real = type(x)
    k = np.floor(x * real(LOG2_E) + real(0.5))
    scale = power_of_two(k)
    y = scale * expm1_near_zero((x - k * real(LN2_HIGH)) - k * real(LN2_LOW)) + scale
    low, high = (real(-87.3), real(88.3)) if is_single(x) else (real(-708.3), real(709.4))
    y = real(0) if x < low else y
    return real(np.inf) if x > high else y


@jit("F", parallel=False)
def sigmoid(x):
    """1 / (1 + exp(-x))"""
    real = type(x)
    return real(1) / (real(1) + exp(-x))


@jit("F", parallel=False)
def tanh(x):
    """(e^2x - 1) / (e^2x + 1), from e^2x - 1, so that small x keep all their digits."""
    real = type(x)
    x = real(-20) if x < real(-20) else x
    x = real(20) if x > real(20) else x  # where tanh is 1 to the last bit
    x += x
    k = np.floor(x * real(LOG2_E) + real(0.5))
    scale = power_of_two(k)
    y = scale * expm1_near_zero((x - k * real(LN2_HIGH)) - k * real(LN2_LOW)) + (scale - real(1))
    return y / (y + real(2))


@jit("F", parallel=False)
def normal(x):
    """The standard normal distribution at x: its density, and its probability of being below x.

    For float32 the probability is t * P(t) * exp(-a^2) on the side of the tail, with a = |x| / sqrt(2) and t = 2 / (2 + a):
    the form of Numerical Recipes, section 6.2, with a polynomial P of our own, fitted for the least relative error (1e-8).
    """
    real = type(x)
    bell = exp(real(-0.5) * x * x)
    if not is_single(x):
        return bell * real(DENSITY), real(0.5 * math.erfc(-x * HALF_ROOT))
    t = real(2) / (real(2) + abs(x) * real(HALF_ROOT))
    p = real(0.0423520982)
    p = p * t + real(-0.230855419)
    p = p * t + real(0.486174633)
    p = p * t + real(-0.446973065)
    p = p * t + real(0.127086755)
    p = p * t + real(-0.0572314593)
    p = p * t + real(0.093000354)
    p = p * t + real(0.17537686)
    p = p * t + real(0.246880584)
    p = p * t + real(0.282093853)
    p = p * t + real(0.282094795)
    tail = real(0.5) * t * p * bell
    return bell * real(DENSITY), tail if x < real(0) else real(1) - tail


def _maximum() -> Any:
    from llvmlite import ir
    from numba.core import cgutils

    def larger(typing: Any, a: Any, b: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            real = context.get_value_type(a)
            name = f"llvm.maximum.f{a.bitwidth}"
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(real, [real, real]), name)
            return builder.call(function, arguments)

        return a(a, a), emit

    return larger


# The larger of two numbers, NaN if one is NaN. Over a row `max(a, b)` and `a if a > b else b` are not vectorised, since
# with a NaN their result depends on the order; this is the one maximum for which it does not.
maximum = Intrinsic(_maximum)

"""Functions of one number or of two, by all threads: arithmetic, ReLU, exp, tanh, sigmoid, and what their slopes need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import elementary
from .elementary import LN2_HIGH, LN2_LOW, LOG2_E, expm1_near_zero, is_single, power_of_two
from .jit import Kernel, available, jit, prange
from .layout import FLOATS, flat, flat_like, repeated, wide

SMALL = 50_000  # numbers


@jit("F", parallel=False)
def _relu(x):
    zero = type(x)(0)
    return zero if x <= zero else x  # NaN stays


@jit("F", parallel=False)
def _exp(x):
    """e^x up to where it overflows, which 2^k does before: `elementary.exp` stops there. 0 where it would be subnormal."""
    real = type(x)
    low, high = (real(-87.3), real(89)) if is_single(x) else (real(-708.3), real(710))
    x = low if x < low else x
    x = high if x > high else x
    k = np.floor(x * real(LOG2_E) + real(0.5))
    half = (expm1_near_zero((x - k * real(LN2_HIGH)) - k * real(LN2_LOW)) + real(1)) * power_of_two(k - real(1))
    return real(0) if x == low else half + half


@jit("F, F", parallel=False)
def _relu_slope(g, y):
    zero = type(g)(0)
    return g if y > zero else zero


@jit("F, F", parallel=False)
def _tanh_slope(g, y):
    return g - g * y * y


@jit("F, F", parallel=False)
def _sigmoid_slope(g, y):
    return g * (y * (type(g)(1) - y))


@jit("F, F", parallel=False)
def _add(a, b):
    return a + b


@jit("F, F", parallel=False)
def _sub(a, b):
    return a - b


@jit("F, F", parallel=False)
def _mul(a, b):
    return a * b


@jit("F, F", parallel=False)
def _div(a, b):
    return a / b


def _of_one(of_one: Kernel) -> Callable[[np.ndarray], Any]:
    """A function of one array, which returns NotImplemented where NumPy is as good."""

    @jit("F[::1], F[::1]")
    def run(x, out):
        for i in prange(len(x)):
            out[i] = of_one(x[i])

    def call(x: np.ndarray) -> Any:
        if x.size < SMALL or x.dtype not in FLOATS or (numbers := flat(x)) is None or not available():
            return NotImplemented
        out = np.empty_like(x)
        run(numbers, out.ravel("K"))
        return out

    run.name = f"pointwise.{of_one.function.__name__.strip('_')}"
    return call


def _of_two(of_two: Kernel) -> Callable[[np.ndarray, np.ndarray], Any]:
    """A function of two arrays of one shape; NotImplemented where NumPy is as good."""

    @jit("F[::1], F[::1], F[::1]")
    def run(g, y, out):
        for i in prange(len(g)):
            out[i] = of_two(g[i], y[i])

    def call(g: np.ndarray, y: np.ndarray) -> Any:
        if g.size < SMALL or g.dtype not in FLOATS or g.dtype != y.dtype or g.shape != y.shape:
            return NotImplemented
        if (numbers := flat(y)) is None or not available():
            return NotImplemented
        out = np.empty_like(y)
        run(flat_like(g, y), numbers, out.ravel("K"))
        return out

    run.name = f"pointwise.{of_two.function.__name__.strip('_')}"
    return call


relu, exp, tanh, sigmoid = (_of_one(f) for f in (_relu, _exp, elementary.tanh, elementary.sigmoid))
relu_slope, tanh_slope, sigmoid_slope = (_of_two(f) for f in (_relu_slope, _tanh_slope, _sigmoid_slope))


def _with_rows(of_two: Kernel) -> Callable[[np.ndarray, np.ndarray], Any]:
    """A function of an array and of what is the same for all its rows, as a bias is; NotImplemented where NumPy is as good."""

    @jit("F[:,::1], F[::1], F[:,::1]")
    def run(x, row, out):
        for i in prange(len(x)):
            for j in range(x.shape[1]):
                out[i, j] = of_two(x[i, j], row[j])

    def call(x: np.ndarray, row: np.ndarray) -> Any:
        if x.size < SMALL or x.dtype not in FLOATS or x.dtype != row.dtype or not (x.flags.carray and row.flags.carray):
            return NotImplemented
        if not row.ndim or x.shape[x.ndim - row.ndim :] != row.shape or not available():
            return NotImplemented
        table = wide(x.reshape(-1, row.size))
        out = np.empty_like(table)
        run(table, repeated(row.reshape(-1), table.shape[1] // row.size), out)
        return out.reshape(x.shape)

    run.name = f"pointwise.{of_two.function.__name__.strip('_')}_rows"
    return call


def _arithmetic(of_two: Kernel) -> Callable[..., Any]:
    """An operation of two arrays that lie alike in memory, or with a row; whatever else there is, is left to NumPy."""
    compute, compute_rows = _of_two(of_two), _with_rows(of_two)

    def call(a: Any, b: Any, *, alpha: Any = 1) -> Any:
        if not type(a) is type(b) is np.ndarray or alpha != 1:
            return NotImplemented
        if a.shape == b.shape:
            return compute(a, b) if a.strides == b.strides else NotImplemented
        return compute_rows(a, b)

    return call


add, sub, mul, div = (_arithmetic(f) for f in (_add, _sub, _mul, _div))


def mul_slopes(g: np.ndarray, needs: list[bool], *kept: Any) -> Any:
    """The gradients of two factors that lie alike in memory; of one of them the other is kept."""
    grads = [mul(g, other) if need else None for need, other in zip(needs, (kept[-1], kept[0]))]
    return NotImplemented if any([x is NotImplemented for x in grads]) else grads

"""GELU, exact and by GPT-2's approximation, and SiLU: x times a smooth step from 0 to 1.

1. The formula makes eight arrays, each written to memory and read again.
2. NumPy alone, for the approximation: the same passes over blocks that stay in the cache.
3. Compiled: one pass. The backward pass computes the step anew from x, so that nothing is kept but x. The approximation
   (1 + tanh(u)) / 2 is sigmoid(2u), which is one exponential and one division.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .elementary import normal, sigmoid
from .jit import Kernel, jit, prange
from .rows import flat, pays

C = math.sqrt(2 / math.pi)
CUBIC = 0.044715
BLOCK = 1 << 14  # elements; with its temporaries a block takes a few hundred KB

# ---------------------------------------------------------------------------------------------------------- compiled


@jit("F", parallel=False)
def _tanh_form(x):
    """gelu(x) by the approximation, and its slope."""
    real = type(x)
    s = sigmoid(x * (real(2 * C) + real(2 * C * CUBIC) * x * x))
    bend = x * (real(2 * C) + real(6 * C * CUBIC) * x * x)  # x times the slope of what is in the sigmoid
    return x * s, s + bend * s * (real(1) - s)


@jit("F", parallel=False)
def _exact(x):
    density, below = normal(x)
    return x * below, below + x * density


@jit("F", parallel=False)
def _silu(x):
    s = sigmoid(x)
    return x * s, s + x * s * (type(x)(1) - s)


def _pair(function: Kernel) -> tuple[Kernel, Kernel]:
    """Kernels that apply a function and its slope to all elements."""

    @jit("F[::1], F[::1]")
    def forward(x, out):
        for i in prange(x.size):
            out[i] = function(x[i])[0]

    @jit("F[::1], F[::1], F[::1]")
    def backward(g, x, out):
        for i in prange(x.size):
            out[i] = g[i] * function(x[i])[1]

    forward.name, backward.name = (f"gelu{function.function.__name__}_{way}" for way in ("forward", "backward"))
    return forward, backward


KERNELS = {"tanh": _pair(_tanh_form), "none": _pair(_exact), "silu": _pair(_silu)}


def _apply(x: np.ndarray, kind: str) -> np.ndarray:
    out = np.empty(x.shape, x.dtype)
    KERNELS[kind][0](flat(x), out.reshape(-1))
    return out


def _slope(g: np.ndarray, x: np.ndarray, kind: str) -> np.ndarray:
    out = np.empty(x.shape, x.dtype)
    KERNELS[kind][1](flat(g), flat(x), out.reshape(-1))
    return out


def silu(x: np.ndarray) -> Any:
    return (_apply(x, "silu"), None) if pays(x) else NotImplemented


def silu_backward(g: np.ndarray, needs: list[bool], kept: None, x: np.ndarray) -> list:
    return [_slope(g, x, "silu")]


def gelu(x: np.ndarray, *, approximate: str) -> Any:
    if pays(x):
        return _apply(x, approximate), True
    if approximate != "tanh" or x.dtype.kind != "f":
        return NotImplemented
    return _numpy_gelu(np.ascontiguousarray(x)), False


def gelu_backward(g: np.ndarray, needs: list[bool], compiled: bool, x: np.ndarray, *, approximate: str) -> list:
    if compiled:
        return [_slope(g, x, approximate)]
    return [_numpy_slope(np.ascontiguousarray(g), np.ascontiguousarray(x))]


# ------------------------------------------------------------------------------------------------------- NumPy alone


def _blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    rows = [a.reshape(-1) for a in arrays]
    for start in range(0, rows[0].size, BLOCK):
        yield tuple(a[start : start + BLOCK] for a in rows)


def _tanh(x: np.ndarray) -> np.ndarray:
    """tanh(C * (x + 0.044715 x^3))"""
    t = x * x
    t *= CUBIC * C
    t += C
    t *= x
    return np.tanh(t, out=t)


def _numpy_gelu(x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for block, result in _blocks(x, out):
        t = _tanh(block)
        t += 1
        t *= 0.5
        np.multiply(t, block, out=result)
    return out


def _numpy_slope(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """With t = tanh(u):  g * (0.5 (1 + t) + 0.5 x (1 - t^2) du/dx)."""
    out = np.empty_like(x)
    for block, gradient, result in _blocks(x, g, out):
        t = _tanh(block)
        slope = block * block
        slope *= 3 * CUBIC * C
        slope += C
        slope *= block
        square = t * t
        slope -= np.multiply(slope, square, out=square)  # x (1 - t^2) du/dx
        slope += t
        slope += 1
        slope *= 0.5
        np.multiply(slope, gradient, out=result)
    return out

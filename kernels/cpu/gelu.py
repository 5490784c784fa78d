"""GELU, exact and by GPT-2's approximation, and SiLU: x times a smooth step from 0 to 1.

1. The formula makes eight arrays, each written to memory and read again.
2. NumPy alone, for the approximation: passes over blocks that stay in the cache. The step is kept for the backward pass.
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
        return _apply(x, approximate), None
    if approximate != "tanh" or x.dtype.kind != "f":
        return NotImplemented
    return _numpy_gelu(np.ascontiguousarray(x))


def gelu_backward(g: np.ndarray, needs: list[bool], steps: np.ndarray | None, x: np.ndarray, *, approximate: str) -> list:
    if steps is None:
        return [_slope(g, x, approximate)]
    return [_numpy_slope(np.ascontiguousarray(g), np.ascontiguousarray(x), steps)]


# ------------------------------------------------------------------------------------------------------- NumPy alone


def _blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    rows = [a.reshape(-1) for a in arrays]
    for start in range(0, rows[0].size, BLOCK):
        yield tuple(a[start : start + BLOCK] for a in rows)


def _numpy_gelu(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The result, and the step."""
    out, steps = np.empty_like(x), np.empty_like(x)
    for block, result, step in _blocks(x, out, steps):
        np.multiply(block, block, out=step)
        step *= CUBIC * C
        step += C
        step *= block
        np.tanh(step, out=step)
        step *= 0.5
        step += 0.5
        np.multiply(block, step, out=result)
    return out, steps


def _numpy_slope(g: np.ndarray, x: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """With the step s, which is sigmoid(2u):  g * (s + x s (1 - s) 2 du/dx)."""
    out = np.empty_like(x)
    for block, gradient, step, slope in _blocks(x, g, steps, out):
        np.multiply(block, block, out=slope)
        slope *= 6 * CUBIC * C
        slope += 2 * C
        slope *= block
        slope -= slope * step
        slope += 1
        slope *= step
        slope *= gradient
    return out

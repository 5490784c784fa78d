"""How compiled row kernels are held to the formulas: the same call with and without fast paths, on many inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from minigrad.kernels.cpu import jit

import minigrad as mg
from minigrad.fast import use_fast_paths

inf, nan = float("inf"), float("nan")
rng = np.random.default_rng(0)

TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-11}


def normal(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def with_gaps(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda x: x,
    "gaps": with_gaps,
    "backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "columns": np.asfortranarray,
}


def close(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    """Relative to the largest value there is; NaN and infinities exactly where they should be."""
    assert got.dtype == wanted.dtype and got.shape == wanted.shape
    scale = max(1.0, np.max(np.abs(wanted), where=np.isfinite(wanted), initial=0))
    tolerance = TOLERANCE[got.dtype]
    np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def compare(f: Callable, arrays: list[np.ndarray], kernels: list[jit.Kernel], monkeypatch: Any) -> None:
    """Result and gradients of f with fast paths and without must agree, and these kernels must have run."""
    ran = []
    for kernel in kernels:
        run = kernel.compiled()
        monkeypatch.setattr(kernel, "_run", lambda *a, kernel=kernel, run=run: (ran.append(kernel), run(*a))[1])
    found = []
    for fast in (True, False):
        inputs = [mg.from_numpy(a).requires_grad_() for a in arrays]
        with use_fast_paths(fast):
            y = f(*inputs)
            cotangent = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
            y.backward(mg.from_numpy(np.asarray(cotangent)))
        found.append([y.detach().numpy(), *(x.grad.numpy() for x in inputs)])
        if fast:
            assert {k.name for k in ran} == {k.name for k in kernels}
            ran.clear()
    assert not ran, "the formula must not use kernels"
    for i, (got, wanted) in enumerate(zip(*found)):
        close(got, wanted, f"gradient of argument {i - 1}" if i else "result")

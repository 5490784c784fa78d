"""GELU on CUDA: how the kernels of gelu.cu are launched, and what is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..ladder import Case, Ladder, Step
from .launcher import Kernel, Launch, ceil_div, launch, namespace
from .layer_norm import wide


def ones(n: int) -> Launch:
    """A thread for each number."""
    return Launch((ceil_div(n, 256),), (256,))


def fours(n: int) -> Launch:
    """A thread for four numbers."""
    return Launch((ceil_div(n, 1024),), (256,))


def _kernels(name: str) -> dict[str, Kernel]:
    return {v: Kernel(f"{name}_{v}", "gelu.cu", how, wide=True) for v, how in (("v1", ones), ("v2", fours))}


FORWARD = {"none": _kernels("gelu"), "tanh": _kernels("gelu_tanh")}
BACKWARD = {"none": _kernels("gelu_backward"), "tanh": _kernels("gelu_tanh_backward")}


def forward(x: Any, approximate: str = "none", launch: Any = launch, step: str | None = None) -> Any:
    """GELU of a contiguous float32 array."""
    y = namespace(x).empty(x.shape, x.dtype)
    launch(FORWARD[approximate][step or ("v2" if wide(0, x, y) else "v1")], (x, y, x.size), n=x.size)
    return y


def backward(x: Any, dy: Any, approximate: str = "none", launch: Any = launch, step: str | None = None) -> Any:
    """The gradient for x."""
    dx = namespace(x).empty(x.shape, x.dtype)
    launch(BACKWARD[approximate][step or ("v2" if wide(0, x, dy, dx) else "v1")], (x, dy, dx, x.size), n=x.size)
    return dx


def _draw(rng: Any, n: int) -> Any:
    x = 3 * rng.standard_normal(n, dtype=np.float32)
    x[: n // 8] *= 10  # far out, where erf and tanh are 1
    return x


def _inputs(rng: Any, n: int, approximate: str) -> dict[str, Any]:
    return {"x": _draw(rng, n)}


def _backward_inputs(rng: Any, n: int, approximate: str) -> dict[str, Any]:
    return {"x": _draw(rng, n), "dy": rng.standard_normal(n, dtype=np.float32)}


def _value_and_slope(x: Any, approximate: str) -> tuple[Any, Any]:
    x = x.astype(np.float64)
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        t = np.tanh(c * (x + 0.044715 * x**3))
        return x * (1 + t) / 2, (1 + t) / 2 + x * (1 - t * t) / 2 * c * (1 + 3 * 0.044715 * x * x)
    p = (1 + np.array([math.erf(v / math.sqrt(2)) for v in x])) / 2
    return x * p, p + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _reference(case: Case, x: Any) -> dict[str, Any]:
    return {"y": _value_and_slope(x, case["approximate"])[0]}


def _backward_reference(case: Case, x: Any, dy: Any) -> dict[str, Any]:
    return {"dx": dy * _value_and_slope(x, case["approximate"])[1]}


def _step(step: str) -> Any:
    return lambda launch, case, x: {"y": forward(x, case["approximate"], launch, step)}


def _backward_step(step: str) -> Any:
    return lambda launch, case, x, dy: {"dx": backward(x, dy, case["approximate"], launch, step)}


CASES = tuple({"n": n, "approximate": a} for n in (1, 3, 4, 255, 1023, 1025, 2050) for a in ("none", "tanh"))
SAYS = {"v1": "a number for each thread", "v2": "four numbers for each thread, 16 bytes at a time: fewer, larger requests"}


def _steps(make: Any, kernels: dict[str, dict[str, Kernel]]) -> tuple[Step, ...]:
    return tuple(Step(v, SAYS[v], make(v), tuple(k[v] for k in kernels.values()), used=v == "v2") for v in SAYS)


GELU = Ladder(
    name="gelu", file="gelu.cu", steps=_steps(_step, FORWARD), inputs=_inputs, reference=_reference, cases=CASES,
    example={"n": 262144, "approximate": "none"}, tolerance=1e-6, minimum_bytes=lambda n, approximate: 8 * n,
)  # fmt: skip

GELU_BACKWARD = Ladder(
    name="gelu_backward", file="gelu.cu", steps=_steps(_backward_step, BACKWARD), inputs=_backward_inputs,
    reference=_backward_reference, cases=CASES, example={"n": 262144, "approximate": "none"}, tolerance=3e-6,
    minimum_bytes=lambda n, approximate: 12 * n,
)  # fmt: skip

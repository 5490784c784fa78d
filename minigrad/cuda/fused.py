"""Which operations have kernels on CUDA devices. They are read when the first tensor on a device asks for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from .. import autograd
from .. import backend as places
from ..ops import attention, conv, elementwise, indexing, linalg, loss, norm, reduction
from ..optim import optimizer
from . import dropout  # noqa: F401 (it says so to ops/dropout.py)
from .devices import get_device_capability


@cache
def _engine() -> Any:
    return import_module("minigrad.kernels.cuda.engine")


def _later(name: str) -> Callable:
    """A function of kernels/cuda/engine.py, by its name."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(_engine(), name)(*args, **options)

    call.__name__ = name
    return call


for _formula in (
    norm._layer_norm, norm._rms_norm, elementwise._gelu, loss._cross_entropy, attention._attention, conv.convolution,
):  # fmt: skip
    _formula.fused("cuda", _later(_formula.op.name), _later(f"{_formula.op.name}_backward"))
for _operation in (conv.conv, conv.conv_transpose, conv.correlate):
    _operation.fast("cuda")(_later(_operation.op.name))


for _operation in (reduction.softmax, reduction.log_softmax, reduction.sum):
    _operation.fast("cuda")(_later(_operation.op.name))


@places.when_cupy_comes
def _offer(cp: Any) -> None:
    """Kernels for rules and pieces of them, which go by the type of the arrays."""
    reduction._softmax_slope.kernels[cp.ndarray] = _later("softmax_slope")
    reduction._log_softmax_slope.kernels[cp.ndarray] = _later("log_softmax_slope")
    indexing._scatter.kernels[cp.ndarray] = _later("add_rows")
    autograd.sum_first.kernels[cp.ndarray] = _later("sum_first")
    linalg._product.kernels[cp.ndarray] = _product


optimizer.STEPS["cuda"] = _later("step")


_precision, _library = "highest", "cublas"


def _product(a: Any, b: Any, bias: Any = None) -> Any:
    if _library == "cublas":
        return NotImplemented if bias is None else _engine().with_bias(a, b, bias)
    tf32 = _precision != "highest" and get_device_capability() >= (8, 0)
    return _engine().product(a, b, bias, tf32=tf32)


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` has set. Source: `torch.get_float32_matmul_precision`.

    >>> get_float32_matmul_precision()
    'highest'
    """
    return _precision


def set_float32_matmul_precision(precision: str) -> None:
    """How exact products of float32 are on CUDA devices that have tensor cores, where minigrad's kernel makes them.

    Args:
        precision: "highest", the default, computes in float32. "high" and "medium" round factors to TF32, 10 bits behind the
            comma instead of 23, and add up in float32: kernels/cuda/matmul_tf32.cu, on devices from compute capability 8.0
            on, if `minigrad.cuda.preferred_blas_library` is "minigrad" and sizes are multiples of 4.

    Raises:
        ValueError: another name.

    Source: `torch.set_float32_matmul_precision`.

    >>> set_float32_matmul_precision("high"); get_float32_matmul_precision()
    'high'
    >>> set_float32_matmul_precision("highest")
    """
    global _precision
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got {precision!r}")
    _precision = precision


def preferred_blas_library(backend: str | None = None) -> str:
    """Who multiplies matrices of float32 on CUDA devices. Source: `torch.backends.cuda.preferred_blas_library`.

    Args:
        backend: "cublas", the default, or "minigrad" for the kernel of kernels/cuda/matmul.cu; None only asks.

    Returns:
        The one in use from now on.

    Raises:
        ValueError: another name.
    """
    if backend not in (None, "cublas", "minigrad"):
        raise ValueError(f"preferred_blas_library: expected 'cublas' or 'minigrad', got {backend!r}")
    global _library
    places.cupy()
    _library = backend or _library
    return _library

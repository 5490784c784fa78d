"""Which operations have kernels on CUDA devices. They are read when the first tensor on a device asks for them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from .. import backend as places
from ..ops import attention, conv, elementwise, indexing, linalg, loss, norm, reduction
from ..optim import optimizer
from . import dropout  # noqa: F401 (it says so to ops/dropout.py)
from .devices import get_device_capability


def _later(name: str) -> Callable:
    """A function of kernels/cuda/engine.py, by its name."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(import_module("minigrad.kernels.cuda.engine"), name)(*args, **options)

    call.__name__ = name
    return call


for _formula in (
    norm._layer_norm, norm._rms_norm, elementwise._gelu, loss._cross_entropy, attention._attention, conv.convolution,
):  # fmt: skip
    _formula.fused("cuda", _later(_formula.op.name), _later(f"{_formula.op.name}_backward"))
for _operation in (conv.conv, conv.conv_transpose, conv.correlate):
    _operation.fast("cuda")(_later(_operation.op.name))


def _with_slope(slope: Any, name: str, forward: Callable | None = None) -> Callable:
    """A kernel for an operation, or none, and one for its slope: that is offered when a type of arrays first comes by."""
    kernel = _later(name)

    def call(input: Any, *others: Any, **options: Any) -> Any:
        slope.kernels.setdefault(type(input), kernel)
        return NotImplemented if forward is None else forward(input, *others, **options)

    return call


reduction.softmax.fast("cuda")(_with_slope(reduction._softmax_slope, "softmax_slope", _later("softmax")))
reduction.safe_softmax.fast("cuda")(_with_slope(reduction._softmax_slope, "softmax_slope"))
reduction.log_softmax.fast("cuda")(_with_slope(reduction._log_softmax_slope, "log_softmax_slope", _later("log_softmax")))
indexing._embedding.fast("cuda")(_with_slope(indexing._scatter, "add_rows"))
optimizer.STEPS["cuda"] = _later("step")


_precision = "highest"


def _product(*arrays: Any) -> Any:
    tf32 = _precision != "highest" and get_device_capability() >= (8, 0)
    return import_module("minigrad.kernels.cuda.engine").product(*arrays, tf32=tf32)


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
    arrays = places.cupy().ndarray
    if backend == "minigrad":
        linalg._product.kernels[arrays] = _product
    elif backend == "cublas":
        linalg._product.kernels.pop(arrays, None)
    return "minigrad" if arrays in linalg._product.kernels else "cublas"

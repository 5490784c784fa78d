"""Memory of the host that a CUDA device copies from while the host goes on; and memory that several streams use."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backend, on_cuda
from .. import op as op_module


def pin_memory(input: Any, device: Any = None) -> Any:
    """A copy in pinned memory, from which `.to("cuda", non_blocking=True)` does not wait. Source: `torch.Tensor.pin_memory`.

    Args:
        input: on the CPU.
        device: no effect, for code that passes it.

    Raises:
        RuntimeError: the tensor is on a device, or there is none.
    """
    if not isinstance(input.array, np.ndarray):
        raise RuntimeError(f"pin_memory: only tensors on the CPU can be pinned, this one is on {input.device}")
    if is_pinned(input):
        return input
    out = on_cuda.pinned(backend.cupy(), input.array.shape, input.array.dtype)
    out[...] = input.array
    return op_module.Tensor._wrap(out)


def is_pinned(input: Any, device: Any = None) -> bool:
    """Whether a tensor lies in pinned memory; False without a device. Source: `torch.Tensor.is_pinned`."""
    return backend.cuda_problem() is None and on_cuda.is_pinned(backend.cupy(), input.array)


def record_stream(input: Any, stream: Any) -> None:
    """Keep the tensor's memory until a stream has done all that it was asked to. Source: `torch.Tensor.record_stream`.

    Args:
        input: on a CUDA device, made on another stream.
        stream: a `minigrad.cuda.Stream` that uses it.
    """
    on_cuda.keep_until(stream.record_event().cupy, input.array)

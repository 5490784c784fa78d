"""Another dtype, another device."""

from __future__ import annotations

from typing import Any

from .. import backend, dtypes
from ..op import op


@op(input=lambda g: g)
def cast(xp, input, *, dtype):
    """Convert to another dtype; the gradient comes back in the old one. Source: `torch.Tensor.to`."""
    return input.astype(dtypes.as_dtype(dtype))


@op(input=lambda g, source: transfer(g, device=source))
def _transfer(xp, input, *, device, source, non_blocking):
    return backend.to_device(input, device, non_blocking)


def transfer(input: Any, device: Any, non_blocking: bool = False) -> Any:
    """Copy to another device; the gradient comes back to the old one. Source: `torch.Tensor.to`."""
    source = backend.device_of(getattr(input, "array", input))
    return _transfer(input, device=device, source=source, non_blocking=non_blocking)

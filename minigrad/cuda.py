"""Questions about CUDA devices (as `torch.cuda`); the tensors themselves go there with `.to("cuda")`."""

from __future__ import annotations

from . import backend


def is_available() -> bool:
    """Whether tensors can live on a CUDA device here. Source: `torch.cuda.is_available`."""
    return backend.cuda_problem() is None


def device_count() -> int:
    """How many CUDA devices there are. Source: `torch.cuda.device_count`."""
    return int(backend.cupy().cuda.runtime.getDeviceCount()) if is_available() else 0


def synchronize() -> None:
    """Wait until the device has done all that it was asked to. Source: `torch.cuda.synchronize`."""
    backend.cupy().cuda.get_current_stream().synchronize()

"""How much of a device's memory is in use. CuPy keeps what is let go in a pool, and gives it to the next who asks."""

from __future__ import annotations

from typing import Any

from .. import backend
from .devices import handle, index_of

_peaks: dict[int, Any] = {}  # of each device that was asked: the hook that watches it


def _pool() -> Any:
    return backend.cupy().get_default_memory_pool()


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors take now. Source: `torch.cuda.memory_allocated`."""
    with handle(device):
        return int(_pool().used_bytes())


def memory_reserved(device: Any = None) -> int:
    """Bytes that the pool holds, in use or ready to be. Source: `torch.cuda.memory_reserved`."""
    with handle(device):
        return int(_pool().total_bytes())


def empty_cache() -> None:
    """Give back to the driver what no tensor uses. Source: `torch.cuda.empty_cache`."""
    cp = backend.cupy()
    cp.get_default_memory_pool().free_all_blocks()
    cp.get_default_pinned_memory_pool().free_all_blocks()


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """Free and total bytes of the device, as the driver sees them. Source: `torch.cuda.mem_get_info`."""
    free, total = handle(device).mem_info
    return int(free), int(total)


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Take no more than a part of the device's memory. Source: `torch.cuda.set_per_process_memory_fraction`.

    Raises:
        ValueError: not from 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"set_per_process_memory_fraction: expected a number from 0 to 1, got {fraction}")
    with handle(device):
        _pool().set_limit(fraction=fraction)


def _watch(device: Any) -> Any:
    """The hook of a device, watching from now on. CuPy calls it for what this thread takes and lets go."""
    index = index_of(device)
    if index not in _peaks:
        used = memory_allocated(device)
        base = backend.cupy().cuda.MemoryHook

        class Peak(base):  # type: ignore[misc, valid-type]
            name = "MinigradPeak"
            now = most = used

            def malloc_postprocess(self, **what: Any) -> None:
                if what["device_id"] == index:
                    self.now += what["mem_size"]
                    self.most = max(self.most, self.now)

            def free_postprocess(self, **what: Any) -> None:
                if what["device_id"] == index:
                    self.now -= what["mem_size"]

        _peaks[index] = Peak()
        _peaks[index].__enter__()
    return _peaks[index]


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors took at once since `reset_peak_memory_stats`. Source: `torch.cuda.max_memory_allocated`.

    Watching begins with the first call of either, since it costs a little with every allocation. It sees what the
    thread does that made that call.
    """
    return int(_watch(device).most)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to watch for the most memory in use, from now on. Source: `torch.cuda.reset_peak_memory_stats`."""
    peak = _watch(device)
    peak.now = peak.most = memory_allocated(device)

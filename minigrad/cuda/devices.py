"""Which CUDA devices there are, and which one is in use."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from .. import backend

Properties = namedtuple("Properties", "name major minor total_memory multi_processor_count")


def is_available() -> bool:
    """Whether tensors can live on a CUDA device here. Source: `torch.cuda.is_available`."""
    return backend.cuda_problem() is None


def device_count() -> int:
    """How many CUDA devices there are. Source: `torch.cuda.device_count`."""
    return int(backend.cupy().cuda.runtime.getDeviceCount()) if is_available() else 0


def init() -> None:
    """Find the devices now instead of at first use; says what is missing. Source: `torch.cuda.init`."""
    backend.cupy()


def is_initialized() -> bool:
    """Whether devices were asked for and found. Source: `torch.cuda.is_initialized`."""
    return is_available()


def index_of(device: Any) -> int:
    """Number of a device as users name it; the current one for None.

    Raises:
        ValueError: the CPU.
    """
    where = backend.as_device("cuda" if device is None else device)
    if where.type != "cuda":
        raise ValueError(f"expected a CUDA device, got '{where}'")
    cp = backend.cupy()
    return cp.cuda.runtime.getDevice() if where.index is None else where.index


def handle(device: Any = None) -> Any:
    """CuPy's object for a device, once it is sure that there is one.

    Raises:
        RuntimeError: there are fewer devices.
    """
    index, count = index_of(device), device_count()
    if not 0 <= index < count:
        raise RuntimeError(f"device 'cuda:{index}': only {count} CUDA devices are there")
    return backend.cupy().cuda.Device(index)


def current_device() -> int:
    """Number of the device on which "cuda" puts new tensors. Source: `torch.cuda.current_device`."""
    return index_of(None)


def set_device(device: Any) -> None:
    """Use a device from now on, in this thread. Source: `torch.cuda.set_device`.

    Operations run on the current device: before working with tensors on another one, set it, or use `device` as a
    context manager.
    """
    handle(device).use()


class device:
    """Use a device inside a block (as `torch.cuda.device`).

    Args:
        device: as users name one; None changes nothing.
    """

    def __init__(self, device: Any) -> None:
        self.idx = index_of(device)
        self._handle = handle(device)

    def __enter__(self) -> device:
        self._handle.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._handle.__exit__(*error)


def get_device_properties(device: Any = None) -> Properties:
    """Name, compute capability, memory in bytes and number of multiprocessors. Source: `torch.cuda.get_device_properties`."""
    found = backend.cupy().cuda.runtime.getDeviceProperties(handle(device).id)
    return Properties(
        found["name"].decode(), found["major"], found["minor"], found["totalGlobalMem"], found["multiProcessorCount"]
    )


def get_device_name(device: Any = None) -> str:
    """What the card is called. Source: `torch.cuda.get_device_name`."""
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability, (8, 6) for sm_86. Source: `torch.cuda.get_device_capability`."""
    found = get_device_properties(device)
    return found.major, found.minor


def manual_seed(seed: int) -> None:
    """Seed the current device's generator; does nothing without a device. Source: `torch.cuda.manual_seed`."""
    if is_available():
        backend.default_generator(backend.device("cuda")).manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all devices. Source: `torch.cuda.manual_seed_all`."""
    for index in range(device_count()):
        with device(index):
            manual_seed(seed)

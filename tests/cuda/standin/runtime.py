"""Devices, streams, events and memory pools of the stand-in.

There is one thread and no device, so everything is done at once; except for copies that nobody has to wait for, which
are done as late as CuPy allows: from the host when the next operation begins, to the host when it waits.
"""

from __future__ import annotations

import ctypes
import types
import weakref
from collections import Counter
from typing import Any

import numpy as np


class State:
    """What all of the stand-in shares."""

    def __init__(self) -> None:
        self.reset(1)

    def reset(self, devices: int) -> None:
        """As a process that has just begun."""
        self.devices = devices
        self.device = 0
        self.waits: Counter[str] = Counter()  # how often the host waited for the device, by what made it wait
        self.copied = 0  # bytes between host and device
        self.operations = 0  # how many were begun
        self.used = [0] * devices
        self.reserved = [0] * devices
        self.limit = 0
        self.live: weakref.WeakSet = weakref.WeakSet()  # all memory that is in use
        self.hooks: list[Any] = []
        self.to_host: list[tuple[np.ndarray, np.ndarray]] = []
        self.to_device: list[tuple[np.ndarray, np.ndarray]] = []
        self.generation = getattr(self, "generation", 0) + 1
        self.stream = Stream.null if "Stream" in globals() else None

    # ------------------------------------------------------------------------------------------------ memory

    def allocate(self, size: int) -> None:
        if self.limit and self.used[self.device] + size > self.limit:
            raise OutOfMemoryError(
                f"Out of memory allocating {size:,} bytes (allocated so far: {self.used[self.device]:,} bytes, limit set to: "
                f"{self.limit:,} bytes)."
            )
        self.used[self.device] += size
        self.reserved[self.device] = max(self.reserved[self.device], self.used[self.device])
        for hook in self.hooks:
            hook.malloc_postprocess(device_id=self.device, size=size, mem_size=size, mem_ptr=0, pmem_id=0)

    def free(self, size: int, device: int) -> None:
        if device < len(self.used):
            self.used[device] -= size
            for hook in self.hooks:
                hook.free_postprocess(device_id=device, mem_size=size, mem_ptr=0, pmem_id=0)

    # ---------------------------------------------------------------------------------------- order of copies

    def begin(self) -> None:
        """An operation begins: what was to be copied to the device before it is copied by now."""
        self.operations += 1
        while self.to_device:
            target, source = self.to_device.pop(0)
            target[...] = source

    def wait(self, reason: str) -> None:
        """The host waits until the device has done everything."""
        self.begin()
        while self.to_host:
            target, source = self.to_host.pop(0)
            target[...] = source
        self.waits[reason] += 1

    def copy(self, out: np.ndarray, source: np.ndarray, blocking: bool, reason: str) -> None:
        """From the device to the host."""
        if blocking:
            self.wait(reason)
            out[...] = source
        else:
            out.view(np.uint8).reshape(-1)[...] = 0xFF
            self.to_host.append((out, source.copy()))

    class Device:
        def __init__(self, id: int | None = None) -> None:
            self.id = STATE.device if id is None else int(id)
            if not 0 <= self.id < STATE.devices:
                raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
            self._before: list[int] = []

        compute_capability = "90"
        mem_info = (60 * 2**30, 80 * 2**30)

        def __int__(self) -> int:
            return self.id

        def use(self) -> None:
            STATE.device = self.id

        def synchronize(self) -> None:
            STATE.wait("synchronize")

        def __enter__(self) -> Any:
            self._before.append(STATE.device)
            STATE.device = self.id
            return self

        def __exit__(self, *error: Any) -> None:
            STATE.device = self._before.pop()


STATE = State()


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class Stream:
    null: Any = None

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None) -> None:
        self.priority = priority
        self.ptr = 0 if null else id(self)
        self._before: list[Any] = []

    done = property(lambda self: not STATE.to_host)

    def synchronize(self) -> None:
        STATE.wait("synchronize")

    def use(self) -> Any:
        STATE.stream = self
        return self

    def record(self, event: Any = None) -> Any:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Any) -> None:
        assert isinstance(event, Event)

    def __enter__(self) -> Any:
        self._before.append(STATE.stream)
        STATE.stream = self
        return self

    def __exit__(self, *error: Any) -> None:
        STATE.stream = self._before.pop()


Stream.null = STATE.stream = Stream(null=True)


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.at: int | None = None
        self.disable_timing = disable_timing

    def record(self, stream: Any = None) -> None:
        self.at = STATE.operations

    @property
    def done(self) -> bool:
        return not STATE.to_device and not STATE.to_host

    def synchronize(self) -> None:
        STATE.wait("synchronize")


def get_elapsed_time(start: Event, end: Event) -> float:
    if start.at is None or end.at is None or start.disable_timing or end.disable_timing:
        raise CUDARuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
    return float(end.at - start.at)  # "milliseconds": one for each operation


class Pool:
    """Of the device's memory."""

    def used_bytes(self) -> int:
        return STATE.used[STATE.device]

    def total_bytes(self) -> int:
        return STATE.reserved[STATE.device]

    def free_all_blocks(self, stream: Any = None) -> None:
        STATE.reserved[STATE.device] = STATE.used[STATE.device]

    def set_limit(self, size: Any = None, fraction: Any = None) -> None:
        STATE.limit = int(size if fraction is None else fraction * State.Device.mem_info[1])


class PinnedMemoryPointer(bytearray):
    """Bytes of pinned memory. When nobody holds them any more, the pool gives them to the next who asks."""


class PinnedPool:
    def free_all_blocks(self) -> None:
        pass


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    return PinnedMemoryPointer(b"\xcd" * size)


def pointer_of(array: Any) -> Any:
    """The pinned memory that an array lies in, or None."""
    while isinstance(array, (np.ndarray, memoryview)):
        array = array.base if isinstance(array, np.ndarray) else array.obj
    return array if isinstance(array, PinnedMemoryPointer) else None


class FromPinned:
    """What will be copied from pinned memory. It does not keep the memory: that is the caller's business."""

    def __init__(self, array: np.ndarray) -> None:
        self.memory = weakref.ref(pointer_of(array), self.spoil)
        self.address, self.shape, self.dtype, self.strides = array.ctypes.data, array.shape, array.dtype, array.strides
        self.nbytes, self.gone = array.nbytes, False

    def spoil(self, memory: Any) -> None:
        self.gone = True

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.gone:  # somebody else's numbers
            return np.full(self.shape, 0xCD, np.uint8).astype(self.dtype)
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.nbytes).from_address(self.address)).view(self.dtype).reshape(self.shape)


class MemoryHook:
    name = "MemoryHook"

    def __enter__(self) -> Any:
        STATE.hooks.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        STATE.hooks.remove(self)


def fill(cp: types.ModuleType) -> None:
    """Put devices, streams and memory into the module."""
    runtime = types.SimpleNamespace(
        getDeviceCount=lambda: STATE.devices,
        getDevice=lambda: STATE.device,
        getDeviceProperties=lambda i: {
            "name": b"Stand-in", "totalGlobalMem": 80 * 2**30, "major": 9, "minor": 0, "multiProcessorCount": 1,
            "sharedMemPerBlockOptin": 227 * 1024,
        },
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        CUDARuntimeError=CUDARuntimeError,
    )
    cp.cuda = types.SimpleNamespace(
        runtime=runtime, Device=State.Device, Stream=Stream, Event=Event, get_current_stream=lambda: STATE.stream,
        get_elapsed_time=get_elapsed_time, alloc_pinned_memory=alloc_pinned_memory, PinnedMemoryPointer=PinnedMemoryPointer,
        MemoryHook=MemoryHook, memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        nvrtc=types.SimpleNamespace(getVersion=lambda: (13, 0)),
    )  # fmt: skip
    pool = Pool()
    cp.get_default_memory_pool = lambda: pool
    cp.get_default_pinned_memory_pool = PinnedPool
    cp.RawModule = RawModule


class RawModule:
    """Compiles when a function is asked for; `executor` is what runs it: tests put the simulator there."""

    executor: Any = None

    def __init__(self, code: str | None = None, *, path: str | None = None, options: tuple = (), backend: str = "nvrtc") -> None:
        assert isinstance(code, str) and isinstance(options, tuple)
        self.code, self.options = code, options

    def get_function(self, name: str) -> Any:
        if RawModule.executor is None:
            raise RuntimeError("the stand-in has nothing that runs CUDA kernels")
        return RawModule.executor(self.code, self.options).get_function(name)

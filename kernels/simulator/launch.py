"""Executes kernels: arguments are checked and packed, the runtime runs, its findings and counts come back."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import host
from .counts import SAMPLE, STATISTICS, Counts
from .errors import KernelFault, LaunchError
from .findings import FINDING, Finding, describe
from .program import Program
from .ptx import Parameter, parse, size_of

ORDERS = ("ascending", "descending", "random")
MODES = ("fast", "checked")
OPT_IN = 48 * 1024  # dynamic shared memory that a launch may have unless it asks for more
MOST_SHARED = 227 * 1024  # what the largest cards give if asked
BUFFER = np.dtype([("begin", "u8"), ("end", "u8"), ("origin", "u8"), ("name", "i4"), ("padding", "i4")])
LIMIT = 1 << 10  # in millions of instructions: a warp that executes more is said not to end


@dataclass(frozen=True)
class Pointer:
    """Memory given by its address: `nbytes` from there are the kernel's to use."""

    address: int
    nbytes: int


@dataclass(frozen=True)
class Result:
    """What a launch did.

    Args:
        findings: what is wrong, in sentences; all kinds in checked mode, addresses only in fast mode.
        counts: what each instruction cost; None in fast mode.
    """

    findings: list[Finding]
    counts: Counts | None = None


class Module:
    """The kernels of one PTX text.

    Args:
        ptx: the text.
        source: the CUDA source it was made from, for lines and for other architectures.
        name: of the source file.
        options: with which it was compiled.

    `mode` and `order` are what `get_function` launches with.
    """

    def __init__(self, ptx: str, source: str | None = None, name: str = "kernel.cu", options: Sequence[str] = ()) -> None:
        self.ptx, self.source, self.name, self.options = ptx, source, name, tuple(options)
        self.mode, self.order = "fast", "ascending"
        self.file = parse(ptx)
        self.arch = self.file.target
        self.variables = {key: np.frombuffer(data, np.uint8).copy() for key, data in self.file.data.items()}
        self._kernels: dict[str, Kernel] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The kernels that there are."""
        return tuple(self.file.kernels)

    def get(self, name: str) -> Kernel:
        """The kernel of that name.

        Raises:
            KeyError: if there is none.
        """
        if name not in self.file.kernels:
            raise KeyError(f"{self.name} has no kernel {name!r}; it has {', '.join(self.names)}")
        if name not in self._kernels:
            self._kernels[name] = Kernel(self, name)
        return self._kernels[name]

    def get_function(self, name: str) -> Function:
        """The kernel in the way that `cupy.RawModule` gives it out: call it with grid, block and arguments."""
        return Function(self.get(name))

    def resources(self, name: str, arch: str | None = None, threads: int = 256, shared: int = 0):
        """Registers, spills, occupancy and the hot loop of a kernel on an architecture: see `machine_code.resources`."""
        from .machine_code import resources

        if self.source is None:
            raise LaunchError(f"{self.name} was given as PTX, which says nothing of registers: compile the CUDA source")
        return resources(self.source, name, arch or self.arch, threads, shared, self.options, self.name)


class Kernel:
    """One kernel of a module; `launch` executes it."""

    def __init__(self, module: Module, name: str) -> None:
        self.module, self.name = module, name
        self.ptx = module.file.kernels[name]
        addresses = {key: data.ctypes.data for key, data in module.variables.items()}
        self.program = Program(module.file, self.ptx, addresses)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The types of the parameters, as PTX names them."""
        return tuple(p.type for p in self.ptx.parameters)

    def launch(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared: int = 0, mode: str = "fast",
        order: str = "ascending", memory: Iterable[Any] = (), threads: int | None = None,
    ) -> Result:  # fmt: skip
        """Execute the kernel.

        Args:
            grid: blocks, in up to three directions.
            block: threads of a block.
            args: arrays for pointers, NumPy scalars of the parameter's type for numbers, None for a null pointer.
            shared: bytes of dynamic shared memory.
            mode: "fast", or "checked", which watches and counts every access.
            order: in which order blocks, warps and lanes take their turns: "ascending", "descending" or "random".
            memory: further arrays that the kernel reaches through pointers which are no arguments.
            threads: of this computer, in fast mode; as many as it has if None.

        Raises:
            LaunchError: if CUDA would refuse the launch, or an argument is not what the parameter is.
            KernelFault: in fast mode, if an address was outside all arrays.
        """
        sizes = self._sizes(grid, block, shared, mode, order)
        buffers: list[tuple[int, int, int, int, int]] = []
        packed = self._pack(args, buffers)
        for extra in (*memory, *self.module.variables.values()):
            buffers.append(_buffer(extra, len(args)))
        checked = mode == "checked"
        total = self.ptx.shared_bytes + shared
        workers = 1 if checked or order != "ascending" else min(threads or _cores(), int(np.prod(sizes[:3])))
        constants = self.program.parameter_constants(packed)
        table = _merge(buffers)
        request = np.array(
            [*sizes, total, checked, ORDERS.index(order), workers, len(constants), len(packed), len(table), LIMIT], "u4"
        )
        count = len(self.ptx.instructions)
        statistics, samples = np.zeros(count + 1, STATISTICS), np.zeros(count + 1, SAMPLE)
        findings = np.zeros(256, FINDING)
        pointer = lambda array: ctypes.c_void_p(array.ctypes.data)
        faults = host.library().sim_launch(
            self.program.handle, pointer(request), pointer(constants), ctypes.c_char_p(packed), pointer(table),
            pointer(statistics), pointer(samples), pointer(findings), len(findings),
        )  # fmt: skip
        found = describe(findings[:faults], self.ptx, sizes[3:])
        if found and not checked:
            raise KernelFault(f"{self.name}: {found[0]}", found)
        return Result(found, Counts(self.ptx, statistics[:-1], samples[:-1], self.module.source) if checked else None)

    def _sizes(self, grid: Sequence[int], block: Sequence[int], shared: int, mode: str, order: str) -> tuple:
        if mode not in MODES or order not in ORDERS:
            raise LaunchError(f"a launch is {' or '.join(MODES)}, in {', '.join(ORDERS)} order; not {mode!r}, {order!r}")
        sizes = [*map(int, grid), *(1,) * (3 - len(grid)), *map(int, block), *(1,) * (3 - len(block))]
        limits = (2**31 - 1, 65535, 65535, 1024, 1024, 64)
        if len(sizes) != 6 or not all(1 <= size <= limit for size, limit in zip(sizes, limits)):
            raise LaunchError(f"{self.name}: grid {tuple(grid)} and block {tuple(block)} are not within {limits}")
        threads = sizes[3] * sizes[4] * sizes[5]
        most = min(1024, self.ptx.max_threads or 1024)
        if threads > most:
            raise LaunchError(f"{self.name}: a block of {threads} threads, but it may have {most} at most")
        if self.ptx.shared_bytes + shared > MOST_SHARED or shared < 0:
            total = self.ptx.shared_bytes + shared
            raise LaunchError(f"{self.name}: {total} bytes of shared memory; no card gives a block more than {MOST_SHARED}")
        return tuple(sizes)

    def _pack(self, args: Sequence[Any], buffers: list) -> bytes:
        """The bytes of all parameters, and the memory that pointers among them make reachable."""
        parameters = self.ptx.parameters
        if len(args) != len(parameters):
            raise LaunchError(f"{self.name} takes {len(parameters)} arguments ({', '.join(self.parameters)}), not {len(args)}")
        packed = bytearray(max([p.offset + p.size for p in parameters], default=0) + 16)
        for number, (arg, parameter) in enumerate(zip(args, parameters)):
            try:
                content = _bytes(arg, parameter)
            except TypeError as error:
                raise LaunchError(f"{self.name}: argument {number} {error}") from None
            packed[parameter.offset : parameter.offset + parameter.size] = content
            if parameter.type in ("u64", "b64", "s64") and not isinstance(arg, np.generic) and arg is not None:
                buffers.append(_buffer(arg, number))
        return bytes(packed)


class Function:
    """A kernel with the call of CuPy's: `function(grid, block, args, shared_mem=0)`."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.max_dynamic_shared_size_bytes = OPT_IN

    def __call__(
        self, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], *, shared_mem: int = 0, **more: Any
    ) -> Result:
        if shared_mem > self.max_dynamic_shared_size_bytes:
            raise LaunchError(
                f"{self.kernel.name}: {shared_mem} bytes of dynamic shared memory; above {OPT_IN} a kernel must ask: set "
                f"max_dynamic_shared_size_bytes"
            )
        module = self.kernel.module
        result = self.kernel.launch(grid, block, args, shared_mem, mode=module.mode, order=module.order, **more)
        if result.findings:
            raise KernelFault(f"{self.kernel.name}: {result.findings[0]}", result.findings)
        return result


def _cores() -> int:
    return min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _memory(arg: Any) -> tuple[int, int] | None:
    """Address and size of what may be passed as a pointer."""
    if isinstance(arg, np.ndarray):
        return arg.ctypes.data, arg.nbytes
    if isinstance(arg, Pointer):
        return arg.address, arg.nbytes
    with contextlib.suppress(AttributeError):
        return int(arg.data.ptr), int(arg.nbytes)
    return None


def _bytes(arg: Any, parameter: Parameter) -> bytes:
    """What a parameter holds; TypeError says what is wrong with the argument."""
    kind, size = parameter.type, parameter.size
    if "[" in kind:
        content = arg if isinstance(arg, bytes) else np.asarray(arg).tobytes()
        if len(content) != size:
            raise TypeError(f"is a struct of {size} bytes, not {len(content)}")
        return content
    memory = None if isinstance(arg, np.generic) else _memory(arg)
    if memory or arg is None:
        if kind not in ("u64", "b64", "s64"):
            raise TypeError(f"must be a number (.{kind}), not an array")
        return (memory[0] if memory else 0).to_bytes(8, "little")
    if not isinstance(arg, np.generic):
        raise TypeError(f"must be a NumPy scalar of the parameter's type (.{kind}), not {type(arg).__name__}")
    if arg.dtype.itemsize != size_of(kind) or (arg.dtype.kind == "f") != (kind[0] == "f"):
        raise TypeError(f"is {arg.dtype}, but the parameter is .{kind}: the kernel would misread the bytes")
    return arg.tobytes()


def _buffer(arg: Any, number: int) -> tuple[int, int, int, int, int]:
    memory = _memory(arg)
    if memory is None:
        raise LaunchError(f"memory must be arrays, not {type(arg).__name__}")
    begin, nbytes = memory
    origin = begin
    if isinstance(arg, np.ndarray):
        if not (arg.flags.c_contiguous or arg.flags.f_contiguous):
            low, high = np.lib.array_utils.byte_bounds(arg)
            begin, nbytes = low, high - low
        owner = arg
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        origin = owner.ctypes.data if owner.ctypes.data <= begin else begin
    return begin, begin + nbytes, origin, number, 0


def _merge(buffers: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    """Buffers by address; those that overlap become one, since an array may be passed twice."""
    table: list[tuple[int, int, int, int, int]] = []
    for buffer in sorted(b for b in buffers if b[1] > b[0]):
        if table and buffer[0] < table[-1][1]:
            begin, end, origin, name, _ = table[-1]
            table[-1] = (begin, max(end, buffer[1]), origin, name, 0)
        else:
            table.append(buffer)
    return np.array(table, BUFFER)

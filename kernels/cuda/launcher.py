"""Starts a CUDA kernel, or says in one sentence why it cannot.

A driver copies the bytes of an argument to where the kernel reads them and asks no questions: 1.0 passed for a `float`
is read as 0, an array of the wrong dtype as noise, and a launch over nothing still runs one block. So `launch` reads
what a kernel takes from its source, and checks every argument against it:

    SOFTMAX = Kernel("softmax_v4", "softmax.cu", lambda rows: Launch(grid=(ceil_div(rows, 4),), block=(128,)))
    launch(SOFTMAX, (x, y, rows, cols), rows=rows)

The declaration is plain data and arithmetic: it needs no GPU, and tests run it with numbers. Sources are compiled when
they are first launched, by CuPy; a test or an inspection may put a `compiler` of its own there, as the simulator.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigrad.written import compiled

FOLDER = Path(__file__).parent
OPTIONS = ("--std=c++17",)
MOST = 2**31 - 1  # the largest grid in x, and the largest number that an `int` parameter takes

# What a pointer or a value of a C type is in NumPy's words. A kernel may read 16 bit floats as unsigned short.
C_TYPES = {
    "float": "float32", "double": "float64", "bool": "bool", "char": "int8", "signed char": "int8",
    "unsigned char": "uint8", "short": "int16", "unsigned short": "uint16", "int": "int32", "unsigned": "uint32",
    "unsigned int": "uint32", "long long": "int64", "unsigned long long": "uint64", "size_t": "uint64",
}  # fmt: skip


class Launch(NamedTuple):
    """How many blocks of how many threads, and the dynamic shared memory of a block in bytes."""

    grid: tuple[int, ...]
    block: tuple[int, ...]
    shared: int = 0


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel as Python knows it.

    Args:
        name: of the `extern "C" __global__` function.
        file: the source in this folder.
        geometry: from sizes, by name, to a Launch. Plain integers in and out.
        wide: indices are computed in 64 bits, so that arrays may have 2**31 elements and more.
    """

    name: str
    file: str
    geometry: Callable[..., Launch]
    wide: bool = False

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """What it takes, as its source says."""
        return signatures(self.file)[self.name]

    @cached_property
    def pack(self) -> Callable[..., tuple]:
        """What `arguments` does, as a text made for this kernel: print(kernel.pack.text)."""
        return _pack(self)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: its name, its type in NumPy's words (None for void*), and whether it is a pointer."""

    name: str
    dtype: np.dtype | None
    pointer: bool


def ceil_div(n: int, size: int) -> int:
    """How many pieces of a size cover n."""
    return -(-n // size)


# ------------------------------------------------------------------------------------------ what a source declares

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_GLOBAL = re.compile(
    r"__global__\s+(?:__launch_bounds__\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*)?void\s+"
    r"(?:__launch_bounds__\s*\([^()]*(?:\([^()]*\)[^()]*)*\)\s*)?(\w+)\s*\(([^()]*)\)"
)


@cache
def source(file: str) -> str:
    """The text of a source in this folder."""
    return (FOLDER / file).read_text(encoding="utf-8")


@cache
def signatures(file: str) -> dict[str, tuple[Parameter, ...]]:
    """The kernels of a source and their parameters."""
    return read_signatures(source(file))


def read_signatures(text: str) -> dict[str, tuple[Parameter, ...]]:
    """The `__global__` functions in CUDA C and their parameters.

    >>> read_signatures('extern "C" __global__ void f(const float* __restrict__ x, int n) {}')["f"][1].dtype
    dtype('int32')
    """
    found = _GLOBAL.findall(_COMMENT.sub(" ", text))
    return {name: tuple(_parameter(name, part) for part in inside.split(",") if part.strip()) for name, inside in found}


def _parameter(kernel: str, text: str) -> Parameter:
    words = re.sub(r"\b(const|__restrict__|volatile|__grid_constant__)\b", " ", text).replace("*", " * ").split()
    *words, name = words
    pointers = words.count("*")
    kind = " ".join(word for word in words if word != "*")
    if kind not in C_TYPES and not (kind == "void" and pointers):
        raise TypeError(f"{kernel}: parameter {name!r} is of type {kind!r}; write it as one of {', '.join(C_TYPES)}")
    dtype = np.uint64 if pointers > 1 else None if kind == "void" else C_TYPES[kind]
    return Parameter(name, None if dtype is None else np.dtype(dtype), pointers > 0)


# ------------------------------------------------------------------------------------------------------- arguments


_NUMBERS: dict[str, Any] = {"f": (int, float), "b": bool, "i": int, "u": int}  # of Python, for a kind of dtype


def namespace(array: Any) -> Any:
    """The library that makes arrays beside this one: numpy or cupy."""
    if isinstance(array, np.ndarray):
        return np
    from minigrad import backend

    return backend.namespace(array)


def _fail(kernel: Kernel, parameter: Parameter, expected: str, got: str) -> TypeError:
    return TypeError(f"kernel {kernel.name}: {parameter.name!r} must be {expected}, got {got}")


def _pointer(kernel: Kernel, parameter: Parameter, value: Any) -> None:
    try:
        dtype, size, contiguous = value.dtype, value.size, value.flags.c_contiguous
    except AttributeError:
        raise _fail(kernel, parameter, "an array", type(value).__name__) from None
    if dtype != parameter.dtype and parameter.dtype is not None and not _same_bits(parameter.dtype, dtype):
        raise _fail(kernel, parameter, f"an array of {parameter.dtype}", str(dtype))
    if not contiguous:
        raise _fail(kernel, parameter, "contiguous", f"strides {value.strides} for shape {value.shape}")
    if size > MOST and not kernel.wide:
        raise ValueError(f"kernel {kernel.name}: {parameter.name!r} has {size} elements, more than its 32-bit indices reach")


def _same_bits(parameter: np.dtype, array: np.dtype) -> bool:
    return parameter == np.uint16 and array == np.float16


def _value(kernel: Kernel, parameter: Parameter, value: Any) -> Any:
    dtype = parameter.dtype
    assert dtype is not None
    if isinstance(value, np.generic):
        if value.dtype != dtype:
            raise _fail(kernel, parameter, f"a number of {dtype}", f"one of {value.dtype}")
        return value
    if not isinstance(value, _NUMBERS[dtype.kind]) or (isinstance(value, bool) and dtype.kind in "iu"):
        raise _fail(kernel, parameter, f"a number of {dtype}", type(value).__name__)
    if dtype.kind in "iu" and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        raise ValueError(f"kernel {kernel.name}: {parameter.name!r} is {value}, which does not fit in {dtype}")
    return dtype.type(value)


def arguments(kernel: Kernel, args: tuple) -> tuple:
    """The arguments as the kernel takes them: every number in its own size, None as a null pointer.

    Raises:
        TypeError: too many or too few, another dtype, or memory that is not contiguous.
        ValueError: a number or an array too large.
    """
    parameters = kernel.parameters
    if len(args) != len(parameters):
        names = ", ".join(parameter.name for parameter in parameters)
        raise TypeError(f"kernel {kernel.name}: expected {len(parameters)} arguments ({names}), got {len(args)}")
    return kernel.pack(*args)


def _pack(kernel: Kernel) -> Any:
    """A text that lets through what is usual; `_pointer` and `_value` have the rest, and what there is to say."""
    lines, here = [], {"kernel": kernel, "pointer": _pointer, "value": _value, "null": np.uintp(0), "MOST": MOST}
    for i, p in enumerate(kernel.parameters):
        here |= {f"p{i}": p, f"dtype{i}": p.dtype, f"number{i}": p.dtype and p.dtype.type}
        if p.pointer:
            usual = f"getattr(a{i}, 'dtype', 0) is dtype{i} and a{i}.flags.c_contiguous and a{i}.size <= MOST"
            lines.append(f"if a{i} is None: a{i} = null\n    elif not ({usual}): pointer(kernel, p{i}, a{i})")
        elif p.dtype is not None and p.dtype.kind in "iu":
            low, high = np.iinfo(p.dtype).min, np.iinfo(p.dtype).max
            usual = f"number{i}(a{i}) if type(a{i}) is int and {low} <= a{i} <= {high}"
            lines.append(f"a{i} = {usual} else value(kernel, p{i}, a{i})")
        else:
            lines.append(f"a{i} = value(kernel, p{i}, a{i})")
    names = ", ".join(f"a{i}" for i in range(len(kernel.parameters)))
    text = "\n    ".join([f"def pack({names}):", *lines, f"return ({names}{',' if names else ''})"])
    return compiled("pack", text, f"arguments of {kernel.name}", globals(), here)


def check_geometry(kernel: Kernel, launch: Launch) -> None:
    """Whether any card could start this.

    Raises:
        ValueError: more threads or blocks than there can be.
    """
    threads = math.prod(launch.block)
    if not 1 <= threads <= 1024 or len(launch.block) > 3 or (len(launch.block) == 3 and launch.block[2] > 64):
        raise ValueError(f"kernel {kernel.name}: a block of {launch.block} threads; there can be 1 to 1024, 64 in z")
    if len(launch.grid) > 3 or any(n > most for n, most in zip(launch.grid, (MOST, 65535, 65535))) or min(launch.grid) < 0:
        raise ValueError(f"kernel {kernel.name}: a grid of {launch.grid} blocks; there can be {MOST}, 65535 and 65535")


# --------------------------------------------------------------------------------------------------------- launching


def _by_cupy(text: str, options: tuple[str, ...]) -> Any:
    from minigrad import backend

    return backend.cupy().RawModule(code=text, options=options)


compiler: Callable[[str, tuple[str, ...]], Any] = _by_cupy  # source and options to an object with `get_function(name)`

_functions: dict[tuple[Any, str, str], Any] = {}
_lock = threading.Lock()


def _function(kernel: Kernel) -> Any:
    key = (compiler, kernel.file, kernel.name)
    if (function := _functions.get(key)) is not None:
        return function
    with _lock:
        if key not in _functions:
            module = _functions.get((compiler, kernel.file, ""))
            if module is None:
                module = _functions[compiler, kernel.file, ""] = compiler(source(kernel.file), OPTIONS)
            _functions[key] = module.get_function(kernel.name)
        return _functions[key]


_shared: dict[tuple[Any, int], int] = {}


def most_shared(array: Any) -> int:
    """How many bytes of shared memory a block may have on the device of an array, if its kernel asks for them."""
    from minigrad import backend

    cp, number = backend.cupy(), int(array.device.id)
    if (cp, number) not in _shared:
        _shared[cp, number] = int(cp.cuda.runtime.getDeviceProperties(number)["sharedMemPerBlockOptin"])
    return _shared[cp, number]


def on_card(value: Any) -> Any:
    """An input of a ladder, with its arrays, and those in lists, copied to the card."""
    from minigrad import backend

    if isinstance(value, list):
        return [on_card(item) for item in value]
    return backend.cupy().asarray(value) if isinstance(value, np.ndarray) else value


@lru_cache(1024)  # training asks for the same again and again
def _how(kernel: Kernel, **sizes: int) -> Launch:
    how = kernel.geometry(**sizes)
    if 0 not in how.grid:
        check_geometry(kernel, how)
    return how


def launch(kernel: Kernel, args: tuple, **sizes: int) -> None:
    """Start a kernel on the current stream.

    Args:
        kernel: its declaration.
        args: arrays and numbers, in the order of its parameters; None for a null pointer.
        sizes: what its geometry asks for.

    Raises:
        TypeError, ValueError: what the kernel does not take; the message names it.
        RuntimeError: the source does not compile here, or there is no device.
    """
    given, how = arguments(kernel, args), _how(kernel, **sizes)
    if 0 in how.grid:
        return
    try:
        function = _function(kernel)
    except Exception as error:
        hint = ": install the compiler with pip install nvidia-cuda-nvrtc" if "nvrtc" in str(error).lower() else ""
        raise RuntimeError(f"kernel {kernel.name}: {kernel.file} could not be compiled ({error}){hint}") from error
    if how.shared > 48 * 1024 and function.max_dynamic_shared_size_bytes < how.shared:
        function.max_dynamic_shared_size_bytes = how.shared
    function(how.grid, how.block, given, shared_mem=how.shared)

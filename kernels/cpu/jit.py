"""Loops in Python, compiled to machine code at their first use: the only module that imports numba.

    @jit("F[:,::1], F[::1]")                          a loop over rows, each by one thread of the pool
    def add_to_rows(x, bias):
        for i in prange(x.shape[0]):
            for j in range(x.shape[1]):
                x[i, j] += bias[j]

What stands in the brackets says which arrays it is meant for, F for float32 and for float64, so that `minigrad info
--warm` can compile everything at once; a call with other types compiles for these. A kernel may call other kernels
(`@jit(parallel=False)` for what runs inside of another's loop) and intrinsics. Without numba a kernel must not be
called: ask `available()` first, which costs nothing once numba is there, and leave it to the formula if it says no.

Nothing happens at import. The first call of a kernel imports numba, starts its pool of threads and looks for machine
code on the disk, in a folder of the user; only if that has none it compiles, says so on stderr, once, and keeps the
result. A folder that cannot be written is no error: then the next process compiles again.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

prange = range  # in a compiled kernel: a range whose parts are given to the threads of the pool

KERNELS: list[Kernel] = []  # all that were declared, for `minigrad info`

# What the compiler may do with sums and products: reorder and fuse them. NaN and infinities keep their meaning.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}

_lock = threading.RLock()
_unknown = "not looked yet"
_problem: str | None = _unknown
_threads: Callable[[], int]  # how many this thread may use; known once the pool is started


def available() -> bool:
    """Whether compiled kernels can be used here; the first call imports numba if it is installed."""
    return problem() is None


def loaded() -> bool:
    """Whether somebody has used a compiled kernel already, so that numba is there and works."""
    return _problem is None


def problem() -> str | None:
    """Why compiled kernels cannot be used here, in a sentence, or None if they can."""
    global _problem
    if _problem is _unknown:
        with _lock:
            _problem = _try_numba()
    return _problem


def _missing() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed: pip install 'minigrad[fast]'"
    return None


def _try_numba() -> str | None:
    if missing := _missing():
        return missing
    try:
        import numba

        _start_pool()
    except Exception as error:  # a numba that does not fit this NumPy says so in many ways
        return f"numba is installed but does not work here ({type(error).__name__}: {error})"
    return "numba is switched off by NUMBA_DISABLE_JIT" if numba.config.DISABLE_JIT else None


# ---------------------------------------------------------------------------------------------- the pool of threads
# One pool only, numba's. A second one that spins while it waits (OpenMP's, OpenBLAS's) costs up to 45 times on few
# cores. Numba has three: tbb is safe under fork and with several Python threads, so we help it find the library that
# `pip install tbb` puts where no loader looks. If the user's code has started a pool already, we share that.


def _start_pool() -> None:
    global _threads
    from numba.np.ufunc import parallel

    if not parallel._is_initialized:
        load_library("tbb", r"^libtbb\.(so\.12|12\.dylib)$", ctypes.RTLD_GLOBAL)
        parallel._launch_threads()
    _threads = parallel._get_num_threads  # numba.get_num_threads takes two locks each time to see that there is a pool


def load_library(package: str, pattern: str, mode: int) -> ctypes.CDLL | None:
    """Load a shared library out of an installed package, wherever pip put it; None if it is not there."""
    try:
        files = importlib.metadata.files(package) or []
        return next(ctypes.CDLL(str(file.locate()), mode) for file in files if re.search(pattern, file.name))
    except (importlib.metadata.PackageNotFoundError, OSError, StopIteration):
        return None


def layer() -> str:
    """Which of numba's pools is in use: "tbb", "omp" or "workqueue"."""
    from numba.np.ufunc import parallel

    return parallel.threading_layer()


def _after_fork() -> None:
    """A child process has one thread, whatever its parent was doing; and GNU OpenMP kills a child that uses its pool."""
    global _problem, _lock
    _lock = threading.RLock()
    if _problem is None and layer() == "omp":
        _problem = "numba's omp pool does not survive a fork: pip install tbb"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def get_num_threads() -> int:
    """How many threads compiled kernels use in this thread; 1 without numba. Source: `torch.get_num_threads`."""
    return _threads() if available() else 1


def set_num_threads(n: int) -> None:
    """Let compiled kernels that are called from this thread use n threads, at most as many as the pool has.

    Raises:
        RuntimeError: n is not a positive int.

    Source: `torch.set_num_threads`.

    >>> set_num_threads(1); get_num_threads()
    1
    """
    if not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads: expected a positive int, got {n!r}")
    if available():
        import numba

        numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))


# ----------------------------------------------------------------------------------------------------------- kernels


class Kernel:
    """A function that is compiled at its first call.

    Attributes:
        function: as it was written.
        parallel: whether its `prange` is shared among threads.
        signatures: the types that it is meant for, see the top of this module.
    """

    def __init__(self, function: Callable, signatures: tuple[str, ...], parallel: bool) -> None:
        self.function = function
        self.parallel = parallel
        self.signatures = signatures
        self.name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__.replace('<locals>.', '')}"
        self._run: Callable | None = None
        self._compiled: Any = None
        KERNELS.append(self)

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    def __call__(self, *args: Any) -> Any:
        return (self._run or self._prepare())(*args)

    def compiled(self) -> Any:
        """Numba's dispatcher, which compiles for each combination of types that it meets."""
        if self._compiled is None:
            with _lock:
                if problem():
                    raise ImportError(f"{self.name}: {problem()}")
                import numba

                options = {"parallel": self.parallel, "fastmath": FASTMATH, "error_model": "numpy"}
                made = numba.njit(**options)(_bound(self.function))
                made._cache = _disk_cache(self, made.py_func)
                self._compiled = made
        return self._compiled

    def _prepare(self) -> Callable:
        run = self.compiled()
        if self.parallel and layer() == "workqueue":  # this pool aborts the process if two threads use it at once
            def one_at_a_time(*args: Any) -> Any:
                with _lock:
                    return self._compiled(*args)

            run = one_at_a_time
        self._run = run
        return run

    def stamp(self) -> str:
        """A fingerprint of everything that the machine code depends on."""
        return _stamp(self.function, str(self.parallel))

    def types(self) -> list[str]:
        """Every signature that it is meant for, F written out."""
        floats = ("float32", "float64")
        return list(dict.fromkeys(re.sub(r"\bF\b", f, s) for s in self.signatures for f in floats))

    def warm(self) -> None:
        """Compile all its signatures, or fetch them from the disk."""
        for signature in self.types():
            self.compiled().compile(f"({signature},)")

    def address(self) -> int:
        """Where its machine code for its only signature lies in memory, to be called as a C function.

        A kernel that calls another is compiled with the other's code inside of it; calling it at its address instead
        spares the compiler the work of doing large ones again and again.
        """
        (signature,) = self.types()
        self.compiled().compile(f"({signature},)")
        (result,) = self.compiled().overloads.values()
        return result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    def on_disk(self) -> bool:
        """Whether machine code of it is on the disk."""
        return (cache_folder() / f"{_file_name(self)}.nbi").exists()


def jit(*signatures: str, parallel: bool = True) -> Callable[[Callable], Kernel]:
    """Declare a kernel; see the top of this module.

    Args:
        signatures: types of the arguments, as numba writes them; F stands for float32 and for float64.
        parallel: whether its `prange` is shared among threads; False for what other kernels call.
    """
    return lambda function: Kernel(function, signatures, parallel)


class Intrinsic:
    """A function that writes machine instructions itself (LLVM's), made when the first kernel that calls it is compiled."""

    def __init__(self, make: Callable, *key: Any) -> None:
        self.make = make
        self.key = key
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.make.__name__}: an intrinsic can only be called in a compiled kernel")

    def compiled(self) -> Any:
        """Numba's intrinsic."""
        if self._compiled is None:
            from numba.extending import intrinsic

            self._compiled = intrinsic(self.make(*self.key))
        return self._compiled

    def stamp(self) -> str:
        """A fingerprint of what it emits."""
        return _stamp(self.make, repr(self.key))


def _bound(function: Callable) -> Any:
    """The function with the compiled form of every kernel and intrinsic that it names, and numba's prange."""
    import numba

    def compiled(value: Any) -> Any:
        return value.compiled() if isinstance(value, (Kernel, Intrinsic)) else value

    here = function.__globals__
    names = here | {name: compiled(here[name]) for name in _names(function.__code__) if name in here}
    names["prange"] = numba.prange
    cells = tuple(types.CellType(compiled(cell.cell_contents)) for cell in function.__closure__ or ())
    bound = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    bound.__qualname__, bound.__module__ = function.__qualname__, function.__module__
    return bound


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def _stamp(function: Callable, more: str = "") -> str:
    digest = hashlib.sha256(more.encode())

    def add_code(code: types.CodeType) -> None:
        digest.update(code.co_code)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                add_code(constant)
            else:
                digest.update(repr(constant).encode())
        for name in code.co_names:
            digest.update(name.encode())
            add_value(function.__globals__.get(name))

    def in_class(value: type) -> bool:
        return function.__qualname__.startswith(f"{value.__qualname__}.")

    def add_value(value: Any) -> None:
        if isinstance(value, (Kernel, Intrinsic)):
            digest.update(value.stamp().encode())
        elif isinstance(value, (int, float, str, tuple, np.generic)):
            digest.update(repr(value).encode())
        elif isinstance(value, types.FunctionType) and value.__module__ == function.__module__ and value is not function:
            digest.update(_stamp(value).encode())
        elif isinstance(value, type) and value.__module__ == function.__module__ and not in_class(value):
            for method in vars(value).values():
                if isinstance(method, types.FunctionType):
                    digest.update(_stamp(method).encode())

    add_code(function.__code__)
    for cell in function.__closure__ or ():
        add_value(cell.cell_contents)
    return digest.hexdigest()


# --------------------------------------------------------------------------------------------------------- the cache


def cache_folder() -> Path:
    """Where machine code is kept: a folder of the user, for each numba and Python one."""
    places = {"darwin": "Library/Caches", "win32": "AppData/Local"}
    version = f"numba{importlib.metadata.version('numba')}-py{sys.version_info[0]}{sys.version_info[1]}"
    return Path(os.path.expanduser("~")) / places.get(sys.platform, ".cache") / "minigrad" / version


def _file_name(kernel: Kernel) -> str:
    return f"{kernel.name}-{kernel.stamp()[:16]}"


def _disk_cache(kernel: Kernel, function: Any) -> Any:
    """Numba's cache of one function, in our folder, under the fingerprint of the kernel."""
    from numba.core import caching

    class Locator(caching._CacheLocator):
        _py_file = function.__code__.co_filename

        def get_cache_path(self) -> str:
            return str(cache_folder())

        def get_source_stamp(self) -> str:
            return "the file's name has it"

        def get_disambiguator(self) -> str:
            return kernel.stamp()[:16]

        @classmethod
        def from_function(cls, py_func: Any, py_file: str) -> Locator:
            return cls()

    class Impl(caching.CompileResultCacheImpl):
        _locator_classes: ClassVar = [Locator]

        def get_filename_base(self, fullname: str, abiflags: str) -> str:
            return _file_name(kernel)

    class Cache(caching.FunctionCache):
        _impl_class = Impl

        def load_overload(self, sig: Any, target_context: Any) -> Any:
            try:
                found = super().load_overload(sig, target_context)
            except Exception:  # a damaged file, or one that may not be read: compile again
                found = None
            if found is None:
                _clock.start(kernel.name)
            return found

        def save_overload(self, sig: Any, data: Any) -> None:
            _clock.stop(kernel.name)
            try:
                super().save_overload(sig, data)
            except Exception:  # a folder that may not be written, a full disk
                _clock.kept = False

        def _index_key(self, sig: Any, codegen: Any) -> Any:
            return sig, codegen.magic_tuple()  # the processor among it; the fingerprint is in the name of the file

    return Cache(function)


class _Clock:
    """Says once that something is being compiled, and writes down how long it took."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.seconds = 0.0
        self.said = False
        self.kept = True

    def start(self, name: str) -> None:
        if not self.said:
            self.said = True
            print(f"minigrad: compiling kernels for this processor, once (kept in {cache_folder()})", file=sys.stderr)
        self.began.setdefault(name, time.perf_counter())

    def stop(self, name: str) -> None:
        took = time.perf_counter() - self.began.pop(name, time.perf_counter())
        if self.began:
            return  # a kernel inside of another, whose time has it
        self.seconds += took
        try:
            with open(cache_folder() / "seconds", "a") as file:
                file.write(f"{took:.2f} {name}\n")
        except OSError:
            self.kept = False


_clock = _Clock()


def compile_seconds() -> float:
    """How long it took to compile what is on the disk, over all processes."""
    try:
        lines = (cache_folder() / "seconds").read_text().splitlines()
        return sum(float(line.split()[0]) for line in lines)
    except (OSError, ValueError, IndexError, importlib.metadata.PackageNotFoundError):
        return 0.0


def status() -> str:
    """What is compiled, in a sentence for `minigrad info`; asks no more than the disk."""
    if (reason := problem() if _problem is not _unknown else _missing()) is not None:
        return f"off: {reason}"
    kept = sum(kernel.on_disk() for kernel in KERNELS)
    return f"{kept} of {len(KERNELS)} compiled, in {compile_seconds():.0f} s, kept in {cache_folder()}"


def warm() -> str:
    """Compile every kernel for all the types that it is meant for; what there was to do, in a sentence."""
    if problem() is not None:
        raise RuntimeError(f"kernels cannot be compiled here: {problem()}")
    began, before = time.perf_counter(), _clock.seconds
    for kernel in KERNELS:
        kernel.warm()
    took = time.perf_counter() - began
    return f"{len(KERNELS)} kernels ready after {took:.0f} s, {_clock.seconds - before:.0f} s of them spent compiling"


# ------------------------------------------------------------------------------------------------------------ arrays


def dense(x: np.ndarray) -> np.ndarray:
    """The array without gaps, aligned and writable, as kernels take it: itself if it is so already.

    Without this every layout would be compiled for.

    >>> x = np.arange(6.0).reshape(2, 3)
    >>> dense(x) is x, dense(x.T).flags.c_contiguous
    (True, True)
    """
    return x if x.flags.carray else np.array(x, order="C")

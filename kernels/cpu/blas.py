"""The matrix product of the BLAS library, to be called inside of a kernel's loop: one thread of our pool, one call.

A BLAS has a pool of threads of its own, and two pools on the same cores get in each other's way. So it must not use
its own. Intel's MKL (pip install 'minigrad[mkl]') is told once; we load it privately, nobody else's products change.
The OpenBLAS that came with NumPy is also the user's: it computes with one thread while one of our products runs, and has
its threads back right after.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .jit import Intrinsic, jit, load_library

PLAIN, TRANSPOSED = 111, 112  # what BLAS calls them


class Blas(NamedTuple):
    """Where the functions of a BLAS lie in memory.

    Attributes:
        name: of the library.
        sgemm, dgemm: products of float32 and float64 matrices (cblas).
        get_threads, set_threads: of its own pool; 0 where it has been told to have none.
    """

    name: str
    sgemm: int
    dgemm: int
    get_threads: int = 0
    set_threads: int = 0

    def gemm(self, dtype: np.dtype) -> int:
        """The product for a dtype."""
        return self.sgemm if dtype.itemsize == 4 else self.dgemm

    def functions(self, dtype: np.dtype) -> tuple[int, int, int]:
        """The product for a dtype and the functions of its pool, as kernels take them together."""
        return self.gemm(dtype), self.get_threads, self.set_threads


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _mkl() -> Blas | None:
    try:
        if "libmkl_rt" in Path("/proc/self/maps").read_text():
            return None  # it is the user's, perhaps NumPy's own, and may have threads already
    except OSError:
        pass
    mkl = load_library("mkl", r"^(lib)?mkl_rt\b.*\.(so|dylib|dll)", ctypes.RTLD_LOCAL)
    if mkl is None or mkl.MKL_Set_Threading_Layer(1) != 1:  # 1: sequential
        return None
    return Blas("MKL", _address(mkl.cblas_sgemm), _address(mkl.cblas_dgemm))


def _openblas() -> Blas | None:
    site = Path(np.__file__).parents[1]
    for path in [*site.glob("numpy.libs/*openblas*"), *site.glob("numpy/.dylibs/*openblas*")]:
        library = ctypes.CDLL(str(path))
        for prefix, suffix in (("scipy_", "64_"), ("", "64_"), ("", "")):
            names = ["cblas_sgemm", "cblas_dgemm", "openblas_get_num_threads", "openblas_set_num_threads"]
            names = [f"{prefix}{name}{suffix}" for name in names]
            if all(hasattr(library, name) for name in names):
                return Blas("OpenBLAS", *[_address(getattr(library, name)) for name in names])
    return None


@cache
def blas() -> Blas | None:
    """The BLAS that kernels use: MKL where it is installed, else NumPy's own OpenBLAS; None if there is neither.

    Sizes are handed over as 64-bit numbers. A library that expects 32 bits reads the lower half, on every system that
    these two libraries exist for.
    """
    return _mkl() or _openblas()


def _emit_gemm() -> Any:
    from llvmlite import ir
    from numba.core import types

    def gemm(context, address, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
        real, size = alpha, types.int64

        def emit(context, builder, signature, args):
            address, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = args
            i32, i64, number = ir.IntType(32), ir.IntType(64), alpha.type
            kinds = [i32, i32, i32, i64, i64, i64, number, i64, i64, i64, i64, number, i64, i64]
            function = builder.inttoptr(address, ir.FunctionType(ir.VoidType(), kinds).as_pointer())
            row_major, ta, tb = ir.Constant(i32, 101), builder.trunc(ta, i32), builder.trunc(tb, i32)
            builder.call(function, [row_major, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc])
            return context.get_dummy_value()

        return types.void(size, size, size, size, size, size, real, size, size, size, size, real, size, size), emit

    return gemm


# gemm(address, ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):  C = alpha op(A) op(B) + beta C, row by row.
# ta and tb are PLAIN or TRANSPOSED; a, b, c are addresses, alpha and beta have the dtype of the numbers there.
gemm = Intrinsic(_emit_gemm)


def _emit_call(arguments: int) -> Any:
    from llvmlite import ir
    from numba.core import types

    def call(context, address, value):
        def emit(context, builder, signature, args):
            i32 = ir.IntType(32)
            values = [builder.trunc(args[1], i32)] * arguments
            result = ir.VoidType() if arguments else i32
            function = builder.inttoptr(args[0], ir.FunctionType(result, [i32] * arguments).as_pointer())
            out = builder.call(function, values)
            return ir.Constant(ir.IntType(64), 0) if arguments else builder.sext(out, ir.IntType(64))

        return types.int64(types.int64, types.int64), emit

    return call


_get = Intrinsic(_emit_call, 0)
_set = Intrinsic(_emit_call, 1)

# How many of our products run at this moment, and how many threads OpenBLAS had before the first of them. Kernels hold
# Python's lock but for their parallel loops, so that no two threads are ever in `sequential` or `restored` together.
running = np.zeros(2, np.int64)


@jit("i8, i8, i8[::1]", parallel=False)
def sequential(get_threads, set_threads, running):
    """Before a parallel loop with products: the BLAS computes with one thread from here on."""
    if set_threads != 0:
        if running[0] == 0:
            running[1] = _get(get_threads, 0)
            if running[1] != 1:
                _set(set_threads, 1)
        running[0] += 1


@jit("i8, i8[::1]", parallel=False)
def restored(set_threads, running):
    """After it: with as many as the user had."""
    if set_threads != 0:
        running[0] -= 1
        if running[0] == 0 and running[1] != 1:
            _set(set_threads, running[1])

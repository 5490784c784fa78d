"""The launcher: what it reads from sources, what it refuses, and that it passes on exactly what a kernel takes."""

from __future__ import annotations

import types

import numpy as np
import pytest
from minigrad.kernels.cuda import launcher
from minigrad.kernels.cuda.launcher import Kernel, Launch, arguments, ceil_div, launch, read_signatures

SOURCE = """
// extern "C" __global__ void not_this(int n) {}
/* nor __global__ void this_one(float* x) */
template <int N> __device__ float helper(const float* x, int n) { return x[n]; }
extern "C" __global__ void plain(const float* __restrict__ x, float *y, int n) { }
extern "C" __global__ void __launch_bounds__(256, 2)
bounded(const double* const x, const unsigned char *mask, unsigned long long n, float eps, bool causal,
        const unsigned short* half, void* any, float* const* table, size_t size, unsigned int u) { }
extern "C" __launch_bounds__(32) __global__ void before() {}
"""
PLAIN = Kernel("plain", "probe.cu", lambda n: Launch((ceil_div(n, 128),), (128,)))


@pytest.fixture(autouse=True)
def probe(monkeypatch):
    """A source that is no file, and a compiler that notes what is launched."""
    monkeypatch.setattr(launcher, "signatures", lambda file: read_signatures(SOURCE))
    monkeypatch.setattr(launcher, "source", lambda file: SOURCE)
    launched = []

    def compiler(text, options):
        def get_function(name):
            def function(grid, block, args, *, shared_mem=0):
                launched.append((name, grid, block, args, shared_mem, function.max_dynamic_shared_size_bytes))

            function.max_dynamic_shared_size_bytes = 48 * 1024
            return function

        launched.append(("compiled", text, options))
        return types.SimpleNamespace(get_function=get_function)

    monkeypatch.setattr(launcher, "compiler", compiler)
    return launched


def test_signatures_are_read() -> None:
    found = read_signatures(SOURCE)
    assert list(found) == ["plain", "bounded", "before"] and found["before"] == ()
    assert [(p.name, p.dtype.name, p.pointer) for p in found["plain"]] == [("x", "float32", True), ("y", "float32", True), ("n", "int32", False)]
    kinds = [(p.dtype.name if p.dtype else None, p.pointer) for p in found["bounded"]]
    assert kinds == [
        ("float64", True), ("uint8", True), ("uint64", False), ("float32", False), ("bool", False), ("uint16", True), (None, True),
        ("uint64", True), ("uint64", False), ("uint32", False),
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"f: parameter 'x' is of type 'float4'; write it as one of float, double"):
        read_signatures('extern "C" __global__ void f(const float4* x) {}')


def test_arguments_are_passed_in_the_size_that_the_kernel_reads() -> None:
    x, y = np.zeros(5, np.float32), np.zeros(5, np.float32)
    a, b, n = arguments(PLAIN, (x, None, 5))
    assert a is x and type(b) is np.uintp and b == 0 and type(n) is np.int32 and n == 5
    bounded = Kernel("bounded", "probe.cu", lambda: Launch((1,), (1,)))
    given = (np.zeros(2), np.zeros(2, np.uint8), 2**40, 1, True, np.zeros(2, np.float16), y, np.zeros(1, np.uint64), 7, np.uint32(3))
    found = arguments(bounded, given)
    assert [type(v) for v in found[2:5]] == [np.uint64, np.float32, np.bool_] and found[3] == 1
    assert type(found[8]) is np.uint64 and type(found[9]) is np.uint32


F4 = np.zeros((4, 6), np.float32)
WRONG = {
    "too few": ((F4, F4), TypeError, r"kernel plain: expected 3 arguments \(x, y, n\), got 2"),
    "dtype": ((F4, F4.astype("f8"), 1), TypeError, "kernel plain: 'y' must be an array of float32, got float64"),
    "layout": ((F4[:, ::2], F4, 1), TypeError, r"kernel plain: 'x' must be contiguous, got strides \(24, 8\)"),
    "no array": ((3.0, F4, 1), TypeError, "kernel plain: 'x' must be an array, got float"),
    "float for int": ((F4, F4, 1.0), TypeError, "kernel plain: 'n' must be a number of int32, got float"),
    "bool for int": ((F4, F4, True), TypeError, "kernel plain: 'n' must be a number of int32, got bool"),
    "another size": ((F4, F4, np.int64(1)), TypeError, "kernel plain: 'n' must be a number of int32, got one of int64"),
    "too large": ((F4, F4, 2**31), ValueError, "kernel plain: 'n' is 2147483648, which does not fit in int32"),
    "an array for a number": ((F4, F4, np.zeros(1, np.int32)), TypeError, "kernel plain: 'n' must be a number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused(what: str, probe) -> None:
    args, error, text = WRONG[what]
    with pytest.raises(error, match=text):
        launch(PLAIN, args, n=5)
    assert not probe


def test_any_memory_is_an_array_too() -> None:
    bounded = Kernel("bounded", "probe.cu", lambda: Launch((1,), (1,)))
    given = [np.zeros(2), np.zeros(2, np.uint8), 1, 1, True, np.zeros(2, np.float16), 3.0, np.zeros(1, np.uint64), 7, 3]
    with pytest.raises(TypeError, match="kernel bounded: 'any' must be an array, got float"):
        arguments(bounded, tuple(given))


def test_arrays_that_32_bit_indices_do_not_reach(probe) -> None:
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (2**31,), (0,))
    flags = types.SimpleNamespace(c_contiguous=True)
    fake = types.SimpleNamespace(dtype=huge.dtype, flags=flags, size=huge.size, shape=huge.shape, strides=(4,))
    with pytest.raises(ValueError, match="'x' has 2147483648 elements, more than its 32-bit indices reach"):
        launch(PLAIN, (fake, F4, 1), n=1)
    launch(Kernel("plain", "probe.cu", PLAIN.geometry, wide=True), (fake, F4, 1), n=1)
    assert probe[-1][0] == "plain"


def test_launches(probe) -> None:
    launch(PLAIN, (F4, F4, 300), n=300)
    launch(PLAIN, (F4, F4, 1), n=1)
    assert [entry[0] for entry in probe] == ["compiled", "plain", "plain"], "compiled once"
    _, grid, block, args, shared, _ = probe[1]
    assert (grid, block, shared) == ((3,), (128,), 0) and type(args) is tuple and args[2] == 300


def test_nothing_is_launched_over_nothing(probe) -> None:
    launch(PLAIN, (F4[:0], F4[:0], 0), n=0)
    assert not probe, "a driver would run one block"


def test_shared_memory_above_the_usual_is_asked_for(probe) -> None:
    launch(Kernel("before", "probe.cu", lambda: Launch((1,), (32,), 64 * 1024)), ())
    assert probe[-1][4:] == (64 * 1024, 64 * 1024)


@pytest.mark.parametrize("how, text", [
    (Launch((1,), (2048,)), "a block of \\(2048,\\) threads; there can be 1 to 1024"),
    (Launch((1,), (0,)), "a block of \\(0,\\)"),
    (Launch((1,), (1, 1, 128)), "64 in z"),
    (Launch((1, 70000), (32,)), "a grid of \\(1, 70000\\) blocks"),
    (Launch((2**31,), (32,)), "a grid of"),
    (Launch((-1,), (32,)), "a grid of"),
])
def test_impossible_launches(how, text, probe) -> None:
    with pytest.raises(ValueError, match=f"kernel before: .*{text}"):
        launch(Kernel("before", "probe.cu", lambda: how), ())
    assert not probe


def test_a_source_that_does_not_compile(monkeypatch) -> None:
    def fail(text, options):
        raise RuntimeError("libnvrtc.so.13 not found")

    monkeypatch.setattr(launcher, "compiler", fail)
    with pytest.raises(RuntimeError, match=r"kernel plain: probe.cu could not be compiled \(libnvrtc.so.13 not found\): install .* pip install nvidia-cuda-nvrtc"):
        launch(PLAIN, (F4, F4, 1), n=1)

"""Tier two: real arrays of CuPy over the host's memory, with our kernels executed by the simulator.

CuPy imports, and its arrays, views, strides and flags work without a driver; only its own kernels do not. So whatever of
the library needs no kernel but ours runs here as on a card, with CuPy's own idea of what is contiguous.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from minigrad.kernels.cuda import dropout, engine, im2col, launcher

import minigrad as mg
from minigrad import backend
from minigrad.fast import use_fast_paths
from minigrad.nn import functional as F

from .test_kernels import Noting, simulated

RNG = np.random.default_rng(11)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="module")
def cp() -> Iterator[Any]:
    """CuPy, whose arrays lie in the host's memory."""
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x (it needs no GPU for this)")
    if cupy.cuda.is_available():
        pytest.skip("there is a GPU: see the tests marked gpu")

    def allocate(size: int) -> Any:
        raw = np.full(size + 512, 0xFF, np.uint8)
        start = raw.ctypes.data + -raw.ctypes.data % 512
        return cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(start, size, raw, device_id=0), 0)

    cupy.cuda.set_allocator(allocate)
    yield cupy
    cupy.cuda.set_allocator(None)


@pytest.fixture
def launched(cp: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engine on these arrays; the names of the kernels that were launched."""
    names: list[str] = []
    compiled: dict[str, Any] = {}

    def compile(text: str, options: tuple) -> Any:
        return Noting(compiled.setdefault(text, simulated(text)), names)

    monkeypatch.setattr(launcher, "compiler", compile)
    monkeypatch.setattr(backend, "cupy", lambda: cp)
    for offer in backend._offers:
        offer(cp)
    library = Copying(cp)
    monkeypatch.setattr(backend, "namespace", lambda array: np if isinstance(array, (np.ndarray, np.generic)) else library)
    return names


class Copying:
    """CuPy, but copying is done by the host: a leaf's gradient is a copy if somebody else can see the array."""

    def __init__(self, cp: Any) -> None:
        self._cp = cp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cp, name)

    def array(self, a: Any, order: str = "C") -> Any:
        return up(self._cp, down(a))


def up(cp: Any, a: np.ndarray) -> Any:
    array, a = cp.empty(a.shape, a.dtype), np.ascontiguousarray(a)
    ctypes.memmove(array.data.ptr, a.ctypes.data, a.nbytes)
    return array


def down(array: Any) -> np.ndarray:
    assert array.flags.c_contiguous
    out = np.empty(array.shape, array.dtype)
    ctypes.memmove(out.ctypes.data, array.data.ptr, out.nbytes)
    return out


CALLS = {
    "gelu": (lambda x: F.gelu(x, approximate="tanh"), [draw(5, 8)]),
    "gelu of a column": (lambda x: F.gelu(x[1:3]), [draw(5, 33)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (8,), w, b), [draw(2, 3, 8), draw(8), draw(8)]),
    "rms_norm": (lambda x, w: F.rms_norm(x.reshape(4, 7), (7,), w, 1e-5), [draw(28), draw(7)]),
    "softmax": (lambda x: x.softmax(-1), [draw(3, 9)]),
    "log_softmax": (lambda x: x.log_softmax(-1), [draw(2, 516)]),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), [draw(2, 2, 5, 8)] * 3),
    "a chain": (lambda x, w, b: F.gelu(F.layer_norm(F.gelu(x), (12,), w, b)).reshape(2, 3, 12), [draw(6, 12), draw(12), draw(12)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_forward_and_backward(cp: Any, launched: list[str], name: str) -> None:
    call, arrays = CALLS[name]
    g = draw(*call(*map(mg.tensor, arrays)).shape)

    mine = [mg.Tensor._wrap(up(cp, a)).requires_grad_() for a in arrays]
    assert all(x.is_cuda and type(x.array) is cp.ndarray for x in mine)
    y = call(*mine)
    leaves = mine if "column" not in name else []
    if leaves:  # the gradient of a slice needs a kernel of CuPy's
        y.backward(mg.Tensor._wrap(up(cp, g)))
    with use_fast_paths(False):
        theirs = [mg.tensor(a, requires_grad=True) for a in arrays]
        expected = call(*theirs)
        expected.backward(mg.tensor(g))
    np.testing.assert_allclose(down(y.array), expected.detach().numpy(), rtol=2e-5, atol=2e-5)
    for a, b in zip(leaves, theirs):
        np.testing.assert_allclose(down(a.grad.array), b.grad.numpy(), rtol=2e-5, atol=2e-5)
    assert launched


@pytest.mark.parametrize("layout", ["nn", "nt", "tn"])
@pytest.mark.parametrize("shapes", [((5, 7), (7, 3)), ((2, 33, 20), (20, 4)), ((3, 5, 8), (3, 8, 4))], ids=str)
def test_layouts_of_a_product(cp: Any, launched: list[str], shapes: tuple, layout: str) -> None:
    a, b = draw(*shapes[0]), draw(*shapes[1])
    x, y = up(cp, a.swapaxes(-1, -2) if layout == "tn" else a), up(cp, b.swapaxes(-1, -2) if layout == "nt" else b)
    x, y = (x.swapaxes(-1, -2) if layout == "tn" else x), (y.swapaxes(-1, -2) if layout == "nt" else y)
    assert x.shape == a.shape and y.shape == b.shape
    np.testing.assert_allclose(down(engine.product(x, y)), a.astype(float) @ b, rtol=1e-5, atol=1e-5)
    assert launched[0].endswith(layout), "a transposed operand is read where it is"


def test_a_linear_layer_trains_by_our_products_alone(cp: Any, launched: list[str]) -> None:
    arrays = draw(6, 8), draw(5, 8), draw(5)
    mg.cuda.preferred_blas_library("minigrad")
    try:
        x, w, b = (mg.Tensor._wrap(up(cp, a)).requires_grad_() for a in arrays)
        y = F.gelu(F.linear(x, w, b))
        slope = draw(6, 5)
        found = [y.detach(), *mg.autograd.grad(y, [x, w], mg.Tensor._wrap(up(cp, slope)))]
    finally:
        mg.cuda.preferred_blas_library("cublas")
    leaves = [mg.tensor(a, requires_grad=True) for a in arrays]
    expected = F.gelu(F.linear(*leaves))
    for mine, right in zip(found, [expected.detach(), *mg.autograd.grad(expected, leaves[:2], mg.tensor(slope))]):
        np.testing.assert_allclose(down(mine.array), right.numpy(), rtol=1e-5, atol=1e-5)
    assert sum(name.startswith("matmul_") for name in launched) >= 3, launched


@pytest.mark.parametrize("case", [
    {"batch": 2, "channels": 3, "size": (6, 8), "padding": (1, 1)},
    {"batch": 1, "channels": 2, "size": (7, 9), "padding": (0, 2), "kernel": (2, 3), "stride": (2, 1), "dilation": (1, 2)},
])  # fmt: skip
def test_images_and_their_columns(cp: Any, launched: list[str], case: dict) -> None:
    how = {"kernel": (3, 3)} | {name: value for name, value in case.items() if name not in ("batch", "channels", "size")}
    for ladder in (im2col.IM2COL_LADDER, im2col.COL2IM_LADDER):
        inputs = ladder.inputs(RNG, **case)
        (array,), (expected,) = inputs.values(), ladder.reference(case, **inputs).values()
        found = im2col.im2col(up(cp, array), **how) if "x" in inputs else im2col.col2im(up(cp, array), case["size"], **how)
        np.testing.assert_allclose(down(found), expected, rtol=1e-5, atol=1e-5)
    assert len(launched) == 2


def test_dropout(cp: Any, launched: list[str]) -> None:
    a = draw(3, 7)
    kept = dropout.philox(2**33 + np.arange(6, dtype=np.uint64), 2**63 + 5).ravel()[:21].reshape(3, 7) >= 2**30
    np.testing.assert_allclose(down(engine.dropout(up(cp, a), 0.25, 2**63 + 5, 2**33)), a * kept / 0.75, rtol=1e-6)
    assert launched == ["dropout_v2"]


def test_views_share_memory_as_the_graph_believes(cp: Any, launched: list[str]) -> None:
    x = mg.Tensor._wrap(up(cp, draw(4, 6)))
    for view in (x.T, x[1:, ::2], x.reshape(3, 8), x.unsqueeze(1), x.expand(2, 4, 6), x.transpose(0, 1)[2]):
        assert view._base is not None and view._base[0] is x and view.storage is x.storage
    assert x.T.stride() == (1, 6) and not x.T.is_contiguous() and x[1:, ::2].data_ptr() == x.data_ptr() + 24
    assert x.dtype is mg.float32, "the engine compares dtypes by identity"
    assert str(x.device) == "cuda:0"


def test_what_the_launcher_refuses(cp: Any, launched: list[str]) -> None:
    from minigrad.kernels.cuda.gelu import FORWARD

    x = up(cp, draw(4, 6))
    with pytest.raises(TypeError, match=r"kernel gelu_v1: 'x' must be contiguous, got strides \(4, 24\) for shape \(6, 4\)"):
        launcher.launch(FORWARD["none"]["v1"], (x.T, x, 24), n=24)
    with pytest.raises(TypeError, match="kernel gelu_v1: 'x' must be an array of float32, got float64"):
        launcher.launch(FORWARD["none"]["v1"], (cp.empty(24, "float64"), x, 24), n=24)
    launcher.launch(FORWARD["none"]["v1"], (x[:0], x[:0], 0), n=0)
    assert not launched

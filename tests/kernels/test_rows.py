"""Compiled kernels on rows and elements against the formulas they stand in for."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from minigrad.kernels.cpu import jit, rows

import minigrad as mg
from minigrad.nn import functional as F

from .rows import LAYOUTS, compare, inf, nan, normal

cross_entropy, gelu, layer_norm, softmax = (  # the modules: in their package these names are functions
    import_module(f"minigrad.kernels.cpu.{name}") for name in ("cross_entropy", "gelu", "layer_norm", "softmax")
)

pytestmark = pytest.mark.skipif(not jit.available(), reason=f"no compiled kernels here: {jit.problem()}")

strange = np.array([0.0, -0.0, 1e-4, -1e-4, 87.0, -87.0, 1e4, -1e4, 1e30, -1e30, inf, -inf, nan])


def holed(x, value):
    """Some elements replaced, in some rows."""
    x = x.copy()
    x[::3, 1] = value
    return x


def masked(x):
    x = np.where(normal(*x.shape) > 0.5, -inf, x)
    x[0] = -inf
    return x


MATRICES = {
    "odd": normal(5, 7),
    "one row": normal(1, 19),
    "one column": normal(19, 1),
    "long": normal(3, 1031),
    "many": normal(515, 33),
    "4-d": normal(2, 3, 4, 5),
    "huge": 1e15 * normal(5, 7),
    "inf": holed(normal(7, 9), inf),
    "-inf": masked(normal(7, 9)),
    "nan": holed(normal(7, 9), nan),
}


def targets(x):
    return mg.tensor(np.arange(len(x)) * 7 % x.shape[1])


# name: function of x (and what it needs besides), its kernels, whether it takes any number of dimensions
OPERATIONS = {
    "softmax": (lambda x: F.softmax(x, -1), [softmax._softmax, softmax._softmax_slope]),
    "safe softmax": (lambda x: mg.ops.reduction.safe_softmax(x, x.ndim - 1), [softmax._softmax, softmax._softmax_slope]),
    "log softmax": (lambda x: F.log_softmax(x, -1), [softmax._log_softmax, softmax._log_softmax_slope]),
    "layer norm": (lambda x, w, b: F.layer_norm(x, x.shape[-1:], w, b), [layer_norm._forward, layer_norm._backward]),
    "layer norm bare": (lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-3), [layer_norm._forward, layer_norm._backward]),
    "RMS norm": (lambda x, w: F.rms_norm(x, x.shape[-1:], w), [layer_norm._rms_forward, layer_norm._rms_backward]),
    "cross entropy": (lambda x: F.cross_entropy(x, targets(x), ignore_index=2), [cross_entropy._forward, cross_entropy._backward]),
}  # fmt: skip
ELEMENTWISE = {
    "gelu": (F.gelu, gelu.KERNELS["none"]),
    "gelu tanh": (lambda x: F.gelu(x, approximate="tanh"), gelu.KERNELS["tanh"]),
    "silu": (F.silu, gelu.KERNELS["silu"]),
}
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def no_size_is_too_small(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_agree_with_the_formula(name, matrix, dtype, monkeypatch):
    f, kernels = OPERATIONS[name]
    x = MATRICES[matrix].astype(dtype)
    if name == "cross entropy":
        x = x.reshape(-1, x.shape[-1])
    if matrix == "huge" and dtype == np.float32:
        x = x * dtype(1e-5)  # its square would be infinite
    others = [normal(x.shape[-1]).astype(dtype) for _ in range(f.__code__.co_argcount - 1)]
    for layout in LAYOUTS.values():
        compare(f, [layout(x), *others], kernels, monkeypatch)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elements_agree_with_the_formula(name, dtype, monkeypatch):
    f, kernels = ELEMENTWISE[name]
    for x in (normal(5, 7), normal(70001), 5 * normal(3, 4, 5), np.linspace(-12, 12, 999)):
        for layout in LAYOUTS.values():
            compare(f, [layout(x.astype(dtype))], kernels, monkeypatch)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_strange_numbers_keep_their_meaning(name, monkeypatch):
    f, kernels = ELEMENTWISE[name]
    x = mg.tensor(strange.astype(np.float32))
    y = f(x)
    assert kernels[0]._run is not None
    expected = getattr(pytest.importorskip("torch").nn.functional, name.split()[0])
    import torch

    options = {"approximate": "tanh"} if "tanh" in name else {}
    wanted = expected(torch.tensor(strange, dtype=torch.float64), **options)
    finite = np.isfinite(wanted.numpy())
    np.testing.assert_allclose(y.numpy()[finite], wanted.numpy()[finite], rtol=1e-5, atol=1e-30)
    assert np.isnan(y.numpy()[-1]) and y.numpy()[-3] == inf


def test_rows_that_are_ignored_count_for_nothing(monkeypatch):
    x = normal(6, 5)
    kernels = [cross_entropy._forward, cross_entropy._backward]
    some = mg.tensor([3, -100, 0, -100, 4, 1])
    compare(lambda x: F.cross_entropy(x, some), [x], kernels, monkeypatch)
    compare(lambda x: F.cross_entropy(x, some * 0 - 100), [x], kernels, monkeypatch)


def test_integers_and_small_ones_are_left_alone(monkeypatch):
    monkeypatch.setattr(rows, "SMALL", 100)
    assert softmax.softmax(normal(9, 11), dim=-1) is NotImplemented
    assert softmax.softmax(normal(10, 11).astype(np.float16), dim=-1) is NotImplemented
    assert softmax.softmax(normal(10, 11), dim=0) is NotImplemented
    assert gelu.silu(np.arange(200)) is NotImplemented
    assert layer_norm.rms_norm(normal(10, 11), np.ones(11, np.float32), dims=(-1,), eps=0.0) is NotImplemented


def test_a_row_of_minus_infinity():
    x = np.full((2, 3), -inf)
    assert np.isnan(softmax.softmax(x, dim=-1)).all()
    assert (softmax.safe_softmax(x, dim=-1) == 0).all()

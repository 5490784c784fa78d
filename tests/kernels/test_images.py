"""Products, convolutions, pools, batch norm and ReLU: each fast path against its formula, in both dtypes and layouts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from minigrad.kernels import cpu as kernels
from minigrad.kernels.cpu import jit

import minigrad as mg
from minigrad.fast import use_fast_paths
from minigrad.nn import functional as F

inf, nan = float("inf"), float("nan")
rng = np.random.default_rng(0)

needs_numba = pytest.mark.skipif(not jit.available(), reason=str(jit.problem()))


def normal(*shape):
    return rng.standard_normal(shape)


def with_values(x, *values):
    x.reshape(-1)[rng.choice(x.size, len(values), replace=False)] = values
    return x


def channels_last(x):
    """The same numbers, the channels of each pixel side by side in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 2 else np.asfortranarray(x)


def gaps(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


LAYOUTS = {"plain": np.ascontiguousarray, "channels last": channels_last, "gaps": gaps}

conv = lambda **options: lambda x, w, *b: F.conv2d(x, w, *b, **options)
norm = lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)
moments = (mg.zeros(5), mg.ones(5))

CASES = {  # each is large enough for the kernels to be used, by a little
    "matmul": (lambda a, b: a @ b, [(normal(51, 67), normal(67, 43)), (normal(131, 101), normal(101, 90)), (normal(90, 101), normal(101, 131))]),
    "matmul one row": (lambda a, b: a @ b, [(normal(1, 99), normal(99, 101)), (normal(101, 99), normal(99))]),
    "matmul stacks": (lambda a, b: a @ b, [(normal(2, 3, 31, 29), normal(2, 3, 29, 33)), (normal(4, 1, 31, 29), normal(3, 29, 33)), (normal(3, 31, 29), normal(29, 65))]),
    "matmul inf": (lambda a, b: a @ b, [(with_values(normal(51, 67), inf, nan, -inf), normal(67, 43))]),
    "linear": (F.linear, [(normal(3, 41, 50), normal(37, 50), normal(37)), (normal(50, 70), normal(90, 70)), (normal(60, 150), normal(170, 150), normal(170))]),
    "linear of many rows": (F.linear, [(normal(1130, 20), normal(300, 20), normal(300))]),
    "conv": (conv(padding=1), [(normal(2, 3, 16, 15), normal(20, 3, 3, 3), normal(20)), (normal(3, 20, 9, 8), normal(17, 20, 3, 2))]),
    "conv stride": (conv(stride=(2, 3), padding=(2, 1)), [(normal(3, 8, 17, 19), normal(37, 8, 5, 4), normal(37))]),
    "conv stride over kernel": (conv(stride=3), [(normal(3, 16, 19, 20), normal(33, 16, 2, 2), normal(33))]),
    "conv dilation": (conv(dilation=(2, 3), padding="same"), [(normal(2, 6, 13, 16), normal(18, 6, 3, 3), normal(18))]),
    "conv stride and dilation": (conv(stride=2, dilation=2, padding=2), [(normal(4, 8, 15, 18), normal(32, 8, 3, 3))]),
    "conv groups": (conv(groups=3, padding=1), [(normal(4, 9, 13, 14), normal(12, 3, 3, 3), normal(12))]),
    "conv depthwise": (conv(groups=16, padding=1), [(normal(3, 16, 17, 18), normal(16, 1, 3, 3), normal(16))]),
    "conv 1x1": (conv(), [(normal(2, 19, 13, 14), normal(18, 19, 1, 1), normal(18))]),
    "conv one image": (conv(padding=1), [(normal(1, 16, 11, 12), normal(18, 16, 3, 3), normal(18))]),
    "conv inf": (conv(padding=1), [(with_values(normal(2, 9, 12, 13), inf, nan), normal(16, 9, 3, 3))]),
    "conv1d": (lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=3), [(normal(3, 11, 61), normal(21, 11, 5), normal(21))]),
    "conv_transpose": (lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), [(normal(2, 16, 9, 8), normal(16, 9, 3, 4), normal(9))]),
    "conv_transpose1d": (lambda x, w: F.conv_transpose1d(x, w, stride=3, groups=2), [(normal(3, 18, 61), normal(18, 10, 4))]),
    "max_pool": (lambda x: F.max_pool2d(x, 2), [(normal(3, 7, 24, 25),), (with_values(normal(3, 7, 24, 25), inf, nan, -inf),), (np.round(normal(3, 7, 24, 25)),)]),
    "max_pool over edges": (lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=(1, 1), dilation=(1, 2), ceil_mode=True), [(normal(2, 5, 31, 36),)]),
    "max_pool1d": (lambda x: F.max_pool1d(x, 3, stride=2), [(normal(3, 17, 207),)]),
    "batch_norm": (norm, [(normal(8, 5, 23, 24), normal(5), normal(5)), (3000 + normal(8, 5, 23, 24), normal(5), normal(5)), (normal(1001, 21), normal(21), normal(21)), (with_values(normal(8, 5, 23, 24), inf), normal(5), normal(5))]),
    "batch_norm bare": (lambda x: F.batch_norm(x, None, None, training=True, eps=0.1), [(normal(900, 3, 8),)]),
    "arithmetic": (lambda a, b: (a * b - a) / (b + a), [(normal(9, 77, 83), normal(9, 77, 83)), (with_values(normal(9, 77, 83), inf, nan, 0.0, 2.0), with_values(1 + normal(9, 77, 83), 1.0, 1.0, -0.0, nan))]),
    "exp": (mg.exp, [(normal(9, 77, 83),), (with_values(17 * normal(9, 77, 83), inf, -inf, nan, 0.0, -0.0, 87.0, -88.5),)]),
    "tanh": (mg.tanh, [(with_values(5 * normal(9, 77, 83), inf, -inf, nan, 0.0, -0.0, 1e-30, 1e4),)]),
    "sigmoid": (mg.sigmoid, [(with_values(30 * normal(9, 77, 83), inf, -inf, nan, 0.0, -0.0, 1e4, -1e4),)]),
    "relu": (mg.relu, [(with_values(normal(9, 77, 83), inf, -inf, nan, 0.0, -0.0),)]),
    "conv few channels": (conv(padding=2), [(normal(2, 1, 20, 22), normal(8, 1, 5, 5), normal(8)), (normal(3, 5, 17, 18), normal(3, 5, 4, 5)), (with_values(normal(2, 2, 20, 24), inf, nan), normal(6, 2, 5, 5))]),
    "conv few channels, stride": (conv(stride=(1, 2), padding=(2, 1)), [(normal(4, 4, 20, 25), normal(4, 4, 5, 4), normal(4))]),
    "conv more padding than kernel": (conv(padding=(4, 3)), [(normal(2, 7, 9, 8), normal(18, 7, 3, 2), normal(18))]),
    "conv1d few channels": (lambda x, w, b: F.conv1d(x, w, b, padding=2), [(normal(5, 11, 60), normal(8, 11, 5), normal(8))]),
    "max_pool with gaps": (lambda x: F.max_pool2d(x, 2, stride=(2, 3)), [(normal(3, 21, 16, 17),), (np.round(with_values(normal(3, 35, 16, 17), nan, -inf)),)]),
    "a row to each": (mg.add, [(normal(300, 201), normal(201)), (normal(7, 77, 99), normal(77, 99)), (with_values(normal(300, 201), inf, nan), normal(201))]),
    "each by a row": (lambda a, b: (a - b) * b / (3 + b), [(normal(300, 201), normal(201)), (normal(7, 77, 99), normal(99))]),
    "sum": (mg.sum, [(normal(3, 177, 99),), (with_values(normal(300, 201), inf, -inf, nan),), (with_values(normal(60_000), -inf),)]),
    "sum of rows": (lambda x: mg.sum(x, tuple(range(1, x.ndim))), [(normal(300, 201),), (with_values(normal(7, 20, 401), inf, -inf, nan),)]),
    "sum of columns": (lambda x: mg.sum(x, 0, keepdim=True), [(normal(700, 80),), (normal(3, 177, 99),)]),
    "mean": (mg.mean, [(normal(3, 177, 99),)]),
    "mean of rows": (lambda x: mg.mean(x, -1, True), [(normal(17, 10_001),), (normal(3, 17, 1001),)]),
    "rows as columns": (lambda x: x.t().contiguous(), [(normal(301, 203),), (with_values(normal(67, 800), inf, nan),)]),
    "rows as columns of each": (lambda x: x.transpose(-1, -2).contiguous(), [(normal(3, 5, 81, 47),), (normal(3, 1, 300, 65),)]),
    "groups of dimensions": (lambda x: x.permute(0, 3, 4, 1, 2).contiguous(), [(normal(3, 7, 11, 13, 17),)]),
    "batch_norm few channels": (norm, [(normal(8, 2, 40, 41), normal(2), normal(2))]),
    "batch_norm many channels": (norm, [(normal(2, 40_001), normal(40_001), normal(40_001))]),
}  # fmt: skip


def run(f, arrays, fast):
    inputs = [mg.from_numpy(a).requires_grad_() for a in arrays]
    with use_fast_paths(fast):
        y = f(*inputs)
        y.backward(mg.tensor(np.random.default_rng(1).standard_normal(y.shape).astype(y.array.dtype)))
    return [y.array, *[x.grad.array for x in inputs]]


def assert_fast_paths_agree(case, name, layout, dtype):
    """What fast paths compute in a dtype is what the formulas do in float64."""
    f, examples = case
    for arrays in examples:
        varied = [LAYOUTS[layout](a.astype(dtype)) for a in arrays]
        exact = run(f, [a.astype(np.float64) for a in varied], fast=False)
        for got, wanted in zip(run(f, varied, fast=True), exact):
            assert got.dtype == dtype and got.shape == wanted.shape
            scale = np.abs(np.where(np.isfinite(wanted), wanted, 0)).max()
            tolerance = scale * (1e-11 if dtype == np.float64 else 2e-3 if "norm" in name else 2e-5)
            np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance)


@needs_numba
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CASES)
def test_fast_paths_agree_with_formulas(name, layout, dtype):
    assert_fast_paths_agree(CASES[name], name, layout, dtype)


@pytest.fixture
def called(monkeypatch):
    """The names of the kernels that are called."""
    names = []
    original = jit.Kernel.__call__
    monkeypatch.setattr(jit.Kernel, "__call__", lambda self, *args: (names.append(self.name), original(self, *args))[1])
    return names


@needs_numba
def test_the_cases_are_large_enough_for_kernels(called):
    for name, (f, examples) in CASES.items():
        called.clear()
        run(f, [a.astype(np.float32) if a.ndim < 3 else channels_last(a.astype(np.float32)) for a in examples[0]], fast=True)
        assert called, f"{name} was computed by its formula"
        called.clear()
        run(f, [a.astype(np.float32) for a in examples[0]], fast=False)
        assert not called, f"{name} used kernels although they were switched off"


@needs_numba
@pytest.mark.parametrize("layout", ["plain", "channels last"])
def test_batch_norm_is_compiled_for_both_layouts(layout, called):
    f, examples = CASES["batch_norm"]
    run(f, [LAYOUTS[layout](examples[0][0].astype(np.float32)), *(a.astype(np.float32) for a in examples[0][1:])], fast=True)
    suffix = {"plain": "_planes", "channels last": ""}[layout]
    assert f"batch_norm._forward{suffix}" in called and f"batch_norm._backward{suffix}" in called


@needs_numba
@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "divide"])
def test_a_row_is_broadcast_by_the_kernel(name, called):
    ours, numpys = getattr(mg, name), getattr(np, name)
    x = mg.tensor(normal(2, 301, 203))
    for row in (normal(203), normal(301, 203)):
        np.testing.assert_array_equal(ours(x, mg.tensor(row)).array, numpys(x.array, row))
    assert [kernel.endswith("_rows") for kernel in called] == [True, True]
    for other in (normal(301, 1), normal(406)[::2], normal(), normal(203).astype(np.float32), np.arange(1, 204)):
        np.testing.assert_array_equal(ours(x, mg.from_numpy(np.asarray(other))).array, numpys(x.array, other))
    assert len(called) == 4, "the last two are cast, and are rows then"
    assert kernels.add(x.array, np.ones(203, np.float32)) is NotImplemented


@needs_numba
def test_columns_are_copied_by_the_kernel_forward_and_backward(called):
    x = mg.tensor(normal(301, 203), requires_grad=True)
    y = x.t().contiguous()
    assert called == ["copies._transpose"]
    y.backward(mg.tensor(normal(203, 301)))
    assert called == ["copies._transpose"] * 2


@needs_numba
def test_copies_in_order_are_for_two_groups_of_dimensions():
    x = normal(3, 30, 20, 50)
    for dims in ((0, 2, 3, 1), (3, 0, 1, 2), (0, 1, 3, 2), (2, 3, 0, 1)):
        y = kernels.in_order(x.transpose(dims))
        assert y.flags.c_contiguous
        np.testing.assert_array_equal(y, x.transpose(dims))
    for other in (x, x.transpose(0, 3, 2, 1), x.transpose(1, 0, 3, 2), x[..., ::2].transpose(0, 1, 3, 2), x.T[:, :0], x[:1, :9, :9, :9].T):
        assert kernels.in_order(other) is NotImplemented
    same = np.broadcast_to(normal(60_000, 1), (60_000, 3)).T
    assert kernels.in_order(same) is NotImplemented


@needs_numba
def test_empty_and_half_precision_inputs_are_left_to_the_formula():
    assert F.conv2d(mg.zeros(0, 16, 40, 40), mg.zeros(16, 16, 3, 3)).shape == (0, 16, 38, 38)
    assert (mg.zeros(0, 500) @ mg.zeros(500, 300)).shape == (0, 300)
    assert (mg.zeros(300, 0) @ mg.zeros(0, 300)).array.sum() == 0
    assert F.conv2d(mg.zeros(2, 16, 20, 20).half(), mg.zeros(16, 16, 3, 3).half()).dtype == mg.float16


@pytest.mark.parametrize("needed", list(itertools.product([True, False], repeat=3))[:-1])
@pytest.mark.parametrize("rows, features", [(5, (3, 2)), (70, (45, 50)), (50, (90, 70)), (150, (90, 111)), (211, (7, 701))])
def test_the_gradients_of_a_linear_layer_that_are_needed(rows, features, needed):
    arrays = [normal(rows, features[1]), normal(*features), normal(features[0])]
    g = normal(rows, features[0])
    wanted = g @ arrays[1], g.T @ arrays[0], g.sum(0)
    inputs = [mg.tensor(a, requires_grad=need) for a, need in zip(arrays, needed)]
    F.linear(*inputs).backward(mg.tensor(g))
    for x, gradient, need in zip(inputs, wanted, needed):
        assert (x.grad is not None) == need
        if need:
            np.testing.assert_allclose(x.grad.array, gradient, rtol=0, atol=1e-10)


@needs_numba
@pytest.mark.parametrize("shape", [(1200, 32), (1111, 33), (4, 301, 40), (3, 20_000)])
def test_sums_of_rows(shape):
    x = normal(*shape)
    got = kernels.sum_rows(x.astype(np.float32))
    assert got is not NotImplemented and got.dtype == np.float32
    np.testing.assert_allclose(got, x.sum(tuple(range(x.ndim - 1))), rtol=0, atol=1e-3)


@needs_numba
@pytest.mark.parametrize("channels", [5, 18])
def test_an_infinite_weight_makes_nan_of_padding(channels):
    """Rows of padding are left out of the products, but not where that could be seen."""
    x, w = mg.randn(3, 7, 13, 14), mg.randn(channels, 7, 3, 3)
    w[1, 2, 0, 1] = inf
    with use_fast_paths(False):
        wanted = F.conv2d(x, w, padding=1).array
    assert np.isnan(wanted).any() and np.isfinite(wanted).any()
    np.testing.assert_allclose(F.conv2d(x, w, padding=1).array, wanted, rtol=1e-4, atol=1e-4)


@needs_numba
def test_a_view_of_what_a_convolution_made():
    """It has its channels last in memory, and PyTorch's programs call view on it."""
    x = mg.randn(2, 3, 20, 20, requires_grad=True)
    y = F.conv2d(x, mg.randn(16, 3, 3, 3), padding=1)
    assert not y.is_contiguous()
    assert (y.view(2, -1).array == y.array.reshape(2, -1)).all()
    with pytest.raises(RuntimeError, match="view: a tensor of shape .* cannot be seen as"):
        x.permute(0, 2, 3, 1).view(2, -1)


@needs_numba
def test_running_statistics_follow_the_batch():
    x, batch = channels_last(normal(8, 5, 23, 24).astype(np.float32)), [mg.zeros(5), mg.ones(5)]
    formula = [mg.zeros(5), mg.ones(5)]
    F.batch_norm(mg.from_numpy(x), *batch, training=True)
    with use_fast_paths(False):
        F.batch_norm(mg.from_numpy(x), *formula, training=True)
    for got, wanted in zip(batch, formula):
        np.testing.assert_allclose(got.array, wanted.array, rtol=1e-5, atol=1e-7)


@needs_numba
def test_gradients_that_nobody_needs_are_not_computed(monkeypatch):
    import importlib

    module = importlib.import_module("minigrad.kernels.cpu.conv")
    monkeypatch.setattr(module, "conv_transpose", lambda *args, **options: pytest.fail("the input needs no gradient"))
    w = mg.randn(16, 3, 3, 3, requires_grad=True)
    F.conv2d(mg.randn(2, 3, 20, 20), w).sum().backward()
    assert w.grad.shape == w.shape


@needs_numba
@pytest.mark.parametrize("dtype, largest", [(np.float32, 88.72), (np.float64, 709.78)])
def test_exp_is_finite_up_to_the_largest_number(dtype, largest):
    x = np.resize(np.array([largest, largest + 0.01, -largest], dtype), 60_000)
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(mg.exp(mg.from_numpy(x)).array, np.exp(x), rtol=1e-6, atol=np.finfo(dtype).tiny)

"""Fused passes against the formulas they stand in for."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.composite import COMPOSITIONS
from minigrad.fast import use_fast_paths
from minigrad.nn import functional as F

inf, nan = float("inf"), float("nan")
rng = np.random.default_rng(0)


def normal(*shape):
    return rng.standard_normal(shape)


def layouts(x):
    """The same numbers as they are, with gaps, backwards and column-major in memory."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
    wide[..., ::2] = x
    return [x, wide[..., ::2], np.ascontiguousarray(x[::-1])[::-1], np.asfortranarray(x)]


CASES = {
    "gelu": (
        lambda x: F.gelu(x, approximate="tanh"),
        [(x,) for x in (normal(3, 5), normal(70000), normal(0, 3), np.array([0.0, -0.0, inf, -inf, nan, 1e4, -1e4]), np.asarray(normal()))],
    ),
    "layer_norm": (
        lambda x, w, b: F.layer_norm(x, w.shape, w, b),
        [(normal(4, 7), normal(7), normal(7)), (normal(2, 3, 4, 5), normal(4, 5), normal(4, 5)), (normal(0, 7), normal(7), normal(7)),
         (np.full((2, 7), 1e4), normal(7), normal(7)), (np.where(normal(3, 7) > 1, inf, normal(3, 7)), normal(7), normal(7)), (normal(7), normal(7), normal(7))],
    ),
    "layer_norm bare": (lambda x: F.layer_norm(x, (5,), eps=1e-3), [(normal(3, 5),), (normal(1, 5),)]),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, mg.tensor(np.arange(len(x)) % x.shape[1]), ignore_index=2),
        [(normal(7, 4),), (normal(1, 2),), (1e4 * normal(5, 3),), (np.where(normal(6, 4) > 0.5, -inf, normal(6, 4)),)],
    ),
    "attention": (
        F.scaled_dot_product_attention,
        [(normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 2)), (normal(2, 5), normal(2, 5), normal(2, 5)), (normal(2, 1, 4, 5), normal(1, 3, 6, 5), normal(3, 6, 2))],
    ),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [(normal(2, 6, 5), normal(2, 6, 5), normal(2, 6, 5)), (normal(4, 5), normal(7, 5), normal(7, 3)), (normal(6, 5), normal(3, 5), normal(3, 2)), (1e3 * normal(4, 5), normal(4, 5), normal(4, 5))],
    ),
}  # fmt: skip


def run(f, arrays, dtype, fast, weights):
    inputs = [mg.from_numpy(a.astype(dtype)).requires_grad_() for a in arrays]
    with use_fast_paths(fast):
        y = f(*inputs)
        y.backward(mg.tensor(weights(y.shape).astype(dtype)))
    return y, [x.grad for x in inputs]


@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_fused_passes_agree_with_their_formulas(name, dtype):
    f, inputs = CASES[name]
    rtol = 1e-10 if dtype == np.float64 else 2e-4
    for arrays in inputs:
        for k in range(4):
            varied = [layouts(a)[k] if a.ndim else a for a in arrays]
            weights = lambda shape: np.asarray(np.random.default_rng(1).standard_normal(shape))
            y, grads = run(f, varied, dtype, True, weights)
            expected, wanted = run(f, varied, dtype, False, weights)
            assert (y.dtype == dtype and y.node.name in COMPOSITIONS) or not y.array.size
            scale = max(1.0, np.nanmax(np.abs(np.where(np.isfinite(expected.array), expected.array, 0)), initial=0))
            np.testing.assert_allclose(y.array, expected.array, rtol=rtol, atol=rtol * scale)
            for g, w in zip(grads, wanted):
                assert g.dtype == dtype and g.shape == w.shape
                scale = max(1.0, np.nanmax(np.abs(np.where(np.isfinite(w.array), w.array, 0)), initial=0))
                np.testing.assert_allclose(g.array, w.array, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_go_through_the_formula(name):
    f, inputs = CASES[name]
    x = [mg.tensor(a, requires_grad=True) for a in inputs[0]]
    assert mg.autograd.gradgradcheck(f, x)


def test_a_fused_pass_whose_inputs_depend_on_one_another():
    x = mg.tensor(normal(3, 5), requires_grad=True)
    f = lambda x: F.layer_norm(x, (5,), x[0] * 2, x.sum(0))
    assert mg.autograd.gradcheck(f, x) and mg.autograd.gradgradcheck(f, x)


def test_only_the_gradients_that_are_needed_are_computed():
    x, w = mg.tensor(normal(3, 5)), mg.tensor(normal(5), requires_grad=True)
    y = F.layer_norm(x, (5,), w)
    assert [p is not None for p in y.node.parents] == [False, True, False]
    y.backward(mg.tensor(normal(3, 5)))
    assert w.grad is not None and x.grad is None


def test_half_precision_is_left_to_the_formula():
    x = mg.randn(3, 5, dtype=mg.float16, requires_grad=True)
    assert F.layer_norm(x, (5,)).node.name not in COMPOSITIONS


def test_a_fused_pass_notices_overwritten_inputs():
    x = mg.randn(3, 5, requires_grad=True) * 1
    y = F.gelu(x, approximate="tanh")
    with mg.no_grad():
        x.mul_(2)
    with pytest.raises(RuntimeError, match="gelu needs its argument 'input' .* overwritten"):
        y.sum().backward()
